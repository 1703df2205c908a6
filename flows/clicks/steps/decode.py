"""Record bytes to typed columns. A record that cannot be read becomes a ``RejectedRecord`` and hurts no other."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

import msgspec
import numpy as np

from flows.arrays.types import I64, U8, U64, Bools
from flows.clicks.encoding.dictionary import Dictionary
from flows.clicks.model.columns import Columns
from flows.clicks.model.encoded_column import EncodedColumn
from flows.clicks.rejected_record import RejectedRecord
from flows.delivery.batch import RawBatch
from marketplace.clicks.events import CollectedClick, decode_clicks, encode_properties

_HEX64: Final = re.compile(r"[0-9a-f]{16}")
_HEX_CHARS: Final = 16
_NO_DIGIT: Final = 255
_DIGITS: Final[U8] = np.full(256, _NO_DIGIT, dtype=np.uint8)
_DIGITS[list(b"0123456789abcdef")] = np.arange(16)
_TOGETHER: Final = 128
"""Records that are read at once: half the cost of one by one, and so few that one broken record slows few others."""
_MAX_TIME_MS: Final = 1 << 53
"""Client times beyond this are not times; everything below is clamped or refused by the clock rules, by name."""

_MAX_RECEIVED_MS: Final = 4_102_444_800_000
"""2100-01-01. The collector's clock is what everything else is measured by, and a table's times end in 2106."""

MAX_DETAIL_CHARS: Final = 200

_Unreadable = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def decode(
    batch: RawBatch, known_store: Callable[[str], bool], dictionaries: Mapping[str, Dictionary]
) -> tuple[Columns, list[RejectedRecord]]:
    """Split a batch into readable events and rejects.

    Args:
        batch: The records.
        known_store: Whether a store exists; asked for each distinct one.
        dictionaries: What the columns' texts are numbered by.
    """
    events, lost, rejects = _read_all(batch)
    rows = np.delete(np.arange(len(batch.values)), lost)
    columns, sound = _columns_of(events, rows, batch, dictionaries)
    used, position = columns.texts["store"].used()
    known = np.fromiter(map(known_store, used), dtype=np.bool_, count=len(used))[position]
    for at in np.flatnonzero(~(sound & known)).tolist():
        store = events[at].store
        problem = _problem(events[at])
        reason, detail = ("unknown_store", f"no store {store!r}") if problem is None else ("malformed", problem)
        rejects.append(_reject(batch, int(rows[at]), store if problem is None else "", reason, detail))
    return columns.take(sound & known), sorted(rejects, key=attrgetter("offset"))


def _read_all(batch: RawBatch) -> tuple[list[CollectedClick], list[int], list[RejectedRecord]]:
    """All records that have the form of an event; the positions of those that do not, and why."""
    events: list[CollectedClick] = []
    lost: list[int] = []
    rejects: list[RejectedRecord] = []
    for start in range(0, len(batch.values), _TOGETHER):
        chunk = batch.values[start : start + _TOGETHER]
        try:
            events += _read_together(chunk)
            continue
        except _Unreadable:
            pass  # each has to be looked at
        for row, value in enumerate(chunk, start):
            try:
                events += _read_together([value])
            except _Unreadable as error:
                lost.append(row)
                rejects.append(_reject(batch, row, "", "unreadable", str(error)))
    return events, lost, rejects


def _read_together(values: list[bytes]) -> list[CollectedClick]:
    # The decoder skips fields that it does not know without looking at their bytes; a record is text in all its parts.
    if not all(map(bytes.isascii, values)):
        for value in values:
            value.decode()
    return decode_clicks(values)


def _reject(batch: RawBatch, row: int, store: str, reason: str, detail: str) -> RejectedRecord:
    return RejectedRecord(
        batch.partition, batch.offsets[row], batch.values[row], store, reason, detail[:MAX_DETAIL_CHARS]
    )  # fmt: skip


def _problem(event: CollectedClick) -> str | None:
    if not _HEX64.fullmatch(event.key):
        return "key: not 16 hex digits"
    if not _HEX64.fullmatch(event.visitor):
        return "visitor: not 16 hex digits"
    if not 0 <= event.received_at_ms < _MAX_RECEIVED_MS:
        return "received_at_ms: not a time"
    for name, value in (("occurred_at_ms", event.occurred_at_ms), ("sent_at_ms", event.sent_at_ms)):
        if value is not None and not 0 <= value < _MAX_TIME_MS:
            return f"{name}: not a time"
    return None


def _columns_of(
    events: list[CollectedClick], rows: I64, batch: RawBatch, dictionaries: Mapping[str, Dictionary]
) -> tuple[Columns, Bools]:
    """Columns of events, and which of them have no problem; the others' elements mean nothing."""
    fields = _transposed(events)
    key, key_sound = _hashes(fields["key"])
    visitor, visitor_sound = _hashes(fields["visitor"])
    received, received_sound = _times(fields["received_at_ms"], _MAX_RECEIVED_MS)
    occurred, occurred_sound = _times(fields["occurred_at_ms"], _MAX_TIME_MS)
    sent, sent_sound = _times(fields["sent_at_ms"], _MAX_TIME_MS)
    fields["properties"] = [encode_properties(given) if given else "" for given in fields["properties"]]
    texts = {name: column.encode(fields[name]) for name, column in dictionaries.items()}
    columns = Columns(
        event_ids=fields["event_id"],
        rows=rows,
        offsets=_array(batch.offsets)[rows],
        key=key,
        visitor=visitor,
        received_ms=received,
        occurred_ms=occurred,
        sent_ms=sent,
        sampling=np.array(fields["sampling"], dtype=np.float32),
        automated=np.array(fields["automated"], dtype=np.bool_),
        opted_out=np.array(fields["opted_out"], dtype=np.bool_),
        imported=_equals(texts["origin"], "import"),
        is_view=_equals(texts["type"], "view"),
        texts=texts,
    )
    return columns, key_sound & visitor_sound & received_sound & occurred_sound & sent_sound


