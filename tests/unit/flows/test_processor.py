"""One partition's machine: what a person would try by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.errors import Unavailable
from flows.arrays.types import U64
from flows.clicks.processor import PartitionProcessor
from flows.clicks.state.stored_rows import StoredSessions
from marketplace.clicks.bots import RATE_LIMIT_PER_MINUTE
from ops.oracle import Numbers, RollupKey
from tests.kits.clicks import (
    GOOGLEBOT,
    STORES,
    FixedStores,
    Run,
    as_batch,
    as_log,
    encoding_of,
    event,
    machine_on,
    ms,
    oracle,
    run,
    run_with_crashes,
    visitor_of,
)
from tests.kits.clicks_pages import MemoryPages

NOON = ms("2025-03-12T12:00:00")
MINUTE = 60_000
HOUR = 60 * MINUTE


def outcomes(done: Run) -> list[str]:
    """Outcomes of accepted events, in order of arrival."""
    return [row["outcome"] for row in done.pages.tables["clicks"]]


def ledger(done: Run) -> dict[str, int]:
    """Events by outcome."""
    counts: dict[str, int] = {}
    for (_, _, kind, name), events in done.pages.ledger().items():
        if kind == "outcome":
            counts[name] = counts.get(name, 0) + events
    return counts


def day_numbers(done: Run, day: str = "2025-03-12", bots: str = "exclude", **where: str) -> Numbers:
    """The numbers of a store's day."""
    bucket = datetime.fromisoformat(day).replace(tzinfo=UTC)
    dimension, value = next(iter(where.items()), ("all", ""))
    return done.pages.rollups(STORES)[RollupKey("alpha", "day", bucket, dimension, value, bots)]


