from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.mongo.stores import MemoryStores, from_document, to_document
from marketplace.enrichments.referral import arrival, decide
from marketplace.enrichments.referral_links import host_of
from marketplace.enrichments.store_rules import SourceRule, read_rules, rules_text
from marketplace.store_links import InvalidLinkRule, checked_hosts, checked_source_rule, page_by_rules
from marketplace.stores import InvalidStore, Store

STORE = Store("shop", "Shop", "UTC", ("shop.example",), "0" * 64, "0" * 64)
PAGE = "https://shop.example/done"
texts = st.text(max_size=80)
FIRST = SourceRule("referrer", "partner.example", "partner", "affiliate")
FULL = replace(
    STORE,
    payment_hosts=("pay.bank.example",),
    ignored_referrers=("login.example",),
    source_rules=(FIRST, SourceRule("utm_source", "flyer-2026", "flyer", "print")),
    trailing_slash="strip",
    page_case="lower",
)


def arrives(referrer: str, query: str = "", store: Store = FULL) -> tuple[str, ...]:
    return decide(arrival(PAGE + query), host_of(referrer), read_rules(store.rules_text)).answer[:4]


def test_a_payment_page_of_the_stores_own_list_keeps_the_sale_where_it_was() -> None:
    assert arrives("https://pay.bank.example/3ds") == ("(internal)", "internal", "", "Internal")
    assert arrives("https://a.pay.bank.example/") == ("(internal)", "internal", "", "Internal")
    assert arrives("https://pay.bank.example/3ds", store=STORE)[0] == "pay.bank.example"


def test_an_ignored_referrer_counts_as_none() -> None:
    found = decide(arrival(PAGE), "sso.login.example", read_rules(FULL.rules_text))
    assert found.answer == ("(direct)", "(none)", "", "Direct", "", "", "")


def test_a_stores_own_rule_names_a_referrer() -> None:
    assert arrives("https://www.partner.example/shop") == ("partner", "affiliate", "", "Affiliates")
    assert arrives("https://blog.partner.example/") == ("partner", "affiliate", "", "Affiliates")


def test_a_stores_own_rule_names_a_label_and_leaves_a_medium_that_the_link_says() -> None:
    assert arrives("", "?utm_source=Flyer-2026")[:2] == ("flyer", "print")
    assert arrives("", "?utm_source=flyer-2026&utm_medium=qr")[:2] == ("flyer", "qr")


def test_a_rule_for_a_part_of_the_stores_own_domain_holds_and_its_pages_stay_internal() -> None:
    store = replace(STORE, source_rules=(SourceRule("referrer", "blog.shop.example", "our blog", "content"),))
    assert arrives("https://blog.shop.example/post", store=store)[:2] == ("our blog", "content")
    inside = decide(arrival("https://blog.shop.example/a"), "blog.shop.example", read_rules(store.rules_text))
    assert inside.answer[0] == "(internal)"


def test_a_domain_in_letters_and_on_the_wire_are_one() -> None:
    store = replace(STORE, domains=("m\u00fcller-shop.example",))
    assert arrives("https://www.m\u00fcller-shop.example/", store=store)[0] == "(internal)"
    assert arrives("https://xn--mller-shop-9db.example/", store=store)[0] == "(internal)"


@given(text=texts)
def test_rules_are_read_from_any_text(text: str) -> None:
    read = read_rules(text)
    assert "" not in (*read.domains, *read.payment, *read.ignored)
    assert read_rules(rules_text(read.domains, read.payment, read.ignored, read.sources)) == read


