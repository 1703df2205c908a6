#!/bin/sh
# Become a worker of Kafka Connect; its connectors find URLs and passwords in its environment (connectors/debezium).
set -eu

config=${CONNECT_CONFIG:-/etc/marketplace/worker.properties}
secrets=${CONNECT_SECRETS:-/run/secrets}
jars=${CONNECT_JARS:-/opt/connect/jars}

MARKETPLACE_MONGO_URL=$(cat "$secrets/mongo_url")
MARKETPLACE_KAFKA_SASL_PASSWORD=$(cat "$secrets/kafka_password")
export MARKETPLACE_MONGO_URL MARKETPLACE_KAFKA_SASL_PASSWORD

# Words of CONNECT_OPTS are options of their own.
# shellcheck disable=SC2086
exec java -cp "$jars/*" ${CONNECT_OPTS:--Xmx384m} \
    -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -Dorg.slf4j.simpleLogger.showDateTime=true \
    org.apache.kafka.connect.cli.ConnectDistributed "$config"
