"""The page of the checkout, and the page of what was ordered by it."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from fastapi import Request
from starlette.responses import Response

from api.access import Demand
from api.callers import Caller
from api.orders.routes import trace_parent
from api.storefront import checkout_forms as forms
from api.storefront.addresses import with_query
from api.storefront.checkout import UnderWay
from api.storefront.checkout_views import CheckoutPage, Placed, Typed, typed_of
from api.storefront.cookies import CART, deletion
from api.storefront.forms import FormRoute, form_of
from api.storefront.order_words import together
from api.storefront.queries import query_of
from api.storefront.render import page, redirect
from api.storefront.shop import Refused
from api.storefront.signing_in import NotSignedIn, SignedIn, sign_in
from api.storefront.visitors import Visitor, shop_of, visitor_now, visitor_of
from api.web.problems import INVALID, NOT_FOUND, UNAUTHENTICATED, UNAVAILABLE, FieldError, Problem
from api.web.routes import Routes
from connectors.errors import Unavailable
from connectors.payments.methods import CardRefused
from marketplace.countries import COUNTRIES
from marketplace.identity.emails import MAX_CHARS as MAX_EMAIL_CHARS
from marketplace.orders.refusals import (
    AnotherCart,
    Differs,
    EmptyCart,
    NothingToPay,
    OrderError,
    OutOfStock,
    TooLarge,
)

_CHECKOUT: Final = "/shop/checkout"
_SIGN_IN: Final = with_query("/shop/sign-in", next=_CHECKOUT)
_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_RETRY_SECONDS: Final = 3
_NOT_READ: Final = (
    "The shop does not answer at this moment, so nothing was ordered by this form. What you have typed is still here, "
    "except the card. Wait a moment, and send it again."
)
_NO_SIGN_IN: Final = "A part of the shop does not answer at this moment. Wait a moment, and sign in then."
_NOT_WHOLE: Final = "Something of this form is missing. Type your card once more, and order again."
_NOT_KNOWN: Final = (
    "The shop does not answer at this moment, so nobody can say whether your order was placed. Send this form again in "
    "a moment: it orders once, however often it is sent."
)
_REFUSALS: Final[Mapping[type[OrderError], str]] = {
    AnotherCart: "Your cart is not what it was when you opened this page. Look at it once more, and order then.",
    Differs: "Something has changed since you looked. It stands next to each product, and the amounts are those of "
             "now. Nothing was ordered and nothing was charged: type your card once more to order it as it is now.",
    OutOfStock: "Of something there is less than you want. It stands next to each product. Nothing was ordered and "
                "nothing was charged.",
    TooLarge: "This is more than one order can have. Take something out of your cart, and order it afterwards.",
    NothingToPay: "One of the orders would cost nothing, and nothing cannot be paid. Take its products out of your "
                  "cart, or put something else of that store in.",
}  # fmt: skip
_log = logging.getLogger(__name__)

CHECKOUT_PAGES: Final = Routes("/shop", "Storefront", FormRoute)


@dataclass(frozen=True)
class _Said:
    """What a page says beside what it shows.

    Attributes:
        status: Of the answer.
        message: What went wrong, or what has to be looked at.
        problems: The same of fields, by their names.
        left: How many can be had of variants of which there are fewer than wanted.
    """

    status: int = 200
    message: str = ""
    problems: Mapping[str, str] = field(default_factory=dict)
    left: Mapping[str, int] = field(default_factory=dict)


@CHECKOUT_PAGES.add("GET", "/checkout", demand=Demand.NOTHING, cost=2, documented=False)
async def show_checkout(request: Request) -> Response:
    """What would be ordered, where it goes, and what it is paid with."""
    visitor = await visitor_of(request, count=False)
    if visitor.caller is None:
        return redirect(_SIGN_IN)
    shop = shop_of(request)
    cookies = []
    if visitor.guest and await shop.carts.merge(visitor.caller, visitor.guest) != "full":
        # It was left when they signed in, because a part did not answer.
        cookies.append(deletion(request.scope, CART))
    answer = await _show(request, visitor, visitor.caller, None, _Said())
    for cookie in cookies:
        answer.headers.append("set-cookie", cookie)
    return answer


@CHECKOUT_PAGES.add("POST", "/checkout", demand=Demand.NOTHING, cost=5, changes_access=False, documented=False)
async def place_here(request: Request) -> Response:
    """Order what is in the cart, or let it have no more than there is."""
    form = form_of(request)
    typed = forms.typed(form)
    try:
        visitor = await visitor_of(request, count=False)
    except Unavailable:
        return _without_cart(request, visitor_now(request), typed, _NOT_READ)
    caller = visitor.caller
    if caller is None:
        return _signed_out(request, visitor, typed, form, NotSignedIn(), UNAUTHENTICATED.status)
    try:
        if form.get("do") == "take-left":
            await shop_of(request).checkout.take_what_is_left(caller, forms.left_of(form.get("left", "")))
            return await _show(request, visitor, caller, typed, _Said())
        if form.get("do") != "order":
            raise Problem(INVALID, errors=[FieldError("/do", "unknown", "there is no such action")])
        return await _order(request, visitor, caller, form, typed)
    except Unavailable as error:
        _log.warning("a checkout was not finished: %s", error)
        return _without_cart(request, visitor, typed, _NOT_KNOWN)


@CHECKOUT_PAGES.add("GET", "/checkout/sign-in", demand=Demand.NOTHING, documented=False)
async def begin_again(request: Request) -> Response:
    """Whoever opens the address of the form below once more."""
    del request
    return redirect(_CHECKOUT)


@CHECKOUT_PAGES.add("POST", "/checkout/sign-in", demand=Demand.NOTHING, cost=5, documented=False)
async def sign_in_and_go_on(request: Request) -> Response:
    """Sign in, and go on with what was typed into a checkout while the sign-in ended."""
    form = form_of(request)
    typed = forms.typed(form)
    try:
        visitor = await visitor_of(request, count=False)
        found = await sign_in(request, visitor, form) if visitor.caller is None else SignedIn(visitor.caller, ())
    except Unavailable as error:
        _log.warning("no sign-in at a checkout: %s", error)
        said = NotSignedIn(message=_NO_SIGN_IN)
        return _signed_out(request, visitor_now(request), typed, form, said, UNAVAILABLE.status)
    if isinstance(found, NotSignedIn):
        return _signed_out(request, visitor, typed, form, found, INVALID.status)
    if found.caller is None:
        return redirect(_SIGN_IN)
    visitor = replace(visitor, caller=found.caller)
    try:
        shown = typed if any(typed.fields.values()) else None
        answer = await _show(request, visitor, found.caller, shown, _Said())
    except Unavailable as error:
        _log.warning("a checkout cannot be shown: %s", error)
        answer = _without_cart(request, visitor, typed, _NOT_READ)
    for cookie in found.cookies:
        answer.headers.append("set-cookie", cookie)
    return answer


@CHECKOUT_PAGES.add("GET", "/checkout/{checkout}", demand=Demand.NOTHING, documented=False)
async def show_placed(request: Request, checkout: str) -> Response:
    """Orders that were placed together."""
    visitor = await visitor_of(request)
    if visitor.caller is None:
        return redirect(with_query("/shop/sign-in", next=f"{_CHECKOUT}/{checkout}"))
    shop = shop_of(request)
    found = await shop.checkout.checkout(visitor.caller, checkout) if _ID.fullmatch(checkout) else None
    if found is None:
        raise Problem(NOT_FOUND)
    cards = await shop.orders.cards(found.orders)
    moving, note = any(each.moving for each in cards), query_of(request).get("placed", "")
    return page(
        request, "placed.html", visitor, counts=True,
        cards=cards,
        heading=together(found.orders, just_placed=note == "1"),
        # By any of them, all that were declined go back into the cart.
        declined=next((each for each in cards if each.is_declined), None),
        moving=moving,
        note=note,
    )  # fmt: skip


async def _order(request: Request, visitor: Visitor, caller: Caller, form: Mapping[str, str], typed: Typed) -> Response:
    checkout = shop_of(request).checkout
    address, card = forms.address_of(typed.fields, COUNTRIES), forms.card_of(form, checkout.clock())
    problems = {**(address if isinstance(address, dict) else {}), **(card if isinstance(card, dict) else {})}
    if isinstance(address, dict) or isinstance(card, dict):
        return await _show(request, visitor, caller, typed, _Said(422, problems=problems))
    if not typed.once:
        return await _show(request, visitor, caller, typed, _Said(422, _NOT_WHOLE))
    try:
        placed = await checkout.place(caller, typed, address, card, trace_parent(request))
    except CardRefused as error:
        said = _Said(422, problems={error.field: forms.REFUSED[error.field]})
    except UnderWay as error:
        return page(request, "under_way.html", visitor, 409, message=error.message, typed=typed)
    except Refused as error:
        said = _Said(503, error.message)
    except EmptyCart:
        return page(request, "under_way.html", visitor, 409, message="There is nothing in your cart.", typed=None)
    except OrderError as error:
        return await _refused(request, visitor, caller, typed, error)
    except Problem as error:
        if error.type is not UNAUTHENTICATED:
            raise
        return redirect(_SIGN_IN)
    else:
        return redirect(_after(placed))
    return await _show(request, visitor, caller, typed, said)


def _after(placed: Placed) -> str:
    """The page that shows what was ordered; a form that was sent once before leads there, too."""
    note = "before" if placed.other else "1"
    if len(placed.orders) == 1:
        return with_query(f"/shop/orders/{placed.orders[0]}", placed=note)
    return with_query(f"{_CHECKOUT}/{placed.checkout}", placed=note)


def _signed_out(
    request: Request, visitor: Visitor, typed: Typed, form: Mapping[str, str], said: NotSignedIn, status: int
) -> Response:
    """The form to sign in with what was typed; it goes through no address and no cookie, and the card not at all."""
    return page(
        request, "signed_out.html", visitor, status,
        typed=typed, email=form.get("email", "")[:MAX_EMAIL_CHARS], problems=said.problems, message=said.message,
    )  # fmt: skip


async def _refused(request: Request, visitor: Visitor, caller: Caller, typed: Typed, error: OrderError) -> Response:
    left = {each.variant: each.left for each in error.lacking} if isinstance(error, OutOfStock) else {}
    return await _show(request, visitor, caller, typed, _Said(409, _REFUSALS[type(error)], left=left))


async def _show(request: Request, visitor: Visitor, caller: Caller, typed: Typed | None, said: _Said) -> Response:
    """The page with what is in the cart now; what was typed is in it still, and no card ever."""
    shop = shop_of(request)
    review = await shop.checkout.review(caller, said.left)
    if typed is None:
        typed = Typed(typed_of(await shop.checkout.last_address(caller), caller.user.name))
    return _page(request, replace(visitor, in_cart=review.count), typed, review, said)


def _without_cart(request: Request, visitor: Visitor, typed: Typed, message: str) -> Response:
    """The page while what is in the cart cannot be read: sent again, the form says what it said."""
    return _page(request, visitor, typed, None, _Said(503, message))


def _page(request: Request, visitor: Visitor, typed: Typed, review: CheckoutPage | None, said: _Said) -> Response:
    checkout = shop_of(request).checkout
    parts = review.parts if review is not None else ()
    stores = {part.shop.slug: part.shop for part in parts}
    headers = {"retry-after": str(_RETRY_SECONDS)} if said.status == UNAVAILABLE.status else {}
    return page(
        request, "checkout.html", visitor, said.status, headers,
        review=review,
        typed=typed,
        # The same after trouble: what was ordered all the same is not ordered once more.
        form_key=typed.once or secrets.token_urlsafe(24),
        version=typed.version if review is None else review.version,
        changes=typed.changes if review is None else review.changes,
        message=said.message,
        problems=said.problems,
        countries=COUNTRIES,
        trial_cards=checkout.trial_cards,
        is_open=checkout.is_open,
        # Each store that has a part in it counts that it begins, and not that it is looked at once more after trouble.
        begins=request.method == "GET",
        counts=len(stores) > 1,
        # What is done here is counted for a store where all of it is of that one.
        shop=next(iter(stores.values())) if len(stores) == 1 else None,
    )  # fmt: skip
