"""The storefront's style and script: each has a hash of its bytes in its name, so that browsers keep it for good."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from importlib.resources import files
from typing import Final

from fastapi import Request
from starlette.responses import Response

from api.web.problems import NOT_FOUND, Problem

FOREVER: Final = "public, max-age=31536000, immutable"
_TYPES: Final = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}
_FILES: Final = files("api.storefront") / "static"


@dataclass(frozen=True)
class Asset:
    """A file that pages load.

    Attributes:
        name: With the hash of its bytes.
        body: Its bytes.
        packed: The same, compressed.
        media_type: Their type.
    """

    name: str
    body: bytes
    packed: bytes
    media_type: str

    @property
    def url(self) -> str:
        """Its path."""
        return f"/shop/assets/{self.name}"


def _asset(file: str) -> Asset:
    body = (_FILES / file).read_bytes()
    stem, _, kind = file.rpartition(".")
    name = f"{stem}.{blake2b(body, digest_size=8).hexdigest()}.{kind}"
    return Asset(name, body, gzip.compress(body, mtime=0), _TYPES[kind])


STYLE: Final = _asset("shop.css")
SCRIPT: Final = _asset("shop.js")
_ASSETS: Final[Mapping[str, Asset]] = {each.name: each for each in (STYLE, SCRIPT)}


def answer(request: Request, name: str) -> Response:
    """A file.

    Raises:
        Problem: There is none of that name: a page of another version of the storefront asks for its own.
    """
    asset = _ASSETS.get(name)
    if asset is None:
        raise Problem(NOT_FOUND)
    headers = {"cache-control": FOREVER, "vary": "accept-encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(asset.packed, headers={**headers, "content-encoding": "gzip"}, media_type=asset.media_type)
    return Response(asset.body, headers=headers, media_type=asset.media_type)
