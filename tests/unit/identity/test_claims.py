from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.identity.claims import (
    ACCESS_SECONDS,
    ACCESS_TYPE,
    ALGORITHM,
    LEEWAY_SECONDS,
    AccessClaims,
    InvalidClaims,
    access_claims,
)

ISSUER, AUDIENCE, NOW = "https://shop.example", "marketplace", 1_000_000
HEADER: dict[str, object] = {"alg": ALGORITHM, "typ": ACCESS_TYPE, "kid": "k1"}
CLAIMS = AccessClaims("user-1", "session-1", "token-1", NOW, NOW + ACCESS_SECONDS)
PAYLOAD = CLAIMS.payload(ISSUER, AUDIENCE)


def check(header: dict[str, object], payload: dict[str, object], now: float = NOW) -> AccessClaims:
    return access_claims(header, payload, ISSUER, AUDIENCE, now)


def test_a_token_says_what_was_put_into_it() -> None:
    assert check(HEADER, PAYLOAD) == CLAIMS


@pytest.mark.parametrize("name", sorted(PAYLOAD))
@pytest.mark.parametrize("value", [None, "", [], {}, True, 1.5, -1, "x" * 1_000, ["user-1"]], ids=repr)
def test_a_claim_that_is_missing_empty_or_of_another_type_is_refused(name: str, value: Any) -> None:
    payload = {**PAYLOAD, name: value} if value is not None else {k: v for k, v in PAYLOAD.items() if k != name}
    with pytest.raises(InvalidClaims, match=r"^\w+: "):
        check(HEADER, payload)


@pytest.mark.parametrize("name", ["iss", "aud"])
def test_a_piece_of_the_right_text_more_than_it_and_a_list_with_it_are_refused(name: str) -> None:
    right = str(PAYLOAD[name])
    for value in (right[:-1], right[1:], right + "/", f"{right} ", right.upper(), [right]):
        with pytest.raises(InvalidClaims, match=f"^{name}: not ours$"):
            check(HEADER, {**PAYLOAD, name: value})


@pytest.mark.parametrize(
    "header",
    [
        {**HEADER, "alg": "none"},
        {**HEADER, "alg": "HS256"},
        {**HEADER, "alg": "EDDSA"},
        {**HEADER, "typ": "JWT"},
        {**HEADER, "typ": ["at+jwt"]},
        {"kid": "k1"},
    ],
    ids=repr,
)
def test_a_token_of_another_type_or_algorithm_is_refused(header: dict[str, object]) -> None:
    with pytest.raises(InvalidClaims, match=r"^typ: "):
        check(header, PAYLOAD)


@given(st.integers(-10_000, 10_000))
def test_a_token_is_valid_from_its_issue_to_its_end_give_or_take_the_leeway(offset: int) -> None:
    inside = -LEEWAY_SECONDS <= offset < ACCESS_SECONDS + LEEWAY_SECONDS
    try:
        check(HEADER, PAYLOAD, NOW + offset)
    except InvalidClaims:
        assert not inside
    else:
        assert inside


def test_a_token_that_would_live_longer_than_ours_is_refused() -> None:
    with pytest.raises(InvalidClaims, match="longer"):
        check(HEADER, {**PAYLOAD, "exp": NOW + ACCESS_SECONDS + 1})
