"""The page that mails with an invitation lead to: what is offered, and one button to accept it.

The link's secret stands behind ``#``. The page's script, or a person, sends it with a form; from then on it is in a
cookie, so that somebody who signs in or makes an account first comes back to it, and it is in no address.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, replace
from datetime import datetime
from http import HTTPStatus
from typing import Final

import msgspec
from starlette.responses import RedirectResponse, Response
from starlette.types import Scope

from connectors.errors import Unavailable
from dashboards.data.access import SignedOut, Viewer
from dashboards.data.viewers import Viewers
from dashboards.web.cookies import INVITATION, deletion, setting, value_of
from dashboards.web.identity_api import Answer, IdentityApi, browser_of
from dashboards.web.mail_forms import SECRET, secret_in
from dashboards.web.pages import Page, path_with, response
from dashboards.web.refusals import refusal
from dashboards.web.targets import HOME, sign_in_url
from marketplace.identity.emails import email_key
from marketplace.identity.roles import StoreRole
from marketplace.identity.tenancy import (
    AlreadyMember,
    LinkEnd,
    LinkGone,
    TenancyError,
    WrongAddress,
    hash_of_secret,
)

PATH: Final = "/invitation"
_PREVIEWS: Final = "invitations/previews"
_SECRET: Final = re.compile(r"[A-Za-z0-9_.-]{16,256}")
_MARK_CHARS: Final = 16
_NUMBERS: Final = ("Go to the dashboard", HOME)
_ROLES: Final = {
    StoreRole.ANALYST: "Analyst: sees the numbers.",
    StoreRole.MANAGER: "Manager: sees the numbers, changes settings and keys of the store, and invites others.",
    StoreRole.OWNER: "Owner: may do everything in the store, like its other owners.",
}
_OPEN: Final = Page(
    "Open an invitation",
    ("The mail that invited you has a link. If this page does not go on by itself, put the link here.",),
    action=PATH,
    fields=(SECRET,),
    button="Show the invitation",
    sends=PATH,
)
_NO_LINK: Final = "This is not the link of an invitation. Copy it from the mail once more, to its last character."
_ASK_AGAIN: Final = "Ask the person who invited you to send another invitation."
_ENDS: Final = {
    LinkEnd.ACCEPTED: Page(
        "This invitation was accepted already",
        (
            "Sign in with the address that it was sent to: the store is among those of that account. If an owner has "
            "ended that membership since, only another invitation helps.",
        ),
    ),
    LinkEnd.REVOKED: Page("This invitation was revoked", ("The store has taken it back.", _ASK_AGAIN)),
    LinkEnd.REPLACED: Page(
        "There is a newer invitation", ("It was sent to the same address: follow the link in the newest mail.",)
    ),
    LinkEnd.EXPIRED: Page("This invitation has expired", ("An invitation is valid for a week.", _ASK_AGAIN)),
    LinkEnd.UNKNOWN: Page(
        "This invitation is not valid",
        (
            "Its link is not complete, its week is over, or the store does not exist any more. Follow the link in the "
            f"mail once more. {_ASK_AGAIN}",
        ),
    ),
}


@dataclass(frozen=True)
class Offer:
    """What an invitation offers, as the API says it.

    Attributes:
        store: The slug.
        title: Of the store.
        role: What is offered.
        email: The address that is invited.
        inviter_email: Who invites; empty where that is not known any more.
        expires_at: When it ends.
    """

    store: str
    title: str
    role: StoreRole
    email: str
    inviter_email: str
    expires_at: datetime


class InvitationPage:
    """Shows and accepts invitations.

    Args:
        viewers: Knows who may see what, and makes members.
        api: Knows invitations.
    """

    def __init__(self, viewers: Viewers, api: IdentityApi) -> None:
        self._viewers, self._api = viewers, api

    @staticmethod
    def is_followed(scope: Scope) -> bool:
        """Whether a browser has followed the link of an invitation, and not accepted it yet."""
        return bool(_secret_of(scope))

    async def offer(self, scope: Scope) -> Offer | None:
        """What the invitation offers that a browser has followed; None where there is none, or nobody can say now."""
        if not self.is_followed(scope):
            return None
        try:
            return _offer_in(await self._ask(scope))
        except Unavailable:
            return None

    async def show(self, scope: Scope, viewer: Viewer | None) -> Response:
        """The page.

        Args:
            scope: The request.
            viewer: Who is signed in; None for nobody.
        """
        if not self.is_followed(scope):
            return response(_OPEN)
        try:
            answer = await self._ask(scope)
            offer = _offer_in(answer)
        except Unavailable:
            return _unavailable("The invitation cannot be read right now: a part of the system does not answer.")
        if offer is None:
            return _refused(scope, answer)
        # One whose link is followed in this window later takes the place of this one.
        return response(replace(_shown(offer, viewer, _mark_of(_secret_of(scope))), sends=PATH))

    async def take(self, scope: Scope, form: dict[str, str]) -> Response:
        """What the page's form does: show the invitation of a link, or accept the one that is shown."""
        if SECRET.name in form:
            secret = secret_in(form[SECRET.name])
            if not _SECRET.fullmatch(secret):
                return response(replace(_OPEN, problems={SECRET.name: _NO_LINK}), 422)
            return _go(PATH, setting(scope, secret, INVITATION))
        secret = _secret_of(scope)
        if not secret or form.get("invitation") != _mark_of(secret):
            # Another one was followed meanwhile, in another window: this person has not seen what it offers.
            return _go(PATH)
        return await self._accept(scope, secret)

    async def _accept(self, scope: Scope, secret: str) -> Response:
        try:
            asked = self._viewers.accept(value_of(scope), secret)
            joined = await asyncio.shield(asyncio.wrap_future(asked))
        except SignedOut:
            return _go(sign_in_url(PATH))
        except Unavailable:
            return _unavailable("It is not certain that you have accepted: a part of the system does not answer.")
        except (WrongAddress, AlreadyMember):
            # The page says so.
            return _go(PATH)
        except LinkGone as error:
            return _gone(scope, error.end)
        except TenancyError as error:
            text = str(error)
            page = Page("You cannot join right now", (_NOT_NOW,), error=f"{text[:1].upper()}{text[1:]}.",
                        actions=(("Try again", PATH), _NUMBERS))  # fmt: skip
            return response(page, 409)
        return _go(path_with(HOME, store=joined.store), deletion(scope, INVITATION))

    async def _ask(self, scope: Scope) -> Answer:
        return await self._api.post(_PREVIEWS, {"token": _secret_of(scope)}, browser_of(scope))


