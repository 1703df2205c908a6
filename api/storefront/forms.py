"""What a form of the storefront may be: sent by one of its own pages, urlencoded, short, each field once."""

from __future__ import annotations

import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from fastapi import Request

from api.storefront.cookies import FORM, is_secure, value_of
from api.web.bodies import StrictRoute, bounded_body
from api.web.problems import BAD_REQUEST, FORBIDDEN, UNSUPPORTED_MEDIA_TYPE, Problem

TOKEN_FIELD: Final = "token"
"""The field that proves that a form was made for the browser that sends it."""

_TYPE: Final = "application/x-www-form-urlencoded"
_MAX_FIELDS: Final = 20
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_PROOF_BYTES: Final = 16
_TOKEN: Final = re.compile(r"[0-9a-f]{64}")
_FOREIGN: Final = "this form comes from a page of another site"
_OLD: Final = "this form was made for another browser, or too long ago"


class FormRoute(StrictRoute):
    """A route of pages: it takes forms and no JSON, and each form has to come from a page of the storefront.

    Three things keep pages of other sites from sending one: cookies go with no form of another site, the request
    says where it comes from, and the form has a token that is made of a cookie.
    """

    @staticmethod
    async def read(request: Request) -> None:
        """Read a form; its fields are in ``request.state.form``."""
        _check_sender(request)
        request.state.form = fields = _fields(request, await bounded_body(request))
        secret = value_of(request.scope, FORM)
        if not secret or not is_token(fields.get(TOKEN_FIELD, ""), secret):
            raise Problem(FORBIDDEN, _OLD)


def form_of(request: Request) -> Mapping[str, str]:
    """The fields of a request's form."""
    found: Mapping[str, str] = request.state.form
    return found


def form_secret(request: Request) -> tuple[str, bool]:
    """What the forms of a page are made with, and whether the browser has to be given it."""
    found = value_of(request.scope, FORM)
    return (found, False) if _SECRET.fullmatch(found) else (secrets.token_urlsafe(32), True)


def token_of(secret: str) -> str:
    """A token for the forms of one page.

    Whoever reads a page does not learn the cookie from it. Each page has another token, because pages are compressed on
    their way beside text that others have written, and their lengths must say nothing of it.
    """
    mask, proof = secrets.token_bytes(_PROOF_BYTES), _proof(secret)
    return (mask + _masked(proof, mask)).hex()


def is_token(text: str, secret: str) -> bool:
    """Whether a text is a token of a page that was made with this secret."""
    if not _TOKEN.fullmatch(text):
        return False
    whole = bytes.fromhex(text)
    return hmac.compare_digest(_masked(whole[_PROOF_BYTES:], whole[:_PROOF_BYTES]), _proof(secret))


def _proof(secret: str) -> bytes:
    return hmac.digest(secret.encode(), b"form", "sha256")[:_PROOF_BYTES]


def _masked(text: bytes, mask: bytes) -> bytes:
    return bytes(one ^ other for one, other in zip(text, mask, strict=True))


def guest_secret(secret: str, once: str) -> str:
    """The secret of the cart that a form makes for a guest who has none: the same whenever the form is sent.

    Args:
        secret: What the form was made with.
        once: What no other form has.
    """
    proof = hmac.digest(secret.encode(), f"cart {once}".encode(), "sha256")
    return urlsafe_b64encode(proof).decode().rstrip("=")


def _check_sender(request: Request) -> None:
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is None and origin is None:
        raise Problem(FORBIDDEN, "this form does not say which page it comes from")
    if site not in (None, "same-origin") or not _is_own(request, origin):
        raise Problem(FORBIDDEN, _FOREIGN)


def _is_own(request: Request, origin: str | None) -> bool:
    if origin is None:
        return True
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    scheme = "https" if is_secure(request.scope) else "http"
    return parts.scheme == scheme and parts.netloc == request.headers.get("host")


def _fields(request: Request, body: bytes) -> dict[str, str]:
    types = request.headers.getlist("content-type")
    if [each.partition(";")[0].strip().lower() for each in types] != [_TYPE]:
        raise Problem(UNSUPPORTED_MEDIA_TYPE, f"a form is {_TYPE}")
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict")
    except ValueError as error:
        raise Problem(BAD_REQUEST, "the form cannot be read") from error
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise Problem(BAD_REQUEST, "a field of the form is there twice")
    return fields
