"""What a store says of links and pages by HTTP: read, changed, refused where it contradicts itself, and counted by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from connectors.mongo.client import connect
from connectors.mongo.stores import MongoStores
from flows.clicks.processor import DEFAULT_PAGE_BYTES, PartitionProcessor
from flows.clicks.store_catalog import StoreCatalog
from ops.stack import Stack
from runtime.breaker import CircuitBreaker
from tests.kits.clicks import as_log, cut, encoding_of, event
from tests.kits.clicks_pages import MemoryPages
from tests.kits.tenancy import Run, World

RULE = {"match": "referrer", "value": "partner.example", "source": "partner", "medium": "affiliate"}


@pytest.fixture
def click_path(stack: Stack, database: str) -> Iterator[MongoStores]:
    client = connect(stack.urls.mongo)
    yield MongoStores(client, database)
    client.close()


def test_settings_of_links_are_kept_in_one_form_and_read_by_members(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner", eve="analyst")
        given = {
            "payment_hosts": ["WWW.Pay.Example", "pay.example", "3ds.m\u00fcller.example"],
            "ignored_referrers": ["Login.Example."],
            "source_rules": [{**RULE, "value": "www.Partner.example", "source": "Partner"}],
            "trailing_slash": "strip",
            "page_case": "lower",
        }
        edited = await world.edit("shop", "ann", given)
        assert edited.status_code == 200, edited.text
        kept = {
            **given,
            "payment_hosts": ["pay.example", "3ds.xn--mller-kva.example"],
            "ignored_referrers": ["login.example"],
            "source_rules": [RULE],
        }
        assert {name: edited.json()[name] for name in kept} == kept
        read = (await world.ask("GET", "/v1/stores/shop", "eve")).json()
        assert {name: read[name] for name in kept} == kept
        assert (await world.edit("shop", "eve", given)).status_code == 403
        emptied = await world.edit("shop", "ann", {"payment_hosts": []})
        assert (emptied.json()["payment_hosts"], emptied.json()["source_rules"]) == ([], [RULE])

    run(work)


REFUSED: tuple[tuple[dict[str, Any], str], ...] = (
    ({"payment_hosts": ["a.example", "https://pay.example"]}, "/payment_hosts/1"),
    ({"payment_hosts": ["localhost"]}, "/payment_hosts/0"),
    ({"payment_hosts": [f"a{number}.example" for number in range(101)]}, "/payment_hosts"),
    ({"payment_hosts": ["pay.example", "pay.example", "a.pay.example"]}, "/payment_hosts/2"),
    ({"ignored_referrers": ["a.example", "shop.example"]}, "/ignored_referrers/1"),
    ({"ignored_referrers": ["x" * 254]}, "/ignored_referrers/0"),
    ({"domains": ["old-pay.example"]}, "/domains"),
    ({"source_rules": [RULE, {**RULE, "value": "a.partner.example"}]}, "/source_rules/1"),
    ({"source_rules": [RULE] * 2, "ignored_referrers": ["partner.example"]}, "/source_rules/0"),
    ({"source_rules": [{**RULE, "source": "(direct)"}]}, "/source_rules/0"),
    ({"source_rules": [{**RULE, "source": "x" * 121}]}, "/source_rules/0/source"),
    ({"source_rules": [{**RULE, "match": "page"}]}, "/source_rules/0/match"),
    ({"trailing_slash": "add"}, "/trailing_slash"),
    ({"page_case": None}, "/page_case"),
)
"""What cannot be, and where the answer says so."""


def test_a_setting_that_cannot_be_is_refused_where_it_stands_and_changes_nothing(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        assert (await world.edit("shop", "ann", {"payment_hosts": ["old-pay.example"]})).status_code == 200
        before = await world.everything()
        for body, path in REFUSED:
            refused = await world.edit("shop", "ann", body)
            assert (refused.status_code, refused.json()["errors"][0]["path"]) == (422, path), refused.text
        assert await world.everything() == before

    run(work)


def test_a_payment_host_that_is_set_keeps_the_next_buyer_with_who_sent_him(run: Run, click_path: MongoStores) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        now = [0.0]
        stores = StoreCatalog(click_path, CircuitBreaker(), lambda: now[0])
        pages = MemoryPages()
        flow = PartitionProcessor(0, pages, stores, encoding_of(), pages.fences(0), DEFAULT_PAGE_BYTES)
        visits = [
            event(event_id=name, store="shop", visitor=f"{number:016x}", url="https://shop.example/thanks",
                  referrer="https://acs.bank.example/3ds")
            for number, name in enumerate(("before", "after"))
        ]  # fmt: skip
        before, after = cut(as_log(visits), (1, 1))
        pages.write([flow.process(before)])
        answer = await world.edit("shop", "ann", {"payment_hosts": ["bank.example"]})
        assert answer.status_code == 200, answer.text
        now[0] = 60.0
        stores.refresh()
        pages.write([flow.process(after)])
        assert [row["source"] for row in pages.tables["clicks"]] == ["acs.bank.example", "(internal)"]

    run(work)
