"""Pages as answers: templates that escape whatever is put into them, and the headers that belong to a page."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import Response

from api.storefront.addresses import ORDERS, PATH, with_query
from api.storefront.assets import SCRIPT, STYLE
from api.storefront.cookies import FORM, is_secure, setting
from api.storefront.forms import TOKEN_FIELD, form_secret, token_of
from api.storefront.views import ShopName
from api.storefront.visitors import Visitor, visitor_now
from api.web.edge import request_id_of
from api.web.problems import NOT_FOUND, Problem
from marketplace.catalog.products import STARS, Availability, Variant
from marketplace.money import plain_amount, shown_amount

_AVAILABILITY: Final = {
    Availability.MANY: "In stock",
    Availability.FEW: "Only a few left",
    Availability.NONE: "Sold out",
}


@dataclass(frozen=True)
class StorefrontConfig:
    """What pages have to know of where they are.

    Attributes:
        public_url: Where people reach the storefront, such as ``https://market.example``; where it is empty, what a
            request says of its host is taken.
        collector_url: Where browsers reach the collector; empty where nothing is counted.
        mailed_url: Of the pages that links in mails lead to: never what a request says of its host. Empty for the
            pages of all other mails.
    """

    public_url: str = ""
    collector_url: str = ""
    mailed_url: str = ""

    @property
    def collector_origin(self) -> str:
        """The collector's origin, as a policy names it."""
        parts = urlsplit(self.collector_url)
        return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""


def config_of(request: Request) -> StorefrontConfig:
    """What the application knows of where it is."""
    found: StorefrontConfig = request.app.state.storefront
    return found


def page(
    request: Request,
    template: str,
    visitor: Visitor,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    *,
    counts: bool = False,
    **values: Any,
) -> Response:
    """A page as an answer.

    Args:
        request: What is answered.
        template: Its file.
        visitor: Who looks.
        status: Of the answer.
        headers: Further ones.
        counts: Whether a page that is not of one store counts for several: its script reaches the collector, and the
            template is given its address as ``counts_at``.
        values: What the template shows; ``shop`` is the one store whose page it is.
    """
    config = config_of(request)
    secret, is_new = form_secret(request)
    shop: ShopName | None = values.pop("shop", None)
    query = request.scope["query_string"].decode("latin-1")
    body = _ENVIRONMENT.get_template(template).render(
        {
            "visitor": visitor,
            "shop": shop,
            "token": token_of(secret),
            "collector": config.collector_url if shop is not None and shop.key else "",
            "counts_at": config.collector_url.rstrip("/") if counts else "",
            "origin": origin_of(request),
            "path": request.scope["path"],
            "here": request.scope["path"] + (f"?{query}" if query else ""),
            "status": status,
            "page_product": "",
            "search_in_shop": False,
            "text": "",
            **values,
        }
    )
    answer = Response(body, status, {**_headers(config, shop, counts=counts), **(headers or {})}, "text/html")
    if is_new:
        answer.headers.append("set-cookie", setting(request.scope, FORM, secret))
    return answer


def origin_of(request: Request) -> str:
    """Where people reach the storefront, for links that leave it."""
    config = config_of(request)
    if config.public_url:
        return config.public_url.rstrip("/")
    return f"{'https' if is_secure(request.scope) else 'http'}://{request.headers.get('host', '')}"


def error_page(request: Request, problem: Problem, visitor: Visitor | None = None) -> Response:
    """A problem as a page, with a way on."""
    headers = {name: value for name, value in problem.headers.items() if name != "www-authenticate"}
    seconds = int(headers.get("retry-after", 0))
    title, explained = _WORDS.get(problem.type.status, _OTHER)
    of_orders = request.scope["path"].startswith(_OF_ORDERS)
    if of_orders and problem.type.status == NOT_FOUND.status:
        title, explained = _NO_ORDER
    if wants_json(request):
        said = {"message": problem.detail or title, "request_id": request_id_of(request.scope)}
        return as_json(said, problem.type.status, headers)
    return page(
        request, "error.html", visitor or visitor_now(request), problem.type.status, headers,
        title=title, explained=explained, seconds=seconds, request_id=request_id_of(request.scope),
        again=request.scope["path"] if request.method == "GET" else "",
        of_orders=of_orders,
    )  # fmt: skip


