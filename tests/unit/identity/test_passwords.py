from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.identity.passwords import MAX_CHARS, MIN_CHARS, WeakPassword, check_password, normalized


@pytest.mark.parametrize(
    "password", ["correct horse battery", "Zürich-Straße 12", "пароль-из-слов", "vX9!kq2#Lm", "日本語の長い秘密の言葉"]
)
def test_length_is_enough_whatever_the_characters_are(password: str) -> None:
    check_password(password, personal=("ann@shop.example", "Ann"))


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("vX9!kq2#L", "too_short"),
        ("a1b2c3d4e5" * 13, "too_long"),
        ("aaaaaaaaaaaa", "repetitive"),
        ("abababababab", "repetitive"),
        ("abcdefghijkl", "repetitive"),
        ("1234567890", "repetitive"),
        ("9876543210", "repetitive"),
        ("QWERTYUIOP", "repetitive"),
        ("Password123", "common"),
        ("shop-of-annabel", "personal"),
        ("my annabel99!", "personal"),
    ],
)
def test_a_weak_one_is_refused_with_what_is_wrong_and_is_not_repeated(password: str, code: str) -> None:
    with pytest.raises(WeakPassword) as refused:
        check_password(password, personal=("annabel@shop.example", "Annabel"))
    assert refused.value.code == code
    assert password.casefold() not in str(refused.value).casefold()


@given(st.text(min_size=MIN_CHARS, max_size=MAX_CHARS))
def test_the_same_letters_from_another_keyboard_are_the_same_password(password: str) -> None:
    assert normalized(unicodedata.normalize("NFD", password)) == normalized(password)


@given(st.text(max_size=2 * MAX_CHARS))
def test_whatever_is_accepted_is_within_the_bounds(password: str) -> None:
    try:
        check_password(password)
    except WeakPassword:
        return
    assert MIN_CHARS <= len(normalized(password)) <= MAX_CHARS
