"""Arrow tables of what a batch leads to: the shapes of ``marketplace.tables``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from operator import itemgetter

import numpy as np
import pyarrow as pa

from flows.clicks.batch import I32, I64, Reject
from flows.clicks.deltas import MEASURES, Deltas
from flows.clicks.facts import OUTCOME_NAMES, Details, Facts
from flows.clicks.families import Family
from flows.clicks.hashing import number
from flows.clicks.sessions import SessionRows
from flows.clicks.words import Coded
from marketplace.tables import SESSION_DIMENSIONS

LedgerKey = tuple[str, int, str, str]
"""Store, hour since 1970, kind, name."""


@dataclass
class BatchResult:
    """All that follows from one batch; the sink writes it in order.

    Attributes:
        partition, first_offset, last_offset: Where it comes from.
        tables: Rows by table name; a table without rows is absent.
        rejects: Records for the dead-letter topic.
        store_days: Which (store, days since 1970) changed; their read models are refreshed.
        live: Newest time of each visitor by store, for the live tile.
    """

    partition: int
    first_offset: int
    last_offset: int
    events: int
    tables: dict[str, pa.Table] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    store_days: set[tuple[str, int]] = field(default_factory=set)
    live: dict[str, dict[int, int]] = field(default_factory=dict)


def _strings(values: list[str]) -> pa.Array:
    return pa.array(values, pa.string())


def _category(values: Iterable[str], position: I64 | None = None) -> pa.Array:
    """A column of few different texts: those of the values, or the ones at some positions among them."""
    index: dict[str, int] = {}
    codes = np.array([index.setdefault(value, len(index)) for value in values], dtype=np.int32)
    return pa.DictionaryArray.from_arrays(
        pa.array(codes if position is None else codes[position]), pa.array(list(index), pa.string())
    )


def _moments(ms: I64) -> pa.Array:
    return pa.array(ms, pa.timestamp("ms", tz="UTC"))


def _columns(family: Family, codes: I32, names: Container[str]) -> dict[str, pa.Array]:
    """The named ones of a family's columns."""
    used, position = number(codes, len(family.rows))
    answers = [family.rows[code] for code in used.tolist()]
    # Answers that differ can agree in one column (a browser in two versions): its dictionary has a text once.
    return {
        name: _category(map(itemgetter(at), answers), position)
        for at, name in enumerate(family.columns)
        if name in names
    }


def _constant(text: str, count: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array([text], pa.string()))


def _source(partition: int, offsets: I64 | int, count: int) -> dict[str, pa.Array]:
    return {
        "source_partition": pa.array(np.full(count, partition, np.uint16)),
        "source_offset": pa.array(np.broadcast_to(np.asarray(offsets, np.uint64), count).copy()),
    }


def click_rows(facts: Facts, details: Details, families: tuple[Family, ...], partition: int) -> pa.Table:
    """Rows of ``clicks``."""
    columns, count = details.columns, len(facts)
    data: dict[str, pa.Array] = {
        "event_id": _strings(columns.event_ids),
        "dedupe_key": pa.array(facts.key),
        "dedupe_hour": pa.array(facts.dedupe_hour.astype(np.uint32)),
        "occurred_at": _moments(facts.occurred_ms),
        "received_at": _moments(facts.received_ms),
        "outcome": Coded(facts.outcome.astype(np.int32), OUTCOME_NAMES).arrow(),
        "visitor": pa.array(facts.visitor),
        "pair_key": pa.array(facts.pair),
        "is_bot": pa.array(facts.is_bot),
        "bot_reasons": details.bot_reasons.arrow(),
        "bot_version": _constant(details.bot_version, count),
        "time_note": details.time_note.arrow(),
        "target": columns.texts["target"].strings(),
        "sampling": pa.array(columns.sampling),
    }
    for name in ("store", "type", "origin", "visitor_kind", "ip"):
        data[name] = columns.texts[name].arrow()
    for at, family in enumerate(families):
        data |= _columns(family, facts.codes[:, at], family.columns)
        if family.version is not None:
            data[f"{family.name}_version"] = _constant(family.version, count)
    return pa.table({**data, **_source(partition, columns.offsets, count)})


