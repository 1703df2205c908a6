"""A rival: Quix Streams, in an environment of its own (``bench/quix``), because it needs an older client of Kafka.

Written as in its documentation: an ``Application`` with at-least-once delivery, a deserializer, one stateful ``apply``
that reads a visitor's past from the state of the message's key and writes it back, and a sink that is flushed at each
checkpoint before the offsets are committed. Choices that make it faster:

- The sink is a ``BaseSink``, which aggregates records as they come and inserts the rows of all partitions together; a
  ``BatchingSink`` would buffer every record until the checkpoint and insert each partition by itself.
- A visitor's past is one value, packed by ``msgspec`` (``get_bytes``, ``set_bytes``), and not several: every access
  costs some microseconds, and most visitors have few events.
- No changelog topics, which would send each change of state to Kafka as well; the state is on this machine's disk.
- A checkpoint every ten seconds, and no check of the broker's connection after each message.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Final

import msgspec
from quixstreams import Application, State, message_context
from quixstreams.models import Deserializer, SerializationContext
from quixstreams.sinks import BaseSink

from bench.contender import Task
from bench.contenders.one_by_one import Past, Rules, TableWriter, Verdict
from marketplace.clicks.events import CollectedClick

_COMMIT_SECONDS: Final = 10.0
_PAST: Final = "past"


class Events(Deserializer):  # type: ignore[misc]  # the product's environment does not hold the package
    """Deserializes values of messages; None for values that are not valid."""

    def __init__(self, rules: Rules) -> None:
        super().__init__()
        self._read = rules.read

    def __call__(self, value: bytes, ctx: SerializationContext) -> CollectedClick | None:
        """The event of a value."""
        return self._read(value)


class Tables(BaseSink):  # type: ignore[misc]  # the product's environment does not hold the package
    """ClickHouse's tables, written at each checkpoint."""

    def __init__(self, task: Task, rules: Rules, app: Application) -> None:
        super().__init__(lambda: None)
        self._task, self._rules, self._app = task, rules, app
        self._writer, self._left = TableWriter(task.settings, rules.stores), task.events

    def add(
        self, value: Verdict, key: Any, timestamp: int, headers: Any, topic: str, partition: int, offset: int
    ) -> None:
        """Add a record's verdict."""
        self._writer.add(value)
        self._left -= 1
        if not self._left:
            self._app.stop()

    def flush(self) -> None:
        """Insert at a checkpoint; offsets are committed only afterwards."""
        self._writer.flush()

    def on_paused(self) -> None:
        """Drop what was not written: it is consumed again."""
        self._writer = TableWriter(self._task.settings, self._rules.stores)


def run(task: Task) -> None:
    """Run from joining the group to the commit after the last insert."""
    logging.getLogger("quixstreams").setLevel(logging.ERROR)
    rules = Rules(task.settings)
    pack, unpack = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(Past).decode

    def decide(event: CollectedClick | None, key: Any, timestamp: int, headers: Any, state: State) -> Verdict:
        if event is None:
            return rules.unreadable(timestamp)
        known, place = state.get_bytes(_PAST), message_context()
        past = Past() if known is None else unpack(known)
        verdict = rules.decide(place.partition, place.offset, event, past)
        state.set_bytes(_PAST, pack(past))
        return verdict

    app = Application(
        broker_address=task.settings.urls.kafka,
        consumer_group=f"quix.{task.settings.database}",
        auto_offset_reset="earliest",
        processing_guarantee="at-least-once",
        commit_interval=_COMMIT_SECONDS,
        state_dir=Path(task.options["scratch"]) / task.settings.database,
        use_changelog_topics=False,
        auto_create_topics=False,
        broker_availability_timeout=0,
        consumer_extra_config={"fetch.message.max.bytes": 4 << 20},
        loglevel=None,
    )
    events = app.dataframe(app.topic(task.topic, value_deserializer=Events(rules), key_deserializer="bytes"))
    events.apply(decide, stateful=True, metadata=True).sink(Tables(task, rules, app))
    task.meter.start()
    app.run()
    task.meter.stop()
