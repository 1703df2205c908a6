"""What is typed into a checkout, and what is said of orders: rules without any part."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.storefront.checkout_forms import address_of, card_of, left_of, typed
from api.storefront.checkout_views import ADDRESS, typed_of
from api.storefront.order_words import (
    Tone,
    again_title,
    refund_title,
    refunded_goods,
    returned_words,
    steps,
    together,
    words,
)
from connectors.mongo.orders import KeptOrder
from connectors.payments.methods import TRIAL_CARDS, Card
from marketplace.countries import COUNTRIES
from marketplace.notifications.facts import facts_of_order
from marketplace.notifications.letters import Links, letter_of
from marketplace.notifications.notices import Notice, Template
from marketplace.notifications.texts import text_of
from marketplace.orders.delivery import Address, Fulfilment, FulfilmentState
from marketplace.sagas.declines import DECLINES, decline_of
from marketplace.sagas.events import Event, EventType, PaymentCompleted, PaymentFailed, PaymentRefunded
from marketplace.sagas.order_state import Order, OrderLine, OrderState, Reason, Refund
from marketplace.sagas.orders import on_event, refund_lines
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

    assert said(False, 0) == ("Money on its way back", "Being refunded")
    assert said(False, 1) == ("Money owed to you", "Came back, owed to you")
    assert said(True, 1)[1] == "Refunded"


@pytest.mark.parametrize("code", sorted({card.declined for card in BY_NUMBER.values() if card.declined}))
def test_page_mail_and_notification_give_the_same_reason_for_each_code_of_the_provider_and_a_way_on(code: str) -> None:
    assert code in DECLINES, "its reason for people is declared"
    said = decline_of(code)
    event = Event("e", EventType.PAYMENT_FAILED, "o", "shop", 0, PaymentFailed("pay", code))
    order = on_event(ORDER, event, 0).order
    page = words(replace(KEPT, order=order))
    made = facts_of_order(Notice("user:bea", Template.ORDER_CANCELLED, "e", reason="declined"), order, 0, "S", "UTC")
    mail = letter_of(Template.ORDER_CANCELLED, made, Links("https://s.example", "https://s.example")).text
    notification = " ".join(text_of(Template.ORDER_CANCELLED, made).sentences)
    for text in (page.text, mail, notification):
        assert said.why in text
        assert said.what_next in text
        assert code not in text
    assert page.title == "Your card was declined"


def test_a_code_that_nobody_knows_is_cut_and_is_no_text_for_people() -> None:
    event = Event("e", EventType.PAYMENT_FAILED, "o", "shop", 0, PaymentFailed("pay", "<b>" * 999))
    order = on_event(ORDER, event, 0).order
    assert len(order.decline) == 64
    assert "<b>" not in words(replace(KEPT, order=order)).text
    late = Event("f", EventType.PAYMENT_COMPLETED, "o", "shop", 0, PaymentCompleted("pay", 2500, "EUR"))
    assert on_event(order, late, 0).order.decline == "", "what was paid after all was not declined"


DECLINED = replace(in_state(OrderState.CANCELLED, Reason.DECLINED).order, decline="expired_card")
WAYS_TOGETHER: Sequence[tuple[Sequence[Order | OrderState], str, str]] = [
    ([OrderState.PENDING, OrderState.CONFIRMED], "Thank you! Your orders are placed", "each order is paid by itself"),
    ([DECLINED, DECLINED], "Your card was declined", "It has expired."),
    ([DECLINED, OrderState.PENDING], "Your card was declined for 1 of your 2 orders", "Your other order goes on."),
    ([OrderState.CANCELLED, OrderState.REFUNDING], "Your orders are cancelled", "stands below"),
    ([OrderState.CANCELLED, OrderState.PAID, OrderState.PAID], "1 of your 3 orders ended", "2 other orders go on."),
]


@pytest.mark.parametrize(("orders", "title", "text"), WAYS_TOGETHER)
def test_nobody_is_thanked_for_orders_of_which_some_have_ended(
    orders: Sequence[Order | OrderState], title: str, text: str
) -> None:
    found = [in_state(each, Reason.BUYER) if isinstance(each, OrderState) else replace(KEPT, order=each)
             for each in orders]  # fmt: skip
    for just_placed in (True, False):
        said = together(found, just_placed=just_placed)
        assert said.title == title or (not just_placed and said.title == "What you ordered together")
        assert text in said.text
        assert ("Thank you" in said.title) == (title.startswith("Thank you") and just_placed)


def test_a_confirmed_order_says_what_of_it_was_refunded_and_for_which_goods() -> None:
    confirmed = replace(in_state(OrderState.CONFIRMED).order, paid_minor=2500)
    asked = refund_lines(confirmed, {1: 1}, 7).order
    (refund,) = asked.refunds
    assert (refunded_goods(refund, asked), refund.asked_ms) == ("1 \u00d7 Mug", 7)
    assert words(replace(KEPT, order=asked)).text.endswith("\u20ac12.50 of it is being refunded.")
    event = Event("e", EventType.PAYMENT_REFUNDED, "o", "shop", 9, PaymentRefunded("pay", refund.id, 1250))
    gone = on_event(asked, event, 9).order
    assert words(replace(KEPT, order=gone)).text.endswith("\u20ac12.50 of it was refunded.")
    said = [returned_words(each.lines[0], each) for each in (confirmed, asked, gone)]
    assert said == ["", "1 of 2 being refunded", "1 of 2 refunded"]
    assert refunded_goods(Refund("r1", 5), gone) == "", "those of earlier versions do not say it"


def test_who_orders_for_the_first_time_finds_the_own_name_in_the_form() -> None:
    assert typed_of(None, "Bea Buyer") == {**dict.fromkeys(ADDRESS, ""), "name": "Bea Buyer"}
    assert typed_of(KEPT.delivery, "Someone Else")["name"] == "Bea"


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


def test_a_card_that_nobody_has_typed_is_asked_for() -> None:
    assert card_of({**GOOD, "number": " "}, NOW) == {"number": "Type the number of your card."}


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
