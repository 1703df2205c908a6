"""What each format's lines are read as."""

from __future__ import annotations

from datetime import UTC
from zoneinfo import ZoneInfo

import pytest

from marketplace.access_logs.findings import has_no_agents, proxies_for_clients, referring_hosts, virtual_hosts
from marketplace.access_logs.nginx_format import InvalidFormat, NginxFormat
from marketplace.access_logs.prefixes import PREFIXES
from marketplace.access_logs.recognition import FORMATS, Reading, recognise
from marketplace.access_logs.requests import LoggedRequest, UnparseableLine
from marketplace.access_logs.views import COLLECTOR, FILE, METHOD, NO_PAGE, STATUS, VIEW, is_health_check, kind_of
from tests.kits.access_logs import (
    AGENT,
    ALB,
    AT_MS,
    CADDY,
    CLIENT,
    CLOUDFRONT,
    COMBINED,
    DOCKER,
    ELB,
    HAPROXY,
    IIS,
    NGINX_JSON,
    REST,
    S3,
    TRAEFIK,
)


def read(text: str) -> Reading:
    return recognise([line.encode() for line in text.split("\n")], UTC)


def only(text: str) -> LoggedRequest:
    reading = read(text)
    assert reading.sampled == len(reading.requests), reading.misfit
    return reading.requests[-1]


@pytest.mark.parametrize(
    ("text", "name", "host"),
    [
        (COMBINED, "combined", ""),
        (f"{CLIENT}:42910 {REST}", "combined", ""),
        (f"{COMBINED} 0.012 1234 shop", "combined", ""),
        (COMBINED.replace(" 512 ", " 512 0.012 33 "), "combined", ""),
        (f'{COMBINED} "-"\n10.0.0.5 {REST} "198.51.100.9"\n{COMBINED} "-"', "nginx_main", ""),
        (f"Shop.Example:443 {COMBINED}", "vhost_combined", "shop.example"),
        (f'"{CLIENT}, 172.19.1.10" 127.0.0.1 {REST}', "forwarded_combined", ""),
        (f"{CLIENT}, 172.19.1.10 {REST}", "forwarded_combined", ""),
        (f"{CLIENT}, 172.19.1.10 127.0.0.1 {REST}", "forwarded_combined", ""),
        (S3, "s3", "shop.example"),
        (HAPROXY, "haproxy", "shop.example"),
        (IIS, "w3c", "shop.example"),
        (CLOUDFRONT, "w3c", "shop.example"),
        (CADDY, "json", "shop.example"),
        (TRAEFIK, "json", "shop.example"),
        (NGINX_JSON, "json", "shop.example"),
    ],
)
def test_a_format_is_recognised_and_every_part_of_a_request_is_found(text: str, name: str, host: str) -> None:
    request = only(text)

    assert read(text).name == name
    assert (request.client, request.occurred_at_ms, request.method, request.target, request.status) == (
        CLIENT, AT_MS, "GET", "/p/mug?x=1", 200,
    )  # fmt: skip
    assert (request.referrer, request.user_agent, request.host) == ("https://www.google.com/", AGENT, host)


@pytest.mark.parametrize(("text", "name"), [(ALB, "alb"), (ELB, "elb")])
def test_a_load_balancer_of_aws_logs_whole_addresses_of_pages_and_no_referrers(text: str, name: str) -> None:
    request = only(text)

    assert read(text).name == name
    assert (request.client, request.occurred_at_ms, request.target, request.host, request.user_agent) == (
        CLIENT, AT_MS, "https://shop.example:443/p/mug?x=1", "shop.example", AGENT,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("before", "named"),
    [
        ("Nov 20 09:12:00 web1 nginx: ", "syslog (RFC 3164)"),
        ("<190>Nov  2 09:12:00 web1 nginx[123]: ", "syslog (RFC 3164)"),
        ("2026-11-20T09:12:00.123+01:00 web1 nginx: ", "syslog (RFC 3164)"),
        ('<190>1 2026-11-20T09:12:00.123Z web1 nginx 12 - [x@1 a="b\\"c"] ', "syslog (RFC 5424)"),
        ("2026-11-20T09:12:00.123456789Z stdout F ", "a container runtime (CRI)"),
        ("2026-11-20T09:12:00.123456789Z ", "kubectl logs --timestamps"),
        ("[pod/web-5d/nginx] ", "kubectl logs --prefix"),
        ("web-1  | ", "docker compose logs"),
    ],
)
def test_what_another_program_wrote_before_a_line_is_no_part_of_it(before: str, named: str) -> None:
    reading = read(f"{before}{COMBINED}\n{before}{COMBINED}")

    assert reading.prefix is not None
    assert (reading.prefix.name, {request.client for request in reading.requests}) == (named, {CLIENT})


def test_lines_inside_dockers_json_files_are_read_by_their_own_format() -> None:
    assert (read(DOCKER).name, only(DOCKER).client) == ("combined after the prefix of Docker's JSON files", CLIENT)


