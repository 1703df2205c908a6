"""How the files of an import are read: the format, the clients and the hosts, all decided before anything is sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from zoneinfo import ZoneInfo

import msgspec

from connectors.errors import Refused
from ingest.imports.apache_format import ApacheFormat
from ingest.imports.log_files import LogLine, first_lines
from marketplace.access_logs.clients import client_behind
from marketplace.access_logs.findings import has_no_agents, proxies_for_clients, referring_hosts, virtual_hosts
from marketplace.access_logs.nginx_format import InvalidFormat, NginxFormat
from marketplace.access_logs.recognition import FORMATS, Factory, Reading, recognise
from marketplace.access_logs.requests import LineFormat, LoggedRequest, plain_text
from marketplace.enrichments.referral_sources import look_up
from marketplace.hosts import canonical_host
from marketplace.masking import mask_addresses
from marketplace.networks import Network, parse_networks
from marketplace.stores import Store, checked_zone
from ops.commands.log_progress import LogFile
from ops.commands.texts import printable

_MAX_EXAMPLE_CHARS = 160
_MAX_MASKED_BYTES = 4_096
_NO_PROXY = "none"
_FOUND_HOSTS = 5
_UTF16_BYTES = 64


class RefusedImport(Refused):
    """The import cannot be done as asked; nothing was sent. The message says what to add."""


@dataclass(frozen=True)
class ReadFile:
    """A file, and how it is read.

    Attributes:
        name: As given on the command line.
        lines: All of its lines.
        reading: The way of reading that most of its first lines fit.
        source: The file itself.
    """

    name: str
    lines: Iterator[LogLine]
    reading: Reading
    source: LogFile


def read_files(files: Sequence[LogFile], format: str | None, log_timezone: str) -> list[ReadFile]:
    """Find out how each file is read, from its first lines.

    Args:
        files: The opened files.
        format: A format's name, or a string of Apache's or nginx's; None to find out.
        log_timezone: The zone of times that name no offset.

    Raises:
        RefusedImport: The format or the zone is not known, or a file is no access log.
    """
    zone = ZoneInfo(checked_zone(log_timezone))
    factories = None if format is None else [_factory(format, zone)]
    found = []
    for file in files:
        sample, lines = first_lines(file.lines())
        # Half a line says nothing of the format, unless there is nothing else.
        contents = [line.content for line in sample if line.is_ended] or [line.content for line in sample]
        reading = recognise(contents, zone) if factories is None else recognise(contents, zone, factories)
        if not reading.is_access_log():
            raise RefusedImport(_no_log(file.name, reading, format))
        found.append(ReadFile(file.name, lines, reading, file))
    return found


def described(file: ReadFile, trusted: Sequence[Network]) -> str:
    """One line that says how a file is read, for the person who knows what is in it."""
    reading = file.reading
    if not reading.sampled:
        return f"{file.name}: no line to read"
    text = f"{file.name}: read as {reading.name}"
    if reading.format.fields:
        text += f" ({reading.format.fields})"
    if trusted:
        listed = any(request.forwarded for request in reading.requests)
        text += (
            ", client from the list of addresses behind the trusted proxies"
            if listed
            else ", with no list of addresses from trusted proxies"
        )
    text += f"; {len(reading.requests):,} of the first {reading.sampled:,} lines fit"
    if reading.misfit is not None:
        text += f", this one does not: {_example(reading.misfit)}"
    if has_no_agents(reading.requests):
        text += ". It has no user agents: by the rules for bots, all of its requests are machines'"
    return text


def trusted_proxies(texts: Sequence[str], files: Sequence[ReadFile]) -> tuple[Network, ...]:
    """The networks of ``--trusted-proxy``.

    Raises:
        RefusedImport: One is not a network; or the clients of a file are proxies, and it was not said what to do.
    """
    if list(texts) == [_NO_PROXY]:
        return ()
    if _NO_PROXY in texts:
        raise RefusedImport(f"--trusted-proxy {_NO_PROXY}: it stands alone, without a network; nothing was sent")
    try:
        networks = parse_networks(",".join(texts))
    except ValueError as error:
        raise RefusedImport(f"--trusted-proxy: {error}") from error
    for file in files:
        clients = [_behind(request, networks) for request in file.reading.requests]
        proxies = proxies_for_clients(clients)
        if proxies:
            shown, more = ", ".join(proxies[:3]), f" and {len(proxies) - 3:,} more" if len(proxies) > 3 else ""
            raise RefusedImport(
                f"{file.name}: the clients are {shown}{more}, which look like proxies, as "
                f"the lines have other addresses in a list beside them: say --trusted-proxy {proxies[0]} (or their "
                f"network) to count who is behind them, or --trusted-proxy {_NO_PROXY} to count them; nothing was sent"
            )
    return networks


@dataclass(frozen=True)
class ShopHost:
    """The shop's host.

    Attributes:
        host: For requests whose log does not name one.
        own_hosts: All that are the shop's; empty to take every host of the log.
        new: It was found in the log, and a store that is created gets it.
    """

    host: str
    own_hosts: tuple[str, ...] = ()
    new: tuple[str, ...] = ()


def shop_host(
    files: Sequence[ReadFile],
    store: Store | None,
    given: Sequence[str],
    *,
    any_host: bool,
    ask: Callable[[str], str] | None,
) -> ShopHost:
    """The shop's host: what was given, the store's own domain, or the one that the log names; it is never guessed.

    Args:
        files: The files.
        store: The store, if it is there.
        given: ``--domain``.
        any_host: Requests to any host are the shop's.
        ask: Asks the person a question; None where nobody is there.

    Raises:
        RefusedImport: It is not known, or the log is of other hosts.
    """
    requests = [request for file in files for request in file.reading.requests]
    logged = virtual_hosts(requests)
    own = _own(store, given)
    if not own:
        named = _common_parent(logged)
        if named and all(request.host for request in requests):
            return ShopHost(named, () if any_host else (named,), (named,))
        own = (_asked(logged or _unknown(referring_hosts(requests)), ask),)
        return ShopHost(own[0], () if any_host else own, own)
    if any_host:
        return ShopHost(own[0])
    # An address counts here: a server behind a proxy may see no other host.
    asked_for = Counter(request.host for request in requests if request.host)
    if asked_for and not any(_is_of(host, own) for host in asked_for):
        raise RefusedImport(
            f"the hosts of the log ({_counted(asked_for)}) are none of the shop's ({', '.join(own)}): is it the log of "
            "another site? Say --any-host if these are the shop's pages; nothing was sent"
        )
    return ShopHost(own[0], own)


def _own(store: Store | None, given: Sequence[str]) -> tuple[str, ...]:
    hosts = tuple(filter(None, map(canonical_host, given)))
    domains = tuple(filter(None, map(canonical_host, store.domains))) if store is not None else ()
    if not domains:
        return hosts
    strange = [host for host in hosts if not _is_of(host, domains)]
    if strange:
        raise RefusedImport(
            f"--domain {strange[0]}: store {store.slug if store else ''} has the domains {', '.join(domains)}; nothing "
            "was sent"
        )
    # What was given comes first: it says of which of its hosts the log is.
    return tuple(dict.fromkeys((*hosts, *domains)))


def _is_of(host: str, own: Sequence[str]) -> bool:
    roots = [each.removeprefix("www.") for each in own]
    return any(host == root or host.endswith(f".{root}") for root in roots)


def _common_parent(hosts: Counter[str]) -> str:
    """The host that all others are below, if there is one: ``shop.example`` for it and ``www.shop.example``."""
    shortest = min(hosts, key=len, default="")
    return shortest if shortest and all(_is_of(host, [shortest]) for host in hosts) else ""


def _asked(found: Counter[str], ask: Callable[[str], str] | None) -> str:
    seen = f" (in the log: {_counted(found)})" if found else ""
    if ask is None:
        raise RefusedImport(
            f"which host is the shop's? No one host is named by the store or by every line: give --domain HOST{seen}; "
            "nothing was sent"
        )
    host = canonical_host(ask(f"Which host is the shop's?{seen}"))
    if not host:
        raise RefusedImport("that is no host, such as shop.example; nothing was sent")
    return host


def _unknown(hosts: Counter[str]) -> Counter[str]:
    """Hosts without those of search engines and other known sites, which are no shop's own."""
    return Counter({host: number for host, number in hosts.items() if look_up(host) is None})


