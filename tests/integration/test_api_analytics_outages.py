"""A store's numbers while ClickHouse stands still: bounded waits and threads, what is kept, and everybody else."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.analytics.answers import QUERY_THREADS, REVISION_SECONDS, AnswerCache
from api.analytics.routes import ANALYTICS
from api.analytics.service import AnalyticsService
from api.web.bodies import REQUEST_SECONDS
from connectors.clickhouse.client import ClickHouse
from connectors.insights import Insights
from connectors.insights.report import Analytics
from marketplace.entitlements import ENTITLEMENTS, Tier
from marketplace.identity.roles import Permission
from ops.reference.access import rules
from tests.kits.api import Api, bearer, running_api
from tests.kits.api_outages import FAULTS, Parts, Shop, api_on, frozen, own_parts, wait_until_nothing_is_known
from tests.kits.api_people import Registry
from tests.kits.clicks import STORES
from tests.kits.insights import empty_tables, fill, known_log
from tests.kits.tenancy import World, run_in_world, tenancy_database

BOUND_SECONDS = REQUEST_SECONDS + 1.5
QUICK_SECONDS = 1.5
PATHS = sorted(path for _, path in ANALYTICS.rules)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    with own_parts(tmp_path_factory.mktemp("parts")) as running:
        yield running


@pytest.fixture(scope="module")
def registry(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with api_on(parts, tmp_path_factory.mktemp("api")) as running:
        yield running


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def filled_tables(parts: Parts) -> Iterator[ClickHouse]:
    with empty_tables(parts.stack.urls.clickhouse) as clickhouse:
        fill(clickhouse, known_log(seed=11))
        yield clickhouse


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_kept_is_answered_while_its_revision_is_known_and_afterwards_nothing_until_clickhouse_is_back(
    parts: Parts, filled_tables: ClickHouse, fault: str
) -> None:
    store = next(iter(STORES.values()))
    asked: list[tuple[str, dict[str, str]]] = [
        (path.format(store=store.slug), {"accept": accept})
        for path, accept in itertools.product(PATHS, ("application/json", "text/csv"))
        if accept == "application/json" or path.endswith(("/trend", "/ledger"))
    ]

    async def work(world: World) -> None:
        await world.user("ann", premium=True)
        await world.store(store.slug, timezone=store.timezone, ann="owner")
        with closing(
            ClickHouse(parts.proxies["clickhouse"].url, filled_tables.database, timeout_seconds=20)
        ) as numbers:
            clock, analytics = Clock(), Analytics(numbers)
            cache = AnswerCache(analytics.revision, wait_seconds=0.5, monotonic=clock)
            state: Any = world.app.app.state  # type: ignore[attr-defined]  # nothing starts the application here
            state.analytics = AnalyticsService(Insights(numbers), analytics, cache, lambda: world.now)
            kept = [await world.ask("GET", path, "ann", headers=headers) for path, headers in asked]
            assert {answer.status_code for answer in kept} == {200}
            with FAULTS[fault](parts, "clickhouse"):
                for (path, headers), answer in zip(asked, kept, strict=True):
                    again = await world.ask("GET", path, "ann", headers=headers)
                    assert (again.status_code, again.content) == (200, answer.content)
                    head = await world.ask("HEAD", path, "ann", headers=headers)
                    assert (head.status_code, head.headers["etag"]) == (200, answer.headers["etag"])
                    same = {**headers, "if-none-match": answer.headers["etag"]}
                    assert (await world.ask("GET", path, "ann", headers=same)).status_code == 304
                clock.now = REVISION_SECONDS
                if fault != "killed":
                    for path, headers in asked:
                        began = time.monotonic()
                        refused = await world.ask("GET", path, "ann", headers=headers)
                        assert (refused.status_code, refused.json()["type"]) == (503, "/problems/unavailable")
                        assert int(refused.headers["retry-after"]) >= 1
                        assert time.monotonic() - began < 5
            # What was asked for while it did not answer comes first; each is a moment.
            deadline = time.monotonic() + 25
            for (path, headers), answer in zip(asked, kept, strict=True):
                while (now := await world.ask("GET", path, "ann", headers=headers)).status_code == 503:
                    assert fault == "slow", "the first request after it is back works"
                    assert time.monotonic() < deadline
                assert (now.status_code, now.content) == (200, answer.content)
            cache.close()

    with tenancy_database(parts.stack) as database:
        run_in_world(parts.stack.urls.mongo, database, work)


def memory_and_threads(api: Api) -> tuple[int, int]:
    """Resident bytes and threads of a process."""
    text = Path(f"/proc/{api.process.pid}/status").read_text()
    found = dict(re.findall(r"^(VmRSS|Threads):\s+(\d+)", text, re.MULTILINE))
    return int(found["VmRSS"]) << 10, int(found["Threads"])


def test_a_flood_of_requests_for_numbers_takes_neither_time_nor_threads_nor_memory_from_others(
    registry: Registry, parts: Parts
) -> None:
    shop, api = Shop.opened(registry), registry.api
    stores = [f"many-{number}" for number in range(30)]

    async def open_stores(world: World) -> list[str]:
        keys = []
        for slug in stores:
            await world.store(slug, {f"owner-{slug}": "owner"})
            keys.append(await world.key(slug, f"owner-{slug}", Permission.READ_NUMBERS))
        return keys

    keys = registry.do(open_stores)
    others = {
        what: ask
        for what, ask in shop.asks(["person"], changing=False).items()
        if not any(what.startswith(f"GET {path} ") for path in PATHS)
    }
    assert len(others) > 10
    routes = [what.rpartition(" as ")[0].split(" ", 1) for what in others]
    costs = sum(rules()[method, path].cost for method, path in routes)
    most_rounds = int(0.8 * ENTITLEMENTS[Tier.PREMIUM].requests.burst / costs)
    ask_all = [
        (slug, key, number) for (slug, key), number in itertools.product(zip(stores, keys, strict=True), range(10))
    ]

    def numbers(asked: tuple[str, str, int]) -> tuple[float, httpx.Response]:
        slug, key, number = asked
        began = time.monotonic()
        path = f"/v1/stores/{slug}/analytics/totals?filter=page:{number}"
        answer = api.ask("GET", path, headers=bearer(key))
        return time.monotonic() - began, answer

    warm = api.ask("GET", f"/v1/stores/{stores[0]}/analytics/totals", headers=bearer(keys[0]))
    assert warm.status_code == 200, warm.text
    wait_until_nothing_is_known()
    bytes_before, threads_before = memory_and_threads(api)
    slowest, rounds = 0.0, 0
    with frozen(parts, "clickhouse"), ThreadPoolExecutor(len(ask_all)) as pool:
        flood = [pool.submit(numbers, each) for each in ask_all]
        # As often as one account may.
        while rounds < most_rounds and not all(each.done() for each in flood):
            for what, ask in others.items():
                began = time.monotonic()
                assert ask().status_code == 200, what
                slowest = max(slowest, time.monotonic() - began)
            rounds += 1
            bytes_now, threads_now = memory_and_threads(api)
            assert threads_now <= threads_before + QUERY_THREADS
            assert bytes_now < bytes_before + (64 << 20)
        answers = [each.result() for each in flood]
    assert rounds > 2
    assert slowest < QUICK_SECONDS
    for seconds, answer in answers:
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
        assert int(answer.headers["retry-after"]) >= 1
        assert seconds < BOUND_SECONDS
    for slug, key in zip(stores, keys, strict=True):
        seconds, first = numbers((slug, key, 0))
        assert (first.status_code, seconds < QUICK_SECONDS) == (200, True), (seconds, first.text)


def test_a_process_that_is_asked_to_end_waits_for_no_query_that_hangs(
    parts: Parts, registry: Registry, tmp_path: Path
) -> None:
    shop = Shop.opened(registry)
    database = registry.database
    key_file = str(registry.api.folder / "api" / "keys.json")
    more = {"MARKETPLACE_API_KEY_FILE": key_file, "MARKETPLACE_API_PUBLIC_URL": registry.api.url, **parts.urls()}
    with running_api(parts.stack, tmp_path, database, **more) as second:
        warm = second.ask("GET", "/v1/stores/shop/analytics/totals", headers=bearer(shop.key))
        assert warm.status_code == 200, warm.text
        wait_until_nothing_is_known()
        with frozen(parts, "clickhouse"):
            refused = second.ask("GET", "/v1/stores/shop/analytics/totals", headers=bearer(shop.key))
            assert refused.status_code == 503
            began = time.monotonic()
            second.process.terminate()
            second.process.wait(15)
            assert time.monotonic() - began < 5
            assert second.process.returncode == 0
    assert "Traceback" not in (tmp_path / "api.log").read_text()


def test_the_process_says_which_part_does_not_answer_and_stays_ready_for_all_else(
    parts: Parts, registry: Registry
) -> None:
    admin = registry.api.admin_url
    ask: Callable[[str], httpx.Response] = lambda path: httpx.get(f"{admin}{path}", timeout=10)  # noqa: E731  # it is handed on, and has the type that is asked for
    with frozen(parts, "clickhouse"):
        ready = ask("/readyz")
        assert (ready.status_code, ready.json()["mongo"], ready.json()["redis"]) == (200, "answers", "answers")
        assert ready.json()["clickhouse"] == "no answer in time"
        assert [ask(path).status_code for path in ("/livez", "/metrics")] == [200, 200]
    deadline = time.monotonic() + 25
    while ask("/readyz").json()["clickhouse"] != "answers":
        assert time.monotonic() < deadline
