"""``python -m bench.claims.api_server``: the API with routes that do nothing beside its own, and limits out of reach.

The limits cost what they cost in production: every request still takes tokens in Redis. With ``BENCH_PROFILE`` it
writes, when it ends, into that file where the time of the event loop's thread went (``cProfile``) after the first
request to ``/bench/profile``.
"""

from __future__ import annotations

import cProfile
import os
import sys
from dataclasses import replace
from typing import Any, Final, cast

from fastapi import Request, Response

from api import __main__, app, limits
from api.access import Demand
from api.web.routes import Routes, Rule
from marketplace.entitlements import ENTITLEMENTS
from marketplace.token_bucket import BucketPolicy

_NO_LIMIT: Final = BucketPolicy(rate_per_second=1e6, burst=1e9)
_BODY: Final = b"{}"

_PROFILE: Final = cProfile.Profile()

ROUTES: Final = Routes("/bench", "Measurement")


async def empty(request: Request) -> Response:
    """Nothing but HTTP, the edge and the router."""
    return Response(_BODY, media_type="application/json")


@ROUTES.add("GET", "/limited", demand=Demand.NOTHING, documented=False)
async def limited(request: Request) -> Response:
    """The limiter, for nobody who is signed in."""
    return Response(_BODY, media_type="application/json")


@ROUTES.add("GET", "/signed-in", demand=Demand.SIGNED_IN, documented=False)
async def signed_in(request: Request) -> Response:
    """The limiter, and who is asking."""
    return Response(_BODY, media_type="application/json")


@ROUTES.add("GET", "/password", demand=Demand.NOTHING, documented=False)
async def password(request: Request) -> Response:
    """The limiter, and what a password costs."""
    await request.app.state.identities._hashes.verify(None, "a password")
    return Response(_BODY, media_type="application/json")


@ROUTES.add("GET", "/profile", demand=Demand.NOTHING, documented=False)
async def begin_profile(request: Request) -> Response:
    """Begin to note where the time of this thread goes."""
    _PROFILE.enable()
    return Response(_BODY, media_type="application/json")


# `Routes.add` gives every route its check; the one without is what the others are compared with.
ROUTES.router.add_api_route("/empty", empty, methods=["GET"], include_in_schema=False)
ROUTES.rules["GET", "/bench/empty"] = Rule(Demand.NOTHING, 0.0)


def main() -> int:
    """Serve until a signal."""
    # In front, where the router finds it at once: the others pay for their place among all routes.
    vars(app)["FEATURES"] = (ROUTES, *app.FEATURES)
    tiers = cast(dict[Any, Any], ENTITLEMENTS)
    tiers.update({tier: replace(each, requests=_NO_LIMIT) for tier, each in ENTITLEMENTS.items()})
    own = ("ADDRESS", "ATTEMPTS_OF_ACCOUNT", "ATTEMPTS_OF_ADDRESS", "MAILS_TO_ADDRESS")
    vars(limits).update(dict.fromkeys(own, _NO_LIMIT))
    try:
        return __main__.main()
    finally:
        file = os.environ.get("BENCH_PROFILE")
        if file:
            _PROFILE.disable()
            _PROFILE.dump_stats(file)


if __name__ == "__main__":
    sys.exit(main())
