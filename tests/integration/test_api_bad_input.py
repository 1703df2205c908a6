"""Hostile values in every place of every route: refused as a problem, never an error of ours, and nothing is changed.

The tables are made of the registered routes and their schemas, so that a new route is covered when it is registered.
What refuses a value is the same for all places that have the same schema: in every run they share the values, and in
``make chaos`` each gets all of them.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import httpx
import pytest

from ops.reference.access import rules
from ops.stack import Stack
from tests.kits.api_requests import GOOD_REQUESTS, filled, good_request, settle
from tests.kits.depth import share
from tests.kits.orders import FOREIGN_COUNTED, FOREIGN_ORDER
from tests.kits.tenancy import Run, World, application, worlds_with_identity

OPENAPI: Final[dict[str, Any]] = application().app.state.openapi()  # type: ignore[attr-defined]  # the edge is typed as any application
SCHEMAS: Final[dict[str, Any]] = OPENAPI["components"]["schemas"]
PAGES: Final = ("/docs", "/problems", "/openapi.json")
"""For people, who send nothing."""
ROUTES: Final = sorted((key for key in rules() if not key[1].startswith(PAGES)), key=lambda key: (key[1], key[0]))


def operation(method: str, path: str) -> dict[str, Any]:
    found: dict[str, Any] = OPENAPI["paths"][path][method.lower()]
    return found


def fields_of(method: str, path: str) -> dict[str, Any]:
    """The fields of a route's body, with their schemas; empty for a route without a body."""
    body = operation(method, path).get("requestBody")
    if body is None or "application/json" not in body["content"]:
        return {}
    # What is signed is taken as bytes: its fields are looked into later, by another process.
    name = body["content"]["application/json"]["schema"].get("$ref", "").rpartition("/")[2]
    if not name:
        return {}
    found: dict[str, Any] = SCHEMAS[name]["properties"]
    return found


def as_ids(keys: list[tuple[str, str]]) -> list[Any]:
    return [pytest.param(*key, id=" ".join(key)) for key in keys]


WITH_BODY: Final = as_ids([key for key in ROUTES if fields_of(*key)])
IN_PATH: Final = as_ids([key for key in ROUTES if "{" in key[1]])
IN_QUERY: Final = as_ids(
    [key for key in ROUTES if any(each["in"] == "query" for each in operation(*key).get("parameters", ()))]
)
ALL: Final = as_ids(ROUTES)

FIELDS: Final = {(*each.values, name): schema for each in WITH_BODY for name, schema in fields_of(*each.values).items()}
"""All fields of all bodies, with their schemas."""
IN_QUERIES: Final = [
    (*each.values, parameter["name"])
    for each in IN_QUERY
    for parameter in operation(*each.values)["parameters"]
    if parameter["in"] == "query"
]
PLACES_IN_PATHS: Final = [(*each.values, name) for each in IN_PATH for name in re.findall(r"{(\w+)}", each.values[1])]


def rule_of(schema: Mapping[str, Any]) -> str:
    """What a schema says of a value, without what it says to people."""
    return json.dumps({name: each for name, each in schema.items() if name not in ("title", "description", "examples")})


def alike(place: tuple[Any, ...], of: Callable[[Mapping[str, Any]], object]) -> list[tuple[Any, ...]]:
    """All fields that have that in common with one."""
    return [each for each, schema in FIELDS.items() if of(schema) == of(FIELDS[place])]


