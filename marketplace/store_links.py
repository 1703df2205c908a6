"""What a store says of the hosts that visitors come from, and of its pages' addresses: the checks of these settings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Literal

from marketplace.enrichments.store_rules import SourceRule, is_below, plain_host
from marketplace.enrichments.text import MAX_VALUE_CHARS, label

MAX_HOSTS: Final = 100
"""Hosts in one list of a store, and rules of sources: each is compared with each distinct referrer."""

_RULE: Final = "source rule"

TrailingSlash = Literal["keep", "strip"]
PageCase = Literal["keep", "lower"]


class InvalidLinkRule(ValueError):
    """A host or rule cannot be one of a store's; the message says which, and why.

    Args:
        kind: What it is, such as ``payment host``.
        value: The host or label that it is about; empty where it is about all of them.
        reason: Why, without any value.
    """

    def __init__(self, kind: str, value: str, reason: str) -> None:
        super().__init__(f"{kind} {value!r}: {reason}" if value else f"{kind}s: {reason}")
        self.kind, self.value, self.reason = kind, value, reason

    @property
    def setting(self) -> str:
        """The field of a store that it is in."""
        return f"{self.kind.replace(' ', '_')}s"


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
            raise InvalidLinkRule(field, text, "give a host alone, such as pay.example")
        hosts[host] = None
    _check_count(field, len(hosts))
    return tuple(hosts)


def checked_source_rule(match: str, value: str, source: str, medium: str = "") -> SourceRule:
    """A rule for sources as a store has it: its host in the one form, its labels folded.

    Raises:
        InvalidLinkRule: It matches neither referrers nor labels, or a part of it is missing.
    """
    labels = [source.casefold(), medium.casefold(), value.casefold() if match == "utm_source" else ""]
    # What is too long is cut in events; a rule that is cut would be another one than was meant.
    if max(map(len, labels)) > MAX_VALUE_CHARS:
        raise InvalidLinkRule(_RULE, value[:MAX_VALUE_CHARS], f"a label has {MAX_VALUE_CHARS} characters at most")
    source, medium, folded = map(label, labels)
    if not source or source.startswith("("):
        raise InvalidLinkRule(_RULE, value, "it needs a source, and names in parentheses are the system's")
    if match == "referrer":
        return SourceRule("referrer", checked_hosts(_RULE, [value])[0], source, medium)
    if match == "utm_source":
        if not folded:
            raise InvalidLinkRule(_RULE, value, "it needs the utm_source that it is for")
        return SourceRule("utm_source", folded, source, medium)
    raise InvalidLinkRule(_RULE, value, "it matches 'referrer' or 'utm_source', and nothing else")


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
            raise InvalidLinkRule(field, "", "write each once and in one form: lower case, xn--, without www.")
        _check_reach(field, hosts, is_below)
        for host in hosts:
            if any(is_below(domain, host) for domain in own):
                raise InvalidLinkRule(field, host, "it is one of the store's own domains, or above one")
    for host in payment:
        if any(is_below(host, other) or is_below(other, host) for other in ignored):
            raise InvalidLinkRule("payment host", host, "it is among the ignored referrers too")
    _check_count(_RULE, len(sources))
    for rule in sources:
        if checked_source_rule(rule.match, rule.value, rule.source, rule.medium) != rule:
            raise InvalidLinkRule(_RULE, rule.value, "it is not in its one form")
        if rule.match == "referrer":
            _check_referrer_rule(rule.value, own, ignored)
    _check_reach(_RULE, [rule.value for rule in sources if rule.match == "referrer"], is_below)
    _check_reach(_RULE, [rule.value for rule in sources if rule.match == "utm_source"], str.__eq__)


def _check_referrer_rule(host: str, own: tuple[str, ...], ignored: tuple[str, ...]) -> None:
    if any(is_below(domain, host) for domain in own):
        raise InvalidLinkRule(_RULE, host, "it is one of the store's own domains, or above one")
    if any(is_below(host, other) for other in ignored):
        raise InvalidLinkRule(_RULE, host, "it is among the ignored referrers too")


def _check_reach(field: str, values: Iterable[str], covers: Callable[[str, str], bool]) -> None:
    """Each value must match something that none before it matches."""
    seen: list[str] = []
    for value in values:
        for earlier in seen:
            if covers(value, earlier):
                raise InvalidLinkRule(field, value, "it can never match: one before it has all of that")
        seen.append(value)


def _check_count(field: str, count: int) -> None:
    if count > MAX_HOSTS:
        raise InvalidLinkRule(field, "", f"{MAX_HOSTS} at most, not {count}")


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