_NOT_NOW: Final = "The invitation stays valid. Ask an owner of the store to look into it, then try again."


def _secret_of(scope: Scope) -> str:
    found = value_of(scope, INVITATION)
    return found if _SECRET.fullmatch(found) else ""


def _mark_of(secret: str) -> str:
    """Says which invitation a form is of, without being its secret."""
    return hash_of_secret(secret)[:_MARK_CHARS]


def _offer_in(answer: Answer) -> Offer | None:
    if answer.status != HTTPStatus.OK:
        return None
    try:
        return msgspec.convert(dict(answer.body), Offer)
    except msgspec.ValidationError as error:
        raise Unavailable("the REST API answers nothing that is an invitation") from error


def _shown(offer: Offer, viewer: Viewer | None, mark: str) -> Page:
    facts = [
        ("Store", offer.store),
        ("Your role", _ROLES[offer.role]),
        ("Invited by", offer.inviter_email),
        ("Sent to", offer.email),
        ("Valid until", f"{offer.expires_at:%-d %B %Y, %H:%M} UTC"),
    ]
    page = Page(f"You are invited to {offer.title}", facts=[each for each in facts if each[1]])
    if viewer is None or not viewer.signed_in:
        text = f"Sign in as {offer.email}, or make an account with this address. Then you come back here."
        actions = (("Sign in", sign_in_url(PATH)), ("Make an account", "/register"))
        return replace(page, text=(text,), actions=actions)
    if email_key(viewer.email) != email_key(offer.email):
        error = f"This invitation was sent to {offer.email}, and you are signed in as {viewer.email}."
        text = f"Sign in with that address to accept it, or ask for an invitation to {viewer.email}."
        return replace(page, error=error, text=(text,), action="/sign-out", hidden={"next": PATH},
                       button="Sign out and sign in again", links=(_NUMBERS,))  # fmt: skip
    if offer.store in viewer.stores:
        dashboard = ("Go to the store", path_with(HOME, store=offer.store))
        return replace(page, note="You work in this store already.", actions=(dashboard,))
    return replace(page, text=(f"You are signed in as {viewer.email}.",), action=PATH, hidden={"invitation": mark},
                   button="Accept the invitation", links=(("Not now", HOME),))  # fmt: skip


def _refused(scope: Scope, answer: Answer) -> Response:
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        return refusal(Page("Just a moment", actions=(("Try again", PATH),)), answer)
    code = answer.problems("code").get("token", "")
    return _gone(scope, LinkEnd(code) if code in list(LinkEnd) else LinkEnd.UNKNOWN)


def _gone(scope: Scope, end: LinkEnd) -> Response:
    page = replace(_ENDS[end], actions=(_NUMBERS,), sends=PATH)
    return response(page, HTTPStatus.GONE, {"set-cookie": deletion(scope, INVITATION)})


def _unavailable(text: str) -> Response:
    page = Page("Just a moment", ("This page tries again every few seconds.",), error=text,
                actions=(("Try again now", PATH),), refresh=PATH)  # fmt: skip
    return response(page, HTTPStatus.SERVICE_UNAVAILABLE, {"retry-after": "5"})


def _go(path: str, cookie: str = "") -> Response:
    headers = {"cache-control": "no-store", **({"set-cookie": cookie} if cookie else {})}
    return RedirectResponse(path, HTTPStatus.SEE_OTHER, headers)