def test_a_line_that_the_container_runtime_has_cut_is_refused() -> None:
    cri = next(prefix for prefix in PREFIXES if "CRI" in prefix.name)

    with pytest.raises(UnparseableLine, match="cut this line"):
        cri.strip(b"2026-11-20T09:12:00Z stdout P 198.51.100.7 - - [")


def test_a_stray_line_of_syslog_is_refused_and_its_month_is_no_client() -> None:
    reading = read(f"{COMBINED}\n" * 20 + f"Nov 20 09:12:00 web1 nginx: {COMBINED}")

    assert (len(reading.requests), reading.sampled) == (20, 21)
    assert reading.misfit is not None
    assert reading.misfit.startswith(b"Nov")


def test_the_format_is_that_of_most_lines_and_not_of_the_first() -> None:
    reading = read(f"# nginx log, started by hand\n{COMBINED}\nshop.example:443 {COMBINED}\nshop.example:80 {COMBINED}")

    assert (reading.name, len(reading.requests), reading.sampled) == ("vhost_combined", 2, 4)


@pytest.mark.parametrize("text", ["", "\n \n", "hello world\nthis is no log", "{}\n{}", '{"a": 1}', "#Fields: date\n1"])
def test_text_that_is_no_log_has_no_requests(text: str) -> None:
    reading = read(text)

    assert reading.requests == ()
    assert reading.is_access_log() == (reading.sampled == 0)


def test_a_log_of_which_nine_in_ten_lines_are_something_else_is_still_one() -> None:
    assert read(f"{COMBINED}\n" + "starting worker\n" * 9).is_access_log()
    assert not read(f"{COMBINED}\n" + "starting worker\n" * 10).is_access_log()


def test_a_field_of_w3c_may_come_and_go_within_a_file() -> None:
    text = (
        f"#Fields: date time c-ip cs-uri-stem\n2026-11-20 09:12:00 {CLIENT} /a\n#Fields: time date cs-uri-stem c-ip\n"
    )
    request = only(text + f"09:12:00 2026-11-20 /b {CLIENT}")

    assert (request.client, request.target, request.occurred_at_ms, request.status) == (CLIENT, "/b", AT_MS, None)


def test_a_time_that_names_no_zone_is_read_in_the_one_that_is_given() -> None:
    line = HAPROXY.encode()

    assert recognise([line], ZoneInfo("Europe/Berlin")).requests[0].occurred_at_ms == AT_MS - 3_600_000


def test_a_field_named_request_may_have_the_path_alone() -> None:
    line = f'{{"Time":{AT_MS // 1000},"RemoteIP":"{CLIENT}","Request":"/p/mug","Query":"?x=1","Method":"GET"}}'

    request = only(line)

    assert (request.client, request.occurred_at_ms, request.method, request.target, request.status) == (
        CLIENT, AT_MS, "GET", "/p/mug?x=1", None,
    )  # fmt: skip


def test_bytes_that_are_no_json_because_nginx_escapes_them_are_read() -> None:
    line = NGINX_JSON.replace(AGENT, r"say \x22hi\x22").encode() + b""

    assert recognise([line], UTC).requests[0].user_agent == 'say "hi"'
    assert recognise([line.replace(b"hi", b"\xe9")], UTC).requests[0].user_agent == 'say "é"'


def test_addresses_behind_the_agent_are_read_as_the_proxies_list() -> None:
    reading = read(f'10.0.0.5 {REST} "203.0.113.9, {CLIENT}"\n10.0.0.5 {REST} "203.0.113.8"')

    assert [request.forwarded for request in reading.requests] == [f"203.0.113.9, {CLIENT}", "203.0.113.8"]
    assert proxies_for_clients(reading.requests) == ["10.0.0.5"]


@pytest.mark.parametrize(
    "lines",
    [
        [f'{CLIENT} {REST} "-"'],
        [f'{CLIENT} {REST} "{CLIENT}"'],
        [f'203.0.113.{n} {REST} "10.0.0.{n}"' for n in range(9)],
        [COMBINED],
    ],
)
def test_clients_that_are_no_proxies_are_not_taken_for_them(lines: list[str]) -> None:
    assert proxies_for_clients(read("\n".join(lines)).requests) == []


def test_public_addresses_that_bring_others_along_are_proxies_and_half_of_the_requests_is_enough() -> None:
    lines = [f'203.0.113.{n % 2} {REST} "198.51.100.{n}"' for n in range(5)]

    assert proxies_for_clients(read("\n".join(lines)).requests) == ["203.0.113.0", "203.0.113.1"]
    assert proxies_for_clients(read("\n".join([*lines, *[f'{CLIENT} {REST} "-"'] * 5])).requests) != []
    assert proxies_for_clients(read("\n".join([*lines, *[f'{CLIENT} {REST} "-"'] * 6])).requests) == []


