from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from api.identity.access_tokens import MAX_TOKEN_CHARS, AccessTokens, SigningKey, new_secret
from marketplace.identity.claims import ACCESS_SECONDS, AccessClaims, InvalidClaims

NOW, ISSUER, AUDIENCE = 1_000_000.0, "https://shop.example", "marketplace"
OLD = SigningKey("old", new_secret(), NOW - 1_000)
TOKENS = AccessTokens([OLD], ISSUER, AUDIENCE)
TOKEN = TOKENS.sign("user-1", "session-1", "token-1", NOW)


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def forged(header: dict[str, Any], secret: bytes = b"", payload: dict[str, Any] | None = None) -> str:
    claims = payload or AccessClaims("user-1", "s", "t", int(NOW), int(NOW) + 60).payload(ISSUER, AUDIENCE)
    signed = f"{part(header)}.{part(claims)}"
    signature = hmac.new(secret, signed.encode(), hashlib.sha256).digest() if secret else b""
    return f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def test_a_token_is_read_as_it_was_signed() -> None:
    assert TOKENS.read(TOKEN, NOW) == AccessClaims(
        "user-1", "session-1", "token-1", int(NOW), int(NOW) + ACCESS_SECONDS
    )
    assert jwt.get_unverified_header(TOKEN) == {"alg": "EdDSA", "typ": "at+jwt", "kid": "old"}


@pytest.mark.parametrize("algorithm", ["none", "None", "nOnE", "HS256", "HS512", "ES256", "RS256", "", None, ["EdDSA"]])
def test_no_other_algorithm_is_taken_and_the_public_key_is_no_secret(algorithm: Any) -> None:
    public = OLD.private.public_key()
    for secret in (
        b"",
        public.public_bytes(Encoding.Raw, PublicFormat.Raw),
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    ):
        with pytest.raises(InvalidClaims):
            TOKENS.read(forged({"alg": algorithm, "typ": "at+jwt", "kid": "old"}, secret), NOW)


@pytest.mark.parametrize(
    "kid",
    [None, "", "other", "../../etc/passwd", "' OR 1=1", 1, ["old"], {"$ne": ""}, "old\x00", "x" * 5_000],
    ids=repr,
)
def test_a_key_that_is_not_ours_is_refused_whatever_its_name_is(kid: Any) -> None:
    with pytest.raises(InvalidClaims):
        TOKENS.read(forged({"alg": "EdDSA", "typ": "at+jwt", "kid": kid}, b"x"), NOW)


@given(st.integers(0, len(TOKEN) - 1), st.sampled_from("abcXYZ019-_."))
def test_a_token_in_which_a_character_was_changed_is_refused(at: int, character: str) -> None:
    changed = TOKEN[:at] + character + TOKEN[at + 1 :]
    try:
        claims = TOKENS.read(changed, NOW)
    except InvalidClaims:
        assert changed != TOKEN
    else:
        # The last character of a part has bits that say nothing.
        assert claims == TOKENS.read(TOKEN, NOW)


@given(st.text(max_size=200) | st.binary(max_size=100).map(lambda raw: raw.decode("latin-1")))
def test_whatever_is_no_token_is_refused_without_another_error(text: str) -> None:
    with pytest.raises(InvalidClaims):
        TOKENS.read(text, NOW)


def test_what_is_too_long_or_too_deep_is_refused() -> None:
    for text in ("x" * (MAX_TOKEN_CHARS + 1), f"{part([[]])}.{'W1' * 600}.x"):
        with pytest.raises(InvalidClaims):
            TOKENS.read(text, NOW)


def test_a_key_is_published_before_it_signs_and_its_predecessor_is_read_until_it_is_retired() -> None:
    new = SigningKey("new", new_secret(), NOW + 60)
    retiring = SigningKey("old", OLD.secret, OLD.signs_from, retired_at=NOW + 60 + ACCESS_SECONDS)
    rotated = AccessTokens([new, retiring], ISSUER, AUDIENCE)

    def kid_at(now: float) -> str:
        return str(jwt.get_unverified_header(rotated.sign("u", "s", "t", now))["kid"])

    def published_at(now: float) -> set[str]:
        return {key["kid"] for key in json.loads(rotated.key_set(now))["keys"]}

    assert (kid_at(NOW), kid_at(NOW + 59), kid_at(NOW + 60)) == ("old", "old", "new")
    assert published_at(NOW) == published_at(NOW + 60) == {"old", "new"}
    last = rotated.sign("u", "s", "t", NOW + 59)
    assert rotated.read(last, NOW + 59 + ACCESS_SECONDS - 1).user == "u"
    assert published_at(NOW + 60 + ACCESS_SECONDS) == {"new"}
    with pytest.raises(InvalidClaims, match="kid"):
        rotated.read(last, NOW + 60 + ACCESS_SECONDS)


def test_the_key_set_lets_others_check_a_token_and_holds_no_secret() -> None:
    text = TOKENS.key_set(NOW)
    found = jwt.PyJWKSet.from_json(text)["old"]
    assert jwt.decode(
        TOKEN, found.key, algorithms=["EdDSA"], audience=AUDIENCE, issuer=ISSUER, options={"verify_exp": False}
    )["sub"] == "user-1"  # fmt: skip
    assert set(json.loads(text)["keys"][0]) == {"kty", "crv", "use", "alg", "kid", "x"}


def test_without_a_key_nothing_is_signed() -> None:
    with pytest.raises(ValueError, match="no signing key"):
        AccessTokens([], ISSUER, AUDIENCE)
