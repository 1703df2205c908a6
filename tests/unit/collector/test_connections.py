"""What a client can do to a connection, on raw sockets."""

from __future__ import annotations

import socket
from contextlib import ExitStack

import msgspec

from marketplace.networks import parse_networks
from marketplace.token_bucket import BucketPolicy
from runtime.http.protocol import MAX_HEAD_BYTES
from tests.kits.collector import WRITE_KEY, Collector, error_of, running_collector, with_limits

HEAD = f"POST /v1/collect HTTP/1.1\r\nhost: x\r\nx-write-key: {WRITE_KEY}\r\n"


def connect(collector: Collector) -> socket.socket:
    port = int(collector.url.rpartition(":")[2])
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def read_all(connection: socket.socket) -> bytes:
    received = b""
    while chunk := connection.recv(65_536):
        received += chunk
    return received


def test_a_client_that_never_finishes_its_headers_is_cut_off() -> None:
    with running_collector(with_limits(head_timeout_seconds=0.2)) as collector, connect(collector) as connection:
        connection.sendall(b"POST /v1/collect HTTP/1.1\r\nhost: x\r\n")

        assert read_all(connection) == b""


def test_a_client_that_stalls_after_an_answer_is_cut_off() -> None:
    with running_collector(with_limits(head_timeout_seconds=0.2)) as collector, connect(collector) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        answer = b""
        while not answer.endswith(b"ok\n"):
            answer += connection.recv(65_536)
        connection.sendall(b"GET /hea")

        assert read_all(connection) == b""


def test_a_client_that_never_finishes_its_body_gets_408() -> None:
    with running_collector(with_limits(body_timeout_seconds=0.2)) as collector, connect(collector) as connection:
        connection.sendall(f"{HEAD}content-length: 100\r\n\r\n{{".encode())

        assert read_all(connection).startswith(b"HTTP/1.1 408")


def test_headers_beyond_the_bound_are_refused() -> None:
    with running_collector() as collector, connect(collector) as connection:
        # No more than what is read at one time: bytes that nobody reads reset the connection, and the answer with it.
        connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-long: " + b"x" * MAX_HEAD_BYTES)

        assert read_all(connection).startswith(b"HTTP/1.1 4")


def test_a_declared_length_beyond_the_bound_is_refused_before_the_body_is_asked_for() -> None:
    with running_collector() as collector, connect(collector) as connection:
        connection.sendall(f"{HEAD}expect: 100-continue\r\ncontent-length: 10000000\r\n\r\n".encode())

        assert read_all(connection).startswith(b"HTTP/1.1 413")


def test_a_client_that_goes_away_in_the_middle_harms_nobody() -> None:
    with running_collector() as collector:
        with connect(collector) as connection:
            connection.sendall(f"{HEAD}content-length: 100\r\n\r\n{{".encode())
        answer = collector.post({"event_id": "a"})

    assert answer.status_code == 202


def answers(received: bytes) -> list[int]:
    """The statuses of all answers in a row."""
    return [int(part[:3]) for part in received.split(b"HTTP/1.1 ")[1:]]


def read_answers(connection: socket.socket, count: int) -> list[int]:
    """Read until so many answers began and the last body ended."""
    received = b""
    while len(answers(received)) < count or not received.rstrip().endswith((b"}", b"ok")):
        chunk = connection.recv(65_536)
        if not chunk:
            break
        received += chunk
    return answers(received)


EVENT = b'{"event_id":"upgraded"}'
OFFER = (
    HEAD.encode()
    + b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAARAAAAA\r\n"
    + b"content-length: %d\r\n" % len(EVENT)
)


def test_an_offer_to_upgrade_costs_no_event() -> None:
    with running_collector() as collector, connect(collector) as connection:
        connection.sendall(OFFER + b"\r\n" + EVENT)

        assert read_answers(connection, 1) == [202]
        connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        assert read_answers(connection, 1) == [200]
        assert [click.event_id for click in collector.clicks()] == ["upgraded"]