def test_the_hosts_of_a_log_are_known_from_its_requests_and_its_referrers() -> None:
    reading = read(f"shop.example:443 {COMBINED}\n192.0.2.1:80 {COMBINED}\nshop.example:80 {COMBINED}")

    assert virtual_hosts(reading.requests) == {"shop.example": 2}
    assert referring_hosts(reading.requests) == {"www.google.com": 3}


def test_a_log_without_user_agents_is_known() -> None:
    reading = read(COMBINED[: COMBINED.index(' "https')])

    assert reading.name == "common"
    assert has_no_agents(reading.requests)


MAIN = """log_format main '$remote_addr - $remote_user [$time_local] "$request" '
    '$status $body_bytes_sent "$http_referer" "$http_user_agent" "$http_x_forwarded_for" $host rt=$request_time';"""


def test_a_log_format_of_nginx_is_read_as_the_configuration_has_it() -> None:
    request = NginxFormat(MAIN, UTC).parse(f'{COMBINED} "203.0.113.9, 203.0.113.8" Shop.Example rt=0.1'.encode())

    assert (request.client, request.occurred_at_ms, request.target) == (CLIENT, AT_MS, "/p/mug?x=1")
    assert (request.host, request.forwarded, request.user_agent) == ("shop.example", "203.0.113.9, 203.0.113.8", AGENT)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "$time_iso8601 $remote_addr $request_method $uri?$args $status",
            f"2026-11-20T09:12:00Z {CLIENT} GET /p/mug?x=1 200",
        ),
        ("$msec|$remote_addr|$request|$status", f"1795165920.000|{CLIENT}|GET /p/mug?x=1 HTTP/2.0|200"),
        (
            "$time_local ${remote_addr} $request $status",
            f"20/Nov/2026:09:12:00 +0000 {CLIENT} GET /p/mug?x=1 HTTP/2.0 200",
        ),
    ],
)
def test_other_variables_of_nginx_say_the_same(text: str, line: str) -> None:
    request = NginxFormat(text, UTC).parse(line.encode())

    assert (request.client, request.occurred_at_ms, request.method, request.target, request.status) == (
        CLIENT, AT_MS, "GET", "/p/mug?x=1", 200,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("$remote_addr $request", "no time"),
        ("$time_local $request", "no client"),
        ("$remote_addr $time_local", "no request"),
        ("$remote_addr$time_local $request", "nothing between them"),
        ("$remote_addr $time_local $request $", "names no variable"),
    ],
)
def test_a_log_format_that_cannot_be_read_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidFormat, match=reason):
        NginxFormat(text, UTC)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_can_be_asked_for_by_its_name(name: str) -> None:
    texts = (COMBINED, f"a.example {COMBINED}", f'"{CLIENT}" 10.0.0.1 {REST}', ALB, ELB, S3, HAPROXY, IIS, CADDY)

    found = [recognise([line.encode() for line in text.split("\n")], UTC, [FORMATS[name]]) for text in texts]

    assert any(len(reading.requests) == 1 for reading in found)


def request_for(target: str = "/", method: str = "GET", status: int | None = 200, agent: str = AGENT) -> LoggedRequest:
    return LoggedRequest(CLIENT, AT_MS, method, target, status, user_agent=agent, agent_as_logged=agent)


@pytest.mark.parametrize(
    ("request_", "kind"),
    [
        (request_for(), VIEW),
        (request_for(status=304), VIEW),
        (request_for(status=None), VIEW),
        (request_for("/p/mug.v2/notes"), VIEW),
        (request_for("https://shop.example:443/p/mug"), VIEW),
        (request_for(method="POST"), METHOD),
        (request_for(method="HEAD"), METHOD),
        (request_for(status=404), STATUS),
        (request_for(status=301), STATUS),
        (request_for("/feed.xml"), FILE),
        (request_for("/price-list.PDF?x=1"), FILE),
        (request_for(""), NO_PAGE),
        (request_for("/v1/collect", "POST"), COLLECTOR),
        (request_for("https://shop.example/v1/pixel.gif?key=a"), COLLECTOR),
        (request_for("/m.js"), COLLECTOR),
    ],
)
def test_a_page_view_is_a_page_that_was_asked_for_and_answered(request_: LoggedRequest, kind: str) -> None:
    assert kind_of(request_) == kind


@pytest.mark.parametrize(
    ("request_", "is_check"),
    [
        (request_for("/", agent="ELB-HealthChecker/2.0"), True),
        (request_for("/", agent="kube-probe/1.29"), True),
        (request_for("/healthz", agent="curl/8"), True),
        (request_for("/ping", agent=""), True),
        (request_for("/health"), False),
        (request_for("/p/mug", agent="curl/8"), False),
    ],
)
def test_a_machine_that_asks_whether_the_server_is_up_is_a_health_check(
    request_: LoggedRequest, is_check: bool
) -> None:
    assert is_health_check(request_) is is_check
