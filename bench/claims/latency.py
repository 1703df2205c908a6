"""``python -m bench.claims.latency``: from click to queryable, under load.

First a saturating run finds the rate that the whole path sustains: collector, Kafka, flow and tables, with the load
generator on the same cores. Then, at shares of that rate, probes are timed from the collector's response until the
query of ``marketplace report`` shows them. A last run at half the rate traces the flow's own steps, to show where the
time goes.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from bench.claims.lag import Lag, Saturation, saturate
from bench.claims.numbers import Row, quantile, report, say
from bench.claims.probes import Prober, Probing, open_store
from bench.claims.processes import Cpu, collector, flow, part_pids, traced_flow
from bench.claims.requests import pool, save
from bench.claims.sender import Sender, Sent
from bench.claims.stages import places, stages
from bench.corpus import Corpus
from bench.stand import Stand, open_stand
from ops.demo.services.collector import Collector
from runtime.sections import Settings

TARGET_P50_SECONDS: Final = 0.8
TARGET_P99_SECONDS: Final = 1.5
_CLAIMED_SHARE: Final = 0.5
_SETTLE_SECONDS: Final = 4.0
_ASKED: Final = 50


@dataclass(frozen=True)
class Level:
    """One level of load.

    Attributes:
        share: The share of the sustainable rate.
        rate: Events per second of the load, without probes.
        p50, p99, largest: Seconds from the response to the report.
        lag_at_end: The number of waiting records when the load ended.
        cores: CPU cores in use by process; ``others`` is the rest of the machine, this program included.
        looks_per_second, reports_per_second: Queries of the prober.
        report_ms: The mean duration of a report.
        load: The result of the load's sender.
    """

    share: float
    rate: float
    p50: float
    p99: float
    largest: float
    probes: int
    lag_at_end: int
    cores: dict[str, float]
    looks_per_second: float
    reports_per_second: float
    report_ms: float
    load: Sent

    @staticmethod
    def of(probing: Probing, wall_seconds: float, **measured: Any) -> Level:
        """From the probes' results, and the other attributes by name."""
        return Level(
            p50=probing.quantile(0.5),
            p99=probing.quantile(0.99),
            largest=max(probing.seconds, default=float("nan")),
            probes=len(probing.seconds),
            looks_per_second=probing.looks / wall_seconds,
            reports_per_second=probing.reports / wall_seconds,
            report_ms=1_000 * probing.report_seconds / max(1, probing.reports),
            **measured,
        )


class PathUnderLoad:
    """The whole path under load.

    Args:
        stand: The parts.
        settings: The URLs, and this run's database.
        server: The collector.
        options: The command line's.
    """

    def __init__(self, stand: Stand, settings: Settings, server: Collector, options: argparse.Namespace) -> None:
        self._stand, self._settings, self._server, self._options = stand, settings, server, options
        open_store(settings)
        made = pool(
            f"{server.host}:{server.port}", stand.corpus.seed, options.pool, options.batch, time.time_ns() // 1_000_000
        )
        self._requests = len(made)
        self._pool = save(made, stand.folder / "load.pool")
        self._passes = 0
        self.lag = Lag(settings)

    def sustainable(self, seconds: float) -> Saturation:
        """Find the highest rate that the path sustains."""
        found = saturate(self.lag, self._server, self._pool, self._stand.folder / "gate", seconds)
        self._passes += 1 << 16
        self.lag.catch_up()
        return found

    def level(self, share: float, rate: float, seconds: float, pids: dict[str, int]) -> tuple[Level, Probing]:
        """Run load at a rate (events per second), with probes."""
        load = self._load(rate, seconds + _SETTLE_SECONDS)
        prober = Prober(self._settings, self._server, self._options.probes)
        load.begin()
        time.sleep(_SETTLE_SECONDS)
        cpu, began = Cpu.of(pids), time.monotonic()
        probing = prober.run(seconds - 1.5)
        behind, wall = self.lag.behind(), time.monotonic() - began
        used = cpu.used()
        used["others"] = cpu.machine() - sum(used.values())
        cores = {name: round(busy / wall, 3) for name, busy in used.items()}
        sent = load.end()
        prober.close()
        self.lag.catch_up()
        level = Level.of(probing, wall, share=share, rate=rate, lag_at_end=behind, cores=cores, load=sent)
        say(
            f"{share:4.0%} of it, {rate:8,.0f}/s: p50 {level.p50:.2f} s, p99 {level.p99:.2f} s, "
            f"lag {behind:,}, cores {cores}"
        )
        return level, probing

    def _load(self, rate: float, seconds: float) -> Sender:
        sender = Sender(
            self._pool,
            self._server.host,
            self._server.port,
            seconds,
            rate=rate,
            connections=self._options.connections,
            fresh=True,
            first_pass=self._passes,
        )
        self._passes += 1 << 16
        return sender

    def probe_cost(self) -> ProbeCost:
        """What the prober's queries cost ClickHouse, measured while it is idle."""
        prober = Prober(self._settings, self._server, 1.0)
        costs = ProbeCost(self._cost(prober.look), self._cost(prober.ask))
        prober.close()
        return costs

    def _cost(self, ask: Callable[[], object]) -> float:
        engine = {"clickhouse": part_pids(self._stand.folder)["clickhouse"]}
        cpu = Cpu.of(engine)
        for _ in range(_ASKED):
            ask()
        return 1_000 * cpu.used()["clickhouse"] / _ASKED


