"""Stages between a response and a number: joins probes with the trace of the flow that counted them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from bench.claims.probes import STORE, Probe
from bench.claims.traced_flow import Step, read_trace
from connectors.clickhouse.client import ClickHouse
from marketplace.tables import CLICKS
from runtime.sections import Settings

STAGES: Final = (
    "response -> taken from Kafka",
    "taken -> decided",
    "decided -> insert begins (epoch)",
    "insert clicks",
    "insert rollups",
    "rollups -> seen in report (pause, query)",
    "insert sessions",
    "insert click_ledger",
    "ledger -> live tile (reading the days)",
    "live tile -> store_stats",
)


def places(settings: Settings) -> dict[str, tuple[int, int]]:
    """Partition and offset of each probe, by its id."""
    clickhouse = ClickHouse(settings.urls.clickhouse, settings.database)
    rows = clickhouse.rows(
        f"SELECT event_id, source_partition, source_offset FROM {settings.database}.{CLICKS.name} "
        f"WHERE store = '{STORE}'"
    )
    clickhouse.close()
    return {str(event): (int(partition), int(offset)) for event, partition, offset in rows}


def stages(probes: Sequence[Probe], where: Mapping[str, tuple[int, int]], trace: Path) -> dict[str, list[float]]:
    """Seconds of each stage, with one value for each probe whose steps are all in the trace."""
    steps = read_trace(trace)
    found: dict[str, list[float]] = {stage: [] for stage in STAGES}
    for probe in probes:
        place = where.get(probe.event_id)
        result = _way(steps, *place) if place else None
        if result is None or not probe.seen_at:
            continue
        take, decide, inserts = result
        seconds = (
            take.end - probe.answered_at,
            decide.end - take.end,
            inserts["insert clicks"].at - decide.end,
            inserts["insert clicks"].seconds,
            inserts["insert rollups"].end - inserts["insert clicks"].end,
            probe.seen_at - inserts["insert rollups"].end,
            inserts["insert sessions"].end - inserts["insert rollups"].end,
            inserts["insert click_ledger"].end - inserts["insert sessions"].end,
            inserts["save live tile"].end - inserts["insert click_ledger"].end,
            inserts["save store_stats"].end - inserts["save live tile"].end,
        )
        for stage, value in zip(STAGES, seconds, strict=True):
            found[stage].append(value)
    return found


def _way(steps: Sequence[Step], partition: int, offset: int) -> tuple[Step, Step, dict[str, Step]] | None:
    """The steps of a record: taken, decided, and the first write of each kind after that."""

    def holds(step: Step) -> bool:
        return step.partition == partition and step.first <= offset <= step.last

    take = next((step for step in steps if step.what == "take" and holds(step)), None)
    decide = next((step for step in steps if step.what == "decide" and holds(step)), None)
    if take is None or decide is None:
        return None
    writes: dict[str, Step] = {}
    for step in steps:
        if step.at >= decide.end and (step.what.startswith(("insert", "save"))):
            writes.setdefault(step.what, step)
    wanted = ("insert clicks", "insert rollups", "insert sessions", "insert click_ledger")
    if not all(name in writes for name in (*wanted, "save store_stats", "save live tile")):
        return None
    return take, decide, writes
