"""The domain: events, topics, tables, enrichments, rollups. Pure: no IO, no clock, no environment."""
