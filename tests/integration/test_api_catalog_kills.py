"""Imports in a process of their own: whoever has sent the file may go, and the process may be killed."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from connectors.mongo.client import connect
from marketplace.catalog.imports import LEASE_MS
from marketplace.collections import PRODUCTS
from ops.stack import Stack
from tests.kits.api import Person, bearer, kill, running_api
from tests.kits.api_people import Registry, user_of
from tests.kits.depth import LONG
from tests.kits.stack import eventually

PRODUCTS_OF_FILE = 600
PATH = "/v1/stores/anns-shop/product-imports"

pytestmark = LONG


@pytest.fixture
def database(stack: Stack) -> Iterator[str]:
    name = f"kills_{uuid.uuid4().hex}"
    yield name
    # So many products take SecantusDB longer to drop than other clients wait.
    client = connect(stack.urls.mongo, deadline_seconds=60)
    client.drop_database(name)
    client.close()


def file() -> bytes:
    rows = (f"mug-{at},Mug {at},active,EUR,SKU-{at},12.50\r\n" for at in range(PRODUCTS_OF_FILE))
    return ("slug,title,state,currency,sku,price\r\n" + "".join(rows)).encode()


def seller(registry: Registry) -> Person:
    ann = registry.person(premium=True)
    assert ann.ask("POST", "/v1/stores", json={"title": "Ann's shop", "slug": "anns-shop"}).status_code == 201
    return ann


def newest(ann: Person) -> dict[str, Any]:
    imports = ann.ask("GET", PATH).json()["imports"]
    return dict(imports[0]) if imports else {"state": "none", "done": 0}


def send_and_leave(ann: Person) -> None:
    """Send the file, and close the connection without having read anything."""
    url, content = urlsplit(ann.api.url), file()
    head = (
        f"POST {PATH} HTTP/1.1\r\nhost: {url.netloc}\r\nauthorization: Bearer {ann.access_token}\r\n"
        f"content-type: text/csv\r\ncontent-length: {len(content)}\r\n\r\n"
    )
    with socket.create_connection((str(url.hostname), url.port or 80)) as connection:
        connection.sendall(head.encode() + content)


def send(ann: Person) -> int:
    """Send the file; returns the status."""
    headers = {"content-type": "text/csv", **bearer(ann.access_token)}
    return ann.api.ask("POST", PATH, content=file(), headers=headers).status_code


def test_an_import_ends_although_its_sender_has_left(stack: Stack, database: str, tmp_path: Path) -> None:
    with running_api(stack, tmp_path, database) as api:
        ann = seller(Registry(api, stack, database))
        send_and_leave(ann)
        assert eventually(lambda: newest(ann)["state"] == "done", 120)
        assert newest(ann)["created"] == PRODUCTS_OF_FILE


@pytest.mark.timeout(400)
def test_what_an_import_reports_is_stored_when_its_process_is_killed_and_the_file_can_be_sent_again(
    stack: Stack, database: str, tmp_path: Path
) -> None:
    client = connect(stack.urls.mongo)
    products = client[database][PRODUCTS.name]
    with running_api(stack, tmp_path, database) as api:
        ann = seller(Registry(api, stack, database))
        send_and_leave(ann)
        assert eventually(lambda: newest(ann)["done"] > 0, 60)
        kill(api)
    with running_api(stack, tmp_path, database) as api:
        # Another process has another port here, and so issues other tokens.
        (again,) = Registry(api, stack, database).sign_in(user_of(ann))
        begun = newest(again)
        assert 0 < begun["done"] == begun["created"] == products.count_documents({}) < PRODUCTS_OF_FILE
        assert begun["state"] == "running"
        assert eventually(lambda: newest(again)["state"] == "interrupted", LEASE_MS / 1000 + 30)
        # What the killed process has left open in Mongo ends a minute after it was begun.
        assert eventually(lambda: send(again) == 202, 90)
        assert eventually(lambda: newest(again)["state"] == "done", 60)
        found = newest(again)
        assert (found["created"], found["unchanged"]) == (PRODUCTS_OF_FILE - begun["done"], begun["done"])
        assert products.count_documents({}) == PRODUCTS_OF_FILE
    client.close()
