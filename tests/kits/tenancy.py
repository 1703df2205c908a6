"""The API's application on a Mongo of its own, in the process of the test: stores, and people who work in them."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, Final

import httpx
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from api.analytics.service import AnalyticsService
from api.app import Services, build_app
from api.callers import Caller
from api.catalog.service import CatalogService
from api.identity.key_file import ensure_keys
from api.identity.key_ring import KeyRing
from api.identity.password_hashes import PasswordHashes
from api.identity.service import IdentityService
from api.known import Known
from api.limits import Limiter
from api.ordering import Ordering
from api.payments.service import WebhookService
from api.search.index import SearchIndex
from api.search.service import SearchService
from api.shopping import Shopping
from api.tenancy import Tenancy
from api.web.edge import Edge
from connectors.clickhouse.client import ClickHouse
from connectors.mongo.accounts import Accounts
from connectors.mongo.async_client import ConnectionsInUse, Documents, connect_async
from connectors.mongo.client import connect
from connectors.payments.secrets import KnownSecrets, ProviderSecrets
from connectors.redis import sessions
from connectors.redis.read_cache import ReadCache
from connectors.redis.token_buckets import Taken
from marketplace.collections import (
    API_KEYS,
    CARTS,
    CATEGORIES,
    IDEMPOTENCY_KEYS,
    INBOX,
    LINKS,
    MAILS,
    MEMBERSHIPS,
    NOTIFICATION_PREFERENCES,
    NOTIFICATIONS,
    ORDERS,
    OUTBOX,
    PAYMENT_WEBHOOKS,
    PAYMENTS,
    PRODUCT_CHANGES,
    PRODUCT_IMPORTS,
    PRODUCT_SLUGS,
    PRODUCTS,
    RESERVATIONS,
    REVIEW_REPORTS,
    REVIEW_VOTES,
    REVIEWS,
    STOCK,
    STOCK_MOVEMENTS,
    STORES,
    TURNED_AWAY,
    USERS,
)
from marketplace.entitlements import Grant, Tier
from marketplace.identity.accounts import User
from marketplace.identity.roles import Permission, StoreRole
from marketplace.identity.tenancy import ApiKey, Membership, StoreRecord, api_key, hash_of_secret
from marketplace.settings import Urls
from marketplace.stores import Store, hash_write_key
from marketplace.token_bucket import BucketPolicy
from ops.provision import ensure_provisioned
from ops.resources import Resources
from ops.stack import Stack
from runtime.sections import Settings
from tests.kits.insights import empty_tables
from tests.kits.stack import polled

SHOPPING = (REVIEWS, REVIEW_VOTES, REVIEW_REPORTS, CARTS)
ORDERING = (ORDERS, PAYMENTS, RESERVATIONS, STOCK, STOCK_MOVEMENTS, OUTBOX, INBOX, IDEMPOTENCY_KEYS)
COLLECTIONS = (
    *(STORES, USERS, LINKS, MAILS, MEMBERSHIPS, API_KEYS, TURNED_AWAY),
    *(PRODUCTS, PRODUCT_SLUGS, PRODUCT_CHANGES, CATEGORIES, PRODUCT_IMPORTS),
    *SHOPPING,
    *(*ORDERING, NOTIFICATIONS, NOTIFICATION_PREFERENCES),
    PAYMENT_WEBHOOKS,
)
NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
WEBHOOK_SECRET = "secret of webhooks"
CREATED_AT = int((NOW - timedelta(days=10)).timestamp() * 1000)


class Buckets:
    """Buckets that are always full; they note who takes what from them."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, BucketPolicy]] = []

    async def give_back(self, name: str, policy: BucketPolicy, tokens: float) -> None:
        pass

    async def take(
        self, name: str, policy: BucketPolicy, cost: float = 1.0, ahead: float = 0.0, back: float = 0.0
    ) -> Taken:
        self.taken.append((name, policy))
        return Taken(True, policy.burst, 0, 0)


class Identities:
    """Takes ``token-of-<id>`` as the access token of an account."""

    def __init__(self, accounts: Accounts, others: Any) -> None:
        self._accounts, self._others = accounts, others

    def __getattr__(self, name: str) -> Any:
        return getattr(self._others, name)

    async def caller_of(self, access_token: str) -> Caller | None:
        user = await self._accounts.get(access_token.removeprefix("token-of-"))
        return None if user is None or user.banned else Caller(user, "session")


@asynccontextmanager
async def no_services() -> AsyncIterator[Services]:
    """For an application that nothing starts."""
    raise AssertionError("nothing starts the application here")
    yield


@cache
def application() -> Edge:
    """One for all worlds of a process, which follow one another: building it takes longer than most tests."""
    return build_app(no_services)