def wants_json(request: Request) -> bool:
    """Whether a script of ours asks, and no browser that shows the answer."""
    return request.headers.get("accept", "") == "application/json"


def as_json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer for the storefront's script."""
    own = {"cache-control": "no-store", "vary": "accept"}
    return Response(json.dumps(value), status, {**own, **(headers or {})}, "application/json")


def redirect(url: str, *cookies: str, status: int = 303) -> Response:
    """Go on elsewhere, with a GET; a page that is loaded again sends no form again.

    Args:
        url: A path of the storefront.
        cookies: Values of ``Set-Cookie``.
        status: 301 where it is for good.
    """
    answer = Response(status_code=status, headers={"location": url, "cache-control": "no-store"})
    for cookie in cookies:
        answer.headers.append("set-cookie", cookie)
    return answer


def _headers(config: StorefrontConfig, shop: ShopName | None, *, counts: bool) -> dict[str, str]:
    origin = f" {config.collector_origin}" if config.collector_origin else ""
    script, connect = origin if shop is not None else "", origin if shop is not None or counts else ""
    policy = (
        f"default-src 'none'; style-src 'self'; script-src 'self'{script}; connect-src 'self'{connect}; "
        "img-src 'self' https: data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    return {
        "content-security-policy": policy,
        # Who is signed in and what lies in the cart stand on every page.
        "cache-control": "no-store",
        # With none at all, browsers would not say where a form comes from.
        "referrer-policy": "same-origin",
        "vary": "cookie",
    }


def _date(epoch_ms: int) -> str:
    at = datetime.fromtimestamp(epoch_ms / 1000, UTC)
    return f"{at.day} {at:%B %Y}"


def _iso(epoch_ms: int) -> str:
    return f"{datetime.fromtimestamp(epoch_ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _moment(epoch_ms: int) -> str:
    """A date with its time; where there is a script, it shows both in the zone of whoever looks."""
    return f"{_date(epoch_ms)}, {datetime.fromtimestamp(epoch_ms / 1000, UTC):%H:%M} UTC"


def _choice(variant: Variant) -> str:
    return " / ".join(variant.values)


def _json_ld(value: Any) -> Markup:
    """Data in a page: nothing in it can end the element that it stands in."""
    text = json.dumps(value, ensure_ascii=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)  # every sign that HTML gives a meaning is written as a number


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(Path(str(files("api.storefront") / "templates"))),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {
        "money": shown_amount, "amount": plain_amount, "date": _date, "iso": _iso, "moment": _moment, "choice": _choice,
        "availability": _AVAILABILITY.__getitem__, "json_ld": _json_ld,
    }  # fmt: skip
    made.globals |= {
        "style": STYLE, "script": SCRIPT, "TOKEN": TOKEN_FIELD, "STARS": STARS, "NONE": Availability.NONE,
        "FEW": Availability.FEW, "once": lambda: secrets.token_urlsafe(12), "with_query": with_query,
    }  # fmt: skip
    return made


_OF_ORDERS: Final = (f"{ORDERS}/", f"{PATH}/checkout/")
_NO_ORDER: Final = (
    "There is no such order",
    "None of your orders is at this address. Those of this account are in your orders.",
)
_OTHER: Final = ("This did not work", "Go back, look at what you have sent, and try it once more.")
_WORDS: Final[Mapping[int, tuple[str, str]]] = {
    400: ("This cannot be read", "Go back, and try it once more."),
    401: ("You are signed out", "Sign in, and try it once more."),
    403: ("This form is refused", "Nothing was done. Open the page once more, and send its form from there."),
    404: ("There is nothing here", "The page may have moved, or what it showed is not there any more."),
    413: ("This is too long", "Go back, and send less."),
    429: ("One moment, please", "There were too many requests from where you are."),
    500: ("Something went wrong here", "It was noted, and we look into it. What you had in your cart is still there."),
    503: ("We will be right back", "A part of the shop does not answer. What you had in your cart is still there."),
}
_ENVIRONMENT: Final = _environment()
