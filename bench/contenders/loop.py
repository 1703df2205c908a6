"""A rival: the loop that a good engineer would write first, tuned.

Batches from the broker, typed decoding, every lookup behind a cache, state in dictionaries, numbers aggregated per
batch, batched Arrow inserts into the same tables, offsets committed after them: at least once. It has all its state in
memory and loses it at a restart; what was partly written is then written again.
"""

from __future__ import annotations

from typing import Final

import confluent_kafka

from bench.contender import Task
from bench.contenders.one_by_one import Past, Rules, TableWriter

_AT_ONCE: Final = 20_000
_FLUSH_EVENTS: Final = 200_000


def run(task: Task) -> None:
    """Run from the first record to the last insert."""
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": task.settings.urls.kafka,
            "group.id": f"loop.{task.settings.database}",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.message.max.bytes": 4 << 20,
        }
    )
    consumer.subscribe([task.topic])
    rules, past = Rules(task.settings), Past()
    writer = TableWriter(task.settings, rules.stores)
    left = task.events
    task.meter.start()
    while left:
        for message in consumer.consume(_AT_ONCE, 0.2):
            event = rules.read(message.value() or b"")
            if event is None:
                writer.add(rules.unreadable(message.timestamp()[1]))
            else:
                writer.add(rules.decide(message.partition() or 0, message.offset() or 0, event, past))
            left -= 1
        if writer.events >= _FLUSH_EVENTS or (writer.events and not left):
            writer.flush()
            consumer.commit(asynchronous=False)
    task.meter.stop()
    consumer.close()