MARKER: Final = "s3cret-marker"
NOT_A_SCALAR: Final = [
    {"$gt": ""}, {"$ne": None}, {"$regex": "."}, {"$where": "sleep(1000)"}, {"a": 1}, [], [[]], [{"$gt": ""}], [None],
]  # fmt: skip
BAD_NUMBERS: Final = [2**63, -(2**63) - 1, 2**64, 10**400, 1e308, -1, 0.5]
BAD_TEXTS: Final = [
    "", "\x00", f"{MARKER}\x00", "\u2028", "x" * 5_000, "\x1b[2J", "a\x85b", "a\x9b2J", "a\u202eb", "a\u2066b",
]  # fmt: skip
BAD_RAW: Final = [b"NaN", b"Infinity", b"-Infinity", b'"\\ud800"', b'"\\udfff"', b'"\xff"', b"1e999", b"[" * 10_000,
                  b'{"a":' * 5_000 + b"1" + b"}" * 5_000, b"01", b"'x'", b"undefined"]  # fmt: skip
PRIVILEGED: Final = [
    "_id", "id", "slug", "user", "user_id", "owner", "owner_id", "maker", "made_by", "inviter", "store", "store_id",
    "role", "tier", "grants", "admin", "banned", "security_stamp", "permissions", "scopes", "members",
    "members_revision",
    "email_key", "password_hash", "verified", "version", "created_at", "deleted_at", "last_used_at", "frozen", "since",
    "write_key", "write_key_hash", "import_key_hash", "secret_hash", "visitor_secret", "store_created_at", "kind",
    "subject", "data", "$set", "$inc", "$where", "a.b", "grants.0.tier", "__proto__", "constructor", "",
]  # fmt: skip
BAD_IN_PATH: Final = [
    "%00", "%24gt", "%7B%22%24gt%22%3A%22%22%7D", "9223372036854775808", "-1", "%ff", "%ed%a0%80", "%c0%af",
    "..%2fother", "%2e%2e", "shop%3Aann", "x" * 5_000, "%E2%80%A8", "%F0%9F%9B%92", "*", "a*", "a%5Bb%5D", "NaN",
]  # fmt: skip
BAD_IN_QUERY: Final = [
    "9223372036854775808", "-1", "0.5", "NaN", "Infinity", "1e3", "\x00", '{"$gt":""}', "$ne", "\u2028", "x" * 5_000,
]  # fmt: skip

NO_CREDENTIALS: Final = [
    b"Bearer mk_", b"Bearer mk_\xff_\xff", b"Bearer mk_" + b"a" * 5_000, b"Bearer mk_" + b"f" * 16 + b"_wrong",
    b'Bearer mk_{"$gt":""}_x', b"Bearer mk_$where_x", b"Basic mk_x_y", b"mk_x_y", b"Bearer", b"Bearer  mk_x_y",
]  # fmt: skip

FREE_TEXT: Final = {("q", value) for value in BAD_IN_QUERY} - {("q", each) for each in ("\x00", "\u2028", "x" * 5_000)}
"""What is looked for is any text of one line, and a name in addresses may look like a number."""

KINDS: Final = FREE_TEXT | {("category", "9223372036854775808"), ("category", "1e3")}


