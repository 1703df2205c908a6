from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from marketplace.clicks.collect import Batch, RefusedEvent, ValidEvent, read_body, read_event, read_event_by_event
from marketplace.clicks.events import CollectedClick, decode_click, encode_click
from marketplace.clicks.faults import FAULT_CODES, Fault
from marketplace.clicks.history import read_history
from marketplace.clicks.record import Client, Visitor, collected_click, partition_for
from marketplace.clicks.split import RefusedBody
from marketplace.token_bucket import BucketPolicy, TokenBuckets

CHARACTERS = st.characters(exclude_categories=["Cs"])
UNICODE = st.text(CHARACTERS)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | UNICODE,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(UNICODE, inner, max_size=4),
    max_leaves=15,
)
FIELDS = (
    "event_id",
    "type",
    "occurred_at",
    "sent_at",
    "url",
    "referrer",
    "target",
    "product",
    "visitor_id",
    "sampling",
)
EVENTS = st.dictionaries(st.sampled_from(FIELDS) | UNICODE, JSON, max_size=8)
GOOD_EVENTS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"event_id": st.text("abcdef0123456789-", min_size=1, max_size=64)},
    optional={
        "type": st.sampled_from(["view", "click"]),
        "occurred_at": st.integers(0, 4_102_444_800_000),
        "url": st.text(CHARACTERS, max_size=50),
        "extra": JSON,
    },
)
GOOD_TIMES = st.integers(0, 4_102_444_800_000) | st.just("2026-01-31T12:00:00Z")
TIMES = GOOD_TIMES | GOOD_TIMES | st.sampled_from(["soon", -1, 10**30, None, 1.5])
PLAIN_EVENTS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"event_id": st.text("ab-", min_size=1) | st.text(CHARACTERS, min_size=1, max_size=4)},
    optional={
        "occurred_at": TIMES,
        "sent_at": TIMES,
        "sampling": st.floats(0.1, 1) | st.integers(0, 2),
        "url": UNICODE,
    },
)
LISTS = st.lists(PLAIN_EVENTS, max_size=4) | st.lists(PLAIN_EVENTS | GOOD_EVENTS | EVENTS | JSON, max_size=4)
BODIES = (
    PLAIN_EVENTS | LISTS | st.fixed_dictionaries({"events": LISTS}, optional={"sent_at": TIMES, "other": JSON}) | EVENTS
)
COSTLY_NUMBERS = st.sampled_from([1e100, 1.5e300, 5e-324, -2.2250738585072014e-308, 10**19, 2**63, 1])


