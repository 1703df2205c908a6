"""The pages of signing in and out, of a new account, and of the own one."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from fastapi import Request
from starlette.responses import Response

from api.access import Demand
from api.identity.routes import attempt
from api.identity.schemas import MAX_NAME_CHARS, ONE_LINE
from api.storefront.addresses import PATH, safe_path, with_query
from api.storefront.cookies import SESSION, deletion
from api.storefront.forms import FormRoute, form_of
from api.storefront.queries import query_of
from api.storefront.render import config_of, page, redirect
from api.storefront.shop import sentence
from api.storefront.signing_in import NotSignedIn, end_earlier, identities_of, sign_in
from api.storefront.visitors import shop_of, visitor_of
from api.web.problems import GONE, INVALID, FieldError, Problem
from api.web.routes import Routes
from marketplace.identity.accounts import LinkKind
from marketplace.identity.emails import MAX_CHARS as EMAIL_CHARS
from marketplace.identity.emails import InvalidEmail, checked_email
from marketplace.identity.passwords import MAX_CHARS as PASSWORD_CHARS
from marketplace.identity.passwords import WeakPassword, check_password

_ACCOUNT: Final = "/shop/account"
_SIGN_IN: Final = "/shop/sign-in"
_MAX_SECRET_CHARS: Final = 300
_MAX_NEXT_CHARS: Final = 200
_SESSION_ID: Final = re.compile(r"[0-9a-f]{32}")
_NAME: Final = re.compile(ONE_LINE)
_NO_LINK: Final = "Give the link in the mail."
_BROWSERS: Final = (("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"),
                    ("Safari/", "Safari"))  # fmt: skip
_SYSTEMS: Final = (("iPhone", "an iPhone"), ("iPad", "an iPad"), ("Android", "Android"), ("Windows", "Windows"),
                   ("Mac OS", "a Mac"), ("Linux", "Linux"))  # fmt: skip

ACCOUNT_PAGES: Final = Routes("/shop", "Storefront", FormRoute)


@dataclass(frozen=True)
class SessionLine:
    """A sign-in, as the page shows it."""

    id: str
    client: str
    network: str
    used_at: int
    current: bool


@ACCOUNT_PAGES.add("GET", "/sign-in", demand=Demand.NOTHING, documented=False)
async def show_sign_in(request: Request) -> Response:
    """The form to sign in."""
    visitor, target = await visitor_of(request), safe_path(query_of(request).get("next", ""))
    if visitor.caller is not None:
        return redirect(target)
    return page(request, "sign_in.html", visitor, next=target, form={}, problems={})


@ACCOUNT_PAGES.add("POST", "/sign-in", demand=Demand.NOTHING, cost=5, documented=False)
async def sign_in_here(request: Request) -> Response:
    """Sign in: what is in the guest's cart comes along."""
    form, visitor = form_of(request), await visitor_of(request)
    target = safe_path(form.get("next", ""))
    found = await sign_in(request, visitor, form)
    if isinstance(found, NotSignedIn):
        kept = {"email": form.get("email", "")}
        return page(request, "sign_in.html", visitor, 422, next=target, form=kept, problems=found.problems,
                    message=found.message)  # fmt: skip
    if found.merged:
        target = with_query("/shop/cart", merged=found.merged)
    return redirect(target, *found.cookies)


@ACCOUNT_PAGES.add("GET", "/register", demand=Demand.NOTHING, documented=False)
async def show_register(request: Request) -> Response:
    """The form of a new account."""
    visitor, target = await visitor_of(request), safe_path(query_of(request).get("next", ""))
    if visitor.caller is not None:
        return redirect(target)
    return page(request, "register.html", visitor, next=target, form={}, problems={}, sent=False)


