"""Signing in and out, and the guard before every page: nobody gets further without a sign-in.

Where no account exists yet, whoever uses this machine is let in, as before there were accounts, and nobody else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from dataclasses import replace
from http import HTTPStatus
from ipaddress import ip_address
from typing import Final
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from connectors.errors import Unavailable
from dashboards.data.access import NoAccountYet, NotAllowed, SignedOut, Viewer
from dashboards.data.viewers import FORWARDED_HEADER, LOCAL_HEADER, SESSION_HEADER, Viewers
from dashboards.web import session_watch
from dashboards.web.cookies import deletion, setting, value_of
from dashboards.web.forms import BadForm, check_sender, read_form
from dashboards.web.identity_api import IdentityApi, browser_of
from dashboards.web.invitation import PATH as INVITATION
from dashboards.web.invitation import InvitationPage
from dashboards.web.mail_forms import EMAIL, LOST, MAIL_FORMS, REGISTER, SECRET, MailForm, secret_in
from dashboards.web.pages import Field, Page, path_with, response
from dashboards.web.refusals import refusal
from dashboards.web.targets import HOME, safe_target, sign_in_url

SIGN_IN: Final = "/sign-in"
SIGN_OUT: Final = "/sign-out"
_OPEN: Final = (
    "/static/", "/app/static/", "/_stcore/health", "/_stcore/host-config", "/_stcore/script-health-check",
    "/_stcore/metrics",
)  # fmt: skip
"""What needs no sign-in: Streamlit's own files and its health. Nothing of a store is in them."""

_NO_PAGES: Final = ("/_stcore/", "/media/", "/component/")
_POLICY_VIOLATION: Final = 1008
_FORWARDED: Final = ("x-forwarded-for", "x-real-ip")
_PASSWORD: Final = Field("password", "Password", "password", "current-password")
_UNAVAILABLE: Final = "Signing in does not work right now: a part of the system does not answer."
_RETRIES: Final = "This page tries again every few seconds. Whoever is signed in stays signed in."
_AGAIN: Final = "Nothing was done. Open the page once more, and send its form from there."
_log = logging.getLogger(__name__)


