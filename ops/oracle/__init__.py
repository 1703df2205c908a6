"""The batch oracle: computes the expected numbers of the click path from the log, in the most obvious way.

It shares the product's definitions with the flow (dimensions, enrichments, indicators of bots, thresholds) but no code:
plain dictionaries and loops over the whole log at once, so that it cannot repeat an error in the flow's arrays, caches,
batch boundaries or restarts. It keeps the whole log in memory; it is for demos, tests and reconciliation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from marketplace.clicks.bots import AgentMatcher
from marketplace.enrichments import Lookups
from marketplace.stores import Store
from ops.oracle.counting import count
from ops.oracle.expected import Expected, Fact, LogRecord, Numbers, RollupKey
from ops.oracle.outcomes import OutcomeDecider
from ops.oracle.reading import read

__all__ = ["Expected", "Fact", "LogRecord", "Numbers", "RollupKey", "expect"]

_HOUR_MS = 3_600_000
_LAST_MS = 4_102_444_800_000  # 2100-01-01: the ledger's hours end in 2106


def expect(
    records: Iterable[LogRecord | tuple[int, int, int, bytes]],
    stores: Mapping[str, Store],
    lookups: Lookups,
    agents: AgentMatcher,
) -> Expected:
    """The expected content of the tables after these records.

    Args:
        records: Partition, offset, Kafka timestamp in epoch milliseconds and value; offsets ascend within a partition,
            partitions may be mixed in any way.
        stores: All stores by slug.
        lookups: The same lookups as the flow's.
        agents: The same list of crawlers as the flow's.
    """
    expected = Expected()
    deciders: dict[int, OutcomeDecider] = {}
    facts: dict[int, list[Fact]] = {}
    for partition, offset, timestamp_ms, value in records:
        event = read(value, stores)
        if event is None:
            expected.add("", min(max(timestamp_ms, 0), _LAST_MS) // _HOUR_MS, "invalid")
            continue
        if partition not in deciders:
            deciders[partition] = OutcomeDecider(partition, stores, lookups, agents)
            facts[partition] = []
        outcome, notes, fact = deciders[partition].decide(offset, event)
        hour = event.received_at_ms // _HOUR_MS
        expected.add(event.store, hour, outcome)
        for note in notes:
            expected.notes[event.store, hour, note] += 1
        if fact is not None:
            facts[partition].append(fact)
    for partition in sorted(facts):
        expected.facts += facts[partition]
    expected.rollups = count(list(facts.values()), stores)
    return expected
