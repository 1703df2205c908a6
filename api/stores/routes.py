"""The routes of stores."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict
from typing import Annotated, Any, Final

from fastapi import Query, Request, Response

from api.access import Demand, access_of, caller_is_there, caller_of
from api.callers import Access
from api.catalog.answers import STORE_TAG, CatalogAnswers
from api.stores.schemas import (
    ImportKey,
    Keys,
    MadeStore,
    NewStoreBody,
    StoreBody,
    StoreEdit,
    StorePage,
    TurnedAwayPage,
    TurnedAwayRow,
    WholeStore,
    WriteKey,
)
from api.stores.service import LINK_SETTINGS, TURNED_AWAY_DAYS, NewStore, StoreService
from api.web.conditions import edited_version
from api.web.cursors import MAX_CHARS, cursor, place_of
from api.web.problems import (
    CONFLICT,
    INVALID,
    LIMIT,
    OPEN_ORDERS,
    PRECONDITION_REQUIRED,
    STALE,
    FieldError,
    Problem,
)
from api.web.routes import Links, Routes
from api.web.times import rfc3339
from marketplace.identity.roles import Permission, StoreRole
from marketplace.identity.tenancy import Standing, StoreRecord
from marketplace.store_links import InvalidLinkRule

_LIST: Final = "stores by slug"
_STORE: Final[dict[str, Any]] = {
    "slug": "anns-shop", "title": "Ann's shop", "timezone": "Europe/Zurich", "domains": ["shop.example"],
    "blocked_networks": [], "honour_opt_out": True, "contact": "hello@shop.example", "role": "owner",
    "tier": "free", "frozen": False, "created_at": "2026-11-29T12:00:00.000Z",
}  # fmt: skip
_WHOLE_STORE: Final = {
    **_STORE, "payment_hosts": ["3ds.bank.example"], "ignored_referrers": ["login.example"],
    "source_rules": [{"match": "referrer", "value": "partner.example", "source": "partner", "medium": "affiliate"}],
    "trailing_slash": "strip", "page_case": "keep",
}  # fmt: skip
_NEW_STORE: Final = {
    **_STORE, "payment_hosts": [], "ignored_referrers": [], "source_rules": [], "trailing_slash": "keep",
    "page_case": "keep",
}  # fmt: skip
_WRITE_KEY: Final = {"write_key": "0f8fad5bd9cb469fa165070867728950"}
_TURNED_AWAY: Final[dict[str, Any]] = {
    "days": 7,
    "rows": [{"hour": "2026-11-29T12", "reason": "store", "requests": 3, "events": 120}],
}

_MADE: Final = {"store": "$response.body#/slug"}
_SAME_STORE: Final = {"store": "$request.path.store"}
_IN_A_NEW_STORE: Final[Links] = {
    "get_store": _MADE,
    "edit_store": {**_MADE, "header.If-Match": "$response.header.ETag"},
    "delete_store": _MADE,
    "replace_write_key": _MADE,
    "replace_import_key": _MADE,
    "create_api_key": _MADE,
    "invite": _MADE,
    "list_members": _MADE,
    "get_totals": _MADE,
}

STORES: Final = Routes("/v1/stores", "Stores")


def _service(request: Request) -> StoreService:
    found: StoreService = request.app.state.tenancy.stores
    return found


def _changing(request: Request, slug: str) -> AbstractAsyncContextManager[None]:
    """Forgets what is kept of a shop when its store has changed."""
    answers: CatalogAnswers = request.app.state.catalog.answers
    return answers.changing(slug, [STORE_TAG])


@STORES.add("POST", "", demand=Demand.SIGNED_IN, cost=5, status=201, problems=[CONFLICT, LIMIT],
            example={**_NEW_STORE, **_WRITE_KEY}, links=_IN_A_NEW_STORE, versioned=True, located=True)  # fmt: skip
async def create_store(request: Request, response: Response, body: NewStoreBody) -> MadeStore:
    """Make a store, which is the caller's.

    Its write key is shown this once. A slug that another store has or had is taken, and names of the platform are
    given to nobody.
    """
    new = NewStore(
        title=body.title,
        slug=body.slug or None,
        timezone=body.timezone,
        domains=tuple(dict.fromkeys(body.domains)),
        blocked_networks=tuple(dict.fromkeys(body.blocked_networks)),
        honour_opt_out=body.honour_opt_out,
        contact=body.contact,
    )
    user = caller_of(request).user
    with caller_is_there():
        record, write_key = await _service(request).create(new, user)
    # Who may own one more store covers it. Nothing is asked any more: without this answer the write key would be lost.
    standing = Standing(user.tier(record.created_at), frozen=False)
    response.headers.update({"etag": record.etag, "location": f"/v1/stores/{record.store.slug}"})
    return MadeStore(**_whole(record, StoreRole.OWNER, standing), write_key=write_key)


@STORES.add("GET", "", demand=Demand.SIGNED_IN, example={"stores": [_STORE], "next": None},
            links={"list_stores": {"cursor": "$response.body#/next"}})  # fmt: skip
async def list_stores(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=100, description="At most so many.")] = 20,
    cursor_text: Annotated[
        str, Query(alias="cursor", max_length=MAX_CHARS, description="`next` of the page before.")
    ] = "",
) -> StorePage:
    """The stores that the caller is a member of, by slug."""
    after = place_of(_LIST, cursor_text) if cursor_text else ""
    stores, place = await _service(request).of_user(caller_of(request).user.id, after, limit)
    listed = [StoreBody(**_fields(store.record, store.role, store.standing)) for store in stores]
    return StorePage(stores=listed, next=cursor(_LIST, place) if place else None)


@STORES.add("GET", "/{store}", demand=Permission.READ_STORE, example=_WHOLE_STORE, versioned=True,
            links={"edit_store": {**_SAME_STORE, "header.If-Match": "$response.header.ETag"}})  # fmt: skip
async def get_store(request: Request, response: Response) -> WholeStore:
    """A store's settings. The answer's `ETag` is what an edit has to name."""
    access = access_of(request)
    response.headers["etag"] = access.record.etag
    return _body(access, access.record)


@STORES.add("PATCH", "/{store}", demand=Permission.EDIT_STORE, cost=2, problems=[STALE, PRECONDITION_REQUIRED, LIMIT],
            example=_WHOLE_STORE, versioned=True)  # fmt: skip
async def edit_store(request: Request, response: Response, body: StoreEdit) -> WholeStore:
    """Change settings of a store: what is left out stays.

    `If-Match` names the version that is edited, as `ETag` said it. Of edits at one time one succeeds. A list is given
    whole; hosts are kept in lower case, as they are on the wire, each once. What counts events follows within seconds;
    what is counted stays as it was.
    """
    access = access_of(request)
    fields = body.settings()
    version = edited_version(request, access.record.version)
    actor = caller_of(request).user.id
    try:
        async with _changing(request, access.slug):
            record = await _service(request).edit(access.slug, actor, fields, version, access.standing.tier)
    except InvalidLinkRule as error:
        raise Problem(INVALID, errors=[_link_error(error, fields)]) from error
    response.headers["etag"] = record.etag
    return _body(access, record)


@STORES.add("DELETE", "/{store}", demand=Permission.DELETE_STORE, cost=5, status=204, works_frozen=True,
            problems=[OPEN_ORDERS])  # fmt: skip
async def delete_store(request: Request) -> None:
    """Delete a store for all its members: nobody can reach it any more, and its keys are worth nothing.

    Its numbers and its document are kept, and its slug is given to nobody else. While orders are open the answer is
    409: `open_orders` says how many, and `orders` where all orders of the store are listed. Open is an order that is
    neither confirmed nor cancelled, a confirmed one whose goods are not shipped (also a packed one), and one with a
    refund that is not done.
    """
    slug = access_of(request).slug
    async with _changing(request, slug):
        await _service(request).delete(slug, caller_of(request).user.id)


@STORES.add("GET", "/{store}/keys", demand=Permission.READ_KEYS, example={"write_key": True, "import_key": False})
async def get_keys(request: Request) -> Keys:
    """Which keys a store has. Their texts are kept nowhere: one that is lost is replaced."""
    return Keys(write_key=True, import_key=access_of(request).record.store.import_key_hash is not None)


@STORES.add("POST", "/{store}/write-key", demand=Permission.ROTATE_KEYS, cost=5, status=201, works_frozen=True,
            example=_WRITE_KEY)  # fmt: skip
async def replace_write_key(request: Request) -> WriteKey:
    """Give a store a new write key, shown this once; the old one stops working within seconds."""
    slug, actor = access_of(request).slug, caller_of(request).user.id
    return WriteKey(write_key=await _service(request).new_write_key(slug, actor))


@STORES.add("POST", "/{store}/import-key", demand=Permission.ROTATE_KEYS, cost=5, status=201,
            example={"import_key": "import.anns-shop.0f8fad5bd9cb469fa165070867728950"},
            links={"revoke_import_key": _SAME_STORE})  # fmt: skip
async def replace_import_key(request: Request) -> ImportKey:
    """Give a store a secret key for importing history, shown this once; the old one stops working within seconds."""
    slug, actor = access_of(request).slug, caller_of(request).user.id
    return ImportKey(import_key=await _service(request).new_import_key(slug, actor))


@STORES.add("DELETE", "/{store}/import-key", demand=Permission.ROTATE_KEYS, cost=5, status=204, works_frozen=True)
async def revoke_import_key(request: Request) -> None:
    """Take the import key back, if there is one."""
    await _service(request).revoke_import_key(access_of(request).slug, caller_of(request).user.id)


@STORES.add("GET", "/{store}/turned-away", demand=Permission.READ_NUMBERS, cost=2, example=_TURNED_AWAY)
async def get_turned_away(
    request: Request, days: Annotated[int, Query(ge=1, le=TURNED_AWAY_DAYS, description="How many days back.")] = 7
) -> TurnedAwayPage:
    """What the collector turned away because the store sent too much: by hour, with the reason."""
    counts = await _service(request).turned_away(access_of(request).slug, days)
    rows = [TurnedAwayRow(hour=c.hour, reason=c.reason, requests=c.requests, events=c.events) for c in counts]
    return TurnedAwayPage(days=days, rows=rows)


def _body(access: Access, record: StoreRecord) -> WholeStore:
    return WholeStore(**_whole(record, access.role, access.standing))


def _link_error(error: InvalidLinkRule, fields: Mapping[str, Any]) -> FieldError:
    """Where in the body a setting does not go with another one, and why."""
    if error.setting not in fields:
        # What is there stays, and does not go with the new domains or lists; it is no text of the request.
        return FieldError(f"/{next(name for name in LINK_SETTINGS if name in fields)}", "contradiction", str(error))
    values = [getattr(each, "value", each) for each in fields[error.setting]]
    place = f"/{values.index(error.value)}" if error.value in values else ""
    return FieldError(f"/{error.setting}{place}", "contradiction", error.reason)


def _whole(record: StoreRecord, role: StoreRole | None, standing: Standing) -> dict[str, Any]:
    store = record.store
    return {
        **_fields(record, role, standing),
        "payment_hosts": list(store.payment_hosts),
        "ignored_referrers": list(store.ignored_referrers),
        "source_rules": [asdict(rule) for rule in store.source_rules],
        "trailing_slash": store.trailing_slash,
        "page_case": store.page_case,
    }


def _fields(record: StoreRecord, role: StoreRole | None, standing: Standing) -> dict[str, Any]:
    store = record.store
    return {
        "slug": store.slug,
        "title": store.title,
        "timezone": store.timezone,
        "domains": list(store.domains),
        "blocked_networks": list(store.blocked_networks),
        "honour_opt_out": store.honour_opt_out,
        "contact": store.contact,
        "role": None if role is None else role.value,
        "tier": standing.tier.value,
        "frozen": standing.frozen,
        "created_at": rfc3339(record.created_at),
    }