def wrapped(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A list or an object of some values."""
    return st.lists(inner, min_size=1, max_size=2) | st.dictionaries(st.sampled_from(["", "a"]), inner, min_size=1)


CLICKS = st.builds(
    CollectedClick,
    key=st.just("0" * 16),
    event_id=st.just("a"),
    store=st.sampled_from(["a", "b"]),
    visitor=st.integers(0, 2**64 - 1).map(lambda number: f"{number:016x}"),
    received_at_ms=st.integers(0, 2**45),
    visitor_kind=st.sampled_from(["first_party", "cookieless"]),
    ip=st.sampled_from(["", "192.0.2.0", "2001:db8::"]),
    user_agent=st.text(CHARACTERS, max_size=20),
)


@given(st.binary())
def test_any_bytes_are_read_or_refused_with_a_named_reason(body: bytes) -> None:
    faults = []
    try:
        faults = [result.fault for result in read_body(body).results if isinstance(result, RefusedEvent)]
    except RefusedBody as refused:
        faults = [refused.fault]

    assert all(fault.code in FAULT_CODES and fault.reason for fault in faults)


@given(BODIES)
def test_a_body_is_read_alike_whether_all_at_once_or_event_by_event(document: Any) -> None:
    body = msgspec.json.encode(document)

    assert reading(lambda: read_body(body)) == reading(lambda: read_event_by_event(body))


@given(st.recursive(COSTLY_NUMBERS, wrapped, max_leaves=4), st.data())
def test_a_body_with_costly_numbers_in_any_place_is_read_alike(value: Any, data: st.DataObject) -> None:
    event = data.draw(GOOD_EVENTS) | {data.draw(st.sampled_from((*FIELDS, "properties", "other"))): value}
    for document in (value, [value], {"events": [value]}, event, [event, value], {"events": [value, event]}):
        body = msgspec.json.encode(document)
        assert reading(partial(read_body, body)) == reading(partial(read_event_by_event, body))


@given(EVENTS | JSON)
def test_any_json_is_a_valid_event_or_has_a_path_and_a_reason(document: Any) -> None:
    result = read_event(document, "events[0]")

    if isinstance(result, RefusedEvent):
        assert result.fault.code in FAULT_CODES
        assert result.fault.path.startswith("events[0]")
        assert result.fault.reason
    else:
        assert 1 <= len(result.event.event_id) <= 64


@given(GOOD_EVENTS, st.integers(0, 2**40), st.integers(0, 2**40), st.randoms())
def test_a_retry_has_the_same_key_whenever_it_is_sent_and_however_its_fields_are_ordered(
    event: dict[str, Any], first_sent_at: int, second_sent_at: int, random: Any
) -> None:
    names = list(event)
    random.shuffle(names)
    retry = {name: event[name] for name in names}

    keys = {
        key_of({**document, "sent_at": sent_at})
        for document, sent_at in ((event, first_sent_at), (retry, second_sent_at), (event, second_sent_at))
    }

    assert len(keys) == 1


@given(GOOD_EVENTS, st.sampled_from(["url", "target", "product", "anything"]))
def test_another_payload_under_the_same_id_has_another_key(event: dict[str, Any], field: str) -> None:
    assert key_of(event) != key_of({**event, field: f"{event.get(field, '')}changed"})


@given(CLICKS)
def test_every_record_reads_back_as_it_was_written(click: CollectedClick) -> None:
    assert decode_click(encode_click(click)) == click


@given(CLICKS, st.integers(1, 64), st.integers(0, 2**64 - 1))
def test_the_partition_exists_and_a_new_salt_does_not_move_a_cookieless_event(
    click: CollectedClick, partitions: int, other: int
) -> None:
    partition = partition_for(click, partitions)

    assert 0 <= partition < partitions
    if click.visitor_kind == "cookieless":
        assert partition_for(msgspec.structs.replace(click, visitor=f"{other:016x}"), partitions) == partition


@given(CLICKS, st.integers(1, 64), st.sampled_from(["192.0.2.0", "198.51.100.0"]))
def test_a_first_party_visitor_has_one_partition_from_everywhere(
    click: CollectedClick, partitions: int, address: str
) -> None:
    at_home = msgspec.structs.replace(click, visitor_kind="first_party")
    away = msgspec.structs.replace(at_home, ip=address, user_agent="Other")

    assert partition_for(at_home, partitions) == partition_for(away, partitions)


@given(
    st.floats(0.1, 100),
    st.floats(1, 100),
    st.lists(st.tuples(st.floats(0, 5), st.integers(1, 20)), max_size=50),
)
def test_no_more_is_granted_than_the_burst_and_what_came_back(
    rate_per_second: float, burst: float, takes: list[tuple[float, int]]
) -> None:
    buckets = TokenBuckets(BucketPolicy(rate_per_second, burst))
    now = granted = largest = 0.0
    for pause_seconds, cost in takes:
        now += pause_seconds
        if buckets.take("a", cost, now) == 0.0:
            granted += cost
            largest = max(largest, cost)

    assert granted <= burst + now * rate_per_second + max(0.0, largest - burst) + 1e-6


@given(st.floats(0.1, 100), st.floats(1, 100), st.integers(1, 50))
def test_who_waits_as_long_as_reported_is_granted(rate_per_second: float, burst: float, cost: int) -> None:
    buckets = TokenBuckets(BucketPolicy(rate_per_second, burst))
    buckets.take("a", burst, now=0.0)

    wait_seconds = buckets.take("a", cost, now=0.0)

    assert wait_seconds > 0
    assert buckets.take("a", cost, now=wait_seconds + 1e-6) == 0.0


def reading(read: Callable[[], Batch]) -> Any:
    try:
        batch = read()
    except RefusedBody as refused:
        return refused.fault
    return list(batch.results), batch.single


def key_of(event: dict[str, Any]) -> str:
    result = read_body(msgspec.json.encode([event])).results[0]
    assert isinstance(result, ValidEvent), result
    client = Client(ip="", user_agent="", origin="web")
    return collected_click(
        result, store="shop", client=client, visitor=Visitor("0" * 16, "cookieless"), received_at_ms=0
    ).key


FORMS = ('{"event_id":"a","x":%s}', '[{"event_id":"a","x":%s}]', '{"events":[%s]}')


@given(st.integers(900, 1_100), st.sampled_from(FORMS))
def test_what_is_nested_too_deeply_is_refused_and_never_a_failure(depth: int, form: str) -> None:
    body = (form % ("[" * depth + "]" * depth)).encode()

    for found in (reading(lambda: read_body(body)), reading(lambda: read_history(body, 0))):
        assert not isinstance(found, Fault) or found.code == "too_deep"
