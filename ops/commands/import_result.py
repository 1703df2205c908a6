"""What an import says at its end: what became of the lines, by kind and by outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import closing, suppress
from typing import Final

from connectors.clickhouse.client import ClickHouse
from connectors.errors import Unavailable
from connectors.insights.report import Analytics
from ingest.imports.access_log import ImportCounts
from marketplace.access_logs.views import ASSET, COLLECTOR, FILE, METHOD, NO_PAGE, OTHER_HOST, STATUS
from marketplace.clicks.outcomes import DUPLICATE, OUTCOMES
from runtime.sections import Settings

_ANSWER_SECONDS: Final = 5.0
_WORDS: Final = {
    ASSET: ("asset", "assets"),
    FILE: ("file", "files"),
    METHOD: ("request by another method", "requests by other methods"),
    STATUS: ("error or redirect", "errors and redirects"),
    NO_PAGE: ("request for no page", "requests for no page"),
    COLLECTOR: ("request to the collector", "requests to the collector"),
    OTHER_HOST: ("request for another host", "requests for other hosts"),
}


def sentence(counts: ImportCounts, kinds: Mapping[str, int]) -> str:
    """The lines by what became of them.

    Args:
        counts: All of them.
        kinds: Those that were left out, by kind; empty where that is not known.
    """
    left_out = counts.assets_skipped + counts.not_views
    of_kinds = ", ".join(f"{number:,} {_WORDS[kind][number != 1]}" for kind, number in kinds.items())
    no_views = f"{left_out:,} left out as no page views" + (f" ({of_kinds})" if of_kinds else "")
    others = [
        (left_out, no_views),
        (counts.out_of_range, f"{counts.out_of_range:,} outside of --from and --until"),
        (counts.unparseable, f"{counts.unparseable:,} unparseable"),
        (counts.blank, f"{counts.blank:,} blank"),
        (counts.unended, f"{counts.unended:,} without an end yet"),
        (counts.headings, f"{counts.headings:,} {'heading' if counts.headings == 1 else 'headings'}"),
    ]
    more = "".join(f", {text}" for number, text in others if number)
    lines = f"{counts.lines:,} {'line' if counts.lines == 1 else 'lines'} read"
    return f"{lines}: {counts.sent:,} sent{more}." if counts.lines else f"{lines}: there is nothing to import."


def outcomes_of(settings: Settings, store: str) -> Counter[str] | None:
    """The ledger's outcomes of a store so far; None while ClickHouse is unavailable."""
    clickhouse = ClickHouse(settings.urls.clickhouse, settings.database, timeout_seconds=_ANSWER_SECONDS)
    total: Counter[str] = Counter()
    with closing(clickhouse), suppress(Unavailable):
        for row in Analytics(clickhouse).ledger(store):
            total.update(row.outcomes)
        return total
    return None


def said_of_outcomes(store: str, since: Mapping[str, int]) -> str:
    """What the flow has made of what was sent.

    Args:
        store: The slug.
        since: What the ledger has more than before; live events of the meantime are among it.
    """
    found = [f"{since[outcome.name]:,} {outcome.name}" for outcome in reversed(OUTCOMES) if since.get(outcome.name)]
    again = " (had been sent before)" if since.get(DUPLICATE.name) else ""
    return f"  the ledger of {store} has since this import began: {', '.join(found)}{again}" if found else ""
