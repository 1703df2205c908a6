"""The page Notifications: what a row says, and where it leads."""

from __future__ import annotations

import pytest

from connectors.mongo.notifications import Notification
from dashboards.screens.notifications import page_of, row_of
from marketplace.notifications.notices import OF_STORES, Template
from tests.kits.notifications import PLACED_MS, facts, low


@pytest.mark.parametrize("template", sorted(OF_STORES))
def test_a_notification_of_a_store_is_a_row_that_leads_to_what_it_is_about(template: Template) -> None:
    is_stock = template is Template.LOW_STOCK
    found = Notification("n", template, low(variant="v7") if is_stock else facts(), PLACED_MS, unread=True)
    row = row_of(found, lambda at_ms: f"at {at_ms - PLACED_MS}")
    assert row.detail.startswith("at 0 · ")
    assert (len(row.tags), row.amount) == (1, "2" if is_stock else "€33.50")
    assert page_of(found) == (("stock", "", "v7") if is_stock else ("orders", found.facts.order, ""))
