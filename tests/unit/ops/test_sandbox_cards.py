"""The cards of the sandbox provider, and the page that lists them."""

from __future__ import annotations

from pathlib import Path

from ops.sandbox_provider.cards import BY_NAME, BY_NUMBER, CARDS, reference

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "payments-sandbox.md"


def luhn(number: str) -> int:
    """The check of a card's number; 0 for one that is right."""
    doubled = [int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(reversed(number))]
    return sum(each - 9 if each > 9 else each for each in doubled) % 10


def test_the_page_lists_the_cards_that_there_are() -> None:
    assert reference() in PAGE.read_text()


def test_each_card_has_a_name_and_a_number_of_its_own_that_forms_take() -> None:
    assert len(BY_NAME) == len(BY_NUMBER) == len(CARDS)
    assert [card.number for card in CARDS if luhn(card.number)] == []
