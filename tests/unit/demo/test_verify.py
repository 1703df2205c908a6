"""Comparing and summing up: a difference is found, whichever number it is in."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest
from rich.console import Console

from connectors.insights.report import LedgerRow
from marketplace.clicks.outcomes import OUTCOMES
from ops.demo.report.render import show
from ops.demo.report.summary import StoreNumbers, Summary
from ops.demo.report.sums import add_ledger, since
from ops.demo.report.verify import Agreement, bucket_time, compare_ledger
from ops.demo.run.freshness import Freshness
from ops.oracle import Expected

HOUR = datetime(2026, 3, 14, 15, tzinfo=UTC)
HOUR_NUMBER = int(HOUR.timestamp()) // 3_600


def row(received: int, notes: dict[str, int] | None = None, store: str = "shop", **outcomes: int) -> LedgerRow:
    return LedgerRow(store, HOUR, received, outcomes, notes or {})


def expected(**outcomes: int) -> Expected:
    answer = Expected()
    for name, count in outcomes.items():
        for _ in range(count):
            answer.add("shop", HOUR_NUMBER, name)
    return answer


def ledger_differences(answer: Expected, rows: list[LedgerRow]) -> list[str]:
    agreement = Agreement()
    compare_ledger(agreement, answer, rows, {"shop"})
    assert agreement.compared > 0
    return agreement.differences


def test_equal_ledgers_agree() -> None:
    assert ledger_differences(expected(counted=3, bot=1), [row(4, counted=3, bot=1)]) == []


@pytest.mark.parametrize(
    "found",
    [
        [],
        [row(3, counted=3)],
        [row(4, counted=4)],
        [row(4, counted=2, bot=2)],
        [row(5, counted=3, bot=1)],
        [row(4, counted=3, bot=1, late=1)],
        [row(4, {"future_clamped": 1}, counted=3, bot=1)],
        [row(4, counted=3, bot=1), LedgerRow("shop", datetime(2026, 3, 14, 16, tzinfo=UTC), 1, {"counted": 1}, {})],
    ],
)
def test_any_other_ledger_differs(found: list[LedgerRow]) -> None:
    assert ledger_differences(expected(counted=3, bot=1), found) != []


def test_what_was_in_the_ledger_before_does_not_count() -> None:
    before = [row(10, {"clock_corrected": 2}, counted=9, late=1)]
    after = [row(14, {"clock_corrected": 3}, counted=12, late=1, bot=1)]
    grown = since(after, before, {"shop"})
    assert grown == [row(4, {"clock_corrected": 1}, counted=3, late=0, bot=1)]


def test_stores_of_others_are_left_out() -> None:
    rows = [row(1, counted=1), row(1, store="other", counted=1), row(1, store="", invalid=1)]
    assert [found.store for found in since(rows, [], {"shop"})] == ["shop", ""]


def test_an_exact_number_must_be_exact() -> None:
    agreement = Agreement()
    agreement.check("visitors", 100, 101)
    assert agreement.differences == ["visitors: 101 in the tables, 100 expected"]


def test_an_estimate_may_be_off_by_its_error_and_no_more() -> None:
    agreement = Agreement()
    agreement.check("visitors", 10_000, 10_100, within=116)
    assert agreement.differences == []
    agreement.check("visitors", 10_000, 10_117, within=116)
    assert len(agreement.differences) == 1


@pytest.mark.parametrize(
    ("label", "moment"),
    [
        ("2026-03-14T10:00:00+05:45", datetime(2026, 3, 14, 4, 15, tzinfo=UTC)),
        ("2026-11-01T01:00:00-05:00", datetime(2026, 11, 1, 6, tzinfo=UTC)),
        ("2026-03-14", datetime(2026, 3, 14, tzinfo=UTC)),
        ("2026-03", datetime(2026, 3, 1, tzinfo=UTC)),
    ],
)
def test_a_bucket_label_means_a_moment(label: str, moment: datetime) -> None:
    assert bucket_time(label) == moment


def test_the_summary_adds_up_what_the_ledger_has() -> None:
    summary = Summary()
    add_ledger(summary, [row(4, counted=3, bot=1), row(2, store="", invalid=2)])
    assert (summary.received, summary.ledger_difference) == (6, 0)
    assert summary.outcomes["counted"] == 3
    assert set(summary.outcomes) == {outcome.name for outcome in OUTCOMES}


def test_a_ledger_that_does_not_close_shows() -> None:
    summary = Summary()
    add_ledger(summary, [row(5, counted=3)])
    assert summary.ledger_difference == 2


def test_quantiles_are_of_the_sample() -> None:
    freshness = Freshness([0.001 * step for step in range(1, 101)])
    assert (freshness.quantile_ms(0.5), freshness.quantile_ms(0.99)) == (51, 100)


def test_no_sample_has_no_quantiles() -> None:
    assert Freshness().report() == {"p50": None, "p99": None, "samples": 0}


def shown(summary: Summary, width: int = 118) -> str:
    written = io.StringIO()
    show(summary, Console(width=width, file=written, highlight=False))
    return written.getvalue()


@pytest.mark.parametrize("oracle", [{}, {"compared": 764_645, "differences": 0}])
@pytest.mark.parametrize("width", [80, 109, 110, 118])
def test_no_heading_and_no_number_is_cut_off_on_a_terminal_of_80_columns(width: int, oracle: dict[str, int]) -> None:
    numbers = StoreNumbers("brooklyn-coffee", "Shop", "Australia/Lord_Howe", 20_995, 6_112, 721, 2_392, 0, 3_448, 1_148)
    numbers.bot_events, numbers.mongo, numbers.redis = 1_148, {"views": 20_995}, {"views": 541}
    text = shown(Summary(ok=True, received=4, outcomes={"counted": 4}, stores=[numbers], oracle=oracle), width)
    assert "\N{HORIZONTAL ELLIPSIS}" not in text
    for part in ("views", "visitors", "sessions", "bounce", "bots", "20,995", "2,392", "3,448", "1,148"):
        assert part in text
    assert all(part in text for part in ("Mongo", "Redis", "541")) == bool(oracle)
    assert ("Australia/Lord_Howe" in text) == (not oracle or width >= 110)


def test_the_screen_ends_the_ledger_with_zero() -> None:
    summary = Summary(ok=True, received=4, outcomes={"counted": 3, "bot": 1}, oracle={"compared": 7, "differences": 0})
    summary.stores = [StoreNumbers("shop", "Shop", "Asia/Kathmandu", views=3, sessions=2, mongo={"views": 3})]
    text = shown(summary)
    assert "= left over 0 The ledger closes." in " ".join(text.split())
    assert "7 numbers compared, all equal" in text
    assert "Asia/Kathmandu" in text


def test_the_screen_names_differences() -> None:
    summary = Summary(ledger_difference=1, oracle={"compared": 7, "differences": 1, "first": ["clicks: 1, 2 expected"]})
    text = shown(summary)
    assert "The ledger does not close." in text
    assert "clicks: 1, 2 expected" in text


def test_a_summary_is_one_document() -> None:
    document = Summary(stores=[StoreNumbers("shop", "Shop", "UTC")]).document()
    assert document["stores"][0]["store"] == "shop"
    assert {"ok", "sent", "received", "outcomes", "ledger_difference", "oracle", "seconds"} <= set(document)