@dataclass(frozen=True)
class ProbeCost:
    """CPU milliseconds of ClickHouse for one query."""

    look_ms: float
    report_ms: float


def table(
    found: Saturation, levels: Sequence[Level], parts: dict[str, list[float]], probe_cost: ProbeCost
) -> list[Row]:
    """Targets, results, and where the time goes."""
    rows = [
        Row(
            "sustainable rate, events/s",
            f"{found.events_per_second:,.0f}",
            note="whole path with the load generator on the same cores; the backlog stayed bounded",
        )
    ]
    for level in levels:
        claimed = level.share == _CLAIMED_SHARE
        for name, value, target in (("p50", level.p50, TARGET_P50_SECONDS), ("p99", level.p99, TARGET_P99_SECONDS)):
            note = f"{level.probes} probes, worst {level.largest:.2f} s; lag at the end {level.lag_at_end:,}"
            rows.append(
                Row(
                    f"click to queryable at {level.share:.0%}, {name}",
                    f"{value:.2f} s",
                    f"<= {target} s" if claimed else "",
                    value <= target if claimed else None,
                    note if name == "p50" else "",
                )
            )
    rows += [
        Row(f"  {stage}", f"{quantile(values, 0.5):.3f} s", note=f"p99 {quantile(values, 0.99):.3f} s")
        for stage, values in parts.items()
    ]
    cost = max(
        (
            level.looks_per_second * probe_cost.look_ms + level.reports_per_second * probe_cost.report_ms
            for level in levels
        ),
        default=0.0,
    )
    look_ms, report_ms = probe_cost.look_ms, probe_cost.report_ms
    note = f"a query of the rollups {look_ms:.1f} ms, a report {report_ms:.1f} ms of ClickHouse's CPU"
    rows.append(Row("watching, share of a core at most", f"{cost / 10:.1f} %", note=note))
    return rows


def main() -> int:
    """Run the claim; print and write its table."""
    parser = argparse.ArgumentParser(prog="python -m bench.claims.latency", description=__doc__)
    parser.add_argument("--seconds", type=float, default=65, help="of each level [%(default)s]")
    parser.add_argument("--saturate", type=float, default=30, help="seconds of the saturating run [%(default)s]")
    parser.add_argument("--rate", type=float, help="sustainable events/s, where it is known [measured]")
    parser.add_argument("--shares", type=float, nargs="*", default=[0.1, 0.5, 0.7], help="of that rate [%(default)s]")
    parser.add_argument("--probes", type=float, default=1.0, help="per second [%(default)s]")
    parser.add_argument("--batch", type=int, default=100, help="events in a request of the load [%(default)s]")
    parser.add_argument("--connections", type=int, default=16, help="of the load [%(default)s]")
    parser.add_argument("--pool", type=int, default=100_000, help="events prepared [%(default)s]")
    parser.add_argument("--json", type=Path, help="where to write everything")
    options = parser.parse_args()
    details: dict[str, Any] = {}
    with open_stand(Corpus(1)) as stand:
        settings = stand.fresh()
        with collector(settings, stand.folder) as server:
            path = PathUnderLoad(stand, settings, server, options)
            found, levels, probe_cost = load_levels(stand, settings, server, path, options)
            parts = load_traced(stand, settings, path, _CLAIMED_SHARE * found.events_per_second, options)
            path.lag.close()
    details |= {"saturation": asdict(found), "levels": [asdict(level) for level in levels], "stages": parts}
    return report(table(found, levels, parts, probe_cost), details, options.json)


def load_levels(
    stand: Stand, settings: Settings, server: Collector, path: PathUnderLoad, options: argparse.Namespace
) -> tuple[Saturation, list[Level], ProbeCost]:
    """Find the sustainable rate and probe at shares of it, with the flow as in production."""
    with flow(settings, stand.folder) as runner:
        found = Saturation(options.rate, 0) if options.rate else path.sustainable(options.saturate)
        pids = {**part_pids(stand.folder), "flow": runner.pids[0], "collector": server.pid or 0}
        levels = []
        for share in options.shares:
            level, _ = path.level(share, share * found.events_per_second, options.seconds, pids)
            levels.append(level)
        return found, levels, path.probe_cost()


def load_traced(
    stand: Stand, settings: Settings, path: PathUnderLoad, rate: float, options: argparse.Namespace
) -> dict[str, list[float]]:
    """Probe at half the rate once more, with a traced flow."""
    with traced_flow(settings, stand.folder) as trace:
        _, probing = path.level(_CLAIMED_SHARE, rate, options.seconds, {})
        return stages(probing.probes, places(settings), trace)


if __name__ == "__main__":
    sys.exit(main())
