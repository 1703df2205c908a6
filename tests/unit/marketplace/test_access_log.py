from __future__ import annotations

import time

import pytest

from marketplace.access_logs.combined import CombinedFormat
from marketplace.access_logs.line_ids import LineIds
from marketplace.access_logs.requests import MAX_LINE_BYTES, LoggedRequest, UnparseableLine
from marketplace.access_logs.times import log_time_ms
from marketplace.access_logs.views import ASSET, kind_of, page_url

LINE = (
    b'203.0.113.7 - - [17/May/2015:10:05:03 +0000] "GET /a/page.html?x=1 HTTP/1.1" 200 2326 '
    b'"http://example.org/from" "Mozilla/5.0 (X11)"'
)
AT_MS = 1_431_857_103_000
SECRET = "5a" * 32


def parse_line(line: bytes) -> LoggedRequest:
    return CombinedFormat().parse(line)


def is_asset(target: str) -> bool:
    return kind_of(LoggedRequest("192.0.2.1", AT_MS, "GET", target, 200)) == ASSET


def line(request: bytes = b"GET / HTTP/1.1", referrer: bytes = b"-", agent: bytes = b"Browser") -> bytes:
    return b'host - - [17/May/2015:10:05:03 +0000] "%s" 200 5 "%s" "%s"' % (request, referrer, agent)


def test_a_combined_line_is_read_field_by_field() -> None:
    request = parse_line(LINE)

    assert (request.client, request.occurred_at_ms, request.status) == ("203.0.113.7", AT_MS, 200)
    assert request.target == "/a/page.html?x=1"
    assert request.referrer == "http://example.org/from"
    assert request.user_agent == "Mozilla/5.0 (X11)"


@pytest.mark.parametrize(
    ("logged", "client"),
    [
        ("2001:db8::1", "2001:db8::1"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("host.example.org", "host.example.org"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:42910", "192.0.2.1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
    ],
)
def test_the_client_may_be_ipv6_or_a_host_name_and_its_port_is_no_part_of_it(logged: str, client: str) -> None:
    assert parse_line(LINE.replace(b"203.0.113.7", logged.encode())).client == client


@pytest.mark.parametrize("word", ["-", "2026-11-20T09:12:00Z", "[pod/web/nginx]", "12345", '"192.0.2.1"', "a,b"])
def test_a_first_word_that_is_no_client_is_refused_and_not_counted_as_one(word: str) -> None:
    with pytest.raises(UnparseableLine, match="neither an address nor a host name"):
        parse_line(LINE.replace(b"203.0.113.7", word.encode()))


def test_a_dash_is_an_empty_field_but_still_an_agent_of_its_own() -> None:
    request = parse_line(line(referrer=b"-", agent=b"-"))

    assert (request.referrer, request.user_agent, request.agent_as_logged) == ("", "", "-")


@pytest.mark.parametrize(
    ("logged", "agent"),
    [
        (rb"say \"hi\" \\ now", 'say "hi" \\ now'),
        (rb"\x22quoted\x22", '"quoted"'),
        (b"caf\xc3\xa9", "café"),
        (b"caf\xe9", "café"),
        (rb"caf\xc3\xa9", "café"),
    ],
)
def test_escapes_are_undone_and_no_byte_is_lost(logged: bytes, agent: str) -> None:
    assert parse_line(line(agent=logged)).user_agent == agent


@pytest.mark.parametrize("request_line", [b"-", b"", rb"\x16\x03\x01", b"quit", b"\x00\x01 /"])
def test_a_request_that_is_not_http_counts_as_one_without_a_page(request_line: bytes) -> None:
    request = parse_line(line(request=request_line))

    assert request.target == ""
    assert page_url(request.target, "shop.example") == ""


@pytest.mark.parametrize(
    ("request_line", "target"),
    [
        (b"GET /a b HTTP/1.0", "/a b"),
        (b"GET /", "/"),
        (b"HEAD / HTTP/2.0", "/"),
        (b"GET http://other.example/x HTTP/1.1", "http://other.example/x"),
        (b"OPTIONS * HTTP/1.1", "*"),
    ],
)
def test_the_target_is_what_stands_between_method_and_version(request_line: bytes, target: str) -> None:
    assert parse_line(line(request=request_line)).target == target


@pytest.mark.parametrize(
    "parseable",
    [
        b'h - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200',
        b'h - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 -',
        b'h - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 5 "-" "Browser" "203.0.113.9" rt=0.1',
        b'h - first second [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 5 "-" "Browser"',
    ],
)
def test_client_time_request_and_status_are_enough_and_more_may_follow(parseable: bytes) -> None:
    assert parse_line(parseable).occurred_at_ms == AT_MS


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (b"", "the line is empty"),
        (b"   ", "the line is empty"),
        (b"hello world", "client and time are not there"),
        (LINE[:-1], "a quoted field is not closed"),
        (LINE[:77], "request and status are not there"),
        (LINE[:60], "a quoted field is not closed"),
        (line(agent=rb"say \"hi").replace(b" 200 ", b" OK "), "request and status are not there"),
        (LINE.replace(b" 200 ", b" OK "), "request and status are not there"),
        (LINE.replace(b"May", b"Mai"), "the time is not of the form"),
        (LINE.replace(b"17/May", b"31/Feb"), "the time is not a date"),
        (LINE.replace(b"2015", b"1960"), "the time is before 1970"),
        (LINE.replace(b"+0000", b"+9900"), "the time is not a date"),
        (LINE + b" " * MAX_LINE_BYTES, "longer than"),
    ],
)
def test_what_is_not_of_the_format_is_unparseable_with_a_reason(broken: bytes, reason: str) -> None:
    with pytest.raises(UnparseableLine, match=reason):
        parse_line(broken)


