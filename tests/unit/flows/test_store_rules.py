"""What a store says of its own links and pages, and what kind of bot an event is of, in the rows of the fact table."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kits.clicks import GOOGLEBOT, STORES, as_log, event, ms, run

NOON = ms("2025-03-12T12:00:00")


def fact(**fields: Any) -> dict[str, Any]:
    (row,) = run(as_log([event(NOON, **fields)])).pages.tables["clicks"]
    return row


@pytest.mark.parametrize("path", ["/Shoes/", "/shoes", "/SHOES//"])
def test_a_page_counts_under_the_path_that_its_store_gives_it(path: str) -> None:
    assert fact(store="gamma", url=f"https://gamma.example{path}")["page"] == "/shoes"


def test_a_page_of_another_store_in_the_same_batch_counts_as_it_is_written() -> None:
    events = [
        event(NOON, event_id=store, store=store, url=f"https://{store}.example/Shoes/") for store in ("alpha", "gamma")
    ]
    rows = run(as_log(events), (2,)).pages.tables["clicks"]
    assert {row["store"]: row["page"] for row in rows} == {"alpha": "/Shoes/", "gamma": "/shoes"}
    assert STORES["gamma"].has_page_rules
    assert not STORES["alpha"].has_page_rules


def test_a_scanners_path_is_found_in_any_letter_case_by_a_store_that_counts_in_one() -> None:
    assert fact(store="gamma", url="https://gamma.example/WP-Admin/")["bot_reasons"] == "probe"


def test_a_return_from_the_stores_own_payment_page_is_internal() -> None:
    assert fact(store="gamma", referrer="https://pay.blog.example/3ds")["source"] == "(internal)"
    assert fact(store="alpha", referrer="https://pay.blog.example/3ds")["source"] == "pay.blog.example"


def test_an_ignored_referrer_leaves_no_trace() -> None:
    row = fact(store="gamma", referrer="https://news.example/")
    assert (row["source"], row["referrer_host"]) == ("(direct)", "")


@pytest.mark.parametrize(
    ("fields", "reasons", "kind"),
    [
        ({}, "", ""),
        ({"user_agent": GOOGLEBOT}, "listed,self_named", "search"),
        ({"user_agent": GOOGLEBOT, "referrer": "https://semalt.com/"}, "listed,self_named,referrer_spam", "search"),
        ({"referrer": "https://www.semalt.com/x"}, "referrer_spam", "spam"),
        ({"user_agent": "kube-probe/1.29"}, "no_browser", "monitor"),
        ({"automated": True}, "declared", "declared"),
    ],
    ids=["person", "crawler", "crawler with a spammer's referrer", "spam", "health check", "declared"],
)
def test_a_fact_has_the_reasons_and_the_kind_of_its_bot(fields: dict[str, Any], reasons: str, kind: str) -> None:
    row = fact(**fields)
    assert (row["bot_reasons"], row["bot_kind"], row["is_bot"]) == (reasons, kind, 1 if reasons else 0)


def test_bots_of_one_kind_for_several_reasons_stand_together_in_a_batch() -> None:
    agents = ["kube-probe/1.29", "ELB-HealthChecker/2.0", GOOGLEBOT, "Prometheus/2.45.0", ""]
    events = [event(NOON + at, event_id=str(at), user_agent=agent) for at, agent in enumerate(agents)]
    rows = run(as_log(events), (len(events),)).pages.tables["clicks"]
    assert [row["bot_kind"] for row in rows] == ["monitor", "monitor", "search", "monitor", "unnamed"]