def _counted(hosts: Counter[str]) -> str:
    return ", ".join(f"{host} {requests:,}" for host, requests in hosts.most_common(_FOUND_HOSTS))


def _behind(request: LoggedRequest, networks: Sequence[Network]) -> LoggedRequest:
    return msgspec.structs.replace(request, client=client_behind(request, networks)) if networks else request


def _factory(format: str, zone: tzinfo) -> Factory:
    try:
        if "$" in format:
            of_nginx = NginxFormat(format, zone)
            return lambda _lines, _zone: [of_nginx]
        if "%" in format:
            of_apache: LineFormat = ApacheFormat(format, zone)
            return lambda _lines, _zone: [of_apache]
    except InvalidFormat as error:
        raise RefusedImport(f"--format: {error}; nothing was sent") from error
    if format not in FORMATS:
        raise RefusedImport(
            f"--format {format}: not known; {', '.join(FORMATS)}, or a string of Apache (with %) or nginx (with $)"
        )
    return FORMATS[format]


def _no_log(name: str, reading: Reading, format: str | None) -> str:
    wanted = "a format that is known" if format is None else f"the format {format}"
    if reading.misfit is not None and _is_utf16(reading.misfit):
        return f"{name}: nothing was sent, as it is encoded in UTF-16: iconv -f UTF-16 -t UTF-8 makes a log of it"
    if reading.sampled == 1:
        return f"{name}: nothing was sent, as its only line is not of {wanted}: {_example(reading.misfit or b'')}"
    fitting = f"only {len(reading.requests):,}" if reading.requests else "none"
    example = "" if reading.misfit is None else f"; the first that is not begins: {_example(reading.misfit)}"
    return f"{name}: nothing was sent, as {fitting} of its first {reading.sampled:,} lines is of {wanted}{example}"


def _is_utf16(line: bytes) -> bool:
    """Whether a line has two bytes a character: a mark of their order, or every second byte is zero."""
    beginning = line[:_UTF16_BYTES]
    zeros = [not half.strip(b"\0") for half in (beginning[::2], beginning[1::2])]
    return line.startswith((b"\xff\xfe", b"\xfe\xff")) or (len(line) > 1 and zeros.count(True) == 1)


def _example(line: bytes) -> str:
    # Masked before it is cut: half of an address would not be known for one.
    return printable(plain_text(mask_addresses(line[:_MAX_MASKED_BYTES]))[:_MAX_EXAMPLE_CHARS])