@pytest.mark.parametrize(
    ("timestamp_ms", "filed_at"),
    [
        (-1, 0),
        (NOON + 1, NOON),
        (ms("2100-01-01T00:59:59"), ms("2100-01-01T00:00:00")),
        (ms("2107-06-01T00:00:00"), ms("2100-01-01T00:00:00")),
        (2**62, ms("2100-01-01T00:00:00")),
    ],
)
def test_an_unreadable_record_is_filed_under_an_hour_that_the_table_can_hold(timestamp_ms: int, filed_at: int) -> None:
    done = run(as_log([b"{"], timestamp_ms=timestamp_ms))
    assert {hour for _, hour, _, _ in done.pages.ledger()} == {filed_at // HOUR}


def test_a_double_click_is_one_click_and_one_refire() -> None:
    done = run(as_log([event(NOON, event_id="1"), event(NOON + 1_999, event_id="2")]))
    assert outcomes(done) == ["counted", "refire"]
    assert day_numbers(done)[:5] == (1, 0, 1, 1, 1)


def test_two_seconds_later_it_is_a_second_click() -> None:
    assert outcomes(run(as_log([event(NOON, event_id="1"), event(NOON + 2_000, event_id="2")]))) == ["counted"] * 2


@pytest.mark.parametrize("size", [2, 50])
def test_a_button_that_stays_pressed_is_one_click_every_two_seconds(size: int) -> None:
    pressed = [event(NOON + 500 * step, event_id=str(step)) for step in range(9)]
    assert outcomes(run(as_log(pressed), (size,))) == (["counted"] + ["refire"] * 3) * 2 + ["counted"]


def test_a_refire_is_found_across_the_hour_and_across_batches() -> None:
    late = event(NOON - 1_000, event_id="2", received_at_ms=NOON + HOUR)
    done = run(as_log([event(NOON + 500, event_id="1"), late]), (1,), page_bytes=1)
    assert outcomes(done) == ["counted", "refire"]


@pytest.mark.parametrize("field", ["target", "product", "url"])
def test_another_target_is_another_click(field: str) -> None:
    pair = [event(NOON, event_id="1"), event(NOON + 1, event_id="2", **{field: "other"})]
    assert outcomes(run(as_log(pair))) == ["counted", "counted"]


def test_the_same_event_sent_again_is_a_duplicate() -> None:
    sent = event(NOON)
    done = run(as_log([sent, {**sent, "received_at_ms": NOON + 20 * HOUR}, sent]), (2,))
    assert ledger(done) == {"counted": 1, "duplicate": 2}


def test_the_same_id_with_another_payload_is_not_a_duplicate() -> None:
    done = run(as_log([event(NOON), event(NOON + MINUTE)]))
    assert ledger(done) == {"counted": 2}


@pytest.mark.parametrize("sizes", [(1,), (2,)])
@pytest.mark.parametrize(("hours_later", "outcome"), [(0, "duplicate"), (1, "duplicate"), (2, "counted")])
def test_a_copy_without_a_time_is_recognised_for_an_hour(sizes: tuple[int], hours_later: int, outcome: str) -> None:
    first = event(received_at_ms=NOON)
    done = run(as_log([first, {**first, "received_at_ms": NOON + hours_later * HOUR}]), sizes)
    assert ledger(done).get("duplicate", 0) == (1 if outcome == "duplicate" else 0)


def test_a_late_event_bridges_two_visits_and_the_sum_goes_down_by_one() -> None:
    visits = [event(NOON, event_id="1"), event(NOON + 50 * MINUTE, event_id="2")]
    bridge = event(NOON + 25 * MINUTE, event_id="3", received_at_ms=NOON + 5 * HOUR)
    before, after = run(as_log(visits), (1,)), run(as_log([*visits, bridge]), (1,))
    assert day_numbers(before) == Numbers(views=2, visitors=1, sessions=2, bounces=2)
    assert day_numbers(after) == Numbers(views=3, visitors=1, sessions=1, bounces=0, duration_ms=50 * MINUTE)


def test_an_earlier_event_moves_a_visit_to_its_own_day_and_campaign() -> None:
    midnight = ms("2025-03-12T04:00:00")  # in New York
    spring, autumn = (f"https://alpha.example/?utm_campaign={name}" for name in ("spring", "autumn"))
    first = event(midnight + MINUTE, event_id="1", url=spring)
    earlier = event(midnight - MINUTE, event_id="2", url=autumn, received_at_ms=midnight + HOUR)
    done = run(as_log([first, earlier]), (1,))
    assert not any(key.value == "spring" for key in done.pages.rollups(STORES))
    assert day_numbers(done, "2025-03-11", campaign="autumn") == Numbers(1, 0, 0, 1, 1, 0, 2 * MINUTE)
    assert day_numbers(done, "2025-03-12", campaign="autumn") == Numbers(1, 0, 0, 1, 0, 0, 0)


def test_a_campaign_is_shown_with_all_that_its_visits_did() -> None:
    pages = [("/?utm_campaign=spring", ""), ("/wool", ""), ("/wool", "add-to-cart"), ("/cart", "")]
    visit = [
        event(
            NOON + at * MINUTE,
            event_id=str(at),
            url=f"https://alpha.example{page}",
            target=target,
            type="click" if target else "view",
            referrer="https://alpha.example/" if at else "",
        )
        for at, (page, target) in enumerate(pages)
    ]
    other = event(NOON, event_id="x", visitor=visitor_of("alpha", 2))
    done = run(as_log([*visit, other]), (1,))
    assert day_numbers(done, campaign="spring") == Numbers(3, 1, 0, 1, 1, 0, 3 * MINUTE)
    assert day_numbers(done, entry_page="/") == Numbers(4, 1, 0, 2, 2, 1, 3 * MINUTE)
    assert day_numbers(done, page="/wool") == Numbers(1, 1, 0, 1, 0, 0, 0)


def test_a_page_that_was_seen_once_and_used_is_no_bounce() -> None:
    view, action = event(NOON, event_id="1"), event(NOON + MINUTE, event_id="2", type="event", name="paid")
    assert day_numbers(run(as_log([view]))).bounces == 1
    assert day_numbers(run(as_log([view, action]))).bounces == 0
    assert day_numbers(run(as_log([action]))).bounces == 0


def test_an_event_with_another_name_or_other_properties_is_no_refire() -> None:
    named: list[dict[str, Any]] = [
        {"name": "paid"},
        {"name": "add_to_cart"},
        {"name": "add_to_cart", "properties": {"size": "M"}},
        {"name": "add_to_cart", "properties": {"size": "L"}},
    ]
    once = [event(NOON + at, event_id=str(at), type="event", **fields) for at, fields in enumerate(named)]
    again = [event(NOON + 9 + at, event_id=f"again {at}", type="event", **fields) for at, fields in enumerate(named)]
    assert outcomes(run(as_log([*once, *again]))) == ["counted"] * 4 + ["refire"] * 4


def test_people_and_bots_of_one_visitor_have_visits_of_their_own() -> None:
    mixed = [event(NOON + step, event_id=str(step), target=str(step), automated=step % 2 == 1) for step in range(4)]
    done = run(as_log(mixed))
    assert day_numbers(done).sessions == 1
    assert day_numbers(done, bots="only").sessions == 1
    assert day_numbers(done, bots="include") == Numbers(4, 0, 0, 1, 2, 0, 4)


def test_whoever_is_faster_than_a_person_is_a_bot_from_then_on_within_the_minute() -> None:
    burst = [event(NOON + step, event_id=str(step), target=str(step)) for step in range(RATE_LIMIT_PER_MINUTE + 2)]
    after = event(NOON + MINUTE, event_id="after", target="after")
    done = run(as_log([*burst, after]), (50,), page_bytes=1)
    assert outcomes(done) == ["counted"] * RATE_LIMIT_PER_MINUTE + ["bot"] * 2 + ["counted"]
    assert {row["bot_reasons"] for row in done.pages.tables["clicks"] if row["is_bot"]} == {"rate"}


def test_refires_count_towards_the_rate_and_a_bots_refire_is_a_refire() -> None:
    burst = [event(NOON + step, event_id=str(step)) for step in range(RATE_LIMIT_PER_MINUTE + 1)]
    done = run(as_log(burst), (7,))
    assert outcomes(done) == ["counted"] + ["refire"] * RATE_LIMIT_PER_MINUTE
    assert [row["is_bot"] for row in done.pages.tables["clicks"]] == [0] * RATE_LIMIT_PER_MINUTE + [1]
    assert oracle(as_log(burst)).rollups == done.pages.rollups(STORES)


def test_the_reasons_of_a_bot_are_listed_in_order() -> None:
    done = run(as_log([event(NOON, user_agent=GOOGLEBOT, automated=True, url="https://alpha.example/.env")]))
    assert done.pages.tables["clicks"][0]["bot_reasons"].split(",") == ["listed", "self_named", "declared", "probe"]


def test_a_blocked_network_and_an_opted_out_visitor_are_blocked_and_leave_no_fact() -> None:
    events = [event(NOON, ip="203.0.113.0"), event(NOON, event_id="2", opted_out=True)]
    done = run(as_log(events))
    assert ledger(done) == {"blocked": 2}
    assert (done.pages.tables["clicks"], done.pages.tables["rollups"], done.rejects) == ([], [], [])


def test_a_store_that_does_not_honour_the_opt_out_counts_it() -> None:
    assert ledger(run(as_log([event(NOON, store="gamma", opted_out=True)]))) == {"counted": 1}


def test_an_address_that_is_none_is_not_blocked() -> None:
    assert ledger(run(as_log([event(NOON, ip="nowhere")]))) == {"counted": 1}


def test_what_is_both_late_and_blocked_is_late() -> None:
    done = run(as_log([event(NOON - 8 * 24 * HOUR, received_at_ms=NOON, opted_out=True)]))
    assert ledger(done) == {"late": 1}


def test_late_and_blocked_copies_of_a_counted_event_stay_late_and_blocked_where_its_batch_is_read_back() -> None:
    first = event(NOON, received_at_ms=NOON + 30 * MINUTE)
    copies = [{**first, "received_at_ms": NOON + 8 * 24 * HOUR}, {**first, "ip": "203.0.113.0"}]
    # Only what lies below the last fact is read back.
    log = as_log([first, *copies, event(NOON + MINUTE, event_id="last", target="another")])
    assert ledger(run(log)) == {"counted": 2, "late": 1, "blocked": 1}
    assert run_with_crashes(log, (50,), (1,)).ledger() == run(log).pages.ledger()


def test_a_late_event_goes_to_the_dead_letters_with_its_bytes_and_both_times() -> None:
    log = as_log([event(NOON - 8 * 24 * HOUR, received_at_ms=NOON)], partition=3)
    (reject,) = run(log).rejects
    assert (reject.partition, reject.offset, reject.store, reject.reason) == (3, 0, "alpha", "late")
    assert reject.value == log[0].value
    assert str(NOON) in reject.detail


def test_a_copy_of_a_late_event_is_late_and_no_duplicate() -> None:
    late = event(NOON - 8 * 24 * HOUR, received_at_ms=NOON)
    assert ledger(run(as_log([late, late]))) == {"late": 2}


def test_broken_records_are_counted_under_no_store_in_the_hour_of_the_broker() -> None:
    done = run(as_log([b"{", b""], timestamp_ms=NOON))
    hour = NOON // HOUR
    assert done.pages.ledger() == {("", hour, "outcome", "invalid"): 2, ("", hour, "received", "received"): 2}


def test_a_broken_record_without_a_time_of_the_broker_still_has_a_row_in_the_ledger() -> None:
    done = run(as_log([b"{"], timestamp_ms=-1))
    assert done.pages.ledger() == {("", 0, "outcome", "invalid"): 1, ("", 0, "received", "received"): 1}


def test_a_store_made_a_second_ago_is_looked_up_before_its_events_are_refused() -> None:
    stores = FixedStores(STORES, hidden=frozenset({"alpha"}))
    machine = PartitionProcessor(0, MemoryPages(), stores, encoding_of(), {})
    result = machine.process(as_batch(as_log([event(NOON)])))
    assert (result.rejects, stores.looked_up, result.fence("clicks")) == ([], [{"alpha"}], 0)


def test_a_network_blocked_now_is_blocked_in_the_next_batch() -> None:
    stores = FixedStores(dict(STORES))
    machine = PartitionProcessor(0, MemoryPages(), stores, encoding_of(), {})
    log = as_log([event(NOON, ip="203.0.114.0"), event(NOON + MINUTE, ip="203.0.114.0")])
    first = machine.process(as_batch(log[:1]))
    stores.stores = {**STORES, "alpha": replace(STORES["alpha"], blocked_networks=("203.0.114.0/24",))}
    second = machine.process(as_batch(log[1:]))
    assert (first.fence("clicks"), second.fence("clicks")) == (0, None)


class AwayPages(MemoryPages):
    """A page store that is unavailable while ``away`` is set."""

    away = False

    def sessions(self, partition: int, hours: list[int], only: U64 | None = None) -> StoredSessions:
        if self.away:
            raise Unavailable("away")
        return super().sessions(partition, hours, only)


def test_a_step_that_failed_half_way_is_taken_again_as_if_nothing_had_been() -> None:
    log = as_log([event(NOON + step * MINUTE, event_id=str(step)) for step in range(4)])
    pages = AwayPages()
    pages.write([machine_on(pages).process(as_batch(log[:2]))])
    machine = machine_on(pages)
    pages.away = True
    with pytest.raises(Unavailable):
        machine.process(as_batch(log[2:]))
    pages.away = False
    pages.write([machine.process(as_batch(log[2:]))])
    assert pages.rollups(STORES) == oracle(log).rollups


def test_the_days_that_changed_are_the_stores_own() -> None:
    evening = event(ms("2025-03-12T03:59:59"), event_id="1")
    morning = event(ms("2025-03-12T18:15:00"), event_id="2", store="beta")
    (result,) = run(as_log([evening, morning])).results
    days = {(store, datetime.fromtimestamp(0, UTC) + timedelta(days=day)) for store, day in result.store_days}
    assert days == {
        ("alpha", datetime(2025, 3, 11, tzinfo=UTC)),
        ("beta", datetime(2025, 3, 13, tzinfo=UTC)),
    }


def test_the_live_tile_shows_people_of_the_last_hour_only() -> None:
    def by(number: int, when: int, **more: Any) -> dict[str, Any]:
        return event(when, event_id=str(number), visitor=visitor_of("alpha", number), received_at_ms=NOON, **more)

    shown = [by(1, NOON - 5), by(1, NOON - 3, target="x"), by(2, NOON - HOUR)]
    hidden = [by(3, NOON - HOUR - 1), by(4, NOON, automated=True)]
    (result,) = run(as_log([*shown, *hidden])).results
    people = {int(visitor_of("alpha", number), 16): when for number, when in ((1, NOON - 3), (2, NOON - HOUR))}
    assert result.live == {"alpha": people}


def test_one_number_in_two_stores_is_a_visitor_of_each() -> None:
    log = as_log([event(NOON + at, store=store, visitor="f" * 16) for at, store in enumerate(("alpha", "gamma"))])
    (result,) = run(log).results
    assert result.live == {"alpha": {2**64 - 1: NOON}, "gamma": {2**64 - 1: NOON + 1}}


@pytest.mark.parametrize(
    ("moment", "hour"),
    [
        ("2025-11-02T05:30:00", "2025-11-02T05:00:00"),
        ("2025-11-02T06:30:00", "2025-11-02T06:00:00"),
    ],
    ids=["01:30 in summer time", "01:30 in winter time"],
)
def test_the_hour_that_comes_twice_is_two_buckets(moment: str, hour: str) -> None:
    done = run(as_log([event(ms(moment))]))
    hours = {key.bucket for key in done.pages.rollups(STORES) if key.grain == "hour"}
    assert hours == {datetime.fromisoformat(hour).replace(tzinfo=UTC)}


def test_an_hour_in_kathmandu_begins_at_a_quarter_past() -> None:
    done = run(as_log([event(ms("2025-03-12T10:14:59"), store="beta"), event(ms("2025-03-12T10:15:00"), store="beta")]))
    hours = {key.bucket.strftime("%H:%M") for key in done.pages.rollups(STORES) if key.grain == "hour"}
    assert hours == {"09:15", "10:15"}
