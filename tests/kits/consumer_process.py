"""A consumer in a process of its own, which prints what it has handled and is there to be killed."""

import sys
import threading

from connectors.kafka.consumer import GroupConsumer
from connectors.kafka.dead_letters import DeadLetterWriter
from connectors.kafka.group_client import Membership
from connectors.kafka.kafka_group_client import KafkaGroupClient
from connectors.kafka.producer import Producer
from connectors.kafka.records import ConsumerRecord
from tests.kits.consumer import VICTIM_POLICY, VICTIM_RECORDS


def handle(record: ConsumerRecord) -> None:
    if record.offset >= VICTIM_RECORDS:
        # However early it commits, there is always something that it did not.
        threading.Event().wait()
    sys.stdout.write(f"{record.partition} {record.offset}\n")
    sys.stdout.flush()


def main() -> None:
    bootstrap, group, topic, dead_topic, session_seconds = sys.argv[1:]
    client = KafkaGroupClient(bootstrap, Membership(group, [topic], session_seconds=float(session_seconds)))
    dead_letters = DeadLetterWriter(Producer(bootstrap, client_id="victim"), dead_topic, group)
    GroupConsumer(client, handle, dead_letters, VICTIM_POLICY).run(lambda: False)


if __name__ == "__main__":
    main()