def session_rows(
    retracted: SessionRows,
    added: SessionRows,
    stores: list[str],
    families: tuple[Family, ...],
    partition: int,
    offset: int,
) -> pa.Table:
    """Rows of ``sessions``: what is retracted with sign -1, then what holds now with sign 1."""
    rows = SessionRows.concat([retracted, added])
    data: dict[str, pa.Array] = {
        "store": Coded(rows.store, stores).arrow(),
        "visitor": pa.array(rows.visitor),
        "is_bot": pa.array(rows.is_bot),
        "started_at": _moments(rows.start_ms),
        "ended_at": _moments(rows.end_ms),
        "clicks": pa.array(rows.clicks.astype(np.uint32)),
        "sign": pa.array(np.repeat(np.array([-1, 1], np.int8), [len(retracted), len(added)])),
    }
    for at, family in enumerate(families):
        data |= _columns(family, rows.entry[:, at], SESSION_DIMENSIONS)
    return pa.table({**data, **_source(partition, offset, len(rows))})


def rollup_rows(deltas: Deltas, stores: list[str], partition: int, offset: int) -> pa.Table:
    """Rows of ``rollups``."""
    upto = np.concatenate((np.zeros(1, np.int64), deltas.visitors_upto)).astype(np.int32)
    data: dict[str, pa.Array] = {
        "store": Coded(deltas.store.astype(np.int32), stores).arrow(),
        "grain": deltas.grain.arrow(),
        "dimension": deltas.dimension.arrow(),
        "bucket": pa.array(deltas.bucket_seconds, pa.timestamp("s", tz="UTC")),
        "value": deltas.value.strings(),
        "is_bot": pa.array(deltas.is_bot.astype(np.uint8)),
        "visitor_ids": pa.ListArray.from_arrays(pa.array(upto), pa.array(deltas.visitor_ids)),
    }
    for at, name in enumerate(MEASURES):
        data[name] = pa.array(np.ascontiguousarray(deltas.measures[:, at]))
    return pa.table({**data, **_source(partition, offset, len(deltas))})


def ledger_rows(counts: Counter[LedgerKey], partition: int, offset: int) -> pa.Table:
    """Rows of ``click_ledger``."""
    keys = sorted(counts)
    data = {
        "store": _category([k[0] for k in keys]),
        "hour": pa.array([k[1] * 3600 for k in keys], pa.timestamp("s", tz="UTC")),
        "kind": _category([k[2] for k in keys]),
        "name": _category([k[3] for k in keys]),
        "events": pa.array([counts[k] for k in keys], pa.uint64()),
    }
    return pa.table({**data, **_source(partition, offset, len(keys))})


def newest_by_visitor(facts: Facts, store: I32, names: list[str]) -> dict[str, dict[int, int]]:
    """For the live tile: people's newest moment (epoch ms) by store and visitor, of the hour before receipt.

    Args:
        facts: The events.
        store: Their store codes.
        names: Slugs by store code.
    """
    recent = (facts.is_bot == 0) & ~facts.imported & (facts.occurred_ms >= facts.received_ms - 3_600_000)
    code, visitor, when = store[recent], facts.visitor[recent], facts.occurred_ms[recent]
    order = np.lexsort((when, visitor, code))
    code, visitor, when = code[order], visitor[order], when[order]
    last = np.ones(len(order), dtype=np.bool_)
    last[:-1] = (code[1:] != code[:-1]) | (visitor[1:] != visitor[:-1])
    live: dict[str, dict[int, int]] = {}
    for at, who, moment in zip(code[last].tolist(), visitor[last].tolist(), when[last].tolist(), strict=True):
        live.setdefault(names[at], {})[who] = moment
    return live
