"""Whatever a route asks Mongo is found by an index: it costs the same however many accounts and stores there are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import pytest
from pymongo import AsyncMongoClient
from pymongo.monitoring import CommandListener

from api.access import Demand
from marketplace.collections import COLLECTIONS
from ops.reference.access import rules
from ops.stack import Stack
from tests.kits import tenancy
from tests.kits.api_requests import send_good, settle
from tests.kits.tenancy import Work, World, worlds_with_identity

ROUTES = [pytest.param(*key, id=" ".join(key)) for key in sorted(rules())]
FIRST_FIELDS = {
    each.name: {"_id"} | {fields[0][0] for fields in (index.fields for index in each.indexes)} for each in COLLECTIONS
}
PASSWORD: Final = "correct horse battery"
SECRET: Final = "x" * 43
# Bodies of routes that are asked with an empty one elsewhere.
BODIES: Final[Mapping[str, Any]] = {
    "registrations": {"email": "new@shop.example", "name": "New", "password": PASSWORD},
    "confirmations": {"token": SECRET},
    "sessions": {"email": "ann@shop.example", "password": PASSWORD},
    "password-resets": {"email": "ann@shop.example"},
    "passwords": {"token": SECRET, "password": PASSWORD},
    "email-changes": {"email": "new@shop.example", "password": PASSWORD},
    "emails": {"token": SECRET},
    "deletions": {"password": PASSWORD},
    "password-changes": {"current_password": PASSWORD, "password": f"{PASSWORD} 2"},
}


class Questions(CommandListener):
    """Notes the filter of every command, with its collection."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Mapping[str, Any]]] = []

    def started(self, event: Any) -> None:
        command = event.command
        for statement in (*command.get("updates", ()), *command.get("deletes", ())):
            self.asked.append((command[event.command_name], statement["q"]))
        if event.command_name in ("find", "findAndModify", "count"):
            found = command.get("filter", command.get("query", {}))
            self.asked.append((command[event.command_name], found))
        if event.command_name == "aggregate":
            self.asked.append((command["aggregate"], command["pipeline"][0].get("$match", {})))

    def succeeded(self, event: Any) -> None:
        """Nothing to note."""

    def failed(self, event: Any) -> None:
        """Nothing to note."""


def is_indexed(collection: str, question: Mapping[str, Any]) -> bool:
    """Whether an index begins with a field of the question, or of each of its alternatives."""
    alternatives: Sequence[Mapping[str, Any]] = question.get("$or", ())
    either = bool(alternatives) and all(is_indexed(collection, each) for each in alternatives)
    return either or bool(FIRST_FIELDS[collection] & question.keys())


@pytest.fixture(scope="module")
def questions() -> Questions:
    return Questions()


@pytest.fixture(scope="module")
def run(
    stack: Stack, questions: Questions, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[Work], None]]:
    def connect(url: str, in_use: CommandListener) -> Any:
        return AsyncMongoClient(url, event_listeners=[in_use, questions])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tenancy, "connect_async", connect)
        with worlds_with_identity(stack, tmp_path_factory.mktemp("indexes")) as all_:
            yield all_


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_what_a_route_asks_is_found_by_an_index(
    run: Callable[[Work], None], questions: Questions, method: str, path: str
) -> None:
    async def work(world: World) -> None:
        await settle(world)
        who = "root" if "/admin/" in path else "ann"
        questions.asked.clear()
        await send_good(world, method, path, who)
        body = BODIES.get(path.rpartition("/")[2]) if method == "POST" else None
        if body is not None:
            await world.ask(method, path, who, json=body)
        assert questions.asked or rules()[method, path].demand is Demand.NOTHING
        assert [asked for asked in questions.asked if not is_indexed(*asked)] == []

    run(work)