def test_a_stores_rules_survive_their_text() -> None:
    read = read_rules(FULL.rules_text)
    assert (read.payment, read.ignored, read.sources) == (FULL.payment_hosts, FULL.ignored_referrers, FULL.source_rules)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"payment_hosts": ("https://pay.example/",)}, "give a host alone"),
        ({"payment_hosts": ("pay.example:443",)}, "give a host alone"),
        ({"payment_hosts": ("pay",)}, "give a host alone"),
        ({"payment_hosts": ("www.pay.example",)}, "in one form"),
        ({"payment_hosts": ("pay.example", "a.pay.example")}, "can never match"),
        ({"payment_hosts": ("shop.example",)}, "the store's own domains"),
        (
            {"payment_hosts": ("example.org", "pay.example"), "ignored_referrers": ("pay.example",)},
            "ignored referrers too",
        ),
        ({"ignored_referrers": ("m\u00fcller.example",)}, "in one form"),
        ({"source_rules": (FIRST, SourceRule("referrer", "a.partner.example", "x"))}, "can never match"),
        ({"source_rules": (SourceRule("utm_source", "a", "x"), SourceRule("utm_source", "a", "y"))}, "can never match"),
        ({"source_rules": (SourceRule("referrer", "shop.example", "x"),)}, "the store's own domains"),
        ({"source_rules": (FIRST,), "ignored_referrers": ("partner.example",)}, "ignored referrers too"),
        ({"source_rules": (SourceRule("utm_source", "a", "(direct)"),)}, "the system's"),
        ({"source_rules": (SourceRule("utm_source", "A", "x"),)}, "one form"),
        ({"source_rules": (SourceRule("utm_source", "", "x"),)}, "needs the utm_source"),
        ({"ignored_referrers": tuple(f"a{number}.example" for number in range(101))}, "100 at most"),
    ],
)
def test_a_rule_that_contradicts_another_or_can_never_match_is_refused(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidStore, match=reason):
        replace(STORE, **fields)


@pytest.mark.parametrize("parts", [("a", "x" * 121, ""), ("a", "x", "ß" * 61), ("x" * 121, "x", "")])
def test_a_rule_whose_label_would_be_cut_is_refused(parts: tuple[str, str, str]) -> None:
    with pytest.raises(InvalidLinkRule, match="120 characters at most"):
        checked_source_rule("utm_source", *parts)


def test_what_a_person_writes_becomes_the_one_form() -> None:
    assert checked_hosts("payment host", ["WWW.Pay.Example", "pay.example."]) == ("pay.example",)
    assert checked_source_rule("referrer", "WWW.M\u00fcller.example", "Partner") == SourceRule(
        "referrer", "xn--mller-kva.example", "partner"
    )


def test_an_old_document_without_the_rules_keeps_its_meaning() -> None:
    document = to_document(STORE)
    for field in ("payment_hosts", "ignored_referrers", "source_rules", "trailing_slash", "page_case"):
        del document[field]
    assert from_document(document) == STORE
    assert not STORE.has_page_rules


def test_a_store_with_rules_survives_its_document_and_an_edit() -> None:
    assert from_document(to_document(FULL)) == FULL
    stores = MemoryStores()
    stores.create_store(FULL)
    edited = stores.edit("shop", lambda store: {"source_rules": [*store.source_rules[:1]], "page_case": "keep"})
    assert edited is not None
    assert (edited.source_rules, edited.page_case, stores.get("shop")) == ((FIRST,), "keep", edited)


@pytest.mark.parametrize(
    ("path", "counted"),
    [("/", "/"), ("/Shoes/", "/shoes"), ("/shoes", "/shoes"), ("//", "/"), ("/\u0130/", "/i\u0307")],
)
def test_one_page_has_one_address_by_the_stores_rules(path: str, counted: str) -> None:
    assert FULL.page(path) == counted
    assert STORE.page(path) == path


@given(
    path=texts.map(lambda text: "/" + text),
    slash=st.sampled_from(["keep", "strip"]),
    case=st.sampled_from(["keep", "lower"]),
)
def test_a_page_by_the_rules_is_itself_by_the_rules(path: str, slash: Any, case: Any) -> None:
    once = page_by_rules(path, slash, case)
    assert once.startswith("/")
    assert page_by_rules(once, slash, case) == once
