"""The relay's watch: the connector of the outbox is kept running, and how far it is behind is measured."""