@pytest.mark.parametrize("filler", [b" [", b'"', rb"\"", b'" "', b"a ", b" [x] "])
def test_a_hostile_line_is_refused_in_linear_time(filler: bytes) -> None:
    hostile = LINE[:50] + filler * (MAX_LINE_BYTES // len(filler) - 50)
    started = time.perf_counter()

    with pytest.raises(UnparseableLine):
        parse_line(hostile)

    assert time.perf_counter() - started < 1.0


@pytest.mark.parametrize(
    ("text", "epoch_ms"),
    [
        (b"17/May/2015:10:05:03 +0000", AT_MS),
        (b"17/May/2015:12:05:03 +0200", AT_MS),
        (b"17/May/2015:04:35:03 -0530", AT_MS),
        (b"31/Dec/2016:23:59:60 +0000", 1_483_228_799_000),
    ],
)
def test_a_time_is_read_with_its_offset(text: bytes, epoch_ms: int) -> None:
    assert log_time_ms(text) == epoch_ms


@pytest.mark.parametrize(
    ("target", "asset"),
    [
        ("/style.css?v=3", True),
        ("/IMAGES/LOGO.PNG", True),
        ("/app.js.map", True),
        ("/page.html", False),
        ("/", False),
        ("/css", False),
        ("/release.v1/notes", False),
        ("/find?q=logo.png", False),
        ("", False),
    ],
)
def test_assets_are_recognized_by_their_extension(target: str, asset: bool) -> None:
    assert is_asset(target) is asset


def test_a_path_becomes_a_page_of_the_stores_own_host() -> None:
    assert page_url("/a?b=c", "shop.example") == "https://shop.example/a?b=c"
    assert page_url("http://other.example/x", "shop.example") == "http://other.example/x"


def test_a_file_read_again_gives_the_same_ids_and_two_equal_lines_give_two() -> None:
    lines = [b"one", b"two", b"one", b"one"]
    first, second = LineIds("shop", SECRET), LineIds("shop", SECRET)

    ids = [first.next_id(each) for each in lines]

    assert ids == [second.next_id(each) for each in lines]
    assert len(set(ids)) == 4


def test_a_grown_file_gives_its_old_lines_their_old_ids() -> None:
    old, grown = LineIds("shop", SECRET), LineIds("shop", SECRET)

    before = [old.next_id(each) for each in (b"one", b"one")]
    after = [grown.next_id(each) for each in (b"one", b"one", b"two", b"one")]

    assert after[:2] == before
    assert len(set(after)) == 4


def test_the_id_of_a_line_cannot_be_made_without_the_stores_secret() -> None:
    assert LineIds("shop", SECRET).next_id(b"one") != LineIds("shop", "5b" * 32).next_id(b"one")
    assert LineIds("shop", SECRET).next_id(b"one") != LineIds("other", SECRET).next_id(b"one")


def test_equal_lines_are_distinguished_within_the_stated_bound() -> None:
    ids = LineIds("shop", SECRET, max_lines=10)
    first = ids.next_id(b"again")
    for number in range(9):
        ids.next_id(b"%d" % number)

    assert ids.next_id(b"again") != first


def test_the_ids_of_lines_do_not_change_with_the_code() -> None:
    ids = LineIds("shop", SECRET)

    assert [ids.next_id(LINE), ids.next_id(LINE)] == [
        "f8a149536f5c90d39c3b88dd09a4f608",
        "de3d3e47ec063eb532d71b31e92add1a",
    ]


@pytest.mark.parametrize(
    ("target", "asset"),
    [("/a/b.css", True), ("/v1.2/page", False), ("/a.b/c.JS?v=3", True), ("/page.html#x.css", False), ("/css", False)],
)
def test_an_asset_is_known_by_the_ending_of_its_last_part(target: str, asset: bool) -> None:
    assert is_asset(target) == asset


def test_a_target_that_is_neither_a_path_nor_an_absolute_url_has_no_page() -> None:
    assert page_url("*", "shop.example") == ""


def test_the_longest_line_is_read() -> None:
    assert parse_line(line(agent=b"x" * (MAX_LINE_BYTES - len(line(agent=b""))))).status == 200
    with pytest.raises(UnparseableLine, match="longer than"):
        parse_line(line(agent=b"x" * (MAX_LINE_BYTES + 1 - len(line(agent=b"")))))


def test_blanks_in_a_target_stay_as_they_are() -> None:
    assert parse_line(line(request=b"GET /a  b HTTP/1.1")).target == "/a  b"
    assert parse_line(line(request=b"GET HTTP/1.1")).target == "HTTP/1.1"
