"""Notifications as mails, in plain text and HTML.

Heads of mails hold nothing that people have written, except that a store's own people read there what of runs low, in
ASCII letters and digits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Final
from urllib.parse import quote

from marketplace.notifications.facts import Facts, Line
from marketplace.notifications.notices import OF_STORES, Template
from marketplace.notifications.texts import Text, text_of
from marketplace.notifications.words import END, ISOLATE, count, isolated, money, name_of, one_line, store_name, total

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


def letter_of(template: Template, facts: Facts, links: Links) -> Letter:
    """A notification as a mail."""
    said, lines, see = text_of(template, facts), _lines(template, facts), _SEE[template]
    plain, html = _plain(said, lines, facts, see, links), _html(said, lines, facts, see, links)
    return Letter(said.title, plain, html, facts.contact)


def _lines(template: Template, facts: Facts) -> tuple[Line, ...]:
    return () if template in _OF_MONEY_ALONE else facts.lines


def _plain(said: Text, lines: tuple[Line, ...], facts: Facts, see: str, links: Links) -> str:
    parts = [said.title + ".", *said.sentences]
    if lines:
        currency = facts.currency
        bought = [f"  {count(each)} {isolated(name_of(each))}: {money(each.total_minor, currency)}" for each in lines]
        parts.append("\n".join((*bought, *_further(facts), f"  Total: {total(facts)}")))
    if facts.goes_to:
        parts.append("\n".join(("Delivery address:", *(f"  {isolated(one_line(each))}" for each in facts.goes_to))))
    parts.append(f"{see}:\n{links.page}")
    if facts.contact:
        parts.append(f"Questions? An answer to this mail goes to {store_name(facts)}:\n{facts.contact}")
    parts.append(f"No more mails about orders:\n{links.unsubscribe}")
    return "\n\n".join(parts) + "\n"


def _further(facts: Facts) -> tuple[str, ...]:
    return (f"  and {facts.more_lines} more",) if facts.more_lines else ()


def _html(said: Text, lines: tuple[Line, ...], facts: Facts, see: str, links: Links) -> str:
    """Tables and styles of their own: readers of mails know no others."""
    rows = "".join(
        f'<tr><td style="padding:4px 12px 4px 0">{count(each)} <bdi>{escape(name_of(each))}</bdi></td>'
        f'<td style="padding:4px 0;text-align:right;white-space:nowrap">'
        f"{escape(money(each.total_minor, facts.currency))}</td></tr>\n"
        for each in lines
    )
    more = "".join(
        f'<tr><td colspan="2" style="padding:4px 0">{escape(text.strip())}</td></tr>\n' for text in _further(facts)
    )
    sum_row = (
        '<tr><td style="padding:8px 12px 4px 0;border-top:1px solid #8888"><strong>Total</strong></td>'
        '<td style="padding:8px 0 4px;border-top:1px solid #8888;text-align:right;white-space:nowrap">'
        "<strong>"
        f"{escape(total(facts))}</strong></td></tr>\n"
    )
    table = f'<table style="border-collapse:collapse;width:100%;margin:16px 0">\n{rows}{more}{sum_row}</table>\n'
    address = "".join(f"<div><bdi>{escape(one_line(each))}</bdi></div>\n" for each in facts.goes_to)
    goes_to = f'<div style="margin:0 0 12px">\n<strong>Delivery address</strong>\n{address}</div>\n'
    questions = (
        f'<p style="margin:0 0 12px">Questions? An answer to this mail goes to {_bdi(store_name(facts))}: '
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
    return escape(sentence).replace(ISOLATE, "<bdi>").replace(END, "</bdi>")
