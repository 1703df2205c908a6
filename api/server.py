"""Runs the API on its public and its admin port."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import CancelledError
from typing import Any, Final

import msgspec
import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.types import ASGIApp

from api.analytics.service import AnalyticsService
from api.app import Services, build_app
from api.catalog.service import CatalogService
from api.config import REQUIRED, ApiConfig
from api.identity.key_file import ensure_keys
from api.identity.key_ring import KeyRing
from api.identity.password_hashes import PasswordHashes
from api.identity.service import IdentityService
from api.limits import Limiter
from api.mail.notices import NoticeMails
from api.mail.sender import MailSender
from api.metrics import ApiMetrics
from api.ordering import Ordering
from api.payments.service import WebhookService
from api.search.follower import Follower
from api.search.index import SearchIndex
from api.search.service import SearchService
from api.shopping import Shopping
from api.storefront.render import StorefrontConfig
from api.storefront.service import Shop
from api.tenancy import Tenancy
from api.web.problems import MEDIA_TYPE, TOO_MANY_REQUESTS
from connectors.clickhouse.client import ClickHouse
from connectors.errors import Refused, Unavailable
from connectors.mail.transport import FolderTransport, SmtpTransport
from connectors.mongo import async_client
from connectors.mongo.mail_queue import MailQueue
from connectors.mongo.notifications import Notifications
from connectors.mongo.product_feed import ProductFeed, connect_feed
from connectors.payments.methods import methods_of
from connectors.redis import sessions
from connectors.redis.read_cache import ReadCache
from connectors.redis.sent_forms import SentForms
from connectors.redis.token_buckets import RedisTokenBuckets
from marketplace.networks import Network
from runtime.admin import AdminServer, Answer
from runtime.descriptors import allow_descriptors
from runtime.heartbeat import Heartbeat
from runtime.http.connections import Connections, Reason
from runtime.http.protocol import bounded_protocol
from runtime.readiness import QUESTION_SECONDS, Readiness, liveness
from runtime.sections import MongoSettings

AUDIENCE: Final = "marketplace-api"
_KEEP_ALIVE_SECONDS: Final = 30
_SHUTDOWN_SECONDS: Final = 15
_COUNT_SECONDS: Final = 5.0
_MAX_CONNECTIONS: Final = 4_000
"""Beyond it uvicorn answers in plain text. The edge bounds requests at one time, and says when to come again."""

_STRANGERS_CONNECTIONS: Final = 3_900
"""Of all but trusted proxies: for a further one the oldest of those that wait for a request is closed."""

CONNECTIONS_OF_ADDRESS: Final = 500
HEAD_SECONDS: Final = 30.0
"""For the head of a request to come, and for a client to read its answer."""
_OTHER_DESCRIPTORS: Final = 500
"""Of clients of parts, files and threads."""
_QUERY_SECONDS: Final = 20.0
_log = logging.getLogger(__name__)


class Dependencies:
    """What one process of the API holds, from its start to its end.

    Args:
        config: How it runs.
        mongo: Where Mongo is.
        redis_url: Where Redis is.
        clickhouse_url: Where ClickHouse is.
    """

    def __init__(self, config: ApiConfig, mongo: MongoSettings, redis_url: str, clickhouse_url: str) -> None:
        self.config, self._mongo_settings, self._redis_url = config, mongo, redis_url
        self._clickhouse = ClickHouse(clickhouse_url, mongo.database, timeout_seconds=_QUERY_SECONDS)
        self.heartbeat, self.metrics = Heartbeat(), ApiMetrics()
        self.ending: Callable[[], bool] = lambda: False
        self._loop: asyncio.AbstractEventLoop | None = None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Services]:
        """Clients of the event loop that runs, and what goes on beside requests; gives what answers them."""
        config, database = self.config, self._mongo_settings.database
        in_use = async_client.ConnectionsInUse()
        self._mongo = async_client.connect_async(self._mongo_settings.url, in_use=in_use)
        feed = connect_feed(self._mongo_settings.url)
        self._redis = sessions.connect_async(self._redis_url)
        # From now on the admin endpoint's threads may ask.
        self._loop = asyncio.get_running_loop()
        hashes = PasswordHashes()
        ring = KeyRing(config.key_file, config.public_url, AUDIENCE)
        transport = SmtpTransport(config.smtp) if config.smtp else FolderTransport(config.mail_folder)
        queue, limiter = MailQueue(self._mongo, database), Limiter(RedisTokenBuckets(self._redis))
        notices = NoticeMails(Notifications(self._mongo, database), config.shop_pages_url, config.public_url)
        sender = MailSender(queue, transport, config.sender, given_up=self.metrics.mail_given_up, notices=notices)
        analytics = AnalyticsService.on_clickhouse(self._clickhouse)
        index = SearchIndex()
        follower = Follower(index, ProductFeed(feed, database))
        self.metrics.mongo_connections = lambda: in_use.count
        self.metrics.limiter_degraded = lambda: limiter.degraded
        self.metrics.search = lambda: (len(index), follower.age_seconds, follower.reads)
        background = (self.heartbeat.keep(), ring.keep_fresh(), sender.run(), self._count_mails(queue), follower.run())
        tasks = [asyncio.create_task(work) for work in background]
        try:
            tenancy = Tenancy.on_mongo(self._mongo, database, config.public_url)
            sign_ins = sessions.Sessions(self._redis)
            identities = IdentityService(tenancy.accounts, sign_ins, hashes, ring, config.public_url)
            catalog = CatalogService.on_mongo(self._mongo, database, ReadCache(self._redis))
            search = SearchService.on_index(index)
            shopping = Shopping.on_mongo(self._mongo, database, stars_changed=catalog.stars_changed)
            ordering = Ordering.on_mongo(self._mongo, database, catalog.products_changed)
            ordering.progress.ending = self.ending
            methods = methods_of(config.payments.provider, config.payments.url)
            try:
                yield Services(
                    identities, limiter, tenancy, analytics, catalog, search, shopping, ordering,
                    Shop.on_services(
                        self._mongo, database, catalog, search, shopping, SentForms(self._redis), ordering, methods
                    ),
                    WebhookService.on_mongo(
                        self._mongo, database, {config.payments.provider: config.payments.known_secrets()}
                    ),
                )  # fmt: skip
            finally:
                if methods is not None:
                    await methods.close()
                await ordering.progress.close()
                await catalog.close()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            hashes.close()
            analytics.close()
            self._clickhouse.close()
            await self._redis.aclose()
            await feed.close()
            await self._mongo.close()
            self._loop = None

    async def _count_mails(self, queue: MailQueue) -> None:
        while True:
            try:
                self.metrics.mails_waiting = await queue.count()
            except Unavailable:
                self.metrics.mails_waiting = None
            await asyncio.sleep(_COUNT_SECONDS)

    def ask_mongo(self) -> None:
        """Return when Mongo answers; called on other threads than the loop's.

        Raises:
            Unavailable: It does not.
        """
        self._ask(lambda: async_client.ping(self._mongo))

    def ask_clickhouse(self) -> None:
        """Return when ClickHouse answers.

        Raises:
            Unavailable: It does not.
        """
        self._clickhouse.rows("SELECT 1")

    def ask_redis(self) -> None:
        """Return when Redis answers; called on other threads than the loop's.

        Raises:
            Unavailable: It does not.
        """
        self._ask(lambda: sessions.ping(self._redis))

    def _ask(self, question: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if self._loop is None:
            raise Unavailable("not started yet, or ending")
        try:
            asyncio.run_coroutine_threadsafe(question(), self._loop).result(QUESTION_SECONDS)
        except CancelledError:
            raise Unavailable("ending") from None


def serve(config: ApiConfig, mongo: MongoSettings, redis_url: str, clickhouse_url: str) -> None:
    """Serve until SIGTERM or SIGINT; answers the requests that are under way, then returns.

    Args:
        config: How it runs.
        mongo: Where Mongo is; it need not be up yet.
        redis_url: Where Redis is; it need not be up yet.
        clickhouse_url: Where ClickHouse is; it need not be up yet.

    Raises:
        BadKeyFile: There are no keys to sign with.
        Refused: The admin address cannot be listened on.
    """
    allow_descriptors(_MAX_CONNECTIONS + _OTHER_DESCRIPTORS)
    ensure_keys(config.key_file, time.time())
    dependencies = Dependencies(config, mongo, redis_url, clickhouse_url)
    if threading.current_thread() is threading.main_thread():
        # Uvicorn stops in order and then raises the signal once more, which would turn a clean stop into a failure.
        signal.signal(signal.SIGTERM, lambda _signal, _frame: None)
    app = build_app(
        dependencies.running,
        config.names,
        config.trusted_proxies,
        dependencies.metrics.answered,
        storefront=StorefrontConfig(config.shop_url, config.collector_url, config.shop_pages_url),
    )
    # The application stays for good. Without this, each full collection looks at all of it, and while products are read
    # there is one every other second: 100 ms in which nobody is answered.
    gc.collect()
    gc.freeze()
    server = uvicorn.Server(uvicorn_config(app, config.host, config.port, config.trusted_proxies))
    # Streams of events would be waited for.
    dependencies.ending = lambda: server.should_exit
    with _admin(dependencies), contextlib.suppress(KeyboardInterrupt):
        server.run()


def uvicorn_config(
    app: ASGIApp,
    host: str,
    port: int,
    trusted_proxies: Sequence[Network] = (),
    head_seconds: float = HEAD_SECONDS,
    of_address: int = CONNECTIONS_OF_ADDRESS,
) -> uvicorn.Config:
    """Uvicorn's settings, with bounds on connections and heads: nobody has to stand in front of this server.

    Args:
        app: What answers.
        host: To listen on.
        port: To listen on; 0 takes a free one.
        trusted_proxies: Peers whose connections have no bound, because all clients come through them.
        head_seconds: For the head of a request to come, and for a client to read its answer.
        of_address: Connections of one address, or of its IPv6 network.
    """
    connections = Connections(_STRANGERS_CONNECTIONS, of_address, trusted_proxies, _closed)
    refusal = msgspec.json.encode(
        {
            "type": TOO_MANY_REQUESTS.uri,
            "title": TOO_MANY_REQUESTS.title,
            "status": TOO_MANY_REQUESTS.status,
            "detail": "this address has too many connections",
            "request_id": "-",
        }
    )
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=bounded_protocol(head_seconds, connections, MEDIA_TYPE, refusal),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=_MAX_CONNECTIONS,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )


def _closed(reason: Reason) -> None:
    _log.warning("connections: one is closed or refused to leave room (%s)", reason)


@contextlib.contextmanager
def _admin(dependencies: Dependencies) -> Iterator[None]:
    """Liveness, readiness and metrics, on threads of their own."""
    config = dependencies.config
    readiness = Readiness(
        {"mongo": dependencies.ask_mongo, "redis": dependencies.ask_redis, "clickhouse": dependencies.ask_clickhouse},
        required=REQUIRED,
    )
    pages: dict[str, Callable[[], Answer]] = {
        "/livez": lambda: liveness(dependencies.heartbeat),
        "/readyz": readiness.answer,
        "/metrics": lambda: Answer(200, generate_latest(dependencies.metrics.registry), CONTENT_TYPE_LATEST),
    }

    def answer(path: str) -> Answer:
        page = pages.get(path)
        return page() if page else Answer(404, b"only /livez, /readyz and /metrics\n")

    try:
        server = AdminServer(config.admin_host, config.effective_admin_port, answer)
    except OSError as error:
        where = f"{config.admin_host}:{config.effective_admin_port}"
        raise Refused(f"the API's admin address {where} cannot be used: {error.strerror}") from None
    _log.info("readiness and metrics on %s", server.url)
    try:
        yield
    finally:
        server.end()
        readiness.close()
