"""What was decided is read back the same from ClickHouse and from its twin in memory, and stands."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from marketplace.tables import CLICK_TABLES
from tests.kits.clicks import as_log, cut, differences, event, visitor_of
from tests.kits.clicks_pages import MemoryPages
from tests.kits.clicks_tables import HOUR, MINUTE, NOON, InMemory, Tables, clickhouse_tables, of_days, send, some_log
from tests.kits.clicks_worlds import WORLDS, accepted_anew, accepted_in, balances, counted_anew


@pytest.fixture(params=["memory", "clickhouse"])
def tables(request: pytest.FixtureRequest) -> Iterator[Tables]:
    if request.param == "memory":
        yield InMemory(MemoryPages())
        return
    with clickhouse_tables(request.getfixturevalue("clickhouse")) as made:
        yield made


def test_verdicts_are_the_facts_between_two_offsets_in_order_of_arrival(tables: Tables) -> None:
    send(tables, some_log())
    held = tables.pages.verdicts(0, 1, 5)
    assert held.offset.tolist() == [1, 3, 4, 5]
    assert held.outcome == ["refire", "counted", "counted", "bot"]
    assert held.is_bot.tolist() == [0, 0, 0, 1]
    assert held.occurred_ms.tolist() == [NOON + 500, *(NOON + minutes * MINUTE for minutes in (59, 61, 150))]
    assert held.received_ms.tolist() == held.occurred_ms.tolist()
    assert held.dedupe_hour.tolist() == [HOUR, HOUR, HOUR + 1, HOUR + 2]
    assert {visitor_of("alpha", number) for number in (1, 2)} == {
        f"{visitor:016x}" for visitor in held.visitor.tolist()
    }
    assert (held.store, set(held.origin), set(held.time_note)) == (["alpha"] * 4, {"web"}, {""})
    assert {name: held.columns[name][1] for name in ("page", "product", "campaign", "browser", "browser_version")} == {
        "page": "/caf\u00e9",
        "product": "p1",
        "campaign": "spring",
        "browser": "Chrome",
        "browser_version": held.columns["browser_version"][0],
    }
    assert {len(texts) for texts in held.columns.values()} == {4}


def test_a_verdict_says_what_was_done_to_the_time_and_where_it_came_from(tables: Tables) -> None:
    skewed = event(NOON + 86_400_000, sent_at_ms=NOON + 86_400_000, received_at_ms=NOON)
    send(tables, as_log([skewed, event(NOON, target="x", origin="import")]))
    held = tables.pages.verdicts(0, 0, 1)
    assert (held.time_note, held.origin) == (["clock_corrected", ""], ["web", "import"])
    assert (held.dedupe_hour.tolist(), held.occurred_ms.tolist()) == ([HOUR + 24, HOUR], [NOON, NOON])


def test_verdicts_hold_the_keys_by_which_the_past_is_known(tables: Tables) -> None:
    send(tables, some_log())
    held, pages = tables.pages.verdicts(0, 0, 10), tables.pages
    of_hour = held.dedupe_hour == HOUR
    assert sorted(held.key[of_hour].tolist()) == sorted(pages.dedupe_keys(0, [HOUR], 100)[HOUR].tolist())
    assert set(pages.clicks(0, [HOUR], 100)[0].tolist()) <= set(held.pair.tolist())


@pytest.mark.parametrize("written", range(len(CLICK_TABLES)))
def test_killed_at_a_fence_and_woken_in_another_world_all_tables_agree(tables: Tables, written: int) -> None:
    blocked = event(NOON, event_id="8", ip="203.0.113.0", url="https://alpha.example/freed")
    ours = event(NOON, store="beta", ip="81.2.69.0", referrer="https://www.google.com/")
    log = as_log([*(record.value for record in some_log()[:5]), blocked, ours, b"broken"], timestamp_ms=NOON)
    tables.write([WORLDS[0].machine(tables.pages, {}).process(batch) for batch in cut(log, (6,))], written)
    fences = tables.fences(0)
    machine = WORLDS[1].machine(tables.pages, fences)
    tables.write([machine.process(batch) for batch in cut(log, (6,), fences.values())])
    clicks = tables.clicks()
    assert differences(of_days(counted_anew(clicks)), of_days(tables.numbers())) == {}
    assert accepted_in(tables.ledger()) == accepted_anew(clicks)
    assert balances(tables.ledger()) == (len(log), set())
    assert {row["outcome"] for row in clicks} == ({"bot", "refire"} if written == 0 else {"counted", "refire"})
