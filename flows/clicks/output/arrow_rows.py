"""Arrow tables of what batches lead to: the shapes of ``marketplace.tables``.

Batches that are written together make their rows together: a small batch's rows cost as much to make as a larger one's.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final

import numpy as np
import pyarrow as pa

from flows.arrays.hashing import dense_rank
from flows.arrays.types import I32, I64, U64
from flows.clicks.encoding.codebook import Codebook
from flows.clicks.encoding.enrichment_encoder import EncodedAnswers
from flows.clicks.model.encoded_column import EncodedColumn
from flows.clicks.model.facts import OUTCOME_NAMES, Details, Facts
from flows.clicks.model.sessions import SessionRows
from flows.clicks.output.contributions import contributions
from flows.clicks.output.rollup_deltas import MEASURES, rollup
from flows.clicks.processed_batch import Changes, ProcessedBatch
from marketplace.clicks.events import decode_properties
from marketplace.tables import CLICKS, ENTRY_COLUMNS, EXIT_COLUMN, LEDGER, ROLLUPS, SESSIONS


def _strings(values: list[str]) -> pa.Array:
    return pa.array(values, pa.string())


def _category(values: Iterable[str], position: I64 | None = None) -> pa.Array:
    """A column of few different texts: those of the values, or the ones at some positions among them."""
    index: dict[str, int] = {}
    codes = np.array([index.setdefault(value, len(index)) for value in values], dtype=np.int32)
    return pa.DictionaryArray.from_arrays(
        pa.array(codes if position is None else codes[position]), pa.array(list(index), pa.string())
    )


def _lists(upto: I64, values: U64) -> pa.ListArray:
    """A column of lists.

    Args:
        upto: Where each one ends.
        values: Their values, one list after the other.
    """
    offsets = np.concatenate((np.zeros(1, np.int64), upto)).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values))


def _properties(column: EncodedColumn) -> pa.Array:
    """The properties of named events, as maps."""
    texts, position = column.used()
    maps = pa.array([list(decode_properties(text).items()) for text in texts], pa.map_(pa.string(), pa.string()))
    return maps.take(pa.array(position))


def _exits(book: Codebook, codes: I32) -> pa.Array:
    """The pages on which sessions ended."""
    encoder = next(encoder for encoder in book.answers if encoder.name == "page")
    return _columns(encoder, codes, encoder.columns)["page"]


def _moments(ms: I64) -> pa.Array:
    return pa.array(ms, pa.timestamp("ms", tz="UTC"))


def _columns(encoder: EncodedAnswers, codes: I32, names: Container[str]) -> dict[str, pa.Array]:
    """The named ones of an encoder's columns."""
    used, position = dense_rank(codes, len(encoder.rows))
    answers = [encoder.rows[code] for code in used.tolist()]
    # Answers that differ can agree in one column (a browser in two versions): its dictionary has a text once.
    return {
        name: _category(map(itemgetter(at), answers), position)
        for at, name in enumerate(encoder.columns)
        if name in names
    }


def _constant(text: str, count: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array([text], pa.string()))


def _source(results: Sequence[ProcessedBatch], of: I64, offsets: I64 | None = None) -> dict[str, pa.Array]:
    """Where rows come from.

    Args:
        results: The batches.
        of: Each row's batch, by its position.
        offsets: Each row's offset; by default the last one of its batch.
    """
    partitions = np.array([result.partition for result in results], dtype=np.uint16)
    if offsets is None:
        offsets = np.array([result.last_offset for result in results], dtype=np.int64)[of]
    return {"source_partition": pa.array(partitions[of]), "source_offset": pa.array(offsets.astype(np.uint64))}


def _each(sizes: Iterable[int]) -> I64:
    """The position of each row's batch."""
    counts = list(sizes)
    return np.repeat(np.arange(len(counts)), counts)


