"""Why an event counts as what it counts: every enrichment of one visit with the rule behind it. Pure.

The answers are those of the rules that the flow asks; nothing is decided here.
"""

from __future__ import annotations

from typing import NamedTuple

from marketplace.clicks import bots
from marketplace.enrichments.device import DEVICE
from marketplace.enrichments.geo import GEO
from marketplace.enrichments.referral import REFERRAL, REFERRAL_VERSION, Origin, arrival, decide
from marketplace.enrichments.referral_channels import MEANINGS, Traffic, is_paid_medium
from marketplace.enrichments.referral_labels import read_label
from marketplace.enrichments.referral_links import host_of
from marketplace.enrichments.referrer_spam import spammer_of
from marketplace.enrichments.registry import Lookups
from marketplace.enrichments.store_rules import read_rules


class Visit(NamedTuple):
    """What is to be explained.

    Attributes:
        url, referrer, user_agent, ip: As an event has them.
        path: The page that it counts under.
        rules_text: What the store says; see ``Store.rules_text``.
        automated: The client says itself that it is automated.
    """

    url: str
    referrer: str = ""
    user_agent: str = ""
    ip: str = ""
    path: str = "/"
    rules_text: str = ""
    automated: bool = False


class Line(NamedTuple):
    """One value, and why it is that."""

    name: str
    value: str
    why: str


class Section(NamedTuple):
    """The values that are decided together, and the version of their rules."""

    name: str
    version: str
    lines: tuple[Line, ...]


def explain(visit: Visit, lookups: Lookups, matcher: bots.AgentMatcher, device_rule: str) -> tuple[Section, ...]:
    """Every enrichment of a visit with its rule and version.

    Args:
        visit: What is to be explained.
        lookups: Places and user agents.
        matcher: The list of crawlers.
        device_rule: What decided browser and device, in words of the lookup.
    """
    return (
        _where_from(visit, lookups),
        _person_or_bot(visit, matcher),
        _columns(
            "device", DEVICE.version(lookups), DEVICE.columns, DEVICE.enrich(lookups, (visit.user_agent,)), device_rule
        ),
        _columns(
            "place", GEO.version(lookups), GEO.columns, GEO.enrich(lookups, (visit.ip,)), "the network of the address"
        ),
    )


def _where_from(visit: Visit, lookups: Lookups) -> Section:
    clues = arrival(visit.url)
    decision = decide(clues, host_of(visit.referrer), read_rules(visit.rules_text))
    origin, traffic = decision.origin, decision.visit
    ignored = bool(host_of(visit.referrer)) and not decision.answer[4]
    entry = f": {origin.entry}" if origin.entry else ""
    source = f"{origin.rule}{entry}" + ("; the store ignores this referrer" if ignored else "")
    kind = traffic.category or "no known kind of site"
    label = clues.labels.source
    if clues.ad is not None and label and traffic.category and not read_label(label).category:
        kind = f"{kind}, as {clues.ad.entry} is of {clues.ad.source}"
    paid = _paid_by(clues.ad, traffic)
    why = {
        "source": source,
        "medium": "utm_medium" if clues.labels.medium else "by the source",
        "channel": f"{MEANINGS[decision.answer[3]]} ({kind}{paid})",
        "referrer_host": "the host of the referrer alone is kept",
        "campaign": "utm_campaign",
        "term": "utm_term",
        "content": "utm_content",
    }
    lines = zip(REFERRAL.columns, decision.answer, strict=True)
    kept = [Line(name, value, why[name]) for name, value in lines if value or name in ("source", "medium", "channel")]
    return Section("where from", REFERRAL_VERSION, tuple(kept))


def _paid_by(ad: Origin | None, traffic: Traffic) -> str:
    if ad is not None:
        return f"; paid by the ad's click id {ad.entry}"
    if traffic.paid:
        return "; paid by a label of ads"
    return f"; paid by the medium {traffic.medium}" if is_paid_medium(traffic.medium) else ""


def _person_or_bot(visit: Visit, matcher: bots.AgentMatcher) -> Section:
    agent, evidence = bots.judge_agent(visit.user_agent, matcher), bots.agent_evidence(visit.user_agent, matcher)
    of_event = bots.event_reasons(visit.path, visit.automated)
    of_referrer = bots.referrer_reasons(visit.referrer)
    reasons = (*agent.reasons, *of_event, *of_referrer)
    texts = {**evidence, bots.REFERRER_SPAM: spammer_of(host_of(visit.referrer))}
    lines = [Line("counts as", "bot" if reasons else "person", "" if reasons else "no reason to take it for a bot")]
    for reason in reasons:
        found = f" ({texts[reason]})" if texts.get(reason) else ""
        lines.append(Line("reason", reason, bots.REASONS[reason] + found))
    if reasons:
        named = "by its user agent" if agent.kind else "by the reasons"
        lines.append(Line("bot_kind", bots.bot_kind(reasons, agent), named))
    return Section("person or bot", bots.version(matcher), tuple(lines))


def _columns(name: str, version: str, columns: tuple[str, ...], answer: tuple[str, ...], why: str) -> Section:
    found = [Line(column, value, why) for column, value in zip(columns, answer, strict=True) if value]
    return Section(name, version, tuple(found) or (Line(columns[0], "", "unknown"),))
