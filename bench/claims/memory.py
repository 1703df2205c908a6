"""``python -m bench.claims.memory``: the flow's memory for each id and event, and the bytes written in an epoch.

Memory is measured on the flow's own structures, each in a fresh process, by their own count and by the growth of the
process. There are no snapshots (docs/adr/0002): an epoch writes the rows of its events. Their bytes are counted where
they are sent to ClickHouse, for epochs of several sizes after a short and a long history.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from bench.claims import structure_size
from bench.claims.distinct import produce
from bench.claims.lag import Lag
from bench.claims.numbers import Row, report, say
from bench.claims.processes import flow, traced_flow
from bench.claims.structure_size import StructureSize
from bench.claims.traced_flow import read_trace
from bench.corpus import Corpus
from bench.stand import Stand, open_stand
from marketplace.tables import CLICK_TABLES
from runtime.sections import Settings

TARGET_DEDUPE_BYTES: Final = 16_000_000
TARGET_GROWTH: Final = 1.2
"""How much larger an event's bytes may be after the long history than after the short one, to count as independent."""

EPOCHS: Final = (1_000, 10_000, 50_000)
_MB: Final = 1_000_000


@dataclass(frozen=True)
class Epoch:
    """What the flow wrote for events that were in the topic when it started.

    Attributes:
        state: Events that were counted before.
        inserts: The number of inserts of facts: of epochs.
        sent: Bytes of all inserts' bodies by table.
    """

    state: int
    events: int
    inserts: int
    sent: dict[str, int]

    @property
    def per_event(self) -> float:
        """Bytes per event."""
        return sum(self.sent.values()) / self.events


class Epochs:
    """Measures what a restarted flow writes for the records before it.

    Args:
        stand: The parts.
        settings: The URLs and the database.
        events: The number of records that there will be in all.
    """

    def __init__(self, stand: Stand, settings: Settings, events: int) -> None:
        self._stand, self._settings = stand, settings
        self._records = Corpus(events, stand.corpus.seed).records()
        self._lag = Lag(settings)
        self._counted = 0

    def grow(self, events: int) -> None:
        """Let the flow count this many more events."""
        with flow(self._settings, self._stand.folder):
            self._produce(events)
            self._lag.catch_up()
        say(f"{self._counted:,} events are in the tables")

    def write(self, events: int) -> Epoch:
        """Start the flow with this many records in the topic, and measure what it writes."""
        state = self._counted
        self._produce(events)
        with traced_flow(self._settings, self._stand.folder) as trace:
            self._lag.catch_up()
            steps = read_trace(trace)
        sent = {table.name: 0 for table in CLICK_TABLES}
        for step in steps:
            name = step.what.removeprefix("sent ")
            if step.sent_bytes and name in sent:
                sent[name] += step.sent_bytes
        epoch = Epoch(state, events, sum(step.what == "insert clicks" for step in steps), sent)
        say(f"after {state:,}: {events:,} events, {epoch.inserts} epochs, {epoch.per_event:.0f} bytes each")
        return epoch

    def close(self) -> None:
        """Disconnect."""
        self._lag.close()

    def _produce(self, events: int) -> None:
        self._counted += produce(self._stand.urls.kafka, islice(self._records, events))


def write_epochs(small: int, large: int) -> list[Epoch]:
    """Measure epochs of all sizes after a short history and after a long one."""
    with open_stand(Corpus(1)) as stand:
        epochs = Epochs(stand, stand.fresh(), large + 2 * sum(EPOCHS))
        epochs.grow(small)
        found = [epochs.write(size) for size in EPOCHS]
        epochs.grow(large - small)
        found += [epochs.write(size) for size in EPOCHS]
        epochs.close()
    return found


def memory_rows(structures: Sequence[StructureSize]) -> list[Row]:
    """Rows of the sizes of structures."""
    names = {
        "dedupe": "ids for dedupe, MB per million",
        "visits": "re-fires and rate, MB per million events",
        "sessions": "sessions, MB per million events",
        "processor": "a whole partition, MB per million events",
    }
    rows = []
    for each in structures:
        million = each.events / 1e6
        counted, grown = each.counted_bytes / million, each.rss_bytes / million
        claimed = each.what == "dedupe"
        rows.append(
            Row(
                names[each.what],
                f"{max(counted, grown) / _MB:.1f}",
                f"<= {TARGET_DEDUPE_BYTES / _MB:g}" if claimed else "",
                max(counted, grown) <= TARGET_DEDUPE_BYTES if claimed else None,
                f"counted {counted / _MB:.1f}, by the process's growth {grown / _MB:.1f}; {each.events:,} of them",
            )
        )
    return rows


def epoch_rows(epochs: Sequence[Epoch]) -> list[Row]:
    """Rows of the bytes written per event."""
    rows = []
    for size in EPOCHS:
        short, long = (epoch for epoch in epochs if epoch.events == size)
        for epoch in (short, long):
            tables = ", ".join(f"{name} {sent / epoch.events:.0f}" for name, sent in epoch.sent.items())
            rows.append(
                Row(f"bytes/event, epoch of {size:,} after {epoch.state:,}", f"{epoch.per_event:.0f}", note=tables)
            )
        growth = long.per_event / short.per_event
        rows.append(
            Row("  long history next to short", f"{growth:.2f} x", f"<= {TARGET_GROWTH} x", growth <= TARGET_GROWTH)
        )
    return rows


def main() -> int:
    """Run the claim; print and write its table."""
    parser = argparse.ArgumentParser(prog="python -m bench.claims.memory", description=__doc__)
    parser.add_argument("--ids", type=int, default=4_000_000, help="in each structure [%(default)s]")
    parser.add_argument("--traffic", type=int, default=500_000, help="events in a whole partition [%(default)s]")
    parser.add_argument("--small", type=int, default=100_000, help="events of the short history [%(default)s]")
    parser.add_argument("--large", type=int, default=2_000_000, help="of the long one [%(default)s]")
    parser.add_argument("--json", type=Path, help="where to write everything")
    options = parser.parse_args()
    structures = []
    for what in structure_size.WHATS:
        structures.append(structure_size.run(what, options.traffic if what == "processor" else options.ids))
        say(str(structures[-1]))
    epochs = write_epochs(options.small, options.large)
    details: dict[str, Any] = {
        "structures": [asdict(each) for each in structures],
        "epochs": [asdict(each) for each in epochs],
    }
    return report(memory_rows(structures) + epoch_rows(epochs), details, options.json)


if __name__ == "__main__":
    sys.exit(main())
