from __future__ import annotations

import io
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import assume, given
from hypothesis import strategies as st

from ingest.imports.log_files import read_lines
from marketplace.access_logs.combined import CombinedFormat
from marketplace.access_logs.line_ids import LineIds
from marketplace.access_logs.requests import UnparseableLine
from marketplace.clicks.visitors import canonical_ip

SECRET = "5a" * 32
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
LINES = st.lists(st.sampled_from([b"a", b"b", b"c"]), max_size=30)
INSTANTS = st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - Hypothesis wants bounds without a zone
OFFSETS = st.integers(-12 * 4, 14 * 4).map(lambda quarters: timezone(timedelta(minutes=15 * quarters)))
# What a server writes into a quoted field: every byte but a bare quote, backslash or line end.
FIELDS = st.binary(max_size=40).map(lambda raw: bytes(byte for byte in raw if byte not in b'"\\\r\n'))


def escaped(field: bytes) -> bytes:
    return b"".join(
        b"\\x%02x" % byte if byte < 32 or byte >= 127 or byte in b'"\\' else bytes([byte]) for byte in field
    )


def text(field: bytes) -> str:
    try:
        return field.decode()
    except UnicodeDecodeError:
        return field.decode("latin-1")


@given(st.binary(max_size=300))
def test_any_bytes_are_a_request_or_unparseable_with_a_reason(line: bytes) -> None:
    said = ""
    try:
        said = CombinedFormat().parse(line).client
    except UnparseableLine as error:
        said = str(error)

    assert said


@given(INSTANTS, OFFSETS, st.ip_addresses(), FIELDS, st.booleans())
def test_what_a_server_writes_is_read_back(
    instant: datetime, zone: timezone, address: object, agent: bytes, escape: bool
) -> None:
    local = instant.replace(microsecond=0).astimezone(zone)
    when = f"{local.day:02d}/{MONTHS[local.month - 1]}/{local.year:04d}:{local:%H:%M:%S} {local:%z}"
    logged = escaped(agent) if escape else agent
    line = f'{address} - - [{when}] "GET /x HTTP/1.1" 200 5 "-" "'.encode() + logged + b'"'

    request = CombinedFormat().parse(line)

    assert request.client == canonical_ip(str(address))
    assert request.occurred_at_ms == local.timestamp() * 1000
    assert request.agent_as_logged == text(agent)


@given(LINES)
def test_every_line_of_an_import_has_an_id_of_its_own_and_keeps_it_in_the_next_import(lines: list[bytes]) -> None:
    first, second = LineIds("shop", SECRET), LineIds("shop", SECRET)

    ids = [first.next_id(line) for line in lines]

    assert len(set(ids)) == len(lines)
    assert ids == [second.next_id(line) for line in lines]


@given(LINES, st.integers(0, 30))
def test_the_ids_of_a_file_do_not_depend_on_what_stands_between_its_equal_lines(lines: list[bytes], kept: int) -> None:
    whole, part = LineIds("shop", SECRET), LineIds("shop", SECRET)

    whole_ids = {whole.next_id(line) for line in lines}
    part_ids = {part.next_id(line) for line in sorted(lines[:kept])}

    assert part_ids <= whole_ids


@given(LINES, st.integers(1, 5))
def test_counting_takes_no_more_memory_than_stated(lines: list[bytes], max_lines: int) -> None:
    ids = LineIds("shop", SECRET, max_lines=max_lines)

    counts = Counter(ids.next_id(line) for line in lines)

    assert sum(counts.values()) == len(lines)
    assert ids.remembered() <= 2 * max_lines


@given(
    st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"").rstrip(b"\r")), max_size=20),
    st.booleans(),
)
def test_lines_that_were_written_are_the_lines_that_are_read(lines: list[bytes], carriage_return: bool) -> None:
    end = b"\r\n" if carriage_return else b"\n"
    data = b"".join(line + end for line in lines)
    assume(not data.startswith((b"\xef\xbb\xbf", b"\x1f\x8b", b"\x28\xb5\x2f\xfd")))

    assert [line.content for line in read_lines("x.log", io.BytesIO(data))] == lines


@given(st.integers(1, 5), st.integers(0, 40))
def test_distinct_lines_are_remembered_up_to_twice_the_bound(max_lines: int, count: int) -> None:
    ids = LineIds("shop", SECRET, max_lines=max_lines)
    for number in range(count):
        ids.next_id(b"line %d" % number)

        assert ids.remembered() <= 2 * max_lines
        assert ids.remembered() == number + 1 or ids.remembered() > max_lines


@given(st.integers(1, 5), st.data())
def test_an_equal_line_among_the_last_of_the_bound_has_an_id_of_its_own(max_lines: int, data: st.DataObject) -> None:
    ids = LineIds("shop", SECRET, max_lines=max_lines)
    before, between = data.draw(st.integers(0, 12)), data.draw(st.integers(0, max_lines - 1))
    for number in range(before):
        ids.next_id(b"before %d" % number)
    first = ids.next_id(b"twice")
    for number in range(between):
        ids.next_id(b"between %d" % number)

    assert ids.next_id(b"twice") != first
