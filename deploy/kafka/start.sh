#!/bin/sh
# Format the storage of a broker once, with the cluster's first users, and become the broker.
set -eu

home=${KAFKA_HOME:-/opt/kafka}
config=${KAFKA_CONFIG:-/etc/marketplace/server.properties}
secrets=${KAFKA_SECRETS:-/run/secrets}

secret() {
    cat "$secrets/$1"
}

# Each node keeps the users that it was formatted with until the cluster has a leader, so that all need the same ones.
"$home/bin/kafka-storage.sh" format --ignore-formatted --config "$config" --cluster-id "$(secret kafka_cluster_id)" \
    --add-scram "SCRAM-SHA-512=[name=broker,password=$(secret kafka_broker_password)]" \
    --add-scram "SCRAM-SHA-512=[name=marketplace,password=$(secret kafka_password)]"

exec "$home/bin/kafka-server-start.sh" "$config"