@ACCOUNT_PAGES.add("POST", "/register", demand=Demand.NOTHING, cost=5, documented=False)
async def register_here(request: Request) -> Response:
    """Ask for an account: a mail with a link is sent, whether the address has an account already or not."""
    form, visitor = form_of(request), await visitor_of(request)
    target = safe_path(form.get("next", ""))
    problems, email, name = {}, form.get("email", "").strip(), form.get("name", "").strip()
    # In the order of the fields: the first one that is wrong is where the page begins.
    if not 1 <= len(name) <= MAX_NAME_CHARS or not _NAME.fullmatch(name):
        problems["name"] = f"Give a name of at most {MAX_NAME_CHARS} characters."
    try:
        email = checked_email(email[: EMAIL_CHARS + 1])
    except InvalidEmail as error:
        problems["email"] = sentence(error)
    password = form.get("password", "")[: 4 * PASSWORD_CHARS + 1]
    try:
        check_password(password, personal=(email, name))
    except WeakPassword as error:
        problems["password"] = sentence(error)
    kept = {"email": email, "name": name}
    if problems:
        return page(request, "register.html", visitor, 422, next=target, form=kept, problems=problems, sent=False)
    await attempt(request, email, LinkKind.REGISTRATION)
    await identities_of(request).register(email, name, password, config_of(request).mailed_url, _then(target))
    return page(request, "register.html", visitor, next=target, form=kept, problems={}, sent=True)


@ACCOUNT_PAGES.add("GET", "/confirm", demand=Demand.NOTHING, documented=False)
async def show_confirm(request: Request) -> Response:
    """The page that the link in a mail leads to; its secret is behind the fragment, and only the browser knows it."""
    target = safe_path(query_of(request).get("next", ""))
    return page(request, "confirm.html", await visitor_of(request), next=target, problems={}, done=False)


@ACCOUNT_PAGES.add("POST", "/confirm", demand=Demand.NOTHING, cost=5, documented=False)
async def confirm_here(request: Request) -> Response:
    """Make the account that a mail was sent for."""
    form, visitor = form_of(request), await visitor_of(request)
    secret, problems, target = _secret_of(form), {}, safe_path(form.get("next", ""))
    if not secret:
        problems["link"] = _NO_LINK
    else:
        try:
            await identities_of(request).confirm(secret)
        except Problem as error:
            if error.type is not GONE:
                raise
            problems["link"] = "This link was used, or is too old: open an account once more to get another one."
    status = 422 if problems else 200
    return page(request, "confirm.html", visitor, status, next=target, problems=problems, done=not problems)


@ACCOUNT_PAGES.add("GET", "/forgot", demand=Demand.NOTHING, documented=False)
async def show_forgot(request: Request) -> Response:
    """The form for who has lost the password."""
    target, visitor = safe_path(query_of(request).get("next", "")), await visitor_of(request)
    known = {"email": visitor.caller.user.email} if visitor.caller else {}
    return page(request, "forgot.html", visitor, next=target, form=known, problems={}, sent=False)


@ACCOUNT_PAGES.add("POST", "/forgot", demand=Demand.NOTHING, cost=5, documented=False)
async def forgot_here(request: Request) -> Response:
    """Send a link to choose a new password: the answer is the same whether the address has an account or not."""
    form, visitor = form_of(request), await visitor_of(request)
    email, target = form.get("email", "").strip(), safe_path(form.get("next", ""))
    try:
        email = checked_email(email[: EMAIL_CHARS + 1])
    except InvalidEmail as error:
        problems = {"email": sentence(error)}
        kept = {"email": email}
        return page(request, "forgot.html", visitor, 422, next=target, form=kept, problems=problems, sent=False)
    await attempt(request, email, LinkKind.RESET)
    await identities_of(request).forgot_password(email, config_of(request).mailed_url, _then(target))
    return page(request, "forgot.html", visitor, next=target, form={"email": email}, problems={}, sent=True)


@ACCOUNT_PAGES.add("GET", "/reset", demand=Demand.NOTHING, documented=False)
async def show_reset(request: Request) -> Response:
    """The page that the link in such a mail leads to."""
    target = safe_path(query_of(request).get("next", ""))
    return page(request, "reset.html", await visitor_of(request), next=target, problems={}, done=False, link="")


