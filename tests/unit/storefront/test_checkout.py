"""What is typed into a checkout, and what is said of orders: rules without any part."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.storefront.checkout_forms import address_of, card_of, left_of, typed
from api.storefront.order_words import Tone, again_title, refund_title, steps, words
from connectors.mongo.orders import KeptOrder
from connectors.payments.methods import TRIAL_CARDS, Card
from marketplace.countries import COUNTRIES
from marketplace.orders.delivery import Address, Fulfilment, FulfilmentState
from marketplace.sagas.orders import Order, OrderLine, OrderState, Reason, Refund
from ops.sandbox_provider.cards import BY_NUMBER

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
FIELDS = {"name": "Bea", "street": "Hill Road 7", "extra": "", "postcode": "10115", "city": "Berlin", "country": "DE"}
GOOD = {"number": "4242 4242-4242 4242", "expiry": "11/26", "cvc": "123"}
ORDER = Order(
    "o", "shop", "bea", "c", "EUR", (OrderLine(1, "p", "v", "Mug", 2, 1250),), OrderState.PENDING, pay_by_ms=0
)
KEPT = KeptOrder(ORDER, Address("Bea", "Hill Road 7", "", "10115", "Berlin", "DE"), Fulfilment(), 0, 0)


def in_state(state: OrderState, reason: Reason | None = None, way: FulfilmentState | None = None) -> KeptOrder:
    order = replace(ORDER, state=state, reason=reason, refunded_minor=2500 if reason is Reason.NO_STOCK else 0)
    return replace(KEPT, order=order, fulfilment=Fulfilment(way or FulfilmentState.UNFULFILLED))


def every() -> list[KeptOrder]:
    """An order of each kind that can be."""
    running = [in_state(OrderState.PENDING), in_state(OrderState.PAID)]
    over = [OrderState.REFUNDING, OrderState.CANCELLED]
    ended = [in_state(state, reason) for state, reason in itertools.product(over, Reason)]
    return running + ended + [in_state(OrderState.CONFIRMED, way=way) for way in FulfilmentState]


def test_each_state_has_words_of_its_own_that_say_what_became_of_the_money() -> None:
    said = [words(kept) for kept in every()]
    assert all(each.short and each.title and each.text.endswith(".") for each in said)
    assert len({(each.title, each.text) for each in said}) == len(said) - 1  # paid too late, by two reasons
    back = words(in_state(OrderState.CANCELLED, Reason.NO_STOCK)).text
    assert back.endswith("Your money has gone back.")
    assert words(in_state(OrderState.CANCELLED, Reason.DECLINED)).text.endswith("Nothing was charged.")


@pytest.mark.parametrize("reason", Reason)
def test_money_that_did_not_arrive_is_owed_and_not_on_its_way(reason: Reason) -> None:
    kept = in_state(OrderState.REFUNDING, reason)

    def said(done: bool, reversals: int) -> tuple[str, str]:
        refund = Refund("r1", 2500, done, ends=True, reversals=reversals)
        return words(replace(kept, order=replace(kept.order, refunds=(refund,)))).short, refund_title(refund)

    assert said(False, 0) == ("Money on its way back", "Going back")
    assert said(False, 1) == ("Money owed to you", "Came back, owed to you")
    assert said(True, 1)[1] == "Gone back"


def test_steps_are_those_that_lie_behind_and_none_for_an_order_that_ends_without_goods() -> None:
    for kept in every():
        found = steps(kept)
        assert bool(found) == (words(kept).title not in ("Your order is cancelled", "Your card was declined")
                               and kept.order.state is not OrderState.REFUNDING)  # fmt: skip
        done = [step.done for step in found]
        assert done == sorted(done, reverse=True)
        assert sum(step.current for step in found) == (1 if found else 0)
    assert [step.title for step in steps(in_state(OrderState.CONFIRMED, way=FulfilmentState.SHIPPED)) if step.done] == [
        "Placed", "Paid", "Confirmed", "Packed", "On its way",
    ]  # fmt: skip


def test_what_waits_says_so_and_a_declined_card_leads_to_another_one() -> None:
    waiting = {kept.order.state for kept in every() if words(kept).tone is Tone.WAIT}
    assert waiting == {OrderState.PENDING, OrderState.PAID, OrderState.REFUNDING}
    assert again_title(in_state(OrderState.CANCELLED, Reason.DECLINED).order) == "Try another card"
    assert again_title(in_state(OrderState.CANCELLED, Reason.BUYER).order) == "Order it again"


def test_a_whole_address_is_taken_as_it_was_typed() -> None:
    assert address_of(FIELDS, COUNTRIES) == Address(**FIELDS)
    assert address_of({**FIELDS, "postcode": ""}, COUNTRIES) == Address(**{**FIELDS, "postcode": ""})


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", ""), ("name", "x" * 101), ("street", "a\nb"), ("street", ""), ("extra", "x" * 201), ("extra", "a\x00"),
     ("postcode", "1" * 21), ("city", ""), ("country", ""), ("country", "XX"), ("country", "de")],
)  # fmt: skip
def test_what_no_address_has_is_said_of_its_field_alone(field: str, value: str) -> None:
    found = address_of({**FIELDS, field: value}, COUNTRIES)
    assert isinstance(found, dict)
    assert list(found) == [field]


def test_a_card_is_taken_however_it_is_written() -> None:
    for expiry in ("11/26", "11/2026", "11-26", "11 / 26"):
        assert card_of({**GOOD, "expiry": expiry}, NOW) == Card("4242424242424242", "11/26", "123")
    assert card_of({**GOOD, "expiry": "4/30"}, NOW) == Card("4242424242424242", "04/30", "123")


@pytest.mark.parametrize(
    ("field", "value"),
    [("number", ""), ("number", "4242424242424241"), ("number", "4" * 11), ("number", "\uff14" * 16),
     ("number", "0" * 20), ("expiry", "10/26"), ("expiry", "13/30"), ("expiry", "00/30"), ("expiry", "12/47"),
     ("expiry", ""), ("cvc", "12"), ("cvc", "12345"), ("cvc", "abc")],
)  # fmt: skip
def test_what_no_card_has_is_said_of_its_field_and_is_not_repeated(field: str, value: str) -> None:
    found = card_of({**GOOD, field: value}, NOW)
    assert isinstance(found, dict)
    assert list(found) == [field]
    assert not value or value not in found[field]


@given(st.text(alphabet="0123456789", min_size=12, max_size=18))
def test_of_all_last_digits_one_makes_a_number_of_a_card(start: str) -> None:
    good = [end for end in "0123456789" if isinstance(card_of({**GOOD, "number": start + end}, NOW), Card)]
    assert len(good) == 1


@given(st.dictionaries(st.sampled_from(["name", "once", "version", "changes", "left", "number"]), st.text()))
def test_whatever_a_form_says_can_be_read(form: dict[str, str]) -> None:
    found = typed(form)
    assert found.version >= 0
    assert len(found.fields) == 6
    assert all(count >= 0 for count in left_of(form.get("left", "")).values())


def test_what_is_left_is_read_as_a_page_said_it() -> None:
    assert left_of(f"{'a' * 32}:3,{'b' * 32}:0") == {"a" * 32: 3, "b" * 32: 0}
    assert left_of(f"{'a' * 32}:-1,{'b' * 31}:1,:,{'c' * 32}:99999") == {}


def test_nothing_of_a_card_is_shown_where_the_card_is() -> None:
    assert repr(Card("4242424242424242", "11/26", "123")) == "Card()"


def test_the_cards_that_a_page_names_are_known_to_the_sandbox_and_do_what_it_says() -> None:
    for each in TRIAL_CARDS:
        known = BY_NUMBER[each.number.replace(" ", "")]
        assert ("declined" in each.text) == bool(known.declined), each.number


def test_there_is_a_name_for_each_country() -> None:
    assert len(COUNTRIES) == 249
    assert all(len(code) == 2 and code.isupper() for code in COUNTRIES)
    assert len(set(COUNTRIES.values())) == 249