def _array(offsets: Sequence[int]) -> I64:
    if isinstance(offsets, range):
        return np.arange(offsets.start, offsets.stop, dtype=np.int64)
    return np.array(offsets, dtype=np.int64)


def _transposed(events: list[CollectedClick]) -> dict[str, list[Any]]:
    """Each field's values.

    A few events at a time, while they are in the processor's cache: half the cost of one field after the other.
    """
    columns: dict[str, list[Any]] = {name: [] for name in CollectedClick.__struct_fields__}
    extend = [column.extend for column in columns.values()]
    for start in range(0, len(events), _TOGETHER):
        some = map(msgspec.structs.astuple, events[start : start + _TOGETHER])
        for take, values in zip(extend, zip(*some, strict=True), strict=True):
            take(values)
    return columns


def _equals(column: EncodedColumn, text: str) -> Bools:
    used, position = column.used()
    return np.array([other == text for other in used], dtype=np.bool_)[position]


def _hashes(texts: list[str]) -> tuple[U64, Bools]:
    """The numbers that texts of 16 hex digits stand for, and which of the texts are such."""
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    sound = lengths == _HEX_CHARS
    if not sound.all():
        texts = [text if len(text) == _HEX_CHARS else "-" * _HEX_CHARS for text in texts]
    # All digits of the column at once; what is not ASCII is no digit.
    letters = np.frombuffer("".join(texts).encode("ascii", "replace"), dtype=np.uint8)
    digits = _DIGITS[letters].reshape(-1, _HEX_CHARS)
    sound = sound & (digits != _NO_DIGIT).all(axis=1)
    pairs = np.asarray((digits[:, 0::2] << 4) | digits[:, 1::2], dtype=np.uint8)
    return np.ascontiguousarray(pairs).view(">u8").reshape(-1).astype(np.uint64), sound


def _times(given: list[int | None], end: int) -> tuple[I64, Bools]:
    """Epoch milliseconds, -1 where there is none, and which of them are times before an end, or absent."""
    try:
        times = np.array(given, dtype=np.int64)
    except (TypeError, OverflowError):
        return _some_times(given, end)
    return times, (times >= 0) & (times < end)


def _some_times(given: list[int | None], end: int) -> tuple[I64, Bools]:
    """Where some are absent, or no machine's integers."""
    try:
        times = np.array([-1 if time is None else time for time in given], dtype=np.int64)
        absent = times == -1
        if int(absent.sum()) == given.count(None):
            return times, absent | ((times >= 0) & (times < end))
    except OverflowError:
        pass  # one of them is found below
    sound = np.array([time is None or 0 <= time < end for time in given], dtype=np.bool_)
    known = [-1 if time is None or not fits else time for time, fits in zip(given, sound.tolist(), strict=True)]
    return np.array(known, dtype=np.int64), sound
