from __future__ import annotations

import time
from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.imports.apache_format import ApacheFormat
from marketplace.access_logs.balancers import AlbFormat, ElbFormat, HaproxyFormat, S3Format
from marketplace.access_logs.clients import addresses_in, client_behind
from marketplace.access_logs.combined import LAYOUTS, CombinedFormat
from marketplace.access_logs.json_lines import NAMES, JsonFormat
from marketplace.access_logs.nginx_format import NginxFormat
from marketplace.access_logs.prefixes import PREFIXES
from marketplace.access_logs.recognition import recognise
from marketplace.access_logs.requests import MAX_LINE_BYTES, LineFormat, LoggedRequest, UnparseableLine
from marketplace.access_logs.w3c import W3cFormat
from marketplace.networks import parse_networks
from tests.kits import access_logs as lines

W3C = W3cFormat(UTC)
W3C.parse(lines.IIS.split("\n")[0].encode())
FORMATS: dict[str, LineFormat] = {
    **{f"{layout.name} {number}": CombinedFormat(layout, forwarded_at=0) for number, layout in enumerate(LAYOUTS)},
    "alb": AlbFormat(UTC),
    "elb": ElbFormat(UTC),
    "s3": S3Format(),
    "haproxy": HaproxyFormat(UTC),
    "json": JsonFormat({part: names[0] for part, names in NAMES.items() if part != "request"}, UTC),
    "nginx json": JsonFormat({"client": "remote_addr", "time": "time_local", "request": "request"}, UTC),
    "w3c": W3C,
    "nginx": NginxFormat('$remote_addr - $remote_user [$time_local] "$request" $status "$http_user_agent"', UTC),
    "apache": ApacheFormat('%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"', UTC),
}
EXAMPLES = [
    text.split("\n")[-1].encode()
    for text in (
        lines.COMBINED,
        f"shop.example:443 {lines.COMBINED}",
        f'"{lines.CLIENT}" 10.0.0.1 {lines.REST}',
        *(lines.ALB, lines.ELB, lines.S3, lines.HAPROXY, lines.IIS),
        *(lines.CADDY, lines.TRAEFIK, lines.NGINX_JSON, lines.DOCKER),
    )
]
DAMAGED = st.builds(
    lambda line, start, length, put: line[:start] + put + line[start + length :],
    st.sampled_from(EXAMPLES),
    st.integers(0, 400),
    st.integers(0, 12),
    st.binary(max_size=4) | st.sampled_from([b'"', b"-", b" ", b"99999999999999999999", b"[", b"1e999", b"\\", b"{}"]),
)


@pytest.mark.parametrize("name", FORMATS)
@given(line=DAMAGED | st.binary(max_size=200))
def test_any_line_is_a_request_a_heading_or_unparseable_with_a_reason(name: str, line: bytes) -> None:
    try:
        request = FORMATS[name].parse(line)
        said = "a heading" if request is None else request.client
        at_ms = 0 if request is None else request.occurred_at_ms
    except UnparseableLine as error:
        said, at_ms = str(error), 0

    assert said
    assert at_ms >= 0


@given(st.lists(DAMAGED | st.binary(max_size=60), max_size=6))
def test_any_lines_can_be_judged(sample: list[bytes]) -> None:
    reading = recognise(sample, UTC)

    assert len(reading.requests) <= reading.sampled <= len(sample)
    assert (reading.misfit is None) == (len(reading.requests) == reading.sampled)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("filler", [b" ", b'"', b'" ', b"- ", b"a,", b"[", b"{", b'{"a":', b"1 ", b"\\", b"|"])
def test_a_hostile_line_costs_its_length_and_not_its_square(name: str, filler: bytes) -> None:
    started = time.perf_counter()
    for example in EXAMPLES[::3]:
        hostile = (example[:40] + filler * (MAX_LINE_BYTES // len(filler)))[:MAX_LINE_BYTES]
        try:
            FORMATS[name].parse(hostile)
        except UnparseableLine:
            continue

    assert time.perf_counter() - started < 2.0


@pytest.mark.parametrize("filler", [b" ", b'="', b"[a ", b'[a b="', b"a:", b"- "])
def test_a_hostile_prefix_costs_its_length_and_not_its_square(filler: bytes) -> None:
    started = time.perf_counter()
    for prefix in PREFIXES:
        for begin in (b"", b"<1>1 2026-11-20T09:12:00Z a b c d ", b"Nov 20 09:12:00 "):
            try:
                prefix.strip((begin + filler * (MAX_LINE_BYTES // len(filler)))[:MAX_LINE_BYTES])
            except UnparseableLine:
                continue

    assert time.perf_counter() - started < 2.0


ADDRESSES = st.sampled_from(["10.0.0.1", "10.9.9.9", "198.51.100.7", "203.0.113.9", "2001:db8::1"])


@given(st.lists(ADDRESSES, max_size=5), ADDRESSES)
def test_the_client_is_the_last_address_that_no_trusted_proxy_has(forwarded: list[str], peer: str) -> None:
    request = LoggedRequest(peer, 0, "GET", "/", 200, forwarded=", ".join(forwarded))
    hops = [*forwarded, peer]

    client = client_behind(request, parse_networks("10.0.0.0/8"))

    trusted = [hop.startswith("10.") for hop in hops]
    expected = hops[max((place for place, is_proxy in enumerate(trusted) if not is_proxy), default=0)]
    assert client == expected
    assert addresses_in(request.forwarded) == forwarded
