"""The words that texts of notifications and mails are made of: names as people wrote them, money and times."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from marketplace.money import InvalidMoney, shown_amount
from marketplace.notifications.facts import Facts, Line
from marketplace.texts import NOT_IN_LINES
from marketplace.zones import zone_words

_MAX_TITLE_CHARS: Final = 120
_NO_TEXT: Final = re.compile(rf"[{NOT_IN_LINES}\ud800-\udfff]+")
_CODE: Final = re.compile(r"[^0-9A-Za-z]")
_CODE_CHARS: Final = 8
_MOST_NAMED: Final = 3
"""Of the lines of a refund, in its sentence; further ones are counted."""

ISOLATE: Final = "\u2068"
END: Final = "\u2069"


def one_line(text: str, most: int = _MAX_TITLE_CHARS) -> str:
    """What people have written, as it can stand inside of a text of ours."""
    line = " ".join(_NO_TEXT.sub(" ", text).split())
    return line if len(line) <= most else f"{line[: most - 1].rstrip()}…"


def order_code(order: str) -> str:
    """What people call an order by: the beginning of its id."""
    return _CODE.sub("", order)[:_CODE_CHARS].upper()


def plain_name(text: str) -> str:
    """What is left of a name in ASCII letters and digits; of a letter with an accent, the letter."""
    letters = "".join(sign for sign in unicodedata.normalize("NFKD", text) if not unicodedata.combining(sign))
    return " ".join(_CODE.sub(" ", letters).split())


def named(lines: tuple[Line, ...]) -> str:
    """Lines in a sentence, the further ones counted."""
    shown = [f"{count(each)} {isolated(one_line(name_of(each)))}" for each in lines[:_MOST_NAMED]]
    more = [f"{len(lines) - _MOST_NAMED} more"] if len(lines) > _MOST_NAMED else []
    *first, last = (*shown, *more)
    return f"{', '.join(first)} and {last}" if first else last


def store_name(facts: Facts) -> str:
    """What the store is called."""
    return isolated(one_line(facts.store_title or facts.store))


def total(facts: Facts) -> str:
    """What the order costs."""
    return money(facts.total_minor, facts.currency)


def amount(facts: Facts) -> str:
    """The money that it is about."""
    return money(facts.amount_minor, facts.currency)


def money(minor: int, currency: str) -> str:
    """An amount, also one of a currency that nobody knows."""
    try:
        return shown_amount(minor, currency)
    except InvalidMoney:
        return f"{minor} minor units"


def placed(facts: Facts) -> str:
    """When the order was placed, in the store's zone, which is named in words."""
    try:
        zone = ZoneInfo(facts.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        zone = ZoneInfo("UTC")
    at = datetime.fromtimestamp(facts.placed_at_ms / 1_000, UTC).astimezone(zone)
    return f"{at.day} {at:%B %Y} at {at:%H:%M} ({zone_words(zone.key)})"


def isolated(text: str) -> str:
    """A name that is read from right to left does not turn around the sentence that it stands in."""
    turns = any(unicodedata.bidirectional(sign) in ("R", "AL") for sign in text)
    return f"{ISOLATE}{text}{END}" if turns else text


def count(line: Line) -> str:
    """How many of a line."""
    return f"{line.quantity} \N{MULTIPLICATION SIGN}"


def name_of(line: Line) -> str:
    """What was bought, with what was chosen."""
    return ", ".join(one_line(part) for part in (line.title, line.options) if part)