@ACCOUNT_PAGES.add("POST", "/reset", demand=Demand.NOTHING, cost=5, documented=False)
async def reset_here(request: Request) -> Response:
    """Choose a new password by a link."""
    form, visitor = form_of(request), await visitor_of(request)
    secret, problems, target = _secret_of(form), {}, safe_path(form.get("next", ""))
    password = form.get("password", "")[: 4 * PASSWORD_CHARS + 1]
    try:
        check_password(password)
    except WeakPassword as error:
        problems["password"] = sentence(error)
    if not secret:
        problems["link"] = _NO_LINK
    if not problems:
        try:
            await identities_of(request).reset_password(secret, password)
        except WeakPassword as error:
            problems["password"] = sentence(error)
        except Problem as error:
            if error.type is not GONE:
                raise
            problems["link"] = "This link was used, or is too old: ask for another one."
    link = "" if "link" in problems else secret
    status = 422 if problems else 200
    return page(
        request, "reset.html", visitor, status, next=target, problems=problems, done=not problems, link=link
    )  # fmt: skip


@ACCOUNT_PAGES.add("GET", "/account", demand=Demand.NOTHING, documented=False)
async def show_account(request: Request) -> Response:
    """The own account."""
    visitor = await visitor_of(request)
    caller = visitor.caller
    if caller is None:
        return redirect(with_query(_SIGN_IN, next=_ACCOUNT))
    signed_in, reviews, mails = await asyncio.gather(
        identities_of(request).list_sessions(caller),
        shop_of(request).reviews.of_viewer(caller),
        shop_of(request).notices.wants_mails(caller),
    )
    sessions = [
        SessionLine(each.id, _client(each.client), each.network, each.used_at, each.id == caller.session)
        for each in signed_in
    ]
    return page(request, "account.html", visitor, sessions=sessions, reviews=reviews, mails=mails)


@ACCOUNT_PAGES.add("POST", "/account", demand=Demand.NOTHING, cost=2, documented=False)
async def change_account(request: Request) -> Response:
    """Sign out here or everywhere, end another sign-in, or say what comes by mail."""
    form, visitor = form_of(request), await visitor_of(request)
    do, identities = form.get("do", ""), identities_of(request)
    if do == "sign-out":
        await end_earlier(request)
        return redirect("/shop", deletion(request.scope, SESSION))
    if visitor.caller is None:
        return redirect(with_query(_SIGN_IN, next=_ACCOUNT))
    if do == "sign-out-everywhere":
        await identities.end_sessions(visitor.caller)
        return redirect("/shop", deletion(request.scope, SESSION))
    if do == "end" and _SESSION_ID.fullmatch(form.get("session", "")):
        await identities.end_session(visitor.caller, form["session"])
        return redirect(_ACCOUNT)
    if do in ("mails", "no-mails"):
        await shop_of(request).notices.want_mails(visitor.caller, wanted=do == "mails")
        return redirect(f"{_ACCOUNT}#mails")
    raise Problem(INVALID, errors=[FieldError("/do", "unknown", "there is no such action")])


def _then(target: str) -> str:
    """Where a mail's link leads on to; empty for the front page, and for what is too long for a link in a mail."""
    return target if target != PATH and len(target) <= _MAX_NEXT_CHARS else ""


def _secret_of(form: Mapping[str, str]) -> str:
    """The secret of a link; without JavaScript people give the whole of it."""
    return unquote(form.get("link", "").strip().rpartition("#")[2][:_MAX_SECRET_CHARS])


def _client(agent: str) -> str:
    """A browser, for people who look at their sign-ins."""
    browser = next((name for sign, name in _BROWSERS if sign in agent), "")
    system = next((name for sign, name in _SYSTEMS if sign in agent), "")
    return f"{browser} on {system}" if browser and system else browser or system or "A program"
