"""``python -m ops.reference.api``: writes docs/reference/api.md; a test checks it.

The prose is ``api_template.md`` beside this file; the tables are made of the catalogue of problems, the tiers, the
limits and the rules of the routes.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from string import Template
from typing import Final

from api.analytics.answers import MAX_OF_STORE
from api.limits import ADDRESS, ATTEMPTS_OF_ACCOUNT, ATTEMPTS_OF_ADDRESS, MAILS_TO_ADDRESS
from api.server import CONNECTIONS_OF_ADDRESS, HEAD_SECONDS
from api.web.bodies import BODY_SECONDS, MAX_BODY_BYTES, MAX_DEPTH, REQUEST_SECONDS
from api.web.edge import MAX_REQUESTS, SEND_SECONDS
from api.web.problems import PROBLEM_TYPES
from api.web.routes import Rule
from marketplace.entitlements import ENTITLEMENTS, Entitlements
from marketplace.token_bucket import BucketPolicy
from ops.reference.access import rules
from runtime.http.protocol import MAX_HEAD_BYTES

TARGET: Final = Path(__file__).resolve().parents[2] / "docs" / "reference" / "api.md"
_TEMPLATE: Final = Path(__file__).with_name("api_template.md")


def reference() -> str:
    """The page as Markdown."""
    return Template(_TEMPLATE.read_text()).substitute(
        body_kib=MAX_BODY_BYTES >> 10,
        depth=MAX_DEPTH,
        head_kib=MAX_HEAD_BYTES >> 10,
        head_seconds=f"{HEAD_SECONDS:g}",
        connections=CONNECTIONS_OF_ADDRESS,
        seconds=f"{REQUEST_SECONDS:g}",
        body_seconds=f"{BODY_SECONDS:g}",
        send_seconds=f"{SEND_SECONDS:g}",
        most_requests=f"{MAX_REQUESTS:,}",
        most_questions=MAX_OF_STORE,
        problems="".join(_problems()),
        buckets="".join(_buckets()),
        tiers="".join(_tiers()),
        costs="".join(_costs(rules())),
    )


def _problems() -> Iterable[str]:
    yield "| type | status | title | what to do |\n|---|---|---|---|\n"
    for kind in PROBLEM_TYPES:
        yield f"| `{kind.uri}` | {kind.status} | {kind.title} | {kind.remedy} |\n"


def _buckets() -> Iterable[str]:
    yield "| bucket | tokens | tokens a second | full after |\n|---|---|---|---|\n"
    for tier, entitlements in ENTITLEMENTS.items():
        yield _bucket(f"account with the plan {tier.value}, API key of a store of it", entitlements.requests)
    yield _bucket("address, nobody signed in", ADDRESS)
    yield _bucket("attempts at one account", ATTEMPTS_OF_ACCOUNT)
    yield _bucket("attempts from one address", ATTEMPTS_OF_ADDRESS)
    yield _bucket("mails of one kind to one address", MAILS_TO_ADDRESS)


def _bucket(name: str, policy: BucketPolicy) -> str:
    rate = f"{policy.rate_per_second:g}" if policy.rate_per_second >= 1 else f"1 in {1 / policy.rate_per_second:.0f} s"
    seconds = math.ceil(policy.burst / policy.rate_per_second)
    return f"| {name} | {policy.burst:g} | {rate} | {seconds:,} s |\n"


def _tiers() -> Iterable[str]:
    tiers = list(ENTITLEMENTS)
    names = " | ".join(tier.value for tier in tiers)
    yield f"| what a plan (`tier` here) includes | {names} |\n|---|{'---|' * len(tiers)}\n"
    rows: dict[str, Callable[[Entitlements], str]] = {
        "stores of an account": lambda e: f"{e.stores:,}",
        "members of a store, with invitations that wait": lambda e: f"{e.members:,}",
        "products of a store": lambda e: f"{e.products:,}",
        "days of history of numbers": lambda e: f"{e.history_days:,}",
        "numbers as CSV": lambda e: "yes" if e.csv_export else "no",
        "more than one host of a store": lambda e: "yes" if e.custom_domain else "no",
    }
    for title, value in rows.items():
        yield f"| {title} | {' | '.join(value(ENTITLEMENTS[tier]) for tier in tiers)} |\n"


def _costs(found: Mapping[tuple[str, str], Rule]) -> Iterable[str]:
    by_cost: defaultdict[float, list[str]] = defaultdict(list)
    for (method, path), rule in sorted(found.items(), key=lambda item: (item[0][1], item[0][0])):
        by_cost[rule.cost].append(f"`{method} {path}`")
    yield "| tokens | routes |\n|---|---|\n"
    for cost, routes in sorted(by_cost.items()):
        yield f"| {cost:g} | {', '.join(routes)} |\n"


if __name__ == "__main__":
    TARGET.write_text(reference())
