"""Kafka Connect: one worker, with Debezium's connector for MongoDB."""

import os
from collections.abc import Mapping

from ops.stack.components import Launch, PartSpec
from ops.stack.parts.connect_worker import CONNECT_MAIN, escaped, write_worker
from ops.stack.parts.kafka_archive import prepared_connect
from ops.stack.parts.kafka_nodes import kafka_names
from ops.stack.ports import HOST
from ops.stack.process_spec import HealthCheck, ProcessSpec
from runtime.sections import DATABASE_NAME, KAFKA_SASL_PASSWORD, MONGO_URL, read_security
from runtime.settings import load


class Connect(PartSpec):
    """A worker waits for Kafka by itself, and its connectors for Mongo."""

    def url(self, ports: Mapping[str, int], brokers: int) -> str:
        """The REST interface."""
        del brokers
        return f"http://{HOST}:{ports[self.name]}" if self.name in ports else ""

    def processes(self, launch: Launch) -> list[ProcessSpec]:
        """The one worker; what Java and Connect need is downloaded where it is missing."""
        properties = self.folder(launch) / "worker.properties"
        security = load({**os.environ, **launch.variables}, read_security)
        # How many replicas brokers that run elsewhere have room for is theirs to say.
        brokers = launch.brokers if set(kafka_names(launch.brokers)) <= set(launch.ports) else None
        write_worker(properties, launch.ports[self.name], launch.urls.kafka, brokers, security)
        database = launch.variables.get(DATABASE_NAME.name) or os.environ.get(DATABASE_NAME.name)
        return [
            ProcessSpec(
                self.name,
                self.name,
                [*prepared_connect(), CONNECT_MAIN, str(properties)],
                self.url(launch.ports, launch.brokers),
                # The connectors' files name these; Connect itself keeps none of their values.
                environment={
                    MONGO_URL.name: launch.urls.mongo,
                    DATABASE_NAME.name: database or DATABASE_NAME.default,
                    # It is put between quotes.
                    KAFKA_SASL_PASSWORD.name: escaped(security.password, '"'),
                },
                check=HealthCheck("connect", launch.urls.kafka),
                stop_rank=self.stop_rank,
            )
        ]