def _click_rows(results: Sequence[ProcessedBatch]) -> pa.Table:
    accepted = [result.facts for result in results if result.facts is not None]
    facts, details = Facts.concat([f for f, _ in accepted]), Details.concat([d for _, d in accepted])
    columns, count, book = details.columns, len(facts), results[0].book
    data: dict[str, pa.Array] = {
        "event_id": _strings(columns.event_ids),
        "dedupe_key": pa.array(facts.key),
        "dedupe_hour": pa.array(facts.dedupe_hour.astype(np.uint32)),
        "occurred_at": _moments(facts.occurred_ms),
        "received_at": _moments(facts.received_ms),
        "outcome": EncodedColumn(facts.outcome.astype(np.int32), OUTCOME_NAMES).arrow(),
        "visitor": pa.array(facts.visitor),
        "pair_key": pa.array(facts.pair),
        "is_bot": pa.array(facts.is_bot),
        "bot_reasons": details.bot_reasons.arrow(),
        "bot_kind": details.bot_kind.arrow(),
        "bot_version": _constant(book.bot_version, count),
        "time_note": details.time_note.arrow(),
        "target": columns.texts["target"].strings(),
        "name": columns.texts["name"].arrow(),
        "properties": _properties(columns.texts["properties"]),
        "sampling": pa.array(columns.sampling),
    }
    for name in ("store", "type", "origin", "visitor_kind", "ip"):
        data[name] = columns.texts[name].arrow()
    for at, encoder in enumerate(book.answers):
        data |= _columns(encoder, facts.codes[:, at], encoder.columns)
        if encoder.version is not None:
            data[f"{encoder.name}_version"] = _constant(encoder.version, count)
    return pa.table({**data, **_source(results, _each(len(f) for f, _ in accepted), columns.offsets)})


def _session_rows(results: Sequence[ProcessedBatch]) -> pa.Table:
    """What a batch retracts with sign -1, and after it what holds now with sign 1.

    Batch by batch: a row that one adds and the next retracts must come in this order, or it would never collapse.
    """
    changes, book = _changes(results), results[0].book
    parts = [rows for change in changes for rows in (change.retracted, change.added)]
    rows, sizes = SessionRows.concat(parts), list(map(len, parts))
    data: dict[str, pa.Array] = {
        "store": EncodedColumn(rows.store, book.store_days.names).arrow(),
        "visitor": pa.array(rows.visitor),
        "is_bot": pa.array(rows.is_bot),
        "started_at": _moments(rows.start_ms),
        "ended_at": _moments(rows.end_ms),
        "views": pa.array(rows.views.astype(np.uint32)),
        "actions": pa.array(rows.actions.astype(np.uint32)),
        EXIT_COLUMN: _exits(book, rows.exit),
        "sign": pa.array(np.repeat(np.tile(np.array([-1, 1], np.int8), len(changes)), sizes)),
    }
    for at, encoder in enumerate(book.answers):
        data |= _columns(encoder, rows.entry[:, at], ENTRY_COLUMNS)
    return pa.table({**data, **_source(results, _each(sizes) // 2)})


def _rollup_rows(results: Sequence[ProcessedBatch]) -> pa.Table:
    book = results[0].book
    deltas = rollup(contributions(_changes(results)), book.answers, book.day_of)
    data: dict[str, pa.Array] = {
        "store": EncodedColumn(deltas.store.astype(np.int32), book.store_days.names).arrow(),
        "grain": deltas.grain.arrow(),
        "dimension": deltas.dimension.arrow(),
        "bucket": pa.array(deltas.bucket_seconds, pa.timestamp("s", tz="UTC")),
        "value": deltas.value.strings(),
        "is_bot": pa.array(deltas.is_bot.astype(np.uint8)),
        "visitor_ids": _lists(deltas.visitors_upto, deltas.visitor_ids),
        "moved": _lists(deltas.moved_upto, deltas.moved_ids),
    }
    for at, name in enumerate(MEASURES):
        data[name] = pa.array(np.ascontiguousarray(deltas.measures[:, at]))
    return pa.table({**data, **_source(results, deltas.source)})


def _ledger_rows(results: Sequence[ProcessedBatch]) -> pa.Table:
    counts = [(key, many) for result in results for key, many in sorted(result.counts.items())]
    data = {
        "store": _category([key[0] for key, _ in counts]),
        "hour": pa.array([key[1] * 3600 for key, _ in counts], pa.timestamp("s", tz="UTC")),
        "kind": _category([key[2] for key, _ in counts]),
        "name": _category([key[3] for key, _ in counts]),
        "events": pa.array([many for _, many in counts], pa.uint64()),
    }
    return pa.table({**data, **_source(results, _each(len(result.counts) for result in results))})


def _changes(results: Sequence[ProcessedBatch]) -> list[Changes]:
    return [result.changes for result in results if result.changes is not None]


_MAKERS: Final[Mapping[str, Callable[[Sequence[ProcessedBatch]], pa.Table]]] = {
    CLICKS.name: _click_rows,
    ROLLUPS.name: _rollup_rows,
    SESSIONS.name: _session_rows,
    LEDGER.name: _ledger_rows,
}


def rows_of(table: str, results: Sequence[ProcessedBatch]) -> pa.Table:
    """A table's rows of batches that are written together.

    Args:
        table: Its name.
        results: Batches of one worker that have rows of it (``ProcessedBatch.fence``), at least one.
    """
    alike = (list(group) for _, group in groupby(results, key=lambda result: id(result.book)))
    return pa.concat_tables(map(_MAKERS[table], alike))
