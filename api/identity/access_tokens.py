"""Signs and reads access tokens: Ed25519 signatures (RFC 8037) by keys that rotate."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from jwt.types import Options

from marketplace.identity.claims import (
    ACCESS_SECONDS,
    ACCESS_TYPE,
    ALGORITHM,
    AccessClaims,
    InvalidClaims,
    access_claims,
)

MAX_TOKEN_CHARS: Final = 2_048
"""Ours have some 500."""

# Times and names are for marketplace.identity.claims to judge, where each rule is tested for every claim.
_SIGNATURE_ONLY: Final[Options] = {
    "verify_signature": True,
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}


@dataclass(frozen=True)
class SigningKey:
    """A key pair, and when it is used.

    Attributes:
        kid: Its name in tokens.
        secret: The private key, 32 bytes.
        signs_from: Epoch seconds: published before, so that everybody knows it by then.
        retired_at: Epoch seconds from which no token of it is taken; None while it is the newest.
    """

    kid: str
    secret: bytes
    signs_from: float
    retired_at: float | None = None

    @property
    def private(self) -> Ed25519PrivateKey:
        """The key that signs."""
        return Ed25519PrivateKey.from_private_bytes(self.secret)

    @property
    def public_jwk(self) -> dict[str, str]:
        """The public key as RFC 8037 writes it."""
        raw = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        x = base64.urlsafe_b64encode(raw).decode().rstrip("=")
        return {"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": ALGORITHM, "kid": self.kid, "x": x}


def new_secret() -> bytes:
    """A private key that nobody has yet."""
    return Ed25519PrivateKey.generate().private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())


class AccessTokens:
    """Signs by the newest key and reads tokens of all keys that are not retired.

    Args:
        keys: All that are known.
        issuer: Whose tokens they are: the API's public URL.
        audience: For whom.

    Raises:
        ValueError: Two keys have one name, or there is none.
    """

    def __init__(self, keys: Iterable[SigningKey], issuer: str, audience: str) -> None:
        self._issuer, self._audience = issuer, audience
        self._keys = {key.kid: key for key in sorted(keys, key=lambda each: each.signs_from)}
        if not self._keys:
            raise ValueError("there is no signing key")
        self._private = {key.kid: key.private for key in self._keys.values()}
        self._public = {kid: private.public_key() for kid, private in self._private.items()}

    def sign(self, user: str, session: str, token_id: str, now: float) -> str:
        """An access token of 15 minutes."""
        began = int(now)
        claims = AccessClaims(user, session, token_id, began, began + ACCESS_SECONDS)
        kid = [key.kid for key in self._keys.values() if key.signs_from <= now or key is self._oldest][-1]
        return jwt.encode(
            claims.payload(self._issuer, self._audience),
            self._private[kid],
            algorithm=ALGORITHM,
            headers={"typ": ACCESS_TYPE, "kid": kid},
        )

    def read(self, token: str, now: float) -> AccessClaims:
        """What a token says.

        Raises:
            InvalidClaims: It is none of ours, or not valid now; the message never repeats what it holds.
        """
        if len(token) > MAX_TOKEN_CHARS:
            raise InvalidClaims("token: too long")
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            key = self._keys.get(kid) if isinstance(kid, str) else None
            if key is None or (key.retired_at is not None and now >= key.retired_at):
                raise InvalidClaims("kid: no key of ours")
            found: Mapping[str, Any] = jwt.decode_complete(
                token, self._public[key.kid], algorithms=[ALGORITHM], options=_SIGNATURE_ONLY
            )
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            if isinstance(error, InvalidClaims):
                raise
            raise InvalidClaims("token: it is none, or its signature is not ours") from error
        return access_claims(found["header"], found["payload"], self._issuer, self._audience, now)

    def key_set(self, now: float) -> str:
        """The public keys as a JSON Web Key Set: those that sign, will sign and signed tokens that are valid still."""
        keys = [key.public_jwk for key in self._keys.values() if key.retired_at is None or now < key.retired_at]
        return json.dumps({"keys": keys})

    @property
    def _oldest(self) -> SigningKey:
        return next(iter(self._keys.values()))
