#!/bin/bash
# Become a member of the replica set. MongoDB takes a key file that only its user can read, and compose mounts a file as
# it is on the host: hence the copy.
set -euo pipefail

install -m 400 /run/secrets/mongo_keyfile /tmp/keyfile
exec docker-entrypoint.sh mongod --bind_ip_all --replSet marketplace --keyFile /tmp/keyfile \
    --wiredTigerCacheSizeGB "${MONGO_CACHE_GB:-0.25}" --oplogMinRetentionHours 72
