"""For every route of the API a request that is good, in a world where it has something to do."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from marketplace.collections import NOTIFICATIONS, ORDERS
from marketplace.identity.roles import API_KEY_SCOPES, Permission
from marketplace.identity.tenancy import hash_of_secret
from ops.reference.access import Column
from tests.kits.notifications import READ, put_notifications
from tests.kits.orders import (
    COUNTED,
    COUNTED_PRODUCT,
    SECOND,
    SECOND_PRODUCT,
    order_id,
    settle_orders,
    wish,
)
from tests.kits.products import product, put_products
from tests.kits.shopping import (
    CHANGES_ID,
    GUEST_HEADERS,
    GUEST_SECRET,
    PRODUCT,
    REVIEW,
    REVIEW_IN_SHOP,
    REVIEWED,
    VARIANT,
    settle_reviews,
    settle_shop,
)
from tests.kits.tenancy import COLLECTIONS, NOW, WEBHOOK_SECRET, World, without_counters

INVITATION: Final = "1" * 32
API_KEY: Final = "2" * 16
CATEGORY: Final = "6" * 32
IMPORT: Final = "c" * 32
NOBODYS_ID: Final = "0" * 32
PATH_VALUES: Final = {
    "store": "shop", "user": "tom", "goal": "Paid", "invitation": INVITATION, "key": API_KEY, "tier": "premium",
    "session": "3" * 32,
    "file": "start.js", "name": "invalid", "product": REVIEWED, "variant": VARIANT, "shop": "market",
    "slug": "red-mug", "review": REVIEW, "category": CATEGORY, "product_import": IMPORT, "provider": "sandbox",
    "order": order_id("ann"), "checkout": order_id("ann"),
}  # fmt: skip


def signed(body: bytes, at: float = NOW.timestamp(), secret: str = WEBHOOK_SECRET) -> str:
    """The signature of a webhook of the sandbox provider."""
    digest = hmac.new(secret.encode(), f"{at:.0f}.".encode() + body, "sha256")
    return f"t={at:.0f},v1={digest.hexdigest()}"


MESSAGE: Final = b'{"id": "evt_1", "type": "charge.succeeded"}'
_IN_STORE: Final = {"product": PRODUCT, "review": REVIEW_IN_SHOP, "variant": COUNTED}
"""Where the path names the store ``shop``, too."""


@dataclass(frozen=True)
class GoodRequest:
    """A request that its route answers with its own status.

    Attributes:
        body: None for a route that takes none; bytes for one that takes a file.
        headers: Beside who is asking.
        query: Of the path.
        status: None for the one that the route declares.
    """

    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    status: int | None = None

    @property
    def content(self) -> dict[str, Any]:
        """The body as a client of HTTP takes it."""
        return {"content": self.body} if isinstance(self.body, bytes) else {"json": self.body}


KEY: Final = {"idempotency-key": "good"}
_GOODS: Final = {"product": COUNTED_PRODUCT, "quantity": 1, "reason": "Delivery of Monday"}

GOOD_REQUESTS: Final[dict[tuple[str, str], GoodRequest]] = {
    ("POST", "/v1/stores"): GoodRequest({"title": "New shop"}),
    ("PATCH", "/v1/stores/{store}"): GoodRequest({"title": "New title"}, {"if-match": '"1"'}),
    ("PUT", "/v1/stores/{store}/goals/{goal}"): GoodRequest({"kind": "page", "pattern": "/paid"}, {"if-match": '"1"'}),
    ("DELETE", "/v1/stores/{store}/goals/{goal}"): GoodRequest(headers={"if-match": '"1"'}),
    ("PATCH", "/v1/stores/{store}/members/{user}"): GoodRequest({"role": "manager"}),
    ("POST", "/v1/stores/{store}/invitations"): GoodRequest({"email": "new@shop.example", "role": "analyst"}),
    ("POST", "/v1/stores/{store}/api-keys"): GoodRequest({"name": "Warehouse", "scopes": ["numbers:read"]}),
    ("POST", "/v1/invitations/acceptances"): GoodRequest({"token": "x" * 43}, status=410),
    ("POST", "/v1/invitations/previews"): GoodRequest({"token": "y" * 43}),
    ("POST", "/v1/stores/{store}/products"): GoodRequest(
        {"title": "Red mug", "currency": "EUR", "variants": [{"sku": "MUG-RED", "price_minor": 1250}]}
    ),
    ("PATCH", "/v1/stores/{store}/products/{product}"): GoodRequest({"title": "Green mug"}, {"if-match": '"1"'}),
    ("POST", "/v1/stores/{store}/categories"): GoodRequest({"name": "Plates"}),
    ("PATCH", "/v1/stores/{store}/categories/{category}"): GoodRequest({"name": "Cups"}),
    ("POST", "/v1/stores/{store}/product-imports"): GoodRequest(
        b"slug,title,currency,sku,price\nnew-mug,New mug,EUR,NEW,12.50\n", {"content-type": "text/csv"}
    ),
    # Of a session that nobody has: those of sign-ins are in Redis, and here nobody signs in.
    ("DELETE", "/v1/identity/sessions/{session}"): GoodRequest(status=404),
    ("PUT", "/v1/products/{product}/review"): GoodRequest({"stars": 2, "text": "It broke."}),
    ("POST", "/v1/reviews/{review}/reports"): GoodRequest({"reason": "spam"}),
    ("PUT", "/v1/stores/{store}/reviews/{review}/reply"): GoodRequest({"text": "We are sorry."}),
    ("POST", "/v1/admin/reviews/{review}/decisions"): GoodRequest({"decision": "hide"}),
    ("GET", "/v1/cart"): GoodRequest(headers=GUEST_HEADERS),
    ("DELETE", "/v1/cart"): GoodRequest(headers=GUEST_HEADERS),
    ("POST", "/v1/cart/lines"): GoodRequest({"product": PRODUCT, "variant": VARIANT}, GUEST_HEADERS),
    ("PUT", "/v1/cart/lines/{variant}"): GoodRequest({"product": PRODUCT, "quantity": 5}, GUEST_HEADERS),
    ("PATCH", "/v1/cart/lines/{variant}"): GoodRequest({"quantity": 5}, GUEST_HEADERS),
    ("DELETE", "/v1/cart/lines/{variant}"): GoodRequest(headers=GUEST_HEADERS),
    ("POST", "/v1/cart/seen"): GoodRequest({"changes_id": CHANGES_ID}, GUEST_HEADERS),
    ("POST", "/v1/cart/merge"): GoodRequest({"secret": GUEST_SECRET}),
    ("POST", "/v1/orders"): GoodRequest(wish(1, changes_id=CHANGES_ID), KEY),
    ("POST", "/v1/orders/{order}/cancel"): GoodRequest(headers=KEY),
    ("POST", "/v1/orders/{order}/refunds"): GoodRequest({"lines": [{"number": 1, "quantity": 1}]}, KEY),
    ("POST", "/v1/stores/{store}/orders/{order}/cancel"): GoodRequest(headers=KEY),
    ("POST", "/v1/stores/{store}/orders/{order}/refunds"): GoodRequest({"lines": [{"number": 1, "quantity": 1}]}, KEY),
    ("PUT", "/v1/stores/{store}/orders/{order}/fulfilment"): GoodRequest({"state": "packed"}),
    ("POST", "/v1/stores/{store}/stock/{variant}/receive"): GoodRequest(_GOODS, KEY),
    ("POST", "/v1/stores/{store}/stock/{variant}/adjust"): GoodRequest({**_GOODS, "quantity": -1}, KEY),
    ("POST", "/v1/stores/{store}/stock/transfer"): GoodRequest(
        {
            "source": {"product": COUNTED_PRODUCT, "variant": COUNTED},
            "target": {"product": SECOND_PRODUCT, "variant": SECOND},
            "quantity": 1,
            "reason": "Labelled wrongly",
        },
        KEY,
    ),
    ("PUT", "/v1/stores/{store}/stock/{variant}/threshold"): GoodRequest({"low_at": 3}),
    ("POST", "/v1/notifications/read"): GoodRequest({"until": READ}),
    ("PUT", "/v1/me/notification-preferences"): GoodRequest({"orders_by_mail": False}),
    ("GET", "/v1/admin/accounts"): GoodRequest(query={"email": "tom@shop.example"}),
    ("GET", "/v1/search/suggestions"): GoodRequest(query={"q": "mug"}),
    ("GET", "/v1/shops/{shop}/search/suggestions"): GoodRequest(query={"q": "mug"}),
    ("POST", "/v1/admin/accounts/{user}/grants"): GoodRequest({"tier": "premium"}),
    ("POST", "/v1/payments/webhooks/{provider}"): GoodRequest(
        MESSAGE, {"content-type": "application/json", "webhook-signature": signed(MESSAGE)}
    ),
}
"""Where an empty one is not good enough. A route of a store that takes a body has to be here; of others that take one
an empty body is sent, which is looked at after who is asking, and answered with 422; a parameter of a path that has no
value above gets an id that nobody has, and the answer is 404."""


async def ready_for(world: World, method: str, path: str) -> dict[str, list[Any]]:
    """Let there be what a route works with beyond what :func:`settle` has made; gives what is there now."""
    if (method, path) == ("DELETE", "/v1/stores/{store}"):
        # A store with open orders is not closed.
        shipped = {"$set": {"fulfilment.state": "shipped"}}
        await world.client[world.database][ORDERS.name].update_many({"store": "shop"}, shipped)
    return await world.everything()


def good_request(world: World, method: str, path: str) -> GoodRequest:
    """The request of a route."""
    found = GOOD_REQUESTS.get((method, path))
    if found is not None:
        return found
    takes_body = "requestBody" in world.openapi["paths"].get(path, {}).get(method.lower(), {})
    assert not (takes_body and "{store}" in path), f"{method} {path} has no good request in {__name__}"
    if takes_body:
        return GoodRequest({}, status=422)
    return GoodRequest(status=404 if set(re.findall(r"{(\w+)}", path)) - PATH_VALUES.keys() else None)


_ASKING: Final = ("ann", "bea", "eve", "mallory", "max", "root")


async def settle(world: World, *, frozen: bool = False) -> dict[str, list[Any]]:
    """A store with members, an invitation and an API key, another store, and people without a store.

    They are made once and copied into every further world; whatever else is there goes.

    Returns:
        What is there now, as :meth:`World.everything` finds it.
    """
    if frozen not in _SETTLED:
        await world.restore({each.name: [] for each in COLLECTIONS})
        await _settle(world, frozen)
        _SETTLED[frozen] = await world.snapshot()
    else:
        await world.restore(_SETTLED[frozen])
    return without_counters(_SETTLED[frozen])


_SETTLED: Final[dict[bool, dict[str, list[Any]]]] = {}
"""All documents of such a world, by whether its store is frozen."""


async def _settle(world: World, frozen: bool) -> None:
    await world.user("ann", premium=True)
    await world.user("ona", premium=True)
    for slug, age in (("shop", 10.0), ("older", 20.0)):
        await world.store(slug, age_days=age, ann="owner", ona="owner", max="manager", eve="analyst", tom="analyst")
    await world.store("other", mallory="owner")
    for name, admin in (("bea", False), ("root", True)):
        await world.user(name, admin=admin)
    links, users = world.client[world.database]["links"], world.client[world.database]["users"]
    await links.insert_one(
        {
            "_id": hash_of_secret("y" * 43), "kind": "invitation", "subject": "shop",
            "data": {
                "id": INVITATION, "store": "shop", "email": "waits@shop.example", "email_key": "waits@shop.example",
                "role": "analyst", "inviter": "max",
            },
            "created_at": world.now, "expires_at": world.now.replace(year=world.now.year + 1),
        }
    )  # fmt: skip
    mugs = {"id": CATEGORY, "slug": "mugs", "name": "Mugs", "parent": None}
    await world.client[world.database]["categories"].insert_one({"_id": "shop", "version": 1, "categories": [mugs]})
    foreign = product("Other mug", id="7" * 32, store="other", slug="other-mug")
    await put_products(world.client, world.database, [foreign])
    await settle_shop(world, *_ASKING)
    await settle_reviews(world, *_ASKING)
    await settle_orders(world, *_ASKING)
    await put_notifications(world.client[world.database][NOTIFICATIONS.name], ("ann", "root"), "shop")
    imported = {
        "_id": IMPORT, "store": "shop", "by": "ann", "dry_run": False, "state": "done", "products": 0, "done": 0,
        "created": 0, "changed": 0, "unchanged": 0, "failed": 0, "faults": [], "more_faults": 0, "reason": "",
        "created_at": 1, "changed_at": 1, "expires_at": world.now.replace(year=world.now.year + 1),
    }  # fmt: skip
    await world.client[world.database]["product_imports"].insert_one(imported)
    await world.key("shop", "max", Permission.READ_STORE, key_id=API_KEY)
    for scope in API_KEY_SCOPES:
        await world.key("shop", "ann", scope, key_id=key_id_of(scope))
    await world.key("other", "mallory", *API_KEY_SCOPES, key_id="f" * 16)
    if frozen:
        await users.update_many({}, {"$set": {"grants": []}})
    else:
        # Who has a store may make one more.
        premium = [{"tier": "premium", "since": 0, "until": None}]
        await users.update_many({"_id": {"$ne": "bea"}}, {"$set": {"grants": premium}})


def key_id_of(scope: Permission) -> str:
    """The id of the API key that has this scope alone."""
    return hash_of_secret(scope.value)[:16]


def credential_of(column: Column) -> str:
    """Who asks, as :meth:`World.ask` takes it."""
    if column.scope is not None:
        return f"mk_{key_id_of(column.scope)}_{'s' * 43}"
    if column.other_key:
        return f"mk_{'f' * 16}_{'s' * 43}"
    names = {
        "nobody": "", "buyer": "bea", "analyst": "eve", "manager": "max", "owner": "ann",
        "other store's owner": "mallory", "admin": "root",
    }  # fmt: skip
    return names[column.title]


def filled(path: str, **values: str) -> str:
    """A path with values for its parameters."""
    known = {**PATH_VALUES, **(_IN_STORE if "{store}" in path else {}), **values}
    return re.sub(r"{(\w+)}", lambda match: known.get(match[1], NOBODYS_ID), path)


async def send_good(world: World, method: str, path: str, who: str, **values: str) -> httpx.Response:
    """Send the good request of a route."""
    request = good_request(world, method, path)
    if "{store}" not in path:
        # Everybody has an own one.
        values = {"order": order_id(who), "checkout": order_id(who), **values}
    answer = await world.ask(
        method, filled(path, **values), who, headers=request.headers, params=request.query, **request.content
    )
    await world.catalog.files.idle()
    return answer
