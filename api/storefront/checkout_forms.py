"""What is typed into a checkout, checked field by field; problems are sentences that stand next to the fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from api.identity.schemas import ONE_LINE
from api.storefront.checkout_views import ADDRESS, Typed
from connectors.payments.methods import Card
from marketplace.orders.delivery import (
    MAX_CITY_CHARS,
    MAX_NAME_CHARS,
    MAX_POSTCODE_CHARS,
    MAX_STREET_CHARS,
    Address,
)

_KEPT_CHARS: Final = 400
"""Of a field that is shown again."""

_ONCE: Final = re.compile(r"[A-Za-z0-9_-]{16,64}", re.ASCII)
_VERSION: Final = re.compile(r"[0-9]{1,15}", re.ASCII)
_CHANGES: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_LEFT: Final = re.compile(r"([0-9a-f]{32}):([0-9]{1,4})", re.ASCII)
_LINE: Final = re.compile(ONE_LINE)
_EXPIRY: Final = re.compile(r"(0?[1-9]|1[0-2]) ?[/-] ?(?:20)?([0-9]{2})", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]{12,19}", re.ASCII)
_CVC: Final = re.compile(r"[0-9]{3,4}", re.ASCII)
_MAX_YEARS: Final = 20

_NEEDED: Final[Mapping[str, tuple[int, str]]] = {
    "name": (MAX_NAME_CHARS, "Say who gets it"),
    "street": (MAX_STREET_CHARS, "Give the street and the number of the house"),
    "city": (MAX_CITY_CHARS, "Give the city"),
}
_FREE: Final[Mapping[str, int]] = {"extra": MAX_STREET_CHARS, "postcode": MAX_POSTCODE_CHARS}
REFUSED: Final[Mapping[str, str]] = {
    "number": "The payment provider does not know this card. Check its number, or use another card.",
    "expiry": "The payment provider does not take this date.",
    "cvc": "The payment provider does not take this code.",
}
"""What a provider that does not take a card has against it."""


def typed(form: Mapping[str, str]) -> Typed:
    """What somebody has typed; of what pages put in themselves, what cannot be theirs is left out."""
    version, changes, once = form.get("version", ""), form.get("changes", ""), form.get("once", "")
    return Typed(
        {name: form.get(name, "").strip()[:_KEPT_CHARS] for name in ADDRESS},
        once if _ONCE.fullmatch(once) else "",
        int(version) if _VERSION.fullmatch(version) else 0,
        changes if _CHANGES.fullmatch(changes) else "",
    )


def address_of(fields: Mapping[str, str], countries: Mapping[str, str]) -> Address | dict[str, str]:
    """The address that was typed, or what is wrong with it by field, in the order of the fields."""
    problems: dict[str, str] = {}
    for name in ADDRESS:
        text = fields.get(name, "")
        if name in _NEEDED:
            most, said = _NEEDED[name]
            if not text or len(text) > most or not _LINE.fullmatch(text):
                problems[name] = f"{said}, in at most {most} characters."
        elif name in _FREE:
            if text and (len(text) > _FREE[name] or not _LINE.fullmatch(text)):
                problems[name] = f"Give at most {_FREE[name]} characters."
        elif text not in countries:
            problems[name] = "Choose the country."
    return problems or Address(**{name: fields.get(name, "") for name in ADDRESS})


def card_of(form: Mapping[str, str], now: datetime) -> Card | dict[str, str]:
    """The card that was typed, or what is wrong with it by field. No problem repeats any of it."""
    problems: dict[str, str] = {}
    number = re.sub(r"[ -]", "", form.get("number", ""))
    if not number:
        problems["number"] = "Type the number of your card."
    elif not _NUMBER.fullmatch(number) or not _is_number_of_card(number):
        problems["number"] = "This is not the number of a card. Check it for a typing mistake."
    expiry = _EXPIRY.fullmatch(form.get("expiry", "").strip())
    if expiry is None:
        problems["expiry"] = "Give month and year as they stand on the card, such as 04/30."
    else:
        months = (2000 + int(expiry[2]) - now.year) * 12 + int(expiry[1]) - now.month
        if months < 0:
            problems["expiry"] = "This card has expired. Use another one."
        elif months > 12 * _MAX_YEARS:
            problems["expiry"] = "No card is good for so long. Check it for a typing mistake."
    cvc = form.get("cvc", "").strip()
    if not _CVC.fullmatch(cvc):
        problems["cvc"] = "Give the three or four digits from the back of the card."
    if problems or expiry is None:
        return problems
    return Card(number, f"{int(expiry[1]):02d}/{expiry[2]}", cvc)


def left_of(text: str) -> dict[str, int]:
    """How many are left of which variant, as a page has said it; what is none of that is left out."""
    return {found[1]: int(found[2]) for found in map(_LEFT.fullmatch, text.split(",")[:200]) if found}


def _is_number_of_card(number: str) -> bool:
    """Whether its last digit follows from the others (ISO/IEC 7812, annex B)."""
    doubled = [int(each) * (1 + at % 2) for at, each in enumerate(reversed(number))]
    return sum(each - 9 if each > 9 else each for each in doubled) % 10 == 0
