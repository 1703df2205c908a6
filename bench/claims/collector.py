"""``python -m bench.claims.collector``: the collector's throughput, beside an empty route and a bare producer.

A collector as in production gets single events and batches over several persistent connections. The same server's
``/healthz`` shows the cost of HTTP by itself; a bare Kafka producer that sends the same records shows the cost of
Kafka. Everything shares the cores of one machine, the sender and the broker too: events per second of wall time are
about this machine, events per CPU second of the server's process are about the server.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from bench.claims import producers
from bench.claims.numbers import Row, median, report, say, spread
from bench.claims.processes import Cpu, collector, part_pids
from bench.claims.requests import get, pool, save
from bench.claims.sender import Sender, Sent
from bench.corpus import Corpus
from bench.stand import Stand, open_stand
from ops.demo.services.collector import Collector

TARGET_SHARE: Final = 0.5
"""The collector's throughput in batches of a hundred, relative to a bare producer's."""

_EMPTY: Final = "empty route"
_EMPTY_CONNECTIONS: Final = 8
_WAYS: Final = {"single": (1, 64), "batch of 10": (10, 32), "batch of 100": (100, 8)}
"""Events in a request, and connections: enough to keep the server busy while responses wait for Kafka."""

_PRODUCERS: Final = {"bare producer (ours)": "ours", "bare producer (plain)": "plain"}
_WARM_SECONDS: Final = 1.5


@dataclass(frozen=True)
class Run:
    """One run of one kind of load.

    Attributes:
        server_cpu_seconds: CPU time of the collector, or of the bare producer's process.
        broker_cpu_seconds: CPU time of Kafka meanwhile.
    """

    name: str
    requests: int
    events: int
    wall_seconds: float
    server_cpu_seconds: float
    broker_cpu_seconds: float
    sender_cpu_seconds: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0

    @property
    def units(self) -> int:
        """The number of events, or of requests if they have none."""
        return self.events or self.requests

    @property
    def per_second(self) -> float:
        """Units per second of wall time."""
        return self.units / self.wall_seconds

    @property
    def per_cpu_second(self) -> float:
        """Units per CPU second of the measured process."""
        return self.units / self.server_cpu_seconds


class Race:
    """Runs all kinds of load in turn.

    Args:
        stand: The parts.
        server: The collector.
        options: The command line's.
    """

    def __init__(self, stand: Stand, server: Collector, options: argparse.Namespace) -> None:
        self._stand, self._server, self._options = stand, server, options
        host, now_ms = f"{server.host}:{server.port}", time.time_ns() // 1_000_000
        self._pools = {_EMPTY: save([get(host, "/healthz")], stand.folder / "empty.pool")}
        for name, (size, _) in _WAYS.items():
            made = pool(host, stand.corpus.seed, options.pool, size, now_ms)
            self._pools[name] = save(made, stand.folder / f"{size}.pool")

    def all(self) -> list[Run]:
        """All kinds, round after round."""
        runs = []
        for number in range(self._options.rounds + 1):
            for name in (*self._pools, *_PRODUCERS):
                run = self.produce(name) if name in _PRODUCERS else self.ask(name, warm=number == 0)
                if number:
                    say(f"round {number}  {name:22} {run.per_second:10,.0f}/s  {run.per_cpu_second:10,.0f}/CPU s")
                    runs.append(run)
        return runs

    def ask(self, name: str, *, warm: bool) -> Run:
        """Send to the collector."""
        seconds = _WARM_SECONDS if warm else self._options.seconds
        connections = _WAYS.get(name, (0, _EMPTY_CONNECTIONS))[1]
        sender = Sender(self._pools[name], self._server.host, self._server.port, seconds, connections=connections)
        assert self._server.pid is not None
        cpu = Cpu.of({"server": self._server.pid, "broker": part_pids(self._stand.folder)["kafka"]})
        sender.begin()
        sent: Sent = sender.end()
        if sent.refused:
            raise RuntimeError(f"{name}: the collector refused {sent.refused}")
        used = cpu.used()
        return Run(
            name,
            sent.requests,
            sent.events,
            sent.wall_seconds,
            used["server"],
            used["broker"],
            sent.cpu_seconds,
            sent.p50_ms,
            sent.p99_ms,
        )

    def produce(self, name: str) -> Run:
        """Send the same records to Kafka directly."""
        cpu = Cpu.of({"broker": part_pids(self._stand.folder)["kafka"]})
        done = producers.run(_PRODUCERS[name], self._stand.urls.kafka, self._options.records)
        return Run(name, 0, done.events, done.wall_seconds, done.cpu_seconds, cpu.used()["broker"])


def table(runs: Sequence[Run]) -> list[Row]:
    """Medians, and ratios between runs of the same round."""
    names = list(dict.fromkeys(run.name for run in runs))
    of = {name: [run for run in runs if run.name == name] for name in names}
    rows = []
    for name in names:
        unit = "events" if of[name][0].events else "requests"
        walls, cpus = [run.per_second for run in of[name]], [run.per_cpu_second for run in of[name]]
        rows.append(Row(f"{name}, {unit}/s", f"{median(walls):,.0f}", note=f"({spread(walls, 0)}){_waits(of[name])}"))
        rows.append(Row(f"{name}, {unit} per CPU s", f"{median(cpus):,.0f}", note=f"({spread(cpus, 0)})"))
    for bare in _PRODUCERS:
        pairs = list(zip(of["batch of 100"], of[bare], strict=True))
        rows.append(_share(f"batch of 100 / {bare}, wall", [a.per_second / b.per_second for a, b in pairs]))
        rows.append(_share(f"batch of 100 / {bare}, CPU", [a.per_cpu_second / b.per_cpu_second for a, b in pairs]))
    return rows


def _waits(runs: Sequence[Run]) -> str:
    if not runs[0].requests:
        return ""
    asked = median([run.requests / run.wall_seconds for run in runs])
    p50, p99 = median([run.p50_ms for run in runs]), median([run.p99_ms for run in runs])
    return f" {asked:,.0f} requests/s, p50 {p50:.1f} ms, p99 {p99:.1f} ms"


def _share(what: str, shares: Sequence[float]) -> Row:
    share = median(shares)
    return Row(what, f"{share:.2f}", f">= {TARGET_SHARE}", share >= TARGET_SHARE, f"({spread(shares, 2)})")


def main() -> int:
    """Run the claim; print and write its table."""
    parser = argparse.ArgumentParser(prog="python -m bench.claims.collector", description=__doc__)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each run [%(default)s]")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each kind, in turn [%(default)s]")
    parser.add_argument("--pool", type=int, default=40_000, help="events prepared for each size [%(default)s]")
    parser.add_argument("--records", type=int, default=300_000, help="that a bare producer sends [%(default)s]")
    parser.add_argument("--json", type=Path, help="where to write everything")
    options = parser.parse_args()
    with open_stand(Corpus(1)) as stand, collector(stand.fresh(), stand.folder) as server:
        runs = Race(stand, server, options).all()
    return report(table(runs), {"runs": [asdict(run) for run in runs]}, options.json)


if __name__ == "__main__":
    sys.exit(main())
