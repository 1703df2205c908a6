"""A store's own rules for referrals, as the text in which they reach the enrichment.

The flow asks an enrichment once for each distinct combination of texts, so a store's rules are one text: its domains in
the first line, and a line for each further rule. Any text can be read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from marketplace.enrichments.text import label
from marketplace.hosts import canonical_host

_PAYMENT: Final = "payment"
_IGNORED: Final = "ignored"
_SOURCE: Final = "source"
MATCHES: Final = ("referrer", "utm_source")


@dataclass(frozen=True)
class SourceRule:
    """A store's own name for where visits come from.

    Attributes:
        match: What is compared: the referrer's host (with its subdomains), or ``utm_source``.
        value: The host, or the label.
        source: The source that it is counted as.
        medium: The medium, unless the link says one; empty for that of the kind of site.
    """

    match: Literal["referrer", "utm_source"]
    value: str
    source: str
    medium: str = ""


class StoreRules(NamedTuple):
    """What a store says of hosts. Hosts have one form and no ``www.``; each stands for its subdomains too."""

    domains: tuple[str, ...] = ()
    payment: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    sources: tuple[SourceRule, ...] = ()

    def rule_for_referrer(self, host: str) -> SourceRule | None:
        """The first rule that a referrer's host fits."""
        return next((rule for rule in self.sources if rule.match == "referrer" and is_below(host, rule.value)), None)

    def rule_for_label(self, source: str) -> SourceRule | None:
        """The first rule for a value of ``utm_source``, compared whole."""
        return next((rule for rule in self.sources if rule.match == "utm_source" and source == rule.value), None)


def is_below(host: str, root: str) -> bool:
    """Whether a host is another one or a subdomain of it."""
    return bool(root) and (host == root or host.endswith("." + root))


def rules_text(
    domains: tuple[str, ...], payment: tuple[str, ...], ignored: tuple[str, ...], sources: tuple[SourceRule, ...]
) -> str:
    """A store's rules as one text; ``read_rules`` reads it."""
    lines = [",".join(domains)]
    lines += [f"{_PAYMENT}\t{host}" for host in payment]
    lines += [f"{_IGNORED}\t{host}" for host in ignored]
    lines += ["\t".join((_SOURCE, rule.match, rule.value, rule.source, rule.medium)) for rule in sources]
    return "\n".join(lines)


def read_rules(text: str) -> StoreRules:
    """The rules in a text; what is none is passed over. Total and deterministic."""
    first, *lines = text.split("\n")
    fields = [line.split("\t") for line in lines]
    return StoreRules(
        _hosts(first.split(",")),
        _hosts([field[1] for field in fields if field[0] == _PAYMENT and len(field) == 2]),
        _hosts([field[1] for field in fields if field[0] == _IGNORED and len(field) == 2]),
        tuple(rule for field in fields if (rule := _source_rule(field)) is not None),
    )


def plain_host(text: str) -> str:
    """A host in its one form, without ``www.``; empty for what is none."""
    return canonical_host(text).removeprefix("www.")


def _hosts(texts: list[str]) -> tuple[str, ...]:
    return tuple(host for text in texts if (host := plain_host(text.strip())))


def _source_rule(fields: list[str]) -> SourceRule | None:
    if len(fields) != 5 or fields[0] != _SOURCE:
        return None
    _, match, value, source, medium = fields
    if match == "referrer":
        rule = SourceRule("referrer", plain_host(value), label(source), label(medium))
    elif match == "utm_source":
        rule = SourceRule("utm_source", label(value.casefold()), label(source), label(medium))
    else:
        return None
    return rule if rule.value and rule.source else None
