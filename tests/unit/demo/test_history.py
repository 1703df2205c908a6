"""Which history a data folder's shops have; and what the demo shows where there was no check."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from ops.demo.report.render import show
from ops.demo.report.summary import StoreNumbers, Summary
from ops.demo.run.history import History, read_history, write_history
from ops.demo.run.live import LiveTraffic
from ops.demo.services.sender import Target
from ops.demo.services.served import service_settings
from ops.demo.traffic.keys import keys_file, read_keys, write_keys
from ops.demo.traffic.shops import SHOPS, DemoStore, store_of, write_key

HISTORY = History(seed=1, clicks=60_000, now_ms=1_750_000_000_000, stores=("a", "b"))


def test_a_history_is_remembered(tmp_path: Path) -> None:
    assert read_history(tmp_path) is None
    write_history(tmp_path, HISTORY)
    assert read_history(tmp_path) == HISTORY
    done = msgspec.structs.replace(HISTORY, done=True)
    write_history(tmp_path, done)
    assert read_history(tmp_path) == done
    assert [path.name for path in tmp_path.iterdir()] == ["demo.json"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"seed": "one"}'])
def test_what_cannot_be_read_is_no_history(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "demo.json").write_bytes(content)
    assert read_history(tmp_path) is None


def test_a_history_that_was_broken_off_is_the_same_however_much_later() -> None:
    assert HISTORY.is_like(msgspec.structs.replace(HISTORY, now_ms=HISTORY.now_ms + 1, done=True))
    for other in ({"seed": 2}, {"clicks": 1}, {"stores": ("a", "c")}):
        assert not HISTORY.is_like(msgspec.structs.replace(HISTORY, **other))


def test_the_file_of_shops_holds_public_keys_and_no_secret(tmp_path: Path) -> None:
    opened = [DemoStore(shop, store_of(shop, f"{shop.name}-2", 1), write_key(shop.name, 1), "secret") for shop in SHOPS]
    write_keys(tmp_path, opened)
    content = keys_file(tmp_path).read_bytes()
    assert b"secret" not in content
    assert opened[0].store.visitor_secret.encode() not in content
    assert [(key.name, key.slug, key.write_key) for key in read_keys(tmp_path)] == [
        (shop.name, f"{shop.name}-2", write_key(shop.name, 1)) for shop in SHOPS
    ]


def test_services_of_a_demo_believe_only_this_machine() -> None:
    assert service_settings(2)["MARKETPLACE_COLLECTOR_TRUSTED_PROXIES"] == "127.0.0.1/32"


def test_numbers_without_a_check_are_shown_without_a_verdict() -> None:
    summary = Summary(ok=True, sent=10, accepted=10, received=10, outcomes={"counted": 10})
    summary.stores = [StoreNumbers("shop", "Shop", "Australia/Lord_Howe", views=10, mongo={"views": 10})]
    out = io.StringIO()
    show(summary, Console(file=out, width=118))
    assert "The ledger closes." in out.getvalue()
    assert "Australia/Lord_Howe" in out.getvalue()
    assert "oracle" not in out.getvalue()
    show(replace(summary, sent=0), Console(file=out, width=118))


def test_live_traffic_that_was_stopped_sends_nothing() -> None:
    traffic = LiveTraffic(Target("127.0.0.1", 1, {}), seed=1)
    traffic.stop()
    traffic.run()
    assert traffic.sender.sent.events == 0
