"""What the first lines of a log say about it, beside its format: hosts, and proxies in the clients' place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from marketplace.access_logs.clients import addresses_in, is_private
from marketplace.access_logs.requests import LoggedRequest
from marketplace.clicks.visitors import parse_ip
from marketplace.enrichments.referral_links import host_of
from marketplace.hosts import canonical_host


def virtual_hosts(requests: Iterable[LoggedRequest]) -> Counter[str]:
    """The hosts that were asked for; a host that is an address is no shop's."""
    return Counter(request.host for request in requests if request.host and parse_ip(request.host.strip("[]")) is None)


def referring_hosts(requests: Iterable[LoggedRequest]) -> Counter[str]:
    """The hosts of the referrers; the shop's own is mostly the first of them."""
    hosts = (canonical_host(host_of(request.referrer)) for request in requests if request.referrer)
    return Counter(host for host in hosts if host)


def proxies_for_clients(requests: Sequence[LoggedRequest]) -> list[str]:
    """The addresses in the clients' place that are proxies', as the log has the clients' own beside them.

    That is so where at least half of the requests have a list of addresses that the client is not in: a server that
    puts the client in its place takes it from that list. A private address that a public client reports is its own
    network's. The most frequent come first; an empty list means that the clients are clients, as far as one can see.
    """
    proxies = Counter(request.client for request in requests if _is_behind(request))
    return [client for client, _ in proxies.most_common()] if proxies.total() * 2 >= len(requests) else []


def _is_behind(request: LoggedRequest) -> bool:
    others = addresses_in(request.forwarded)
    if not is_private(request.client):
        others = [address for address in others if not is_private(address)]
    return bool(others) and request.client not in others


def has_no_agents(requests: Sequence[LoggedRequest]) -> bool:
    """Whether no request names a browser: by the rules for bots, all are then machines."""
    return bool(requests) and not any(request.user_agent for request in requests)
