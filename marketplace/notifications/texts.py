"""The texts of notifications: in the app, and as mails in plain text and HTML.

Heads of mails hold nothing that people have written, except that a store's own people read there what of runs low, in
ASCII letters and digits. Everywhere else titles and names are cut to a length, on one line,
without what makes a reader's screen lie, and kept from turning around the text beside them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Final
from urllib.parse import quote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from marketplace.money import InvalidMoney, shown_amount
from marketplace.notifications.facts import Facts, Line
from marketplace.notifications.notices import OF_STORES, Template
from marketplace.sagas.declines import decline_of
from marketplace.sagas.orders import Reason
from marketplace.texts import NOT_IN_LINES
from marketplace.zones import zone_words

_MAX_TITLE_CHARS: Final = 120
_NO_TEXT: Final = re.compile(rf"[{NOT_IN_LINES}\ud800-\udfff]+")
_CODE: Final = re.compile(r"[^0-9A-Za-z]")
_CODE_CHARS: Final = 8
_MAX_SUBJECT_NAME_CHARS: Final = 40
_MOST_NAMED: Final = 3
"""Of the lines of a refund, in its sentence; further ones are counted."""

_ISOLATE: Final = "\u2068"
_END: Final = "\u2069"

_WHY_OF_BUYER: Final[Mapping[str, str]] = {
    Reason.UNPAID: "It was not paid in time.",
    Reason.DECLINED: "The payment was declined.",
    Reason.BUYER: "You cancelled it.",
    Reason.SELLER: "The store cancelled it.",
    Reason.NO_STOCK: "Somebody else got the last piece before your payment arrived.",
}
_WHY_OF_STORE: Final[Mapping[str, str]] = {
    **_WHY_OF_BUYER, Reason.BUYER: "The buyer cancelled it.", Reason.SELLER: "Your store cancelled it.",
}  # fmt: skip


@dataclass(frozen=True)
class Text:
    """What a notification says.

    Attributes:
        title: One line of ASCII letters, digits and spaces.
        sentences: What it is about, a paragraph each.
    """

    title: str
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Links:
    """Where a mail's links lead.

    Attributes:
        page: To look at what it is about.
        unsubscribe: To get no more of them.
    """

    page: str
    unsubscribe: str


@dataclass(frozen=True)
class Letter:
    """A mail's content.

    Attributes:
        subject: Of ASCII letters, digits and spaces.
        text: Plain.
        html: The same as HTML.
        reply_to: Who gets an answer to it; empty for its sender.
    """

    subject: str
    text: str
    html: str
    reply_to: str = ""


def one_line(text: str, most: int = _MAX_TITLE_CHARS) -> str:
    """What people have written, as it can stand inside of a text of ours."""
    line = " ".join(_NO_TEXT.sub(" ", text).split())
    return line if len(line) <= most else f"{line[: most - 1].rstrip()}…"


def order_code(order: str) -> str:
    """What people call an order by: the beginning of its id."""
    return _CODE.sub("", order)[:_CODE_CHARS].upper()


def text_of(template: Template, facts: Facts) -> Text:
    """What a notification says."""
    return _TEXTS[template](facts)


def letter_of(template: Template, facts: Facts, links: Links) -> Letter:
    """A notification as a mail."""
    said, lines, see = text_of(template, facts), _lines(template, facts), _SEE[template]
    plain, html = _plain(said, lines, facts, see, links), _html(said, lines, facts, see, links)
    return Letter(said.title, plain, html, facts.contact)


def _confirmed(facts: Facts) -> Text:
    return Text(
        f"Your order {order_code(facts.order)} is confirmed",
        (
            f"{_store(facts)} has your order of {_placed(facts)}, and it is paid: {_total(facts)}.",
            "The store packs and sends it. You hear from us when it is on the way.",
        ),
    )


def _cancelled(facts: Facts) -> Text:
    if facts.reason == Reason.DECLINED:
        return _declined(facts)
    paid_back = f"{_amount(facts)} was refunded to the card that you paid with."
    back = paid_back if facts.amount_minor else "You were charged nothing."
    return Text(
        f"Your order {order_code(facts.order)} was cancelled",
        (f"Your order from {_store(facts)} of {_placed(facts)} ended. {_why(_WHY_OF_BUYER, facts)}".strip(), back),
    )


def _declined(facts: Facts) -> Text:
    found = decline_of(facts.decline)
    return Text(
        f"Your order {order_code(facts.order)} was cancelled",
        (
            f"Your order from {_store(facts)} of {_placed(facts)} ended: your card was declined. {found.why}",
            "You were charged nothing.",
            f"{found.what_next} The page of the order puts what you ordered back into your cart.",
        ),
    )


def _refunded(facts: Facts) -> Text:
    return Text(
        f"A part of your order {order_code(facts.order)} was refunded",
        (
            f"{_amount(facts)} of your order from {_store(facts)} of {_placed(facts)} was refunded to the card that you"
            " paid with.",
            *((f"It is for {_named(facts.refunded)}.",) if facts.refunded else ()),
            "The rest of the order stays as it is.",
        ),
    )


def _returned(facts: Facts) -> Text:
    return Text(
        f"Your payment for the order {order_code(facts.order)} went back",
        (
            f"Your order from {_store(facts)} of {_placed(facts)} is cancelled.",
            f"{_amount(facts)} was refunded to the card that you paid with.",
        ),
    )


def _reversed(facts: Facts) -> Text:
    return Text(
        f"Your refund for the order {order_code(facts.order)} did not arrive",
        (
            f"{_amount(facts)} for your order from {_store(facts)} of {_placed(facts)} was sent back to you, and your"
            " bank or card did not take it.",
            "It is owed to you still. We settle it with the payment provider, and you hear of it when it has gone.",
        ),
    )


def _shipped(facts: Facts) -> Text:
    carrier = f" {_isolated(one_line(facts.carrier))} brings it." if facts.carrier else ""
    tracking = (f"It can be followed by {_isolated(one_line(facts.tracking))}.",) if facts.tracking else ()
    return Text(
        f"Your order {order_code(facts.order)} is on the way",
        (f"{_store(facts)} has sent your order of {_placed(facts)}.{carrier}", *tracking),
    )


def _new(facts: Facts) -> Text:
    return Text(
        f"New order {order_code(facts.order)}",
        (f"{_store(facts)} has a new order, placed on {_placed(facts)}. It is paid: {_total(facts)}.",),
    )


def _store_cancelled(facts: Facts) -> Text:
    return Text(
        f"The order {order_code(facts.order)} was cancelled",
        (
            f"The order that {_store(facts)} got on {_placed(facts)} ended: do not send it."
            f" {_why(_WHY_OF_STORE, facts)}".rstrip(),
            f"{_amount(facts)} went back to the buyer.",
        ),
    )


def _store_reversed(facts: Facts) -> Text:
    return Text(
        f"A refund for the order {order_code(facts.order)} did not arrive",
        (
            f"{_amount(facts)} of the order that {_store(facts)} got on {_placed(facts)} was sent back, and the"
            " buyer's bank or card did not take it.",
            "It is owed to the buyer still. Whoever runs the marketplace settles it: you have nothing to do.",
        ),
    )


def _low(facts: Facts) -> Text:
    left = "nothing is left" if facts.available <= 0 else f"{facts.available} can still be ordered"
    name = ", ".join(_isolated(one_line(part)) for part in (facts.title, facts.options) if part)
    sku = f" ({_isolated(one_line(facts.sku, 64))})" if facts.sku else ""
    # Its subject is for those who wrote the name, and they find the mail of one product among those of many by it.
    called = _plain_name(f"{facts.title} {facts.options}")[:_MAX_SUBJECT_NAME_CHARS].strip()
    stock = "No stock left" if facts.available <= 0 else "Low stock"
    what = f"{stock} of {called or 'a product'}"
    return Text(what, (f"{name}{sku} in {_store(facts)}: {left}.",))


_TEXTS: Final[Mapping[Template, Callable[[Facts], Text]]] = {
    Template.ORDER_CONFIRMED: _confirmed,
    Template.ORDER_CANCELLED: _cancelled,
    Template.ORDER_REFUNDED: _refunded,
    Template.PAYMENT_RETURNED: _returned,
    Template.REFUND_REVERSED: _reversed,
    Template.ORDER_SHIPPED: _shipped,
    Template.NEW_ORDER: _new,
    Template.STORE_ORDER_CANCELLED: _store_cancelled,
    Template.STORE_REFUND_REVERSED: _store_reversed,
    Template.LOW_STOCK: _low,
}
_SEE: Final[Mapping[Template, str]] = {
    **dict.fromkeys(Template, "Look at your order"),
    **dict.fromkeys(OF_STORES, "Look at the order"),
    Template.LOW_STOCK: "Look at your stock",
}
_OF_MONEY_ALONE: Final = frozenset(
    {
        Template.PAYMENT_RETURNED,
        Template.ORDER_REFUNDED,
        Template.REFUND_REVERSED,
        Template.STORE_REFUND_REVERSED,
    }
)
"""Their mails list no goods."""


def _lines(template: Template, facts: Facts) -> tuple[Line, ...]:
    return () if template in _OF_MONEY_ALONE else facts.lines


def _plain_name(text: str) -> str:
    """What is left of a name in ASCII letters and digits; of a letter with an accent, the letter."""
    letters = "".join(sign for sign in unicodedata.normalize("NFKD", text) if not unicodedata.combining(sign))
    return " ".join(_CODE.sub(" ", letters).split())


def _named(lines: tuple[Line, ...]) -> str:
    named = [f"{_count(each)} {_isolated(one_line(_name(each)))}" for each in lines[:_MOST_NAMED]]
    more = [f"{len(lines) - _MOST_NAMED} more"] if len(lines) > _MOST_NAMED else []
    *first, last = (*named, *more)
    return f"{', '.join(first)} and {last}" if first else last


def _why(sentences: Mapping[str, str], facts: Facts) -> str:
    return sentences.get(facts.reason, "")


def _store(facts: Facts) -> str:
    return _isolated(one_line(facts.store_title or facts.store))


def _total(facts: Facts) -> str:
    return _money(facts.total_minor, facts.currency)


def _amount(facts: Facts) -> str:
    return _money(facts.amount_minor, facts.currency)


def _money(minor: int, currency: str) -> str:
    try:
        return shown_amount(minor, currency)
    except InvalidMoney:
        return f"{minor} minor units"


def _placed(facts: Facts) -> str:
    """A time in the store's zone, which is named in words."""
    try:
        zone = ZoneInfo(facts.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        zone = ZoneInfo("UTC")
    at = datetime.fromtimestamp(facts.placed_at_ms / 1_000, UTC).astimezone(zone)
    return f"{at.day} {at:%B %Y} at {at:%H:%M} ({zone_words(zone.key)})"


def _isolated(text: str) -> str:
    """A name that is read from right to left does not turn around the sentence that it stands in."""
    turns = any(unicodedata.bidirectional(sign) in ("R", "AL") for sign in text)
    return f"{_ISOLATE}{text}{_END}" if turns else text


def _plain(said: Text, lines: tuple[Line, ...], facts: Facts, see: str, links: Links) -> str:
    parts = [said.title + ".", *said.sentences]
    if lines:
        currency = facts.currency
        bought = [f"  {_count(each)} {_isolated(_name(each))}: {_money(each.total_minor, currency)}" for each in lines]
        parts.append("\n".join((*bought, *_further(facts), f"  Total: {_total(facts)}")))
    if facts.goes_to:
        parts.append("\n".join(("Delivery address:", *(f"  {_isolated(one_line(each))}" for each in facts.goes_to))))
    parts.append(f"{see}:\n{links.page}")
    if facts.contact:
        parts.append(f"Questions? An answer to this mail goes to {_store(facts)}:\n{facts.contact}")
    parts.append(f"No more mails about orders:\n{links.unsubscribe}")
    return "\n\n".join(parts) + "\n"


def _further(facts: Facts) -> tuple[str, ...]:
    return (f"  and {facts.more_lines} more",) if facts.more_lines else ()


def _count(line: Line) -> str:
    return f"{line.quantity} \N{MULTIPLICATION SIGN}"


def _name(line: Line) -> str:
    return ", ".join(one_line(part) for part in (line.title, line.options) if part)


def _html(said: Text, lines: tuple[Line, ...], facts: Facts, see: str, links: Links) -> str:
    """Tables and styles of their own: readers of mails know no others."""
    rows = "".join(
        f'<tr><td style="padding:4px 12px 4px 0">{_count(each)} <bdi>{escape(_name(each))}</bdi></td>'
        f'<td style="padding:4px 0;text-align:right;white-space:nowrap">'
        f"{escape(_money(each.total_minor, facts.currency))}</td></tr>\n"
        for each in lines
    )
    more = "".join(
        f'<tr><td colspan="2" style="padding:4px 0">{escape(text.strip())}</td></tr>\n' for text in _further(facts)
    )
    total = (
        '<tr><td style="padding:8px 12px 4px 0;border-top:1px solid #8888"><strong>Total</strong></td>'
        '<td style="padding:8px 0 4px;border-top:1px solid #8888;text-align:right;white-space:nowrap">'
        "<strong>"
        f"{escape(_total(facts))}</strong></td></tr>\n"
    )
    table = f'<table style="border-collapse:collapse;width:100%;margin:16px 0">\n{rows}{more}{total}</table>\n'
    address = "".join(f"<div><bdi>{escape(one_line(each))}</bdi></div>\n" for each in facts.goes_to)
    goes_to = f'<div style="margin:0 0 12px">\n<strong>Delivery address</strong>\n{address}</div>\n'
    questions = (
        f'<p style="margin:0 0 12px">Questions? An answer to this mail goes to {_bdi(_store(facts))}: '
        f'<a href="mailto:{escape(quote(facts.contact, safe="@"))}">{escape(facts.contact)}</a></p>\n'
    )
    said_html = "".join(f'<p style="margin:0 0 12px">{_bdi(sentence)}</p>\n' for sentence in said.sentences)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(said.title)}</title>\n</head>\n"
        '<body style="margin:0;padding:24px 16px;font:16px/1.5 system-ui,sans-serif">\n'
        '<div style="max-width:560px;margin:0 auto;overflow-wrap:anywhere">\n'
        f'<h1 style="font-size:20px;line-height:1.3;margin:0 0 12px">{escape(said.title)}</h1>\n'
        f"{said_html}{table if lines else ''}{goes_to if facts.goes_to else ''}"
        '<p style="margin:20px 0"><a style="display:inline-block;padding:10px 20px;border-radius:99px;'
        f'background:#1f3a8a;color:#ffffff;text-decoration:none" href="{escape(links.page)}">{escape(see)}</a></p>\n'
        f"{questions if facts.contact else ''}"
        '<p style="margin:24px 0 0;font-size:13px"><a href="'
        f'{escape(links.unsubscribe)}">No more mails about orders</a></p>\n'
        "</div>\n</body>\n</html>\n"
    )


def _bdi(sentence: str) -> str:
    return escape(sentence).replace(_ISOLATE, "<bdi>").replace(_END, "</bdi>")
