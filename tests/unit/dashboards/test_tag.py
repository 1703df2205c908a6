"""The tag that a store's pages need, and what is said of its address."""

from __future__ import annotations

import pytest

from dashboards.ui.first_steps import note_on, tag_of
from tests.kits.clicks import make_store


def test_the_tag_names_the_collector_and_the_stores_public_key() -> None:
    store = make_store("shop", "UTC")
    assert tag_of(store, "https://stats.shop.example") == (
        f'<script async src="https://stats.shop.example/m.js" data-key="{store.storefront_key}"></script>'
    )


@pytest.mark.parametrize(
    "collector",
    ["http://127.0.0.1:8700", "http://127.8.8.8", "http://[::1]:8700", "https://localhost:8443", "http://a.localhost"],
)
def test_an_address_that_means_another_machine_to_everybody_else_is_said_to(collector: str) -> None:
    assert "on this machine, and for nobody else" in note_on(collector)


@pytest.mark.parametrize(
    "collector", ["https://stats.shop.example", "http://192.0.2.7:8700", "https://localhost.example"]
)
def test_an_address_that_others_reach_needs_no_word(collector: str) -> None:
    assert note_on(collector) == ""


def test_where_nobody_has_said_the_address_it_is_asked_for() -> None:
    assert "YOUR-COLLECTOR" in tag_of(make_store("shop", "UTC"), "")
    assert "YOUR-COLLECTOR" in note_on("")
