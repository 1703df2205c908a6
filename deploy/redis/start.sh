#!/bin/sh
# Become Redis. The password comes by standard input, so that no list of processes shows it.
set -eu

config=${REDIS_CONFIG:-/etc/marketplace/redis.conf}
secrets=${REDIS_SECRETS:-/run/secrets}

exec valkey-server "$config" - <<END
requirepass $(cat "$secrets/redis_password")
END
