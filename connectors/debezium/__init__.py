"""Debezium on Kafka Connect: what carries the rows of the outbox to Kafka."""
