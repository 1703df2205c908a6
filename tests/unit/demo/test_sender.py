"""The demo's HTTP client, against a real server on a loopback port that answers by a script."""

from __future__ import annotations

import gzip
import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from ops.demo.services.sender import Pace, Sender, SendFailed, Target, encode_body
from ops.demo.traffic.requests import Post, Traffic
from ops.demo.traffic.shops import SHOPS

SHOP = SHOPS[0]


@dataclass
class Answer:
    """One answer: a status, headers and a body; status 0 cuts the connection instead."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass
class Script:
    """What the server answers to request n, and what it got."""

    answer: Callable[[int], Answer]
    requests: list[tuple[dict[str, str], dict[str, Any]]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def ids(self) -> list[list[str]]:
        return [[event["event_id"] for event in body["events"]] for _, body in self.requests]


@contextmanager
def serving(script: Script) -> Iterator[Target]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["content-length"]))
            plain = gzip.decompress(raw) if self.headers.get("content-encoding") == "gzip" else raw
            body = json.loads(plain)
            with script.lock:
                at = len(script.requests)
                script.requests.append(({name.lower(): value for name, value in self.headers.items()}, body))
                script.times.append(time.monotonic())
            answer = script.answer(at)
            if answer.status == 0:
                self.close_connection = True
                return
            content = answer.body
            if content is None:
                content = json.dumps({"accepted": len(body["events"]), "rejected": 0}).encode()
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            del format, args

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield Target("127.0.0.1", server.server_address[1], {SHOP.name: "key"}, retry_seconds=5)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def post(*ids: str, encoding: str = "", opted_out: bool = False) -> Post:
    events = tuple({"event_id": name, "url": "https://shop.example/"} for name in ids)
    return Post(SHOP, "81.2.69.160", "Tester/1.0", opted_out, events, ahead_ms=0, encoding=encoding)


def test_a_request_carries_who_sent_it_and_from_where() -> None:
    script = Script(lambda at: Answer(202))
    with serving(script) as target:
        Sender(target, 1).send_all(iter([post("a", "b", opted_out=True)]))
    headers, body = script.requests[0]
    assert headers["x-write-key"] == "key"
    assert headers["x-forwarded-for"] == "81.2.69.160"
    assert headers["user-agent"] == "Tester/1.0"
    assert headers["dnt"] == "1"
    assert [event["event_id"] for event in body["events"]] == ["a", "b"]


def test_a_compressed_body_says_so() -> None:
    script = Script(lambda at: Answer(202))
    with serving(script) as target:
        Sender(target, 1).send_all(iter([post("a", encoding="gzip")]))
    assert script.ids == [["a"]]
    assert script.requests[0][0]["content-encoding"] == "gzip"


def test_answers_are_added_up() -> None:
    script = Script(lambda at: Answer(202, body=b'{"accepted": 1, "rejected": 1}'))
    with serving(script) as target:
        sender = Sender(target, 2)
        sender.send_all(iter([post("a", "b"), post("c", "d"), post("e", "f")]))
    assert (sender.sent.events, sender.sent.accepted, sender.sent.rejected, sender.sent.requests) == (6, 3, 3, 3)


def test_a_body_refused_whole_counts_as_rejected() -> None:
    script = Script(lambda at: Answer(400, body=b'{"error": {"code": "not_json"}}'))
    with serving(script) as target:
        sender = Sender(target, 1)
        sender.send_all(iter([post("a")]))
    assert (sender.sent.accepted, sender.sent.rejected) == (0, 1)


@pytest.mark.parametrize("status", [0, 429, 500, 503])
def test_a_request_that_fails_for_now_is_sent_again_with_the_same_ids(status: int) -> None:
    script = Script(lambda at: Answer(status if at < 2 else 202))
    with serving(script) as target:
        sender = Sender(target, 1)
        sender.send_all(iter([post("a", "b")]))
    assert script.ids == [["a", "b"]] * 3
    assert (sender.sent.accepted, sender.sent.retries) == (2, 2)


def test_retry_after_is_waited_for() -> None:
    script = Script(lambda at: Answer(503, {"retry-after": "1"}) if at == 0 else Answer(202))
    with serving(script) as target:
        Sender(target, 1).send_all(iter([post("a")]))
    assert script.times[1] - script.times[0] >= 1.0


def test_a_retry_tells_the_time_of_the_retry() -> None:
    script = Script(lambda at: Answer(503, {"retry-after": "1"}) if at == 0 else Answer(202))
    with serving(script) as target:
        Sender(target, 1).send_all(iter([post("a")]))
    first, second = (body["sent_at"] for _, body in script.requests)
    assert second - first >= 1_000


def test_patience_ends_with_an_error_that_says_what_the_collector_said() -> None:
    script = Script(lambda at: Answer(503, body=b"Kafka is away"))
    with serving(script) as target:
        target.retry_seconds = 0.3
        with pytest.raises(SendFailed, match="Kafka is away"):
            Sender(target, 2).send_all(iter([post("a"), post("b")]))


@pytest.mark.parametrize("status", [401, 413, 404])
def test_an_answer_that_no_retry_can_mend_is_an_error_at_once(status: int) -> None:
    script = Script(lambda at: Answer(status, body=b"no"))
    with serving(script) as target, pytest.raises(SendFailed, match=str(status)):
        Sender(target, 1).send_all(iter([post("a")]))
    assert len(script.requests) == 1


def test_a_connection_is_used_again() -> None:
    script = Script(lambda at: Answer(202, {"connection": "close"} if at == 1 else {}))
    with serving(script) as target:
        Sender(target, 1).send_all(iter([post("a"), post("b"), post("c")]))
    assert script.ids == [["a"], ["b"], ["c"]]


def test_only_wholly_accepted_requests_are_reported_on() -> None:
    told: list[Post] = []
    script = Script(lambda at: Answer(202, body=b'{"accepted": 0, "rejected": 1}') if at == 0 else Answer(202))
    with serving(script) as target:
        target.on_accepted = lambda accepted, at: told.append(accepted)
        Sender(target, 1).send_all(iter([post("a"), post("b")]))
    assert [sent.events[0]["event_id"] for sent in told] == ["b"]


def test_a_stopped_sender_sends_nothing_new() -> None:
    script = Script(lambda at: Answer(202))
    with serving(script) as target:
        sender = Sender(target, 1)
        sender.stop()
        sender.send_all(iter([post("a")]))
    assert script.requests == []


def test_a_pace_spaces_events_out() -> None:
    pace = Pace(100)
    waits = [pace.wait_seconds(10, now=50.0) for _ in range(4)]
    assert waits == pytest.approx([0.0, 0.1, 0.2, 0.3])


def test_a_pace_does_not_make_up_for_idle_time() -> None:
    pace = Pace(100)
    pace.wait_seconds(10, now=50.0)
    assert [pace.wait_seconds(10, now=60.0), pace.wait_seconds(10, now=60.0)] == pytest.approx([0.0, 0.1])


def test_no_pace_waits_for_nothing() -> None:
    pace = Pace(0)
    assert [pace.wait_seconds(1_000, now=1.0) for _ in range(3)] == [0.0, 0.0, 0.0]


def test_a_client_that_does_not_tell_its_clock_sends_events_alone() -> None:
    posts = [post for post in Traffic(1, 1_800_000_000_000).backlog(3_000) if post.ahead_ms is None and not post.raw]
    assert posts
    for untold in posts:
        assert b"sent_at" not in encode_body(untold, 0)