class Kept(ConnectionsInUse, CommandListener):
    """The documents that are there, by collection, as far as the client has sent nothing since that could change them.

    Args:
        database: Whose; nobody else writes into it.
    """

    _READING: Final = ("find", "getMore", "killCursors", "aggregate", "count", "distinct")

    def __init__(self, database: str) -> None:
        super().__init__()
        self.documents: dict[str, list[Any]] = {}
        self._database = database
        self._changes: Counter[str] = Counter()
        self._running: dict[int, frozenset[str]] = {}
        # What a transaction has written others see only when it is committed.
        self._in_transactions: frozenset[str] = frozenset()

    def changes(self, collection: str) -> int:
        """How often something may have changed there."""
        return self._changes[collection]

    def keep(self, collection: str, documents: list[Any], changes: int) -> None:
        """What somebody has read who asked for :meth:`changes` before, unless there were some since."""
        if self._changes[collection] == changes and collection not in self._being_written():
            self.documents[collection] = documents

    def started(self, event: CommandStartedEvent) -> None:
        """Forget what may change, now and when the command is done."""
        if event.command_name in self._READING:
            return
        if event.command_name == "commitTransaction":
            self._running[event.request_id] = self._in_transactions
        elif event.database_name == self._database:
            written = frozenset({str(event.command.get(event.command_name))})
            self._running[event.request_id] = written
            if "autocommit" in event.command:
                self._in_transactions |= written
            self._forget(written)

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Forget what has changed."""
        self._forget(self._running.pop(event.request_id, frozenset()))

    def failed(self, event: CommandFailedEvent) -> None:
        """A part of it may be done all the same."""
        self._forget(self._running.pop(event.request_id, frozenset()))

    def _being_written(self) -> frozenset[str]:
        return frozenset().union(*self._running.values())

    def _forget(self, collections: Iterable[str]) -> None:
        for collection in collections:
            self._changes[collection] += 1
            self.documents.pop(collection, None)


def without_counters(snapshot: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """All documents of a snapshot, without what counts transactions."""
    counters = ("members_revision", "ownership_revision", "last_used_at")
    return {
        name: [{field: value for field, value in each.items() if field not in counters} for each in documents]
        for name, documents in snapshot.items()
    }


@dataclass
class World:
    """An application with its database.

    Attributes:
        client: Of the event loop that runs.
        database: The name.
        now: What the application takes for now.
        clickhouse: Where numbers are; nowhere unless it is given.
        identities: What answers the routes of identity, where a test asks them.
        cache: Of public answers of catalogs; none unless it is given.
        kept: What is known of the documents; nothing unless it is given.
        tenancy: Its services of stores and members.
        catalog: Its catalogs.
        index: What search answers from; its stores are `shop`, `other` and `market`; nothing follows Mongo here.
        shopping: Its services of carts and reviews.
        ordering: Its services of orders and stock.
    """

    client: Documents
    database: str
    now: datetime = NOW
    clickhouse: ClickHouse | None = None
    identities: Any = None
    cache: ReadCache | None = None
    kept: Kept | None = None
    tenancy: Tenancy = field(init=False)
    catalog: CatalogService = field(init=False)
    shopping: Shopping = field(init=False)
    ordering: Ordering = field(init=False)
    buckets: Buckets = field(default_factory=Buckets)
    index: SearchIndex = field(default_factory=SearchIndex)

    def __post_init__(self) -> None:
        self.tenancy = Tenancy.on_mongo(self.client, self.database, "https://market.example", lambda: self.now)
        self.catalog = CatalogService.on_mongo(self.client, self.database, self.cache, lambda: self.now)
        self.shopping = Shopping.on_mongo(
            self.client, self.database, lambda: self.now, stars_changed=self.catalog.stars_changed
        )
        self.app = application()
        state = self.app.app.state  # type: ignore[attr-defined]  # nothing starts the application here
        state.identities = Identities(Accounts(self.client, self.database), self.identities)
        state.limiter, state.tenancy = Limiter(self.buckets), self.tenancy
        state.catalog = self.catalog
        state.shopping = self.shopping
        self.ordering = Ordering.on_mongo(self.client, self.database, self.catalog.products_changed, lambda: self.now)
        state.ordering = self.ordering
        secrets = {"sandbox": KnownSecrets(ProviderSecrets("key", ("older secret", WEBHOOK_SECRET)))}
        state.webhooks = WebhookService.on_mongo(self.client, self.database, secrets, lambda: self.now)
        # Whatever a test writes into the database holds at once: by this clock every answer is too old to be kept.
        state.known = Known(state.identities, self.tenancy, itertools.count().__next__)
        for slug in ("shop", "other", "market"):
            self.index.put_store(slug, slug.title())
        self.index.complete = self.index.stores_known = True
        state.search = SearchService.on_index(self.index)
        nowhere = ClickHouse("http://127.0.0.1:9", "nothing")
        state.analytics = AnalyticsService.on_clickhouse(self.clickhouse or nowhere, lambda: self.now)

    @property
    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        found: dict[str, Any] = self.app.app.state.openapi()  # type: ignore[attr-defined]  # the edge is typed as any application
        return found

    @property
    def rules(self) -> dict[tuple[str, str], Any]:
        """The rules of all routes."""
        found: dict[tuple[str, str], Any] = self.app.app.state.rules  # type: ignore[attr-defined]  # the edge is typed as any application
        return found

    async def ask(self, method: str, path: str, who: str = "", **options: Any) -> httpx.Response:
        """Send a request as an account, or with a whole credential."""
        headers = dict(options.pop("headers", {}))
        if who:
            headers["authorization"] = f"Bearer {who if who.startswith('mk_') else f'token-of-{who}'}"
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://api.example") as client:
            return await client.request(method, path, headers=headers, **options)

    async def edit(self, slug: str, who: str, body: Any) -> httpx.Response:
        """Edit what is there now."""
        etag = (await self.ask("GET", f"/v1/stores/{slug}", who)).headers.get("etag", '"1"')
        return await self.ask("PATCH", f"/v1/stores/{slug}", who, json=body, headers={"if-match": etag})

    async def user(self, name: str, *, premium: bool = False, admin: bool = False) -> User:
        """An account whose id is its name."""
        grants = (Grant(Tier.PREMIUM, 0),) if premium else ()
        made = User(name, f"{name}@shop.example", name.title(), "hash", CREATED_AT, admin=admin, grants=grants)
        document = {**asdict(made), "_id": name, "email_key": made.email_key}
        del document["id"]
        document["grants"] = [{"tier": grant.tier.value, "since": 0, "until": None} for grant in grants]
        await self.client[self.database][USERS.name].insert_one(document)
        return made

    async def store(
        self,
        slug: str,
        roles: Mapping[str, str] | None = None,
        *,
        age_days: float = 10.0,
        timezone: str = "UTC",
        **members: str,
    ) -> StoreRecord:
        """A store with its members: ``ann="owner"``; accounts that there are not yet are made."""
        created_at = int((NOW - timedelta(days=age_days)).timestamp() * 1000)
        store = Store(slug, slug.title(), timezone, ("shop.example",), hash_write_key(slug), "0" * 64)
        fields = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(store).items()}
        del fields["slug"]
        mongo = self.client[self.database]
        await mongo[STORES.name].insert_one({"_id": slug, **fields, "version": 1, "created_at": created_at})
        for user, role in {**(roles or {}), **members}.items():
            if await mongo[USERS.name].find_one({"_id": user}) is None:
                await self.user(user)
            member = Membership(slug, user, StoreRole(role), CREATED_AT, created_at)
            await mongo[MEMBERSHIPS.name].insert_one({"_id": member.id, **asdict(member), "role": role})
        return StoreRecord(store, 1, created_at)

    async def key(self, store: str, maker: str, *scopes: Permission, key_id: str = "") -> str:
        """The text of an API key."""
        made = ApiKey(
            key_id or uuid.uuid4().hex[:16], store, maker, "Key", frozenset(scopes), hash_of_secret("s" * 43), 1
        )
        document = {**asdict(made), "_id": made.id, "scopes": [scope.value for scope in scopes]}
        del document["id"]
        await self.client[self.database][API_KEYS.name].insert_one(document)
        return api_key(made.id, "s" * 43)

    async def roles(self, slug: str) -> dict[str, str]:
        """The roles in a store, by user."""
        found = await self.client[self.database][MEMBERSHIPS.name].find({"store": slug}).to_list()
        return {document["user"]: document["role"] for document in found}

    async def everything(self) -> dict[str, list[Any]]:
        """All documents of all collections, without what counts transactions."""
        return without_counters(await self.snapshot())

    async def snapshot(self) -> dict[str, list[Any]]:
        """All documents as they are, by id."""
        # One after the other: at one time they take longer.
        return {each.name: await self._documents(each.name) for each in COLLECTIONS}

    async def _documents(self, collection: str) -> list[Any]:
        if self.kept is not None and collection in self.kept.documents:
            return self.kept.documents[collection]
        changes = 0 if self.kept is None else self.kept.changes(collection)
        found = await self.client[self.database][collection].find().to_list()
        # Mongo takes longer to sort a few of them.
        documents = sorted(found, key=lambda each: str(each["_id"]))
        if self.kept is not None:
            self.kept.keep(collection, documents, changes)
        return documents

    async def insert(self, documents: Mapping[str, list[Any]]) -> None:
        """Write documents, by collection, as a snapshot has them."""
        for name, several in documents.items():
            if several:
                await self.client[self.database][name].insert_many(several)

    async def restore(self, snapshot: Mapping[str, list[Any]]) -> None:
        """Make all documents what they were; only those that are not are written."""
        for name, documents in snapshot.items():
            now = await self._documents(name)
            if now is documents:
                continue
            there, wanted = ({each["_id"]: each for each in several} for several in (now, documents))
            others = [id_ for id_, each in there.items() if each != wanted.get(id_)]
            if others:
                await self.client[self.database][name].delete_many({"_id": {"$in": others}})
            await self.insert({name: [each for id_, each in wanted.items() if each != there.get(id_)]})
        if self.kept is not None:
            self.kept.documents.update(snapshot)

    async def secret_of_mail(self, address: str) -> str:
        """The secret of the link in the mail to an address that waits."""
        found = await self.client[self.database][MAILS.name].find({"to": address}).to_list()
        return str(found[-1]["values"]["link"]).rpartition("#")[2]


Work = Callable[[World], Awaitable[None]]
Run = Callable[[Work], None]
"""Does work in a world of its own."""


@contextmanager
def tenancy_database(stack: Stack, *, drop: bool = True) -> Iterator[str]:
    """The name of a provisioned database that nobody else has.

    Args:
        stack: Where.
        drop: Whether it is gone afterwards; with thousands of documents that takes seconds.
    """
    name = f"tenancy_{uuid.uuid4().hex}"
    urls = Urls(stack.urls.kafka, stack.urls.mongo, stack.urls.clickhouse, stack.urls.redis)
    ensure_provisioned(Settings(urls, PurePosixPath("unused"), name), resources=Resources(collections=COLLECTIONS))
    yield name
    if drop:
        # On a busy machine SecantusDB takes longer to drop a database than other clients wait.
        with connect(stack.urls.mongo, deadline_seconds=60) as client:
            client.drop_database(name)


def run_in_world(mongo_url: str, database: str, work: Work, clickhouse: ClickHouse | None = None) -> None:
    """Run work on empty collections, in an event loop of its own."""

    async def whole() -> None:
        client = connect_async(polled(mongo_url))
        try:
            for name in await not_empty(client, database):
                await client[database][name].delete_many({})
            world = World(client, database, clickhouse=clickhouse)
            await work(world)
            await world.catalog.close()
        finally:
            await client.close()

    asyncio.run(whole())


async def not_empty(client: Documents, database: str) -> list[str]:
    """The collections that have documents, by one question: of a test's some thirty few have any."""

    def found(name: str) -> list[dict[str, Any]]:
        return [{"$limit": 1}, {"$project": {"_id": {"$literal": name}}}]

    first, *others = (each.name for each in COLLECTIONS)
    pipeline = [*found(first), *({"$unionWith": {"coll": each, "pipeline": found(each)}} for each in others)]
    return [each["_id"] async for each in await client[database][first].aggregate(pipeline)]


