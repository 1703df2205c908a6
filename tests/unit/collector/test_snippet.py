"""The snippet as it is served; tests/e2e/test_snippet_*.py run it in browsers."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import pytest

from marketplace.clicks.collect import read_body
from marketplace.clicks.split import MAX_LONE_SURROGATES, RefusedBody
from ops.snippet import SERVED, SOURCE, served
from tests.kits.collector import WRITE_KEY, Collector, running_collector

MOST_BYTES = 4_096
MOST_COMPRESSED = 2_048


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with running_collector() as running:
        yield running


def test_what_browsers_get_is_made_of_what_people_read() -> None:
    assert SERVED.read_text() == served(SOURCE.read_text()), "make snippet"


def test_the_snippet_is_small(collector: Collector) -> None:
    plain = collector.http.get("/m.js", headers={"accept-encoding": "identity"})
    with collector.http.stream("GET", "/m.js", headers={"accept-encoding": "br, gzip"}) as answer:
        compressed = b"".join(answer.iter_raw())
    assert (len(plain.content) < MOST_BYTES, len(compressed) < MOST_COMPRESSED) == (True, True)
    assert (answer.headers["content-encoding"], "content-encoding" in plain.headers) == ("gzip", False)
    assert gzip.decompress(compressed) == plain.content == SERVED.read_bytes()
    assert plain.headers["vary"] == answer.headers["vary"] == "accept-encoding"


def test_an_image_sends_a_named_event_with_properties(collector: Collector) -> None:
    query = {"key": WRITE_KEY, "name": "letter_opened", "properties[issue]": "12", "properties[kind]": "news"}
    answer = collector.http.get("/v1/pixel.gif", params=query)
    clicks = [click for click in collector.clicks() if click.name == "letter_opened"]
    assert answer.status_code == 200
    assert [(click.type, click.properties) for click in clicks] == [("event", {"issue": "12", "kind": "news"})]


@pytest.mark.parametrize("query", [{"type": "event"}, {"properties[a]": "1"}, {"name": "a", "properties[]": "1"}])
def test_an_image_of_an_event_that_is_none_says_so(collector: Collector, query: dict[str, str]) -> None:
    assert collector.http.get("/v1/pixel.gif", params={"key": WRITE_KEY, **query}).status_code == 400


def test_half_an_emoji_in_one_event_loses_nothing(collector: Collector) -> None:
    half_event = rb'{"event_id": "half", "product": "p\ud83d", "target": "\\ud83d\ud83d\ude00"}'
    answer = collector.post(b'{"events": [{"event_id": "sound"}, ' + half_event + b"]}")
    (half,) = [click for click in collector.clicks() if click.event_id == "half"]
    assert (answer.status_code, answer.json()["accepted"]) == (202, 2)
    assert (half.product, half.target) == ("p\N{REPLACEMENT CHARACTER}", "\\ud83d\N{GRINNING FACE}")


def test_more_halves_than_scripts_leave_are_refused() -> None:
    body = b'{"event_id": "a", "zoom": "' + rb"\ud83d" * (MAX_LONE_SURROGATES + 1) + b'"}'
    with pytest.raises(RefusedBody):
        read_body(body)
    assert read_body(body.replace(rb"\ud83d", b"", 1)).single


def test_no_query_no_fragment_and_nobodys_address_is_recorded(collector: Collector) -> None:
    page = "https://ann:secret@shop.example/reset?token=T&utm_source=Letter&gclid=G#part"
    for number, target in enumerate([page, "mailto:ann@mail.example", "TEL:+49123", "/reset?token=T", "size: L?"]):
        collector.post({"event_id": f"link-{number}", "type": "click", "url": page, "referrer": page, "target": target})
    links = [click for click in collector.clicks() if click.event_id.startswith("link-")]
    kept = sorted((click.event_id, click.target) for click in links)
    bare = "https://shop.example/reset"
    assert [target for _, target in kept] == [bare, "mailto:", "tel:", "/reset", "size: L?"]
    assert {(click.url, click.referrer) for click in links} == {(f"{bare}?utm_source=Letter&gclid=1", bare)}