def test_an_offer_to_upgrade_costs_no_event_that_comes_after_its_head() -> None:
    with running_collector() as collector, connect(collector) as connection:
        connection.sendall(OFFER + b"expect: 100-continue\r\n\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 100")
        connection.sendall(EVENT)

        assert read_answers(connection, 1) == [202]
        assert [click.event_id for click in collector.clicks()] == ["upgraded"]


def test_a_tunnel_is_refused() -> None:
    with running_collector() as collector, connect(collector) as connection:
        connection.sendall(b"CONNECT x:443 HTTP/1.1\r\nhost: x\r\n\r\n")

        assert answers(read_all(connection)) == [400]


CHUNKED = b"POST /nowhere HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"


def is_cut_off(connection: socket.socket, piece: bytes) -> bool:
    """Whether the other end closes before it has taken a lot."""
    try:
        for _ in range(64 * 1024 * 1024 // len(piece)):
            connection.sendall(piece)
    except ConnectionError:
        return True
    return False


def test_fields_behind_a_body_have_the_bound_of_a_head() -> None:
    with running_collector() as collector, connect(collector) as connection:
        connection.sendall(CHUNKED)

        assert is_cut_off(connection, b"a: b\r\n" * 1_000)


def test_one_field_behind_a_body_has_the_bound_of_a_head() -> None:
    with running_collector() as collector, connect(collector) as connection:
        connection.sendall(CHUNKED + b"a: ")

        assert is_cut_off(connection, b"b" * 10_000)


def test_a_body_that_comes_after_its_answer_does_not_keep_a_connection() -> None:
    with running_collector(with_limits(head_timeout_seconds=0.2)) as collector, connect(collector) as connection:
        connection.sendall(b"POST /nowhere HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n")
        assert read_answers(connection, 1) == [404]
        connection.sendall(b"ab")

        assert read_all(connection) == b""


def test_a_few_requests_may_wait_for_the_one_before_them() -> None:
    with running_collector() as collector, connect(collector) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n" * 5)

        assert read_answers(connection, 5) == [200] * 5


def test_many_requests_may_not_wait_for_the_one_before_them() -> None:
    with running_collector() as collector, connect(collector) as connection:
        assert is_cut_off(connection, b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n" * 1_000)


def test_a_head_in_one_piece_has_the_same_bound() -> None:
    with running_collector() as collector, connect(collector) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-long: " + b"x" * 40_000 + b"\r\n\r\n")

        assert answers(read_all(connection)) == [400]


def test_a_length_and_chunks_at_once_are_refused() -> None:
    with running_collector() as collector, connect(collector) as connection:
        connection.sendall(f"{HEAD}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n".encode())

        assert answers(read_all(connection)) == [400]


def chunked(event_id: str, head: str = "", trailer: str = "") -> bytes:
    body = f'{{"event_id":"{event_id}"}}'
    start = f"POST /v1/collect HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n{head}\r\n"
    return f"{start}{len(body):x}\r\n{body}\r\n0\r\n{trailer}\r\n".encode()


def test_fields_behind_a_body_mean_nothing() -> None:
    key, said = f"x-write-key: {WRITE_KEY}\r\n", "x-forwarded-for: 198.51.100.9\r\ndnt: 1\r\nuser-agent: DirtyDays\r\n"
    with running_collector() as collector:
        with connect(collector) as connection:
            connection.sendall(chunked("a", key + "x-forwarded-for: 203.0.113.7\r\nuser-agent: Before\r\n", said))
            assert read_answers(connection, 1) == [202]
        with connect(collector) as connection:
            connection.sendall(chunked("b", "", key))
            assert read_answers(connection, 1) == [401]
        (click,) = collector.clicks()

    assert (click.ip, click.user_agent, click.opted_out) == ("203.0.113.0", "Before", False)


def test_a_close_behind_a_body_is_heard() -> None:
    key = f"x-write-key: {WRITE_KEY}\r\n"
    with running_collector() as collector, connect(collector) as connection:
        connection.sendall(chunked("a", key, "connection: close\r\n"))

        assert answers(read_all(connection)) == [202]


def test_a_client_that_does_not_take_its_answers_is_cut_off() -> None:
    body = msgspec.json.encode([{"event_id": f"{number:064}"} for number in range(1_000)])
    free = BucketPolicy(0, 1)
    limits = with_limits(head_timeout_seconds=0.2, store_limit=free, client_limit=free)
    with running_collector(limits) as collector, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
        connection.settimeout(10)
        connection.connect(("127.0.0.1", int(collector.url.rpartition(":")[2])))

        assert is_cut_off(connection, f"{HEAD}content-length: {len(body)}\r\n\r\n".encode() + body)


def test_who_has_nothing_more_to_ask_gets_all_answers() -> None:
    requests = [f"{HEAD}content-length: 16\r\n\r\n" + f'{{"event_id":"{n}"}}' for n in range(4)]
    with running_collector() as collector, connect(collector) as connection:
        connection.sendall("".join(requests).encode())
        connection.shutdown(socket.SHUT_WR)

        assert answers(read_all(connection)) == [202] * 4
        assert [click.event_id for click in collector.clicks()] == ["0", "1", "2", "3"]


def test_who_goes_away_in_the_middle_of_a_body_is_not_waited_for() -> None:
    with running_collector(with_limits(body_timeout_seconds=60)) as collector, connect(collector) as connection:
        connection.sendall(f"{HEAD}content-length: 100\r\n\r\n{{".encode())
        connection.shutdown(socket.SHUT_WR)

        assert read_all(connection) == b""


def test_a_body_sent_in_another_way_than_in_chunks_is_refused() -> None:
    with running_collector() as collector, connect(collector) as connection:
        connection.sendall(f"{HEAD}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n".encode())

        assert answers(read_all(connection)) == [400]


def test_an_old_client_is_not_reported_to_go_on() -> None:
    head = HEAD.replace("HTTP/1.1", "HTTP/1.0")
    with running_collector() as collector, connect(collector) as connection:
        connection.sendall(f'{head}expect: 100-continue\r\ncontent-length: 16\r\n\r\n{{"event_id":"a"}}'.encode())

        assert answers(read_all(connection)) == [202]


def test_a_body_in_thousands_of_tiny_pieces_is_cut_off_and_one_in_ordinary_pieces_is_read() -> None:
    chunked = f"{HEAD}transfer-encoding: chunked\r\nconnection: close\r\n\r\n".encode()
    event = b'{"event_id":"a","url":"https://shop.example/"}'
    with running_collector() as collector:
        with connect(collector) as connection:
            connection.sendall(chunked + b"1\r\n \r\n" * 5_000)
            assert not read_all(connection).startswith(b"HTTP/1.1 202")
        with connect(collector) as connection:
            padding = b" " * 100
            connection.sendall(chunked + b"64\r\n%s\r\n" % padding * 5_000)
            connection.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (len(event), event))
            assert read_all(connection).startswith(b"HTTP/1.1 202")


def test_one_address_cannot_hold_all_the_room_for_bodies() -> None:
    room = with_limits(max_body_bytes=1_000, max_reading_bytes=8_000, trusted_proxies=parse_networks("127.0.0.0/8"))
    with running_collector(room) as collector, ExitStack() as opened:
        for number in range(12):
            connection = opened.enter_context(connect(collector))
            head = f"{HEAD}x-forwarded-for: 192.0.2.{1 if number < 11 else 2}\r\ncontent-length: 1000\r\n\r\n"
            connection.sendall(head.encode() + b" " * 990)
            if number == 11:
                connection.sendall(b'{"event_i')
        other = collector.post(b'{"event_id":"a"}', **{"x-forwarded-for": "192.0.2.3"})
        assert other.status_code == 202
        refused = collector.post(b'{"event_id":"b"}' + b" " * 900, **{"x-forwarded-for": "192.0.2.1"})
        assert (refused.status_code, error_of(refused)["code"]) == (429, "too_many_bodies")
