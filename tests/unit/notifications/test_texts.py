"""The texts of notifications, and mails that are kept as examples."""

from __future__ import annotations

import os
import re
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.notifications.facts import MAX_LINES, Facts, Line, facts_of_order
from marketplace.notifications.letters import Links, letter_of
from marketplace.notifications.notices import Notice, Template
from marketplace.notifications.texts import text_of
from marketplace.notifications.words import one_line, order_code
from marketplace.sagas.order_state import OrderLine, Refund, RefundedLine
from marketplace.texts import NOT_IN_LINES
from tests.kits.notifications import ARABIC, HOSTILE, MAILS, PLACED_MS, facts, low, order

GOLDEN = Path(__file__).parents[2] / "golden" / "mails"
LINKS = Links("https://market.example/shop/orders/9c51", "https://market.example/shop/unsubscribe/bea.x")
HTML_TAGS = {"html", "head", "meta", "title", "body", "div", "h1", "p", "bdi", "table", "tr", "td", "strong", "a"}
AT_ALL = re.compile(f"[{NOT_IN_LINES}]")


class Reader(HTMLParser):
    """Notes tags, attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.mark.parametrize("name", sorted(MAILS))
def test_a_mail_says_what_its_example_says(name: str) -> None:
    letter = letter_of(*MAILS[name], LINKS)
    text = f"Subject: {letter.subject}\n\n{letter.text}"
    for file, found in ((GOLDEN / f"{name}.txt", text), (GOLDEN / f"{name}.html", letter.html)):
        if os.environ.get("WRITE_GOLDEN"):
            file.write_text(found, encoding="utf-8")
        assert found == file.read_text(encoding="utf-8")


def test_every_template_has_an_example_and_no_example_is_left_over() -> None:
    assert {template for template, _ in MAILS.values()} == set(Template)
    assert {file.stem for file in GOLDEN.iterdir()} == set(MAILS)


ANY_TEXT = st.text(max_size=400) | st.sampled_from([HOSTILE, ARABIC, "", "{0}", "%s", "=?utf-8?q?x?=", "a\nb"])


@given(
    template=st.sampled_from(Template),
    title=ANY_TEXT,
    options=ANY_TEXT,
    store=ANY_TEXT,
    sku=ANY_TEXT,
    order_id=ANY_TEXT,
    reason=ANY_TEXT,
    zone=ANY_TEXT,
    currency=ANY_TEXT,
    amount=st.integers(0, 10**11),
)
def test_whatever_people_write_stays_text_on_one_line_and_out_of_heads(
    template: Template, title: str, options: str, store: str, sku: str, order_id: str, reason: str, zone: str,
    currency: str, amount: int,
) -> None:  # fmt: skip
    line = Line(title, options, 2, amount)
    about = {"decline": reason, "refunded": (line,) * 5, "goes_to": (title, options, store)}
    made = low(
        order=order_id, title=title, options=options, sku=sku, store_title=store, lines=(line,), reason=reason,
        zone=zone, currency=currency, amount_minor=amount, total_minor=amount, placed_at_ms=PLACED_MS, **about,
    )  # fmt: skip
    letter = letter_of(template, made, LINKS)
    assert re.fullmatch(r"[A-Za-z0-9 ]{1,78}", letter.subject)
    message = EmailMessage()
    message["Subject"] = letter.subject
    message.set_content(letter.text)
    message.add_alternative(letter.html, subtype="html")
    assert message.as_bytes()
    page = Reader(letter.html)
    assert set(page.tags) <= HTML_TAGS
    assert page.links == [LINKS.page, LINKS.unsubscribe]
    assert not AT_ALL.search(letter.text.replace("\n", "").replace("\u2068", "").replace("\u2069", ""))
    assert max(map(len, letter.text.split("\n"))) < 700
    assert letter.text.count("\u2068") == letter.text.count("\u2069")


@pytest.mark.parametrize("name", sorted(MAILS))
def test_plain_text_and_html_say_the_same(name: str) -> None:
    template, about = MAILS[name]
    letter = letter_of(template, about, LINKS)
    words = " ".join("".join(Reader(letter.html).words).split())
    for sentence in text_of(template, about).sentences:
        plain = " ".join(sentence.replace("\u2068", "").replace("\u2069", "").split())
        assert plain in words
        assert sentence in letter.text


def test_times_are_in_the_zone_of_the_store_on_both_sides_of_midnight_and_of_the_change_of_clocks() -> None:
    def placed(zone: str, at_ms: int = PLACED_MS) -> str:
        return text_of(Template.NEW_ORDER, facts(zone=zone, placed_at_ms=at_ms)).sentences[0]

    assert "29 November 2026 at 13:00 (Berlin time)" in placed("Europe/Berlin")
    assert "29 November 2026 at 17:30 (Kolkata time)" in placed("Asia/Kolkata")
    assert "30 November 2026 at 01:00 (Auckland time)" in placed("Pacific/Auckland")
    assert "(UTC)" in placed("no/such zone")
    summer_ends = 1_792_890_000_000
    assert "at 02:00 (Berlin time)" in placed("Europe/Berlin", summer_ends)
    assert "at 02:00 (Berlin time)" in placed("Europe/Berlin", summer_ends - 3_600_000)


def test_a_title_is_cut_and_says_so() -> None:
    assert one_line("x" * 500) == "x" * 119 + "\N{HORIZONTAL ELLIPSIS}"
    assert one_line(" a\r\nb\t c\x00") == "a b c"
    assert one_line("\ud800x") == "x"


def test_a_long_order_is_shown_in_part_and_says_how_much_is_missing() -> None:
    lines = tuple(OrderLine(at, "p", f"v{at}", f"Product {at}", 1, 100) for at in range(1, MAX_LINES + 6))
    notice = Notice("user:bea", Template.ORDER_CONFIRMED, "e")
    made = facts_of_order(notice, order(lines=lines), PLACED_MS, "Ann's shop", "UTC")
    assert (len(made.lines), made.more_lines, made.total_minor) == (MAX_LINES, 5, 2_500)
    assert "and 5 more" in letter_of(Template.ORDER_CONFIRMED, made, LINKS).text


def test_the_facts_of_a_refund_name_its_goods_and_count_those_beyond_three() -> None:
    lines = tuple(OrderLine(at, "p", f"v{at}", f"Product {at}", 2, 100) for at in range(1, 6))
    refunds = (Refund("r1", 400, lines=tuple(RefundedLine(at, 1) for at in (1, 2, 3, 4))),)
    notice = Notice("user:bea", Template.ORDER_REFUNDED, "e", 400, refund="r1")
    made = facts_of_order(notice, order(lines=lines, refunds=refunds), PLACED_MS, "Ann's shop", "UTC")
    assert [(line.title, line.quantity, line.total_minor) for line in made.refunded] == [
        (f"Product {at}", 1, 100) for at in (1, 2, 3, 4)
    ]
    assert (
        "It is for 1 \u00d7 Product 1, 1 \u00d7 Product 2, 1 \u00d7 Product 3 and 1 more."
        in text_of(Template.ORDER_REFUNDED, made).sentences
    )


@pytest.mark.parametrize(
    ("title", "available", "subject"),
    [("Trinkflasche gr\u00fcn", 2, "Low stock of Trinkflasche grun L"), ("Mug", 0, "No stock left of Mug L"),
     ("x" * 500, 1, f"Low stock of {'x' * 40}"), (HOSTILE, 1, "Low stock of script alert 1 script Bcc all shop examp")],
)  # fmt: skip
def test_the_mail_about_low_stock_names_the_product_in_its_subject(title: str, available: int, subject: str) -> None:
    assert letter_of(Template.LOW_STOCK, low(title=title, available=available), LINKS).subject == subject


def test_facts_of_an_earlier_version_with_fewer_fields_are_read() -> None:
    import msgspec

    read = msgspec.convert({"store": "s", "store_title": "S", "zone": "UTC", "later": 1}, Facts)
    assert text_of(Template.NEW_ORDER, read).title == "New order "
    assert msgspec.convert(msgspec.to_builtins(facts()), Facts) == facts()


def test_an_order_is_called_by_the_beginning_of_its_id() -> None:
    assert order_code("9c51d06e4b7f") == "9C51D06E"
    assert order_code("a-\r\nb:c") == "ABC"
