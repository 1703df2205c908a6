"""The composition root: from what the API needs to the application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.analytics.routes import ANALYTICS
from api.analytics.service import AnalyticsService
from api.api_keys.routes import API_KEYS
from api.callers import Identities
from api.carts import refusals as cart_refusals
from api.carts.routes import CARTS
from api.catalog.file_routes import CATALOG_FILES
from api.catalog.public_routes import SHOPS
from api.catalog.routes import CATALOG
from api.catalog.service import CatalogService
from api.documentation.pages import Page
from api.documentation.routes import DOCUMENTATION
from api.grants.routes import GRANTS
from api.identity.routes import IDENTITY, KEY_SET
from api.known import Known
from api.limits import Limiter
from api.members.routes import MEMBERS
from api.notifications.routes import NOTIFICATIONS
from api.ordering import Ordering
from api.orders import refusals as order_refusals
from api.orders.routes import ORDERS
from api.orders.seller_routes import STORE_ORDERS
from api.origins import Preflights
from api.payments.routes import PAYMENTS
from api.payments.service import WebhookService
from api.refusals import problem_of
from api.reviews import refusals as review_refusals
from api.reviews.routes import REVIEWS
from api.search.routes import SEARCH
from api.search.service import SearchService
from api.shopping import Shopping
from api.stock.routes import STOCK
from api.storefront.addresses import is_page
from api.storefront.render import StorefrontConfig, error_page
from api.storefront.routes import STOREFRONT
from api.storefront.service import Shop
from api.stores.goals import GOALS
from api.stores.routes import STORES
from api.tenancy import Tenancy
from api.web.bodies import BODY_SECONDS, REQUEST_SECONDS
from api.web.edge import Edge, Observer, Refusal, ignore, request_id_of
from api.web.messages import message_of
from api.web.methods import MethodCheck, Methods
from api.web.parameters import parameters_of
from api.web.problems import (
    BAD_REQUEST,
    INTERNAL,
    INVALID,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    UNAVAILABLE,
    FieldError,
    Problem,
    ProblemType,
)
from api.web.routes import ACCESS_TOKEN, API_KEY, include
from connectors.errors import Unavailable
from marketplace.carts.cart import CartError
from marketplace.identity.tenancy import TenancyError
from marketplace.inventory.levels import StockError
from marketplace.networks import Network
from marketplace.orders.refusals import OrderError
from marketplace.reviews.reviews import ReviewError

_RETRY_SECONDS: Final = 2.0
_OF_STATUS: Final[dict[int, ProblemType]] = {400: BAD_REQUEST, 404: NOT_FOUND, 405: METHOD_NOT_ALLOWED}
# A route is looked for in this order, so those that everybody asks come first.
FEATURES: Final = (
    *(SHOPS, ANALYTICS, IDENTITY, KEY_SET, STORES, GOALS, MEMBERS, API_KEYS, GRANTS, CATALOG, CATALOG_FILES),
    *(SEARCH, REVIEWS, CARTS, ORDERS, STORE_ORDERS, STOCK, NOTIFICATIONS, PAYMENTS, DOCUMENTATION, *STOREFRONT),
)

_DESCRIPTION: Final = """
Sign in with `POST /v1/identity/sessions` and send the access token with every request: `Authorization: Bearer ...`.
It is valid for 15 minutes; `POST /v1/identity/sessions/refresh` gives the next one.

It is for servers, and for programs that are no pages: browsers let pages of other origins read nothing of it.

Times are RFC 3339 in UTC with milliseconds. Unknown fields and parameters are refused. Every error is
`application/problem+json` (RFC 9457): decide by its `type`, and quote its `request_id` when you ask about it.
[All types](/problems).

