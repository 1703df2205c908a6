"""What is said of a MongoDB that does not answer: its members and their trouble, and no insides of the client."""

from __future__ import annotations

import pytest
from pymongo.errors import ServerSelectionTimeoutError

from connectors.mongo.client import connect, unavailable, url_problem
from runtime.ports import free_ports


def test_an_error_of_mongo_names_the_member_and_ends_there() -> None:
    (nobody,) = free_ports(1)
    with (
        connect(f"mongodb://127.0.0.1:{nobody}/", deadline_seconds=0.2) as client,
        pytest.raises(ServerSelectionTimeoutError) as raised,
    ):
        client.admin.command("ping")
    assert (
        str(unavailable(raised.value)) == f"Mongo does not answer: 127.0.0.1:{nobody}: [Errno 111] Connection refused"
    )


def test_a_url_is_judged_without_asking_anybody() -> None:
    assert url_problem("mongodb://me:word@mongo-1,mongo-2:27018/?replicaSet=rs0") == ""
    assert url_problem("mongodb+srv://nobody.example/") == ""
    assert url_problem("mongodb://mongo:99999").startswith("Mongo's URL cannot be used")
