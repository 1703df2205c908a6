from __future__ import annotations

from dataclasses import replace

import msgspec

from marketplace.clicks.collect import ValidEvent, read_body
from marketplace.clicks.events import CollectedClick, decode_click, encode_click
from marketplace.clicks.record import (
    Client,
    Visitor,
    clip_user_agent,
    collected_click,
    iso_time,
    partition_for,
    record_headers,
)

CLIENT = Client(ip="203.0.113.0", user_agent="Browser/1", origin="web")
VISITOR = Visitor("00000000000000ff", "first_party")


def click(
    event: dict[str, object], client: Client = CLIENT, visitor: Visitor = VISITOR, store: str = "shop"
) -> CollectedClick:
    result = read_body(msgspec.json.encode(event)).results[0]
    assert isinstance(result, ValidEvent)
    return collected_click(result, store=store, client=client, visitor=visitor, received_at_ms=1_750_000_000_123)


def test_an_event_sent_twice_has_one_key() -> None:
    first = click({"event_id": "a", "url": "/x", "sent_at": 1})
    retry = click({"sent_at": 2, "url": "/x", "event_id": "a"}, replace(CLIENT, user_agent="Browser/2"))

    assert first.key == retry.key


def test_the_same_id_with_another_payload_has_another_key() -> None:
    assert click({"event_id": "a", "url": "/x"}).key != click({"event_id": "a", "url": "/y"}).key
    assert click({"event_id": "a"}).key != click({"event_id": "a", "unknown": 1}).key


def test_the_same_event_in_another_store_has_another_key() -> None:
    assert click({"event_id": "a"}, store="shop").key != click({"event_id": "a"}, store="other").key


def test_a_record_reads_back_as_it_was_written() -> None:
    written = click(
        {"event_id": "a", "type": "click", "target": "buy", "occurred_at": 5, "sent_at": 6, "sampling": 0.5},
        replace(CLIENT, opted_out=True, automated=True, origin="server"),
    )

    assert decode_click(encode_click(written)) == written


def test_a_client_that_says_nothing_of_sampling_sends_all_events() -> None:
    assert click({"event_id": "a"}).sampling == 1.0


def test_automation_is_declared_by_the_event_or_by_its_request() -> None:
    assert click({"event_id": "a", "automated": True}).automated
    assert click({"event_id": "a"}, replace(CLIENT, automated=True)).automated
    assert not click({"event_id": "a"}).automated


def test_a_user_agent_is_cut_to_1024_characters() -> None:
    assert clip_user_agent("x" * 5_000) == "x" * 1_024


def test_a_first_party_visitor_stays_in_its_partition_wherever_it_comes_from() -> None:
    home = click({"event_id": "a"})
    office = click({"event_id": "b"}, replace(CLIENT, ip="198.51.100.0", user_agent="Other"))

    assert partition_for(home, 8) == partition_for(office, 8) == 0xFF % 8


def test_a_cookieless_event_keeps_its_partition_when_its_salt_and_so_its_visitor_change() -> None:
    today = click({"event_id": "a"}, visitor=Visitor("00000000000000aa", "cookieless"))
    later = click({"event_id": "a"}, visitor=Visitor("00000000000000ab", "cookieless"))

    assert partition_for(today, 8) == partition_for(later, 8)


def test_the_headers_are_cloudevents_attributes_and_few() -> None:
    event = click({"event_id": "a"})

    assert dict(record_headers(event)) == {
        "ce_id": event.key.encode(),
        "ce_type": b"view",
        "ce_source": b"shop",
        "ce_time": b"2025-06-15T15:06:40.123Z",
    }


def test_a_time_has_milliseconds_and_a_z() -> None:
    assert iso_time(0) == "1970-01-01T00:00:00.000Z"


def test_a_record_has_every_field_of_its_event_and_of_its_request() -> None:
    event = {
        "event_id": "a",
        "type": "click",
        "occurred_at": 5,
        "sent_at": 6,
        "url": "/x",
        "referrer": "/y",
        "target": "buy",
        "product": "mug",
        "sampling": 0.5,
    }

    written = msgspec.structs.asdict(click(event, replace(CLIENT, opted_out=True)))

    for name, value in event.items():
        assert written[name if name not in ("occurred_at", "sent_at") else f"{name}_ms"] == value
    assert (written["ip"], written["user_agent"], written["origin"]) == (CLIENT.ip, CLIENT.user_agent, CLIENT.origin)
    assert (written["opted_out"], written["visitor"], written["visitor_kind"]) == (True, VISITOR.id, VISITOR.kind)
