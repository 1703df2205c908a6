from __future__ import annotations

from datetime import UTC

import pytest

from ingest.imports.apache_format import ApacheFormat
from marketplace.access_logs.nginx_format import InvalidFormat
from marketplace.access_logs.requests import UnparseableLine

AT_MS = 1_795_165_920_000
VHOST = (
    r'LogFormat "%v:%p %h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\" %D \"%{X-Forwarded-For}i\"" mine'
)


def test_a_log_format_of_apache_is_read_as_the_configuration_has_it() -> None:
    line = (
        b'Shop.Example:443 10.0.0.5 - - [20/Nov/2026:09:12:00 +0000] "GET /p/mug HTTP/1.1" 200 512 '
        rb'"https://www.google.com/" "caf\xc3\xa9 \"1\"" 1234 "198.51.100.7"'
    )

    request = ApacheFormat(VHOST, UTC).parse(line)

    assert (request.client, request.occurred_at_ms, request.method, request.target) == (
        "10.0.0.5",
        AT_MS,
        "GET",
        "/p/mug",
    )
    assert (request.host, request.forwarded, request.status) == ("shop.example", "198.51.100.7", 200)
    assert (request.referrer, request.user_agent) == ("https://www.google.com/", 'café "1"')


def test_times_and_parts_of_a_request_may_stand_alone() -> None:
    request = ApacheFormat("%{%Y-%m-%d %H:%M:%S}t %a %m %U%q %>s", UTC).parse(
        b"2026-11-20 09:12:00 198.51.100.7 GET /p/mug?x=1 404"
    )

    assert (request.client, request.occurred_at_ms, request.method, request.target, request.status) == (
        "198.51.100.7",
        AT_MS,
        "GET",
        "/p/mug?x=1",
        404,
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [("%h %t %r %Y", "cannot be used"), ("%h %r", "no time"), ("%t %r", "no client"), ("%h %t", "no request")],
)
def test_a_format_that_cannot_be_read_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidFormat, match=reason):
        ApacheFormat(text, UTC)


@pytest.mark.parametrize("line", [b"", b"something else", b"x" * 100_000])
def test_a_line_of_another_form_is_unparseable(line: bytes) -> None:
    with pytest.raises(UnparseableLine):
        ApacheFormat(VHOST, UTC).parse(line)
