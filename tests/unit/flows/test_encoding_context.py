"""What a worker knows of distinct values, and how it forgets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from flows.arrays.types import I32
from flows.clicks.encoding.context import EncodingContext
from flows.clicks.encoding.dictionary import Dictionary
from flows.clicks.model.columns import Columns
from flows.clicks.model.encoded_column import EncodedColumn
from flows.clicks.steps.decode import decode
from tests.kits.clicks import AGENTS, LOOKUPS, STORES, as_batch, as_log, event

KB = 1 << 10


class Holder:
    """Keeps codes as sessions do."""

    def __init__(self, codes: I32) -> None:
        self.entry_codes = codes.copy()

    def __len__(self) -> int:
        return len(self.entry_codes)

    def codes(self, encoder: int) -> I32:
        return self.entry_codes[:, encoder]

    def recode(self, encoder: int, codes: I32) -> None:
        self.entry_codes[:, encoder] = codes


def encoding(max_bytes: int) -> EncodingContext:
    return EncodingContext(lambda: LOOKUPS, AGENTS, max_bytes)


def columns_of(known: EncodingContext, *events: dict[str, Any]) -> Columns:
    return decode(as_batch(as_log(events)), STORES.__contains__, known.dictionaries)[0]


def pages_of(known: EncodingContext, codes: I32) -> list[str]:
    return known.pages(codes).tolist()


def test_words_number_texts_in_order_of_first_sight() -> None:
    words = Dictionary()
    assert words.encode(["b", "a", "b"]).codes.tolist() == [0, 1, 0]
    assert words.encode(["c", "a"]).codes.tolist() == [2, 1]
    assert words.texts == ["b", "a", "c"]


def test_a_column_outlives_the_words_that_it_was_made_of() -> None:
    words = Dictionary()
    column = words.encode(["x", "y"])
    words.forget()
    assert words.encode(["y"]).codes.tolist() == [0]
    assert column.tolist() == ["x", "y"]


def test_the_hash_of_a_text_is_the_same_after_it_was_forgotten() -> None:
    words = Dictionary()
    before = words.hashes(words.encode(["x", "y"]).codes)
    words.forget()
    assert words.hashes(words.encode(["y", "x"]).codes).tolist() == before[::-1].tolist()


def test_a_column_knows_which_of_its_texts_it_uses() -> None:
    column = EncodedColumn(np.array([3, 1, 3], dtype=np.int32), ["a", "b", "c", "d"])
    texts, position = column.used()
    assert [texts[at] for at in position.tolist()] == column.tolist() == ["d", "b", "d"]
    assert sorted(texts) == ["b", "d"]
    assert column.arrow().to_pylist() == column.strings().to_pylist() == ["d", "b", "d"]


def test_random_links_do_not_fill_memory() -> None:
    known = encoding(400 * KB)
    held = []
    for at in range(40):
        links = [f"https://alpha.example/{at}/{step}?gclid={at}-{step}" for step in range(100)]
        columns = columns_of(known, *(event(url=link, event_id=link) for link in links))
        known.enrich(columns, STORES)
        known.trim()
        held.append(known.nbytes)
    assert max(held) <= 400 * KB


def test_what_is_forgotten_changes_no_answer() -> None:
    generous, forgetful = encoding(1 << 30), encoding(0)
    links = [f"https://alpha.example/{at % 3}?utm_source=s{at % 2}" for at in range(9)]
    events = [event(url=link, ip=f"81.2.69.{at}", event_id=str(at)) for at, link in enumerate(links)]
    batches = [events[start:] for start in range(4)]
    for batch in batches:
        answers = []
        for known in (generous, forgetful):
            columns = columns_of(known, *batch)
            codes = known.enrich(columns, STORES)
            rows = [[encoder.rows[code] for code in codes[:, at]] for at, encoder in enumerate(known.encoders)]
            answers.append((rows, known.rules.targets(columns).tolist(), known.rules.blocked(columns, STORES).tolist()))
            known.trim()
        assert answers[0] == answers[1]


def test_answers_that_a_session_holds_stay_under_new_codes() -> None:
    known = encoding(0)
    first = columns_of(known, event(url="https://alpha.example/a"), event(url="https://alpha.example/b"))
    codes = known.enrich(first, STORES)
    holder, other = Holder(codes[1:]), Holder(codes[:1])
    known.hold(holder)
    known.hold(other)
    known.enrich(columns_of(known, event(url="https://alpha.example/c")), STORES)
    known.trim()
    assert len(known.encoders[known.page].rows) == 2
    assert (pages_of(known, holder.entry_codes), pages_of(known, other.entry_codes)) == (["/b"], ["/a"])


def test_a_store_that_gets_another_domain_has_its_visits_reported_again() -> None:
    known = encoding(1 << 30)
    arrival = event(url="https://shop.example/", referrer="https://blog.example/post")
    referral = next(at for at, encoder in enumerate(known.encoders) if encoder.name == "referral")
    sources = []
    for domains in (("alpha.example",), ("alpha.example", "blog.example"), ("alpha.example",)):
        stores = {**STORES, "alpha": replace(STORES["alpha"], domains=domains)}
        codes = known.enrich(columns_of(known, arrival), stores)
        sources.append(known.encoders[referral].rows[codes[0, referral]][0])
    assert sources == ["blog.example", "(internal)", "blog.example"]