`RateLimit` says how much may still be asked; after 429 and 503 wait as long as `Retry-After` says.
"""

_PROBLEM_SCHEMA: Final[dict[str, Any]] = {
    "title": "Problem",
    "description": "RFC 9457 problem details.",
    "type": "object",
    "required": ["type", "title", "status", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference", "description": "The kind; clients decide by it."},
        "title": {"type": "string", "description": "What is wrong, the same for every occurrence."},
        "status": {"type": "integer", "description": "The HTTP status."},
        "detail": {"type": "string", "description": "What is wrong this time."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["path", "code", "message"],
                "properties": {
                    "path": {"type": "string", "description": "A JSON pointer into the body, or where else it stands."},
                    "code": {"type": "string"},
                    "message": {"type": "string"},
                },
            },
        },
        "request_id": {"type": "string", "description": "For questions about this request."},
    },
}


@dataclass(frozen=True)
class Services:
    """What answers requests.

    Attributes:
        identities: Knows accounts and sign-ins.
        limiter: Knows how much everybody may ask.
        tenancy: Knows stores and who works in them.
        analytics: Knows stores' numbers.
        catalog: Knows stores' products and categories.
        search: Finds products.
        shopping: Knows carts and reviews.
        ordering: Knows orders and stock.
        shop: Answers the storefront.
        webhooks: Takes what payment providers say.
    """

    identities: Identities
    limiter: Limiter
    tenancy: Tenancy
    analytics: AnalyticsService
    catalog: CatalogService
    search: SearchService
    shopping: Shopping
    ordering: Ordering
    shop: Shop
    webhooks: WebhookService


def build_app(
    services: Callable[[], AbstractAsyncContextManager[Services]],
    hosts: Collection[str] = (),
    trusted_proxies: Sequence[Network] = (),
    observe: Observer = ignore,
    request_seconds: float = REQUEST_SECONDS,
    body_seconds: float = BODY_SECONDS,
    storefront: StorefrontConfig | None = None,
) -> Edge:
    """The application.

    Args:
        services: Gives what answers requests, from the application's start to its end.
        hosts: Names that it is reached by; empty for any.
        trusted_proxies: Peers whose ``X-Forwarded-For`` is believed.
        observe: Counts requests.
        request_seconds: For the work of a request; one that takes longer is answered with 503.
        body_seconds: For the body of a request to come.
        storefront: What its pages have to know of where they are.

    Raises:
        ValueError: A route does not say what it demands.
    """

    @asynccontextmanager
    async def lifespan(running: FastAPI) -> AsyncIterator[None]:
        async with services() as given:
            running.state.identities, running.state.limiter = given.identities, given.limiter
            running.state.tenancy, running.state.analytics = given.tenancy, given.analytics
            running.state.shop = given.shop
            running.state.webhooks = given.webhooks
            running.state.catalog = given.catalog
            running.state.search = given.search
            running.state.shopping, running.state.ordering = given.shopping, given.ordering
            running.state.known = Known(given.identities, given.tenancy)
            yield

    app = FastAPI(
        title="Marketplace",
        version="1",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        # A redirect would lead to where the header Host says, by HTTP also where TLS ends before this process, and be
        # counted by nobody.
        redirect_slashes=False,
    )
    app.state.trusted_proxies = trusted_proxies
    app.state.request_seconds, app.state.body_seconds = request_seconds, body_seconds
    app.state.storefront = storefront or StorefrontConfig()
    app.state.rules = include(app, FEATURES)
    methods = Methods(app.state.rules)
    app.add_middleware(MethodCheck, methods=methods)
    app.add_middleware(Preflights, methods=methods)
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(TenancyError, _refused)
    app.add_exception_handler(CartError, _cart_refused)
    app.add_exception_handler(ReviewError, _review_refused)
    app.add_exception_handler(OrderError, _order_refused)
    app.add_exception_handler(StockError, _order_refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Unavailable, _unavailable)
    app.add_exception_handler(Exception, _bug)
    # Most processes are never asked for the document, and making it would be a quarter of their start.
    app.state.openapi = cache(lambda: openapi(app))
    app.state.openapi_page = cache(lambda: Page(msgspec.json.encode(app.state.openapi()), "application/json"))
    app.state.parameters = parameters_of(app.routes)
    return Edge(app, hosts, observe=observe, refuse=_answer_in(app))


def openapi(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI 3.1 document of an application."""
    document = get_openapi(title=app.title, version=app.version, description=_DESCRIPTION.strip(), routes=app.routes)
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Problem"] = _PROBLEM_SCHEMA
    document["components"]["securitySchemes"] = {
        ACCESS_TOKEN: {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "Of a sign-in."},
        API_KEY: {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "mk_...",
            "description": "Of a server: it works in its store alone, with the scopes that it was made with.",
        },
    }
    return document


def _answer(request: Request, problem: Problem) -> Response:
    """A problem for whoever asks: a page where people look, and data everywhere else."""
    path = request.scope["path"]
    # Who types the address alone looks for the shop.
    looks = path == "/" and "text/html" in request.headers.get("accept", "")
    return error_page(request, problem) if looks or is_page(path) else problem.response(request_id_of(request.scope))


def _answer_in(app: FastAPI) -> Refusal:
    """The same for what is refused before the application gets it."""
    return lambda scope, problem: _answer(Request({**scope, "app": app}), problem)


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return _answer(request, error)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, TenancyError)
    return _answer(request, problem_of(error))


async def _cart_refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, CartError)
    return _answer(request, cart_refusals.problem_of(error))


async def _review_refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, ReviewError)
    return _answer(request, review_refusals.problem_of(error))


async def _order_refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, OrderError | StockError)
    return _answer(request, order_refusals.problem_of(error))


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # Neither the input nor what a validator says of it is repeated: it may be a password.
    errors = [FieldError(_pointer(each["loc"]), str(each["type"]), message_of(each)) for each in error.errors()]
    return _answer(request, Problem(INVALID, errors=errors))


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind = _OF_STATUS.get(error.status_code, BAD_REQUEST)
    return _answer(request, Problem(kind, headers=error.headers))


async def _unavailable(request: Request, error: Exception) -> Response:
    return _answer(request, Problem(UNAVAILABLE, retry_after_seconds=_RETRY_SECONDS))


async def _bug(request: Request, error: Exception) -> Response:
    # Starlette raises it again once this is answered; the edge logs it.
    return _answer(request, Problem(INTERNAL))


def _pointer(location: tuple[Any, ...]) -> str:
    where, *rest = location
    if where == "body":
        return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in rest)
    return f"{where}:{'.'.join(map(str, rest))}"
