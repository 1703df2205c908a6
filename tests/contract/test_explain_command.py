"""``marketplace explain --store`` on the real store of stores."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from typing import Any

from typer.testing import CliRunner

from connectors.mongo.client import connect
from connectors.mongo.stores import MongoStores
from marketplace.enrichments.store_rules import SourceRule
from ops.cli import make_app
from ops.stack import Stack
from tests.kits.collector import SHOP

STORE = replace(
    SHOP,
    payment_hosts=("pay.bank.example",),
    source_rules=(SourceRule("referrer", "partner.example", "partner", "affiliate"),),
    trailing_slash="strip",
)


def test_a_visit_is_explained_by_the_rules_of_its_store(stack: Stack) -> None:
    database = f"explain_{uuid.uuid4().hex}"
    client = connect(stack.urls.mongo)
    try:
        MongoStores(client, database).create_store(STORE)
        page = f"https://{STORE.domains[0]}/shoes/"
        asked = ["explain", page, "--store", STORE.slug, "--referrer", "https://www.partner.example/", "--json"]
        variables = {"MARKETPLACE_MONGO_URL": stack.urls.mongo, "MARKETPLACE_DATABASE": database}
        done = CliRunner().invoke(make_app(asked), asked, env=variables, catch_exceptions=False)
        shown = CliRunner().invoke(make_app(asked), asked[:-1], env=variables, catch_exceptions=False)
    finally:
        client.drop_database(database)
        client.close()
    document: dict[str, Any] = json.loads(done.stdout)
    lines = {line["name"]: line for section in document.values() for line in section["values"]}
    assert (lines["source"]["value"], lines["medium"]["value"]) == ("partner", "affiliate")
    assert lines["source"]["why"] == "the store's own rule: referrer=partner.example"
    assert lines["page"]["value"] == "/shoes"
    assert f"'marketplace stores show {STORE.slug}' lists the store's own rules" in shown.stdout