@contextmanager
def worlds_in_turn(mongo_url: str, database: str) -> Iterator[Callable[[Work], None]]:
    """Runs work in worlds that follow one another with one client in one event loop.

    They begin with the documents that the one before has left: who walks over all routes restores what was changed,
    which takes a fraction of emptying everything and writing it for each route.
    """
    kept = Kept(database)

    async def connected() -> Documents:
        return connect_async(polled(mongo_url), in_use=kept)

    async def whole(work: Work) -> None:
        world = World(client, database, kept=kept)
        await work(world)
        await world.catalog.close()

    with asyncio.Runner() as runner:
        client = runner.run(connected())
        try:
            yield lambda work: runner.run(whole(work))
        finally:
            runner.run(client.close())


@contextmanager
def worlds_with_identity(stack: Stack, folder: Path) -> Iterator[Callable[[Work], None]]:
    """Runs work in worlds where the routes of identity are answered by what answers them in the product.

    They follow one another as :func:`worlds_in_turn` says.
    """
    key_file, url = folder / "keys.json", "https://market.example"
    ensure_keys(key_file, 1_700_000_000.0)
    hashes, ring = PasswordHashes(), KeyRing(key_file, url, "api")
    with (
        tenancy_database(stack) as database,
        empty_tables(stack.urls.clickhouse) as clickhouse,
        worlds_in_turn(stack.urls.mongo, database) as run,
    ):

        async def with_identities(world: World, work: Work) -> None:
            redis = sessions.connect_async(stack.urls.redis)
            accounts = Tenancy.on_mongo(world.client, database, url).accounts
            service = IdentityService(accounts, sessions.Sessions(redis), hashes, ring, url)
            own = World(world.client, database, clickhouse=clickhouse, identities=service, kept=world.kept)
            try:
                await work(own)
                await own.catalog.close()
            finally:
                await redis.aclose()

        yield lambda work: run(lambda world: with_identities(world, work))
    hashes.close()
