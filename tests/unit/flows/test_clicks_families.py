"""Pages, and columns that are decided together."""

from __future__ import annotations

import numpy as np
import pytest

from flows.clicks.families import MAX_PAGE_CHARS, Family, page_of
from flows.clicks.memo import Memo, trim
from marketplace.events import CollectedClick

PAGES = {
    "https://shop.example": "/",
    "https://shop.example?q=1": "/",
    "https://shop.example/": "/",
    "https://shop.example/a/b?q=/c#/d": "/a/b",
    "https://shop.example/a#b?c": "/a",
    "/plain/path?x=1": "/plain/path",
    "": "/",
    "?only=query": "/",
    "no-slash": "no-slash",
    "https://shop.example/caf%C3%A9": "/caf\u00e9",
    "https://shop.example/%ff%C3": "/\ufffd\ufffd",
    "https://shop.example/100%": "/100%",
    "https://shop.example/%zz": "/%zz",
    "https://shop.example/a%2Fb": "/a/b",
    "https://shop.example/a%3Fb%23c": "/a?b#c",
    "https://shop.example/a%00b\u202ec\n": "/a\ufffdb\ufffdc\ufffd",
    "https://shop.example/redirect/https://other.example/x": "/redirect/https://other.example/x",
    "/redirect/https://other.example/x": "/redirect/https://other.example/x",
    "android-app://com.example/open": "/open",
}


@pytest.mark.parametrize(("url", "page"), PAGES.items())
def test_the_page_is_the_readable_path(url: str, page: str) -> None:
    assert page_of(url) == page


def test_a_page_is_cut_after_it_was_decoded() -> None:
    assert page_of("https://shop.example/" + "%C3%A9" * 2_000) == "/" + "\u00e9" * (MAX_PAGE_CHARS - 1)


def make_family(calls: list[tuple[str, ...]], prefix: str = "") -> Family:
    def answer(values: tuple[str, ...]) -> tuple[str, ...]:
        calls.append(values)
        return (prefix + values[0].upper(),)

    return Family("shout", ("loud",), ("url",), answer, "v1")


def links(*urls: str, store: str = "shop") -> list[CollectedClick]:
    """Events that differ in their links."""
    id_ = "0" * 16
    return [CollectedClick(key=id_, event_id="e", store=store, visitor=id_, received_at_ms=0, url=url) for url in urls]


def test_what_depends_on_a_stores_own_hosts_is_answered_anew_when_they_change() -> None:
    calls: list[tuple[str, ...]] = []

    def answer(values: tuple[str, ...]) -> tuple[str, ...]:
        calls.append(values)
        return values

    family = Family("own", ("url", "hosts"), ("url", "store_domains"), answer, "v1")
    for hosts in ("a.example", "a.example", "b.example"):
        codes = family.encode(links("/") + links("/", store="other"), {"shop": hosts, "other": "o.example"})
        assert [family.rows[code] for code in codes.tolist()] == [("/", hosts), ("/", "o.example")]
    assert calls == [("/", "a.example"), ("/", "o.example"), ("/", "b.example"), ("/", "o.example")]


def test_each_distinct_input_is_answered_once() -> None:
    calls: list[tuple[str, ...]] = []
    family = make_family(calls)
    assert family.encode(links("a", "b", "a"), {}).tolist() == [0, 1, 0]
    assert family.encode(links("b", "B"), {}).tolist() == [1, 1]
    assert calls == [("a",), ("b",), ("B",)]
    assert family.rows == [("A",), ("B",)]


def test_new_rules_answer_anew_and_leave_old_answers_as_they_were() -> None:
    family = make_family([])
    old = family.encode(links("a"), {}).tolist()
    family.renew(lambda values: (f"new {values[0]}",), "v2")
    new = family.encode(links("a"), {}).tolist()
    assert [family.rows[code] for code in old + new] == [("A",), ("new a",)]
    assert family.version == "v2"


def test_the_same_version_keeps_what_was_remembered() -> None:
    calls: list[tuple[str, ...]] = []
    family = make_family(calls)
    family.encode(links("a"), {})
    family.renew(family.answer, "v1")
    family.encode(links("a"), {})
    assert calls == [("a",)]


def test_compacting_keeps_what_is_used_under_new_codes() -> None:
    family = make_family([])
    codes = family.encode(links("a", "b", "c"), {})
    kept = family.compact(np.array([codes[2], codes[0], codes[2]], dtype=np.int32))
    assert [family.rows[code] for code in kept.tolist()] == [("C",), ("A",), ("C",)]
    assert len(family.rows) == 2
    assert [family.rows[code] for code in family.encode(links("b", "c"), {}).tolist()] == [("B",), ("C",)]


def test_answers_are_weighed_by_their_texts_and_compacting_makes_them_lighter() -> None:
    family = make_family([])
    codes = family.encode(links("a" * 2_000, "b" * 50), {})
    before = family.nbytes
    family.compact(codes[1:])
    assert before > 2_050 > family.nbytes > 50


def test_what_was_forgotten_is_answered_anew() -> None:
    calls: list[tuple[str, ...]] = []
    family = make_family(calls)
    family.encode(links("a"), {})
    trim([family.memo], 0)
    assert family.memo.nbytes == 0
    assert family.encode(links("a"), {}).tolist() == [0]
    assert calls == [("a",), ("a",)]


def test_random_input_cannot_fill_the_memos_and_the_heaviest_starts_over() -> None:
    small, large = Memo[str, int](), Memo[str, int]()
    for number in range(100):
        small.keep(str(number), number, 10)
        large.keep(str(number), number, 2_000)
    trim([small, large], 201_000)
    assert (len(small.answers), len(large.answers)) == (100, 100)
    trim([small, large], 200_999)
    assert (len(small.answers), len(large.answers), small.nbytes, large.nbytes) == (100, 0, 1_000, 0)