@pytest.fixture(scope="module")
def run(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with worlds_with_identity(stack, tmp_path_factory.mktemp("bad-input")) as running:
        yield running


def asker(path: str) -> str:
    """Somebody whom the route answers."""
    return "root" if path.startswith("/v1/admin") else "ann"


def assert_refused(response: httpx.Response, what: object, allowed: range = range(400, 500)) -> None:
    assert response.status_code in allowed, (what, response.status_code, response.text[:300])
    assert response.headers["content-type"] == "application/problem+json", what
    body = response.json()
    assert (body["status"], body["request_id"]) == (response.status_code, response.headers["x-request-id"])
    assert MARKER not in response.text, what


def allows(schema: Mapping[str, Any], text: str) -> bool:
    """Whether the document says that a text without special characters is good."""
    bounds = schema.get("minLength", 0), schema.get("maxLength", 0)
    return (
        "format" not in schema
        and bounds[0] <= len(text) <= bounds[1]
        and re.search(schema.get("pattern", ""), text) is not None
    )


def good_body(world: World, method: str, path: str) -> dict[str, Any]:
    """A body that is good, also for routes whose good request here has none."""
    recipe = good_request(world, method, path).body
    return (
        {**recipe}
        if recipe
        else {name: schema.get("examples", ["x" * 43])[0] for name, schema in fields_of(method, path).items()}
    )


async def send(world: World, method: str, path: str, content: bytes, **more: Mapping[str, str]) -> httpx.Response:
    headers = {
        "content-type": "application/json",
        **good_request(world, method, path).headers,
        **more.get("headers", {}),
    }
    return await world.ask(method, filled(path), asker(path), content=content, headers=headers)


@pytest.mark.parametrize(("method", "path"), WITH_BODY)
def test_a_field_takes_nothing_that_is_not_of_its_kind(run: Run, method: str, path: str) -> None:
    async def work(world: World) -> None:
        before = await settle(world)
        for name, schema in fields_of(method, path).items():
            good = good_body(world, method, path)
            # A password may be any text.
            texts = ["", "x" * 5_000] if schema.get("format") == "password" else BAD_TEXTS
            if schema.get("type") == "string" and "enum" not in schema:
                texts = [each for each in texts if not allows(schema, each)]
                texts += ["x" * (schema["maxLength"] + 1)] if "maxLength" in schema else []
            nullable = {"type": "null"} in schema.get("anyOf", ())
            place = (method, path, name)
            values: list[Any] = [
                *share([*NOT_A_SCALAR, *BAD_NUMBERS], place, alike(place, lambda each: each.get("type"))),
                *share([*texts, *(() if nullable else (None,))], place, alike(place, rule_of)),
            ]
            if schema.get("type") == "array":
                values = [each for each in values if each != []] + [[each] for each in values]
                if "minItems" not in schema:
                    values = [each for each in values if each]
            for value in values:
                answer = await send(world, method, path, json.dumps({**good, name: value}).encode())
                assert_refused(answer, (name, value))
        assert await world.everything() == before

    run(work)


@pytest.mark.parametrize(("method", "path"), WITH_BODY)
def test_what_no_json_is_and_what_no_number_or_text_can_be_is_refused(run: Run, method: str, path: str) -> None:
    async def work(world: World) -> None:
        before = await settle(world)
        for name in fields_of(method, path):
            good = good_body(world, method, path)
            good.pop(name, None)
            rest = json.dumps(good)[1:-1].encode()
            # One reader of JSON is before all routes.
            for raw in share(BAD_RAW, (method, path, name), [*FIELDS], parts=4):
                content = b"{" + json.dumps(name).encode() + b":" + raw + (b"," + rest if rest else b"") + b"}"
                assert_refused(await send(world, method, path, content), (name, raw[:20]))
        assert await world.everything() == before

    run(work)


@pytest.mark.parametrize(("method", "path"), WITH_BODY)
def test_a_field_that_a_route_does_not_name_is_refused_and_nothing_is_written(run: Run, method: str, path: str) -> None:
    async def work(world: World) -> None:
        before = await settle(world)
        known = fields_of(method, path)
        values = itertools.cycle(["owner", {"$set": {"admin": True}}, True, None])
        names = [name for name in PRIVILEGED if name not in known]
        # Several in one body: each of them is refused, not only the first.
        for several in (names[first : first + 5] for first in range(0, len(names), 5)):
            body = {**good_body(world, method, path), **{name: next(values) for name in several}}
            answer = await send(world, method, path, json.dumps(body).encode())
            assert_refused(answer, several, range(422, 423))
            found = [error["code"] for error in answer.json()["errors"]]
            assert found.count("extra_forbidden") == len(several), (several, answer.text)
        assert await world.everything() == before

    run(work)


def is_made_by_its_name(method: str, parameter: str) -> bool:
    """Whether any name in the path is good, since it is the name of what is made."""
    return (method, parameter) == ("PUT", "goal")


@pytest.mark.parametrize(("method", "path"), IN_PATH)
def test_an_id_in_the_path_is_looked_for_and_is_nothing_else(run: Run, method: str, path: str) -> None:
    async def work(world: World) -> None:
        before = await settle(world)
        good = good_request(world, method, path)
        names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
        for name in names:
            if is_made_by_its_name(method, name):
                continue
            places = [each for each in PLACES_IN_PATHS if each[2] == name]
            for value in share(BAD_IN_PATH, (method, path, name), places):
                answer = await world.ask(
                    method, filled(path, **{name: value}), asker(path), headers=good.headers, **good.content
                )
                # Dots are taken out of a path before anybody looks at it: what is left may be another route's.
                assert_refused(answer, (name, value))
        assert await world.everything() == before

    run(work)


@pytest.mark.parametrize(("method", "path"), IN_PATH)
def test_an_id_of_another_store_is_answered_like_one_that_nobody_has(run: Run, method: str, path: str) -> None:
    foreign = {
        "store": "other",
        "user": "mallory",
        "invitation": "9" * 32,
        "key": "f" * 16,
        "tier": "gold",
        "session": "9" * 32,
        "product": "7" * 32,
        "slug": "other-mug",
        "order": FOREIGN_ORDER,
        "checkout": FOREIGN_ORDER,
        "variant": FOREIGN_COUNTED,
    }
    unknown = {
        "store": "nowhere",
        "user": "nobody-x",
        "invitation": "8" * 32,
        "key": "e" * 16,
        "tier": "lead",
        "session": "8" * 32,
        "slug": "no-mug",
    }

    async def work(world: World) -> None:
        await settle(world)
        links = world.client[world.database]["links"]
        waiting = await links.find_one({"subject": "shop"})
        assert waiting is not None
        data = {**waiting["data"], "id": foreign["invitation"], "store": "other"}
        await links.insert_one({**waiting, "_id": "9", "subject": "other", "data": data})
        before = await world.everything()
        good = good_request(world, method, path)
        for name in (part[1:-1] for part in path.split("/") if part.startswith("{")):
            if path.startswith("/v1/admin") and name == "user":
                continue  # an admin reaches every account
            if name == "shop" or (name == "product" and "{store}" not in path):
                continue  # everybody reads every shop, and writes about its products
            if is_made_by_its_name(method, name):
                continue
            answers = [
                await world.ask(
                    method,
                    filled(path, **{name: ids.get(name, ids["invitation"])}),
                    asker(path),
                    headers=good.headers,
                    **good.content,
                )
                for ids in (foreign, unknown)
            ]
            for answer in answers:
                assert_refused(answer, name)
            texts = {answer.text.replace(answer.headers["x-request-id"], "") for answer in answers}
            assert len(texts) == 1, (name, texts)
        assert await world.everything() == before

    run(work)


@pytest.mark.parametrize(("method", "path"), IN_QUERY)
def test_a_parameter_of_the_query_takes_nothing_that_is_not_of_its_kind(run: Run, method: str, path: str) -> None:
    async def work(world: World) -> None:
        await settle(world)
        for parameter in operation(method, path)["parameters"]:
            if parameter["in"] != "query":
                continue
            others = [each for each in IN_QUERIES if each[2] == parameter["name"]]
            for value in share(BAD_IN_QUERY, (method, path, parameter["name"]), others):
                if (parameter["name"], value) in KINDS:
                    continue
                query = {**good_request(world, method, path).query, parameter["name"]: value}
                answer = await world.ask(method, filled(path), asker(path), params=query)
                assert_refused(answer, (parameter["name"], value))

    run(work)


GOOD_IN_QUERY: Final = {
    "limit": "1", "cursor": "x", "email": "tom@shop.example", "from": "2026-11-01", "to": "2026-11-02",
    "bots": "include", "grain": "day", "order": "newest", "stars": "5", "state": "pending", "dimension": "page",
    "attribution": "visit",
    "days": "7", "dry_run": "true",
    "q": "mug", "category": "mugs", "currency": "EUR", "price_min": "100", "price_max": "900", "in_stock": "true",
    "rating": "4", "sort": "newest",
}  # fmt: skip


@pytest.mark.parametrize(("method", "path"), IN_QUERY)
def test_a_parameter_that_is_no_list_is_given_once(run: Run, method: str, path: str) -> None:
    async def work(world: World) -> None:
        await settle(world)
        for parameter in operation(method, path)["parameters"]:
            name, schema = parameter["name"], parameter["schema"]
            if parameter["in"] != "query" or "array" in str(schema):
                continue
            once = f"{name}={GOOD_IN_QUERY[name]}"
            for twice in (f"{once}&{once}", f"{once}&{name}=other", f"{once}&%{ord(name[0]):x}{name[1:]}=1"):
                answer = await world.ask(method, f"{filled(path)}?{twice}", asker(path))
                assert answer.status_code == 422, (twice, answer.text)
                assert [each["path"] for each in answer.json()["errors"]] == [f"query:{name}"], twice

    run(work)


@pytest.mark.parametrize(("method", "path"), as_ids(ROUTES))
def test_a_parameter_that_there_is_not_is_refused_and_named(run: Run, method: str, path: str) -> None:
    async def work(world: World) -> None:
        before = await settle(world)
        answer = await world.ask(method, f"{filled(path)}?form=2026-11-28", asker(path))
        assert answer.status_code == 422, answer.text
        found = [each for each in answer.json()["errors"] if each["path"].startswith("query:")]
        assert found == [{"path": "query:form", "code": "unknown", "message": "there is no such parameter"}]
        assert await world.everything() == before

    run(work)


@pytest.mark.parametrize(("method", "path"), as_ids([key for key in ROUTES if "{store}" in key[1] and key[0] == "GET"]))
def test_no_header_and_no_parameter_names_another_store(run: Run, method: str, path: str) -> None:
    async def work(world: World) -> None:
        before = await settle(world)
        plain = await world.ask(method, filled(path), "ann")
        names = ["store", "store_id", "slug", "tenant", "user", "store[$ne]", "role"]
        answer = await world.ask(method, filled(path), "ann", params=dict.fromkeys(names, "other"))
        assert answer.status_code == 422
        assert sorted(each["path"] for each in answer.json()["errors"]) == sorted(f"query:{name}" for name in names)
        headers = ("x-store", "x-tenant", "x-store-id", "x-user", "x-forwarded-host", "x-original-url", "forwarded")
        answer = await world.ask(method, filled(path), "ann", headers=dict.fromkeys(headers, "other"))
        assert (answer.status_code, answer.content) == (200, plain.content)
        assert await world.everything() == before

    run(work)


@pytest.mark.parametrize(("method", "path"), ALL)
def test_a_credential_that_is_none_is_refused_by_every_route(run: Run, method: str, path: str) -> None:
    async def work(world: World) -> None:
        before = await settle(world)
        good = good_request(world, method, path)
        # Who is asking is looked at before any route, in one place.
        for value in share(NO_CREDENTIALS, (method, path), ROUTES):
            answer = await world.ask(
                method, filled(path), headers={**good.headers, "authorization": value}, **good.content
            )
            assert_refused(answer, value, range(401, 402))
            assert "www-authenticate" in answer.headers
        assert await world.everything() == before

    run(work)


def test_every_good_request_here_is_of_a_route_that_there_is() -> None:
    assert set(GOOD_REQUESTS) <= set(ROUTES)


@pytest.mark.parametrize("places", [1, 2, 3, 7])
def test_all_places_that_are_alike_get_each_value_together(places: int) -> None:
    got = [share(BAD_IN_PATH, place, range(places)) for place in range(places)]
    assert {value for each in got for value in each} == {*BAD_IN_PATH}
