"""The page of notifications, and the one that the link in mails about orders leads to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from fastapi import Request
from starlette.responses import Response

from api.access import Demand
from api.mail.notices import UNSUBSCRIBE_PATH
from api.storefront.addresses import with_query
from api.storefront.forms import FormRoute, form_of
from api.storefront.notices import PAGE
from api.storefront.queries import query_of
from api.storefront.render import page, redirect
from api.storefront.visitors import shop_of, visitor_of
from api.web.bodies import StrictRoute, bounded_body
from api.web.problems import INVALID, FieldError, Problem
from api.web.routes import Routes

_ID: Final = re.compile(r"[0-9a-f]{32}")
_RESUME: Final = "resume"
_FORM: Final = "application/x-www-form-urlencoded"


class UnsubscribeRoute(StrictRoute):
    """A route that takes whatever mail programs send to unsubscribe (RFC 8058), and the form of its own page.

    A mail program has no page of ours and no cookie. Its address holds a secret that only the account's mails have, so
    no page of another site can send it.
    """

    @staticmethod
    async def read(request: Request) -> None:
        """Read a form, as far as it is one; its fields are in ``request.state.form``."""
        body = await bounded_body(request)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        request.state.form = _fields(body) if kind == _FORM else {}


NOTICE_PAGES: Final = Routes("/shop", "Storefront", FormRoute)
UNSUBSCRIBE_PAGES: Final = Routes("/shop", "Storefront", UnsubscribeRoute)


@NOTICE_PAGES.add("GET", "/notifications", demand=Demand.NOTHING, documented=False)
async def show_notifications(request: Request) -> Response:
    """The own notifications."""
    visitor = await visitor_of(request)
    if visitor.caller is None:
        return redirect(with_query("/shop/sign-in", next=PAGE))
    found = await shop_of(request).notices.of_viewer(visitor.caller, query_of(request).get("after", ""))
    return page(request, "notifications.html", visitor, notices=found)


@NOTICE_PAGES.add("POST", "/notifications", demand=Demand.NOTHING, changes_access=False, documented=False)
async def read_notifications_here(request: Request) -> Response:
    """Note that all that the page showed were read."""
    form, visitor = form_of(request), await visitor_of(request, count=False)
    if visitor.caller is None:
        return redirect(with_query("/shop/sign-in", next=PAGE))
    if form.get("do") != "read" or not _ID.fullmatch(form.get("until", "")):
        raise Problem(INVALID, errors=[FieldError("/do", "unknown", "there is no such action")])
    await shop_of(request).notices.read(visitor.caller, form["until"])
    return redirect(PAGE)


@UNSUBSCRIBE_PAGES.add("GET", f"{UNSUBSCRIBE_PATH}/{{token}}", demand=Demand.NOTHING, documented=False)
async def show_unsubscribe(request: Request, token: str) -> Response:
    """The page that a mail's link leads to; programs that follow links in mails change nothing by it."""
    visitor = await visitor_of(request, surely=False)
    wanted = await shop_of(request).notices.wants_mails_by_link(token)
    status = 404 if wanted is None else 200
    return page(request, "unsubscribe.html", visitor, status, link=token, wanted=wanted, done=False)


@UNSUBSCRIBE_PAGES.add("POST", f"{UNSUBSCRIBE_PATH}/{{token}}", demand=Demand.NOTHING, changes_access=False,
                       documented=False)  # fmt: skip
async def unsubscribe(request: Request, token: str) -> Response:
    """End mails about orders, by the button of the page or by one request of a mail program; or get them again."""
    wanted = form_of(request).get("do") == _RESUME
    known = await shop_of(request).notices.want_mails_by_link(token, wanted=wanted)
    visitor = await visitor_of(request, surely=False)
    if not known:
        return page(request, "unsubscribe.html", visitor, 404, link=token, wanted=None, done=False)
    return page(request, "unsubscribe.html", visitor, link=token, wanted=wanted, done=True)


def _fields(body: bytes) -> Mapping[str, str]:
    try:
        return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=20))
    except ValueError:
        return {}
