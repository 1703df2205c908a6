"""What a store says of the hosts that visitors come from, and of its pages' addresses: the checks of these settings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Literal

from marketplace.enrichments.store_rules import SourceRule, is_below, plain_host
from marketplace.enrichments.text import label

MAX_HOSTS: Final = 100
"""Hosts in one list of a store, and rules of sources: each is compared with each distinct referrer."""

TrailingSlash = Literal["keep", "strip"]
PageCase = Literal["keep", "lower"]


class InvalidLinkRule(ValueError):
    """A host or rule cannot be one of a store's; the message says which, and why."""


def checked_hosts(field: str, texts: Iterable[str]) -> tuple[str, ...]:
    """Hosts as a store has them: in their one form, without ``www.`` and repetitions.

    Args:
        field: What the message calls them.
        texts: Hosts, which may be written with letters of any script.

    Raises:
        InvalidLinkRule: One of them is no host alone, or there are too many.
    """
    hosts: dict[str, None] = {}
    for text in texts:
        host = "" if ":" in text else plain_host(text.strip())
        if "." not in host:
            raise InvalidLinkRule(f"{field} {text!r}: give a host alone, such as pay.example")
        hosts[host] = None
    _check_count(field, len(hosts))
    return tuple(hosts)


def checked_source_rule(match: str, value: str, source: str, medium: str = "") -> SourceRule:
    """A rule for sources as a store has it: its host in the one form, its labels folded.

    Raises:
        InvalidLinkRule: It matches neither referrers nor labels, or a part of it is missing.
    """
    source, medium = label(source.casefold()), label(medium.casefold())
    if not source or source.startswith("("):
        raise InvalidLinkRule(
            f"source rule for {value!r}: it needs a source, and names in parentheses are the system's"
        )
    if match == "referrer":
        return SourceRule("referrer", checked_hosts("source rule", [value])[0], source, medium)
    if match == "utm_source":
        folded = label(value.casefold())
        if not folded:
            raise InvalidLinkRule("source rule: it needs the utm_source that it is for")
        return SourceRule("utm_source", folded, source, medium)
    raise InvalidLinkRule(f"source rule: it matches 'referrer' or 'utm_source', not {match!r}")


def check_link_rules(
    domains: tuple[str, ...], payment: tuple[str, ...], ignored: tuple[str, ...], sources: tuple[SourceRule, ...]
) -> None:
    """Check that a store's rules are in their one form, do not contradict each other, and can each match something.

    Raises:
        InvalidLinkRule: They are not, they do, or one of them cannot.
    """
    own = tuple(map(plain_host, domains))
    for field, hosts in (("payment host", payment), ("ignored referrer", ignored)):
        if checked_hosts(field, hosts) != hosts:
            raise InvalidLinkRule(
                f"{field}s: write each once and in one form, {', '.join(checked_hosts(field, hosts))}"
            )
        _check_reach(field, hosts, is_below)
        for host in hosts:
            if any(is_below(domain, host) for domain in own):
                raise InvalidLinkRule(f"{field} {host!r}: it is one of the store's own domains, or above one")
    for host in payment:
        if any(is_below(host, other) or is_below(other, host) for other in ignored):
            raise InvalidLinkRule(f"payment host {host!r}: it is among the ignored referrers too")
    _check_count("source rule", len(sources))
    for rule in sources:
        if checked_source_rule(rule.match, rule.value, rule.source, rule.medium) != rule:
            raise InvalidLinkRule(f"source rule for {rule.value!r}: it is not in its one form")
        if rule.match == "referrer":
            _check_referrer_rule(rule.value, own, ignored)
    _check_reach("source rule", [rule.value for rule in sources if rule.match == "referrer"], is_below)
    _check_reach("source rule", [rule.value for rule in sources if rule.match == "utm_source"], str.__eq__)


def _check_referrer_rule(host: str, own: tuple[str, ...], ignored: tuple[str, ...]) -> None:
    if any(is_below(domain, host) for domain in own):
        raise InvalidLinkRule(f"source rule for {host!r}: it is one of the store's own domains, or above one")
    if any(is_below(host, other) for other in ignored):
        raise InvalidLinkRule(f"source rule for {host!r}: it is among the ignored referrers too")


def _check_reach(field: str, values: Iterable[str], covers: Callable[[str, str], bool]) -> None:
    """Each value must match something that none before it matches."""
    seen: list[str] = []
    for value in values:
        for earlier in seen:
            if covers(value, earlier):
                raise InvalidLinkRule(f"{field} {value!r}: it can never match, {earlier!r} before it has all of that")
        seen.append(value)


def _check_count(field: str, count: int) -> None:
    if count > MAX_HOSTS:
        raise InvalidLinkRule(f"{field}s: {MAX_HOSTS} at most, not {count}")


def page_by_rules(page: str, trailing_slash: TrailingSlash, case: PageCase) -> str:
    """A page's path by its store's rules: one page has one address. Idempotent; total.

    Args:
        page: The path, which begins with a slash wherever the address was whole.
        trailing_slash: ``strip`` counts ``/shoes/`` and ``/shoes`` as one.
        case: ``lower`` counts ``/Shoes`` and ``/shoes`` as one.
    """
    if case == "lower":
        page = page.lower()
    if trailing_slash == "strip":
        page = page.rstrip("/") or "/"
    return page