class SignIn:
    """ASGI middleware with the pages of signing in and out, and the guard before all others.

    Args:
        app: The application behind it.
        viewers: Knows who may see what.
        api: Checks passwords.
        names: Host names under which the dashboard is reached, as behind a proxy.
    """

    def __init__(self, app: ASGIApp, viewers: Viewers, api: IdentityApi, names: Collection[str] = ()) -> None:
        self._app, self._viewers, self._api, self._names = app, viewers, api, frozenset(names)
        self._invitation = InvitationPage(viewers, api)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "websocket":
            await self._serve_socket(scope, receive, send)
        elif scope["type"] == "http" and not scope["path"].startswith(_OPEN):
            answer = await self._answer(scope, receive)
            await (answer or self._app)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _serve_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        token, local = value_of(scope), is_local(scope)
        if scope["path"] == session_watch.PATH:
            await session_watch.watch(self._viewers, token, local, receive, send)
            return
        try:
            await self._viewer(scope)
        except NotAllowed:
            # A page's script would show nothing either, but run at the expense of those who are signed in.
            await receive()
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            return
        except Unavailable:
            # The page says so, and goes on by itself.
            pass
        own = {
            SESSION_HEADER.encode(): token.encode("latin-1"),
            LOCAL_HEADER.encode(): b"yes" if local else b"no",
            FORWARDED_HEADER.encode(): browser_of(scope).forwarded_for.encode("ascii"),
        }
        kept = [pair for pair in scope["headers"] if pair[0] not in own]
        await self._app({**scope, "headers": [*kept, *own.items()]}, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Response | None:
        """The response of a page of ours, or to somebody who may not go on; None for those who may."""
        path, method = scope["path"], "GET" if scope["method"] == "HEAD" else scope["method"]
        ours = path in MAIL_FORMS or path in (SIGN_IN, SIGN_OUT, INVITATION)
        if not ours:
            return await self._guard(scope)
        if method == "GET":
            return await self._page(scope)
        if method != "POST":
            return PlainTextResponse("GET or POST\n", 405, {"allow": "GET, HEAD, POST"})
        try:
            check_sender(scope, self._names)
            form = await read_form(scope, receive)
        except BadForm as error:
            page = Page("This form is refused", (_AGAIN,), error=str(error), links=(("Sign in", SIGN_IN),))
            return response(page, error.status, {"connection": "close"})
        if path == SIGN_IN:
            return await self._sign_in(scope, form)
        if path == SIGN_OUT:
            return await self._sign_out(scope, safe_target(form.get("next", HOME)))
        if path == INVITATION:
            return await self._invitation.take(scope, form)
        return await self._send(scope, MAIL_FORMS[path], form)

    async def _guard(self, scope: Scope) -> Response | None:
        document = scope["method"] in ("GET", "HEAD") and not scope["path"].startswith(_NO_PAGES)
        try:
            await self._viewer(scope)
        except Unavailable:
            # The page itself says so and tries again; nothing of a store is in it.
            return None if document else PlainTextResponse("try again\n", 503, {"retry-after": "2"})
        except NoAccountYet:
            return _no_account_elsewhere() if document else PlainTextResponse("there is no account yet\n", 403)
        except SignedOut:
            if document:
                return RedirectResponse(sign_in_url(_target(scope)), 303, {"cache-control": "no-store"})
            return PlainTextResponse("sign in first\n", 401)
        return None

    async def _viewer(self, scope: Scope) -> Viewer:
        asked = self._viewers.submit(value_of(scope), is_local(scope))
        return await asyncio.shield(asyncio.wrap_future(asked))

    async def _page(self, scope: Scope) -> Response:
        path, query = scope["path"], parse_qs(scope["query_string"].decode("latin-1"))
        if path in MAIL_FORMS:
            page = MAIL_FORMS[path].page
            return response(await self._on_the_way(scope, page) if EMAIL in page.fields else page)
        target = safe_target(query.get("next", [HOME])[0])
        try:
            viewer = await self._viewer(scope)
        except SignedOut:
            viewer = None
        except NoAccountYet:
            return _no_account_elsewhere()
        except Unavailable:
            return _unavailable(INVITATION if path == INVITATION else target)
        if path == INVITATION:
            return await self._invitation.show(scope, viewer)
        if path == SIGN_OUT:
            return response(_sign_out_page(viewer)) if viewer else RedirectResponse(SIGN_IN, 303)
        if viewer is None:
            if not await self._api.is_there(browser_of(scope)):
                return _unavailable(target)
            page = await self._on_the_way(scope, _sign_in_page(target))
            return response(replace(page, note="You are signed out.") if "out" in query else page)
        return RedirectResponse(target, 303) if viewer.signed_in else response(_NO_ACCOUNT_HERE)

    async def _on_the_way(self, scope: Scope, page: Page) -> Page:
        """A page with a form that somebody who is invited fills in on the way to the invitation."""
        offer = await self._invitation.offer(scope)
        if offer is None:
            return page
        text = f"Then you come back to the invitation to {offer.title}."
        return replace(page, note=text, values={EMAIL.name: offer.email})

    async def _sign_in(self, scope: Scope, form: dict[str, str]) -> Response:
        target, email = safe_target(form.get("next", HOME)), form.get("email", "").strip()
        page = replace(_sign_in_page(target), values={"email": email})
        body = {"email": email, "password": form.get("password", "")}
        try:
            answer = await self._api.post("identity/sessions", body, browser_of(scope))
        except Unavailable as error:
            _log.warning("no sign-in: %s", error)
            return _unavailable(target)
        token = answer.body.get("refresh_token")
        if answer.status != HTTPStatus.CREATED or not isinstance(token, str):
            return refusal(page, answer)
        await self._end_earlier(scope)
        if target == HOME and self._invitation.is_followed(scope):
            # The mail that confirms an address leads to no page of before.
            target = INVITATION
        return RedirectResponse(target, 303, {"set-cookie": setting(scope, token), "cache-control": "no-store"})

    async def _end_earlier(self, scope: Scope) -> None:
        """End the sign-in that this browser had before: its other pages must not go on as somebody else."""
        earlier = value_of(scope)
        try:
            if earlier:
                await asyncio.shield(asyncio.wrap_future(self._viewers.end(earlier)))
        except Unavailable as error:
            _log.warning("an earlier sign-in ends when it expires: %s", error)

    async def _sign_out(self, scope: Scope, target: str) -> Response:
        token = value_of(scope)
        try:
            if token:
                await asyncio.shield(asyncio.wrap_future(self._viewers.end(token)))
        except Unavailable as error:
            _log.warning("no sign-out: %s", error)
            page = replace(_sign_out_page(None), error="You are still signed in: a part of the system does not answer.")
            return response(page, 503, {"retry-after": "2"})
        headers = {"set-cookie": deletion(scope), "cache-control": "no-store"}
        return RedirectResponse(path_with(SIGN_IN, out="yes", next="" if target == HOME else target), 303, headers)

    async def _send(self, scope: Scope, form: MailForm, fields: dict[str, str]) -> Response:
        names = [each.name for each in form.page.fields]
        body = {name: fields.get(name, "") if name == "password" else fields.get(name, "").strip() for name in names}
        if SECRET.name in body:
            body[SECRET.name] = secret_in(body[SECRET.name])
        kept = {name: value for name, value in body.items() if name != "password"}
        page = replace(form.page, values=kept)
        try:
            answer = await self._api.post(f"identity/{form.route}", body, browser_of(scope))
        except Unavailable as error:
            _log.warning("%s: %s", form.route, error)
            text = "This does not work right now: a part of the system does not answer. Try again in a moment."
            return response(replace(page, error=text), 503, {"retry-after": "2"})
        return response(form.done) if answer.status < HTTPStatus.BAD_REQUEST else refusal(page, answer)


def is_local(scope: Scope) -> bool:
    """Whether a request comes from this machine, under one of its local names, also through a proxy on it."""
    headers = Headers(scope=scope)
    client = scope.get("client")
    addresses = [client[0] if client else ""]
    for name in _FORWARDED:
        addresses += [part.strip() for line in headers.getlist(name) for part in line.split(",")]
    try:
        host = urlsplit(f"//{headers.get('host', '')}").hostname or ""
    except ValueError:
        return False
    return is_local_name(host) and "forwarded" not in headers and all(map(_is_loopback, addresses))


def is_local_name(host: str) -> bool:
    """Whether a host is the machine that asks for it, whichever that is."""
    return host == "localhost" or host.endswith(".localhost") or _is_loopback(host)


def _is_loopback(text: str) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _target(scope: Scope) -> str:
    path = scope.get("raw_path") or scope["path"].encode()
    query = scope["query_string"]
    return str((path + (b"?" + query if query else b"")).decode("latin-1"))


def _sign_in_page(target: str) -> Page:
    hidden = {"next": target} if target != HOME else {}
    fields = (EMAIL, _PASSWORD)
    return Page("Sign in", action=SIGN_IN, fields=fields, button="Sign in", hidden=hidden, links=(LOST, REGISTER))


def _sign_out_page(viewer: Viewer | None) -> Page:
    who = (f"{viewer.email} is signed in here.",) if viewer and viewer.signed_in else ()
    links = (("Back to the numbers", HOME),)
    return Page("Sign out", (*who, "This signs out all windows of this browser."), action=SIGN_OUT, button="Sign out",
                links=links)  # fmt: skip


def _unavailable(target: str) -> Response:
    again = path_with(SIGN_IN, next="" if target == HOME else target)
    page = Page("Just a moment", (_RETRIES,), error=_UNAVAILABLE, actions=(("Try again now", again),), refresh=again)
    return response(page, 503, {"retry-after": "5"})


_FIRST_STEPS: Final = (
    "From the first account on, everybody has to sign in. Where there is no mail server, marketplace mail shows the "
    "mail with the link. An account sees the stores that it works in: give it those that are here already."
)
_FIRST_COMMANDS: Final = "marketplace mail\nmarketplace stores owner my-shop you@shop.example"
_NO_ACCOUNT_HERE: Final = Page(
    "No account exists yet",
    ("Until there is one, whoever uses this machine sees every store, and nobody else sees any.", _FIRST_STEPS),
    code=_FIRST_COMMANDS,
    actions=(REGISTER, ("Back to the numbers", HOME)),
)


def _no_account_elsewhere() -> Response:
    text = "Until there is one, this dashboard shows its numbers on its own machine alone."
    page = Page("No account exists yet", (text, _FIRST_STEPS), code=_FIRST_COMMANDS, actions=(REGISTER,))
    return response(page, 403)
