from __future__ import annotations

import io

import pytest

from ops.commands.import_readings import ReadFile, RefusedImport, described, read_files, shop_host, trusted_proxies
from ops.commands.import_store import new_store
from ops.commands.log_progress import LogFile

REST = '- - [20/Nov/2026:09:12:00 +0000] "GET /p/mug HTTP/1.1" 200 512 "https://shop.example/" "Firefox/145.0"'
PLAIN = f"198.51.100.7 {REST}\n"
HOSTED = f"shop.example:443 {PLAIN}"


def files(*texts: str, format: str | None = None, zone: str = "UTC") -> list[ReadFile]:
    opened = [
        LogFile(f"{number}.log", io.BufferedReader(io.BytesIO(text.encode())), None)
        for number, text in enumerate(texts)
    ]
    return read_files(opened, format, zone)


def test_how_a_file_is_read_is_told_with_how_much_fits_and_what_does_not() -> None:
    (file,) = files(PLAIN * 3 + "\x1b[2Jbroken\n")

    text = described(file, ())

    assert text.startswith("0.log: read as combined (client from the first field); 3 of the first 4 lines fit")
    assert text.endswith("this one does not: \N{REPLACEMENT CHARACTER}[2Jbroken")


def test_each_file_has_a_format_of_its_own() -> None:
    assert [file.reading.name for file in files(PLAIN, HOSTED, "")] == ["combined", "vhost_combined", "combined"]


def test_a_file_that_is_no_log_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(RefusedImport, match=r"1\.log: nothing was sent, as none of its first 2 lines"):
        files(PLAIN, "hello\nworld\n")


def test_half_a_line_at_the_end_says_nothing_of_the_format() -> None:
    assert described(files(PLAIN + PLAIN[:90])[0], ()).endswith("1 of the first 1 lines fit")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_log_in_utf16_is_refused_with_the_name_of_its_encoding(encoding: str) -> None:
    opened = [LogFile("0.log", io.BufferedReader(io.BytesIO((PLAIN * 2).encode(encoding))), None)]

    with pytest.raises(RefusedImport, match="encoded in UTF-16"):
        read_files(opened, None, "UTC")


def test_a_format_can_be_forced_and_then_no_other_is_read() -> None:
    assert files(PLAIN, format="combined")[0].reading.name == "combined"
    assert files(PLAIN, format='%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-agent}i"')[0].reading.requests
    assert files(PLAIN, format='$remote_addr - - [$time_local] "$request" $status $body_bytes_sent $a')[
        0
    ].reading.requests
    with pytest.raises(RefusedImport, match="the format alb"):
        files(PLAIN, format="alb")


@pytest.mark.parametrize("format", ["nonsense", "%h %r", "$remote_addr"])
def test_a_format_that_cannot_be_used_is_refused(format: str) -> None:
    with pytest.raises(RefusedImport, match="--format"):
        files(PLAIN, format=format)


PROXIED = "".join(f'10.0.0.5 {REST} "198.51.100.{n}"\n' for n in range(3))


def test_proxies_in_the_clients_place_are_asked_about_before_anything_is_sent() -> None:
    with pytest.raises(RefusedImport, match=r"10\.0\.0\.5.*--trusted-proxy 10\.0\.0\.5 .*--trusted-proxy none"):
        trusted_proxies([], files(PROXIED))


def test_whoever_says_which_proxy_is_trusted_or_that_none_is_is_not_asked() -> None:
    assert list(map(str, trusted_proxies(["10.0.0.0/8", "192.0.2.1"], files(PROXIED)))) == [
        "10.0.0.0/8",
        "192.0.2.1/32",
    ]
    assert trusted_proxies(["none"], files(PROXIED)) == ()
    assert trusted_proxies([], files(PLAIN)) == ()


def test_trusting_no_proxy_and_trusting_one_is_refused_as_it_contradicts_itself() -> None:
    with pytest.raises(RefusedImport, match="stands alone"):
        trusted_proxies(["none", "10.0.0.0/8"], files(PROXIED))


def test_a_trusted_proxy_that_is_not_the_logs_own_does_not_help() -> None:
    with pytest.raises(RefusedImport, match="look like proxies"):
        trusted_proxies(["192.0.2.0/24"], files(PROXIED))
    with pytest.raises(RefusedImport, match="--trusted-proxy: 'proxy'"):
        trusted_proxies(["proxy"], files(PROXIED))


def nobody(question: str) -> str:
    raise AssertionError(question)


def test_the_shops_host_is_what_was_given_or_the_stores_own_domain() -> None:
    store = new_store("my-shop", "UTC", ["shop.example", "shop.test"])

    assert shop_host(files(PLAIN), None, ["Müller.example"], any_host=False, ask=nobody).host == "xn--mller-kva.example"
    assert shop_host(files(PLAIN), store, [], any_host=False, ask=nobody).own_hosts == ("shop.example", "shop.test")
    assert shop_host(files(PLAIN), store, ["www.shop.test"], any_host=False, ask=nobody).host == "www.shop.test"
    with pytest.raises(RefusedImport, match="store my-shop has the domains"):
        shop_host(files(PLAIN), store, ["other.example"], any_host=False, ask=nobody)


def test_the_one_host_that_every_line_names_is_the_shops() -> None:
    shop = shop_host(files(HOSTED, f"www.{HOSTED}"), None, [], any_host=False, ask=nobody)

    assert (shop.host, shop.own_hosts, shop.new) == ("shop.example", ("shop.example",), ("shop.example",))


@pytest.mark.parametrize("text", [PLAIN, HOSTED + HOSTED.replace("shop", "blog")])
def test_a_host_that_is_not_known_is_asked_for_with_those_that_were_found_and_never_guessed(text: str) -> None:
    asked: list[str] = []

    def answer(question: str) -> str:
        asked.append(question)
        return "Shop.Example"

    assert shop_host(files(text), None, [], any_host=False, ask=answer).host == "shop.example"
    assert "shop.example 1" in asked[0]
    with pytest.raises(RefusedImport, match=r"--domain HOST.*shop\.example 1"):
        shop_host(files(text), None, [], any_host=False, ask=None)


def test_an_answer_that_is_no_host_is_refused() -> None:
    with pytest.raises(RefusedImport, match="no host"):
        shop_host(files(PLAIN), None, [], any_host=False, ask=lambda _question: "https://x")


def test_another_sites_log_is_refused_unless_all_its_hosts_are_the_shops() -> None:
    with pytest.raises(RefusedImport, match=r"shop\.example 1.*none of the shop's"):
        shop_host(files(HOSTED), None, ["other.example"], any_host=False, ask=nobody)
    with pytest.raises(RefusedImport, match=r"192\.0\.2\.1 1.*none of the shop's"):
        shop_host(
            files(HOSTED.replace("shop.example:443", "192.0.2.1:80")), None, ["a.example"], any_host=False, ask=nobody
        )
    shop = shop_host(files(HOSTED), None, ["other.example"], any_host=True, ask=nobody)
    assert (shop.host, shop.own_hosts) == ("other.example", ())
