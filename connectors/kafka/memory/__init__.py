"""A broker in memory, and clients of it that keep the same contracts as those on Kafka."""

from connectors.kafka.memory.broker import MemoryBroker
from connectors.kafka.memory.group_client import MemoryGroupClient
from connectors.kafka.memory.producer import MemoryProducer
from connectors.kafka.memory.reader import MemoryReader

__all__ = ["MemoryBroker", "MemoryGroupClient", "MemoryProducer", "MemoryReader"]
