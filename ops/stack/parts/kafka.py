"""Kafka: one broker or three."""

from collections.abc import Mapping

from ops.stack.components import Launch, PartSpec
from ops.stack.parts.kafka_archive import prepared_kafka
from ops.stack.parts.kafka_nodes import kafka_names, kafka_specs
from ops.stack.ports import HOST, PortSpec
from ops.stack.process_spec import ProcessSpec


class Kafka(PartSpec):
    """The one part that may have several processes."""

    def ports(self, brokers: int) -> tuple[PortSpec, ...]:
        """One for each broker, in a row, and one for each controller, which no client uses."""
        first, *others = kafka_names(brokers)
        row = [PortSpec(name, after=first, distance=place) for place, name in enumerate(others, start=1)]
        controllers = [PortSpec(f"{name}-controller", gives_way=True) for name in (first, *others)]
        return (PortSpec(first, self.default_port), *row, *controllers)

    def url(self, ports: Mapping[str, int], brokers: int) -> str:
        """The bootstrap list."""
        return ",".join(f"{HOST}:{ports[name]}" for name in kafka_names(brokers) if name in ports)

    def processes(self, launch: Launch) -> list[ProcessSpec]:
        """One node for each broker; what Java and Kafka need is downloaded where it is missing."""
        return kafka_specs(self.folder(launch), launch.ports, launch.brokers, prepared_kafka())
