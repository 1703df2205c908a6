"""Laws of reviews: counters add up, a decision is not got past by an edit, and text stays the text that it is."""

from __future__ import annotations

import html
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace.reviews.reviews import (
    MAX_EDITS,
    REPORTS_TO_PENDING,
    Decision,
    InvalidText,
    RemovedForGood,
    Review,
    ReviewError,
    ReviewState,
    checked_text,
    decided,
    deleted,
    edited,
    replied,
    reported,
    stars_delta,
)

STARS = st.integers(1, 5)
NEW = Review("r" * 32, "product", "shop", "bea", 3, "Good", 1)
CHANGES = st.one_of(
    st.tuples(st.just("edit"), STARS, st.sampled_from(["Good", "Bad", ""])),
    st.tuples(st.just("report"), st.booleans(), st.none()),
    st.tuples(st.just("decide"), st.sampled_from(Decision), st.none()),
    st.tuples(st.just("reply"), st.sampled_from(["Thanks", "Sorry"]), st.none()),
    st.tuples(st.just("delete"), st.none(), st.none()),
)


def changed(review: Review | None, what: str, first: object, second: object, now: int) -> Review | None:
    """A review after a change as the store makes it; one that is not there can only be written."""
    if what == "edit":
        assert isinstance(first, int)
        assert isinstance(second, str)
        if review is None:
            return replace(NEW, stars=first, text=second, written_at=now)
        return edited(review, first, second, now)
    if review is None:
        return None
    if what == "report":
        return reported(review, now, counts=bool(first)) if review.is_visible else review
    if what == "decide":
        return decided(review, Decision(str(first)), "root", now)
    if what == "reply":
        return replied(review, str(first), "olga", now)
    return deleted(review)


@settings(max_examples=200)
@given(st.lists(st.lists(CHANGES, max_size=8), max_size=5))
def test_after_any_changes_the_counters_are_a_count_of_what_can_be_seen(
    people: list[list[tuple[str, object, object]]],
) -> None:
    counters: Counter[int] = Counter()
    left: list[Review] = []
    for changes in people:
        review: Review | None = None
        for now, change in enumerate(changes, start=2):
            try:
                after = changed(review, *change, now)
            except ReviewError:
                continue
            counters.update(stars_delta(review, after))
            review = after
        left += [review] if review else []
    recount = Counter(review.stars for review in left if review.state.value == "visible")
    assert {stars: counters[stars] for stars in range(1, 6)} == {stars: recount[stars] for stars in range(1, 6)}


@given(st.lists(CHANGES, max_size=12), STARS)
def test_what_a_moderator_has_looked_at_is_seen_after_an_edit_only_when_one_has_looked_again(
    changes: list[tuple[str, object, object]], stars: int
) -> None:
    review: Review | None = NEW
    for now, change in enumerate(changes, start=2):
        before = review
        try:
            review = changed(review, *change, now)
        except ReviewError:
            continue
        became_visible = review is not None and review.is_visible and not (before is not None and before.is_visible)
        if before is not None and became_visible:
            assert change == ("decide", Decision.APPROVE, None)
        if before is not None and review is not None and before.decided_by and change[0] == "edit":
            assert review == before or review.state is ReviewState.PENDING
        # One that moderators had to do with is never forgotten.
        if review is None and before is not None:
            assert (before.decided_by, before.queued_at, before.reports) == ("", None, 0)


@given(st.lists(st.booleans(), max_size=12))
def test_reports_of_three_people_from_outside_of_the_store_hide_a_review_and_those_of_the_store_never_do(
    outside: list[bool],
) -> None:
    review = NEW
    for now, counts in enumerate(outside, start=2):
        if not review.is_visible:
            break
        review = reported(review, now, counts=counts)
        assert review.queued_at == 2
    assert review.is_visible is (sum(outside) < REPORTS_TO_PENDING)


def test_after_an_approval_it_takes_as_many_reports_again_to_hide_it() -> None:
    review = NEW
    for _ in range(REPORTS_TO_PENDING):
        review = reported(review, 2, counts=True)
    review = decided(review, Decision.APPROVE, "root", 3)
    assert (review.state, review.queued_at, review.reports) == (ReviewState.VISIBLE, None, 0)
    for number in range(1, REPORTS_TO_PENDING + 1):
        assert review.is_visible
        review = reported(review, 3 + number, counts=True)
    assert review.state is ReviewState.PENDING


def test_a_review_that_a_moderator_removed_is_neither_edited_nor_written_again() -> None:
    removed = decided(NEW, Decision.REMOVE, "root", 2)
    with pytest.raises(RemovedForGood):
        edited(removed, 5, "Best", 3)
    kept = deleted(removed)
    assert kept is not None
    with pytest.raises(RemovedForGood):
        edited(kept, 5, "Best", 4)


def test_who_deletes_a_reported_review_and_writes_it_again_waits_for_a_moderator() -> None:
    gone = deleted(reported(NEW, 2, counts=True))
    assert gone is not None
    assert not gone.is_visible
    again = edited(gone, 5, "Best", 3)
    assert (again.state, again.text, again.withdrawn) == (ReviewState.PENDING, "Best", False)


def test_what_it_said_before_each_edit_is_kept_and_there_are_not_endlessly_many() -> None:
    review = NEW
    for number in range(MAX_EDITS):
        review = edited(review, 1 + number % 5, f"Edit {number}", 10 + number)
    assert [wording.text for wording in review.history] == [
        "Good",
        *(f"Edit {number}" for number in range(MAX_EDITS - 1)),
    ]
    assert edited(review, review.stars, review.text, 99) == review
    with pytest.raises(ReviewError, match="50 times"):
        edited(review, 1, "One more", 99)


@given(st.text(max_size=300))
def test_text_is_kept_as_it_is_or_refused_and_never_turned_into_something_else(text: str) -> None:
    try:
        kept = checked_text(text, 200)
    except InvalidText:
        bad = any((ord(each) < 32 and each not in "\t\n\r") or each == "\x7f" for each in text.strip())
        odd = any(
            0x80 <= ord(c) <= 0x9F or c in "\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
            for c in text
        )
        surrogate = any(0xD800 <= ord(each) <= 0xDFFF for each in text)
        assert bad or odd or surrogate or len(text) > 200
    else:
        assert kept.split() == text.split()
        assert checked_text(kept, 200) == kept
        assert "\r" not in kept


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "<b>bold</b> & 'so'", "a < b > c", "&lt;", "[x](javascript:y)", "{{7*7}}"]
)
def test_markup_is_text_which_an_escape_brings_back_unchanged(text: str) -> None:
    assert checked_text(text) == text
    assert html.unescape(html.escape(checked_text(text))) == text


@pytest.mark.parametrize("text", ["a\x00b", "\x1b[2J", "a\u202eb", "a\x85b", "a\u2028b", "x" * 5_001, "\ud800"])
def test_text_with_characters_that_text_does_not_need_is_refused(text: str) -> None:
    with pytest.raises(InvalidText):
        checked_text(text)
