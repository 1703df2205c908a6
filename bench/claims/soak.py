"""``python -m bench.claims.soak``: half an hour of steady load on the whole path, and what grows meanwhile.

The load is a share of the sustainable rate, which is measured first unless it is given. A line a minute shows the lag,
the memory of each process and the size of the data folders; the result is their slopes in percent an hour, fitted to
all samples but the first fifth, in which caches fill. Data on disk grows with the events that are stored.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from bench.claims.lag import Lag, saturate
from bench.claims.numbers import Row, report, say
from bench.claims.processes import collector, flow, folder_bytes, part_pids, rss_bytes
from bench.claims.requests import pool, save
from bench.claims.sender import Sender, Sent
from bench.corpus import Corpus
from bench.stand import Stand, open_stand
from flows.delivery.process_set import FlowOptions
from ops.demo.services.collector import Collector

_WARM_SHARE: Final = 0.2
_FOLDERS: Final = ("kafka", "clickhouse", "mongo", "redis")
_MB: Final = 1_000_000


@dataclass(frozen=True)
class Sample:
    """One sample.

    Attributes:
        seconds: Seconds since the load began.
        lag: Records that wait to be counted.
        applied: Records that are counted.
        rss: Bytes of memory by process.
        disk: Bytes on disk by data folder.
    """

    seconds: float
    lag: int
    applied: int
    rss: dict[str, int]
    disk: dict[str, int]


def slope(looks: Sequence[Sample], values: Sequence[int]) -> float:
    """A value's growth in an hour, in percent of its mean; the first samples are left out."""
    first = int(len(looks) * _WARM_SHARE)
    kept, times = values[first:], [look.seconds for look in looks[first:]]
    if len(kept) < 3 or not any(kept):
        return float("nan")
    fitted = statistics.linear_regression(times, kept)
    return 100 * 3_600 * fitted.slope / statistics.fmean(kept)


class Soak:
    """Takes samples while the load runs.

    Args:
        stand: The parts.
        lag: The flow's lag.
        pids: Process ids by name.
    """

    def __init__(self, stand: Stand, lag: Lag, pids: dict[str, int]) -> None:
        self._stand, self._lag, self._pids = stand, lag, pids
        self._began = time.monotonic()
        self.looks: list[Sample] = []

    def watch(self, sender: Sender, seconds: float, every_seconds: float) -> None:
        """Take samples while the load runs."""
        self._began = time.monotonic()
        due = self._began
        while time.monotonic() < self._began + seconds and sender.running:
            due += every_seconds
            time.sleep(max(0.0, due - time.monotonic()))
            self.looks.append(self._look())
            self._say(self.looks[-1])

    def _look(self) -> Sample:
        applied = self._lag.applied()
        return Sample(
            time.monotonic() - self._began,
            self._lag.written() - applied,
            applied,
            {name: rss_bytes(pid) for name, pid in self._pids.items()},
            {name: folder_bytes(self._stand.folder / name) for name in _FOLDERS},
        )

    def _say(self, look: Sample) -> None:
        rss = ", ".join(f"{name} {size / _MB:.0f}" for name, size in look.rss.items())
        disk = ", ".join(f"{name} {size / _MB:.0f}" for name, size in look.disk.items())
        say(f"{look.seconds / 60:5.1f} min  lag {look.lag:7,}  MB of memory: {rss}  MB on disk: {disk}")


def table(rate: float, looks: Sequence[Sample], sent: Sent) -> list[Row]:
    """Slopes and last values."""
    first, last = looks[int(len(looks) * _WARM_SHARE)], looks[-1]
    counted = (last.applied - first.applied) / (last.seconds - first.seconds) if last is not first else float("nan")
    lags = [look.lag for look in looks]
    rows = [
        Row("load, events/s", f"{rate:,.0f}", note=f"{sent.events:,} events in {sent.wall_seconds / 60:.1f} min"),
        Row("counted, events/s", f"{counted:,.0f}", note=f"lag {min(lags):,}-{max(lags):,}, at the end {lags[-1]:,}"),
    ]
    for name in last.rss:
        change = slope(looks, [look.rss[name] for look in looks])
        rows.append(
            Row(f"memory of {name}", f"{last.rss[name] / _MB:,.0f} MB", note=f"{change:+.1f} %/h; {_from(looks, name)}")
        )
    events = max(1, last.applied - first.applied)
    for name in last.disk:
        change = slope(looks, [look.disk[name] for look in looks])
        each = (last.disk[name] - first.disk[name]) / events
        note = f"{change:+.1f} %/h; {each:.0f} bytes for each event"
        rows.append(Row(f"disk of {name}", f"{last.disk[name] / _MB:,.0f} MB", note=note))
    return rows


def _from(looks: Sequence[Sample], name: str) -> str:
    sizes = [look.rss[name] / _MB for look in looks]
    return f"{min(sizes):,.0f}-{max(sizes):,.0f} MB"


def run(stand: Stand, server: Collector, lag: Lag, pids: dict[str, int], options: argparse.Namespace) -> list[Any]:
    """Find the rate, run the load and take samples."""
    made = pool(f"{server.host}:{server.port}", stand.corpus.seed, options.pool, 100, time.time_ns() // 1_000_000)
    requests = save(made, stand.folder / "load.pool")
    rate = options.rate
    if not rate:
        rate = saturate(lag, server, requests, stand.folder / "gate", options.saturate).events_per_second
        lag.catch_up()
    rate *= options.share
    seconds = 60 * options.minutes
    sender = Sender(
        requests, server.host, server.port, seconds, rate=rate, connections=16, fresh=True, first_pass=1 << 20
    )
    soak = Soak(stand, lag, pids)
    sender.begin()
    soak.watch(sender, seconds, options.every)
    sent = sender.end()
    lag.catch_up()
    return [rate, soak.looks, sent]


def main() -> int:
    """Run the claim; print and write its table."""
    parser = argparse.ArgumentParser(prog="python -m bench.claims.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="of load [%(default)s]")
    parser.add_argument("--every", type=float, default=60.0, help="seconds between two samples [%(default)s]")
    parser.add_argument("--rate", type=float, default=0.0, help="sustainable events/s, where it is known [measured]")
    parser.add_argument("--share", type=float, default=0.7, help="of that rate [%(default)s]")
    parser.add_argument("--saturate", type=float, default=30.0, help="seconds of the saturating run [%(default)s]")
    parser.add_argument("--memory-mb", type=int, default=0, help="memory of the flow's state [its default]")
    parser.add_argument("--pool", type=int, default=100_000, help="events prepared [%(default)s]")
    parser.add_argument("--json", type=Path, help="where to write everything")
    options = parser.parse_args()
    with open_stand(Corpus(1)) as stand:
        settings = stand.fresh()
        with (
            collector(settings, stand.folder) as server,
            flow(settings, stand.folder, FlowOptions(memory_mb=options.memory_mb)) as runner,
        ):
            lag = Lag(settings)
            pids = {"flow": runner.pids[0], "collector": server.pid or 0, **part_pids(stand.folder)}
            rate, looks, sent = run(stand, server, lag, pids, options)
            lag.close()
    details = {"rate": rate, "looks": [asdict(look) for look in looks], "sent": asdict(sent)}
    return report(table(rate, looks, sent), details, options.json)


if __name__ == "__main__":
    sys.exit(main())
