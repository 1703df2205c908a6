"""Access tokens from outside: who can forge one, and what happens to them when keys rotate under several processes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from api.identity.access_tokens import SigningKey, new_secret
from api.identity.key_file import SIGNS_AFTER_SECONDS, read_keys, rotate_keys
from connectors.mongo.client import connect
from marketplace.collections import USERS
from marketplace.identity.claims import ACCESS_SECONDS
from ops.stack import Stack
from tests.kits.api import Api, Person, bearer, own_database, running_api
from tests.kits.depth import LONG
from tests.kits.stack import eventually

ME = "/v1/identity/me"
Json = dict[str, Any]


def part(value: object) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


@dataclass
class Forge:
    """What somebody would have who had the private key, to see that each rule counts by itself."""

    key: SigningKey
    header: Json
    claims: Json

    def token(self, header: Json | None = None, claims: Any = None, key: Ed25519PrivateKey | None = None) -> str:
        head = self.header if header is None else header
        signed = f"{part(head)}.{part(self.claims if claims is None else claims)}"
        return f"{signed}.{part((key or self.key.private).sign(signed.encode()))}"

    def hmac_token(self, algorithm: str, secret: bytes) -> str:
        signed = f"{part({**self.header, 'alg': algorithm})}.{part(self.claims)}"
        digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}[algorithm]
        return f"{signed}.{part(hmac.new(secret, signed.encode(), digest).digest())}"


@pytest.fixture(scope="module")
def database(stack: Stack) -> Iterator[str]:
    with own_database(stack) as name:
        yield name


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("api")


@pytest.fixture(scope="module")
def api(stack: Stack, folder: Path, database: str) -> Iterator[Api]:
    with running_api(stack, folder, database) as running:
        yield running
    assert "Traceback" not in (folder / "api.log").read_text()


@pytest.fixture(scope="module")
def ann(api: Api) -> Person:
    return api.make_account()


@pytest.fixture(scope="module")
def forge(api: Api, ann: Person) -> Forge:
    (key,) = read_keys(api.folder / "api" / "keys.json")
    claims = jwt.decode(ann.access_token, options={"verify_signature": False})
    return Forge(key, jwt.get_unverified_header(ann.access_token), claims)


def me(api: Api, token: str) -> httpx.Response:
    return api.ask("GET", ME, headers=bearer(token))


def assert_refused(api: Api, token: str) -> None:
    response = me(api, token)
    assert (response.status_code, response.json()["type"]) == (401, "/problems/unauthenticated")
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert token not in response.text


def test_a_token_that_is_made_like_ours_is_taken(api: Api, forge: Forge) -> None:
    assert me(api, forge.token()).status_code == 200


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", ""])
def test_a_token_without_a_signature_is_refused(api: Api, forge: Forge, algorithm: str) -> None:
    signed = f"{part({**forge.header, 'alg': algorithm})}.{part(forge.claims)}"
    good = forge.token().rpartition(".")[2]
    for signature in ("", part(b""), good):
        assert_refused(api, f"{signed}.{signature}")
    assert_refused(api, f"{part(forge.header)}.{part(forge.claims)}.x")


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_the_public_key_is_no_secret_to_sign_with(api: Api, forge: Forge, algorithm: str) -> None:
    published = api.ask("GET", "/.well-known/jwks.json").json()["keys"][0]
    public = forge.key.private.public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    secrets = (public.public_bytes(Encoding.Raw, PublicFormat.Raw), pem, pem.strip(), published["x"].encode())
    for secret in (*secrets, json.dumps(published).encode(), b"x", forge.header["kid"].encode()):
        assert_refused(api, forge.hmac_token(algorithm, secret))


HEADERS: dict[str, Callable[[Json], Json]] = {
    "no typ": lambda header: {name: value for name, value in header.items() if name != "typ"},
    "typ JWT": lambda header: {**header, "typ": "JWT"},
    "typ in capitals": lambda header: {**header, "typ": "AT+JWT"},
    "typ with its prefix": lambda header: {**header, "typ": "application/at+jwt"},
    "typ refresh": lambda header: {**header, "typ": "rt+jwt"},
    "typ list": lambda header: {**header, "typ": ["at+jwt"]},
    "no alg": lambda header: {name: value for name, value in header.items() if name != "alg"},
    "alg list": lambda header: {**header, "alg": ["EdDSA"]},
    "alg in small letters": lambda header: {**header, "alg": "eddsa"},
    "alg ES256": lambda header: {**header, "alg": "ES256"},
    "no kid": lambda header: {name: value for name, value in header.items() if name != "kid"},
    "kid unknown": lambda header: {**header, "kid": "0123456789abcdef"},
    "kid empty": lambda header: {**header, "kid": ""},
    "kid path": lambda header: {**header, "kid": "../../../../dev/null"},
    "kid query": lambda header: {**header, "kid": "' UNION SELECT 'x"},
    "kid operator": lambda header: {**header, "kid": {"$ne": ""}},
    "kid list": lambda header: {**header, "kid": [header["kid"]]},
    "kid with a NUL": lambda header: {**header, "kid": header["kid"] + "\x00"},
    "kid surrogate": lambda header: {**header, "kid": "\ud800"},
    "kid number": lambda header: {**header, "kid": 1},
    "critical extension": lambda header: {**header, "crit": ["exp"], "b64": False},
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_is_nearly_right_is_refused(api: Api, forge: Forge, name: str) -> None:
    assert_refused(api, forge.token(header=HEADERS[name](forge.header)))


@pytest.mark.parametrize("where", ["jwk", "jku", "x5u", "x5c"])
def test_a_key_that_the_token_brings_along_is_not_used(api: Api, forge: Forge, where: str) -> None:
    own = SigningKey("own", new_secret(), 0.0)
    brought: Any = {"jwk": own.public_jwk, "x5c": [part(b"certificate")]}.get(where, "http://127.0.0.1:1/jwks.json")
    for kid in (forge.header["kid"], "own"):
        assert_refused(api, forge.token(header={**forge.header, "kid": kid, where: brought}, key=own.private))


def without(name: str) -> Callable[[Json, float], Json]:
    return lambda claims, _: {key: value for key, value in claims.items() if key != name}


def with_value(name: str, change: Callable[[Any], Any]) -> Callable[[Json, float], Json]:
    return lambda claims, _: {**claims, name: change(claims[name])}


def at(**offsets: float) -> Callable[[Json, float], Json]:
    return lambda claims, now: {**claims, **{name: int(now + offset) for name, offset in offsets.items()}}


TEXTS: dict[str, Callable[[Any], Any]] = {
    "wrong": lambda text: "https://evil.example",
    "shorter": lambda text: text[:-1],
    "longer": lambda text: text + "/",
    "capitals": lambda text: text.upper(),
    "empty": lambda text: "",
    "null": lambda text: None,
    "list": lambda text: [text],
    "list with others": lambda text: [text, "https://evil.example"],
    "object": lambda text: {"$eq": text},
    "number": lambda text: 1,
    "switch": lambda text: True,
}
TIMES: dict[str, Callable[[Any], Any]] = {
    "text": lambda seconds: str(seconds),
    "fraction": lambda seconds: seconds + 0.5,
    "switch": lambda seconds: True,
    "null": lambda seconds: None,
    "list": lambda seconds: [seconds],
    "negative": lambda seconds: -seconds,
    "enormous": lambda seconds: 10**400,
    "2^63": lambda seconds: 2**63,
}
CLAIMS: dict[str, Callable[[Json, float], Json]] = {
    **{f"no {name}": without(name) for name in ("iss", "aud", "sub", "sid", "jti", "iat", "nbf", "exp")},
    **{
        f"{name} {kind}": with_value(name, change)
        for name in ("iss", "aud", "sub", "sid")
        for kind, change in TEXTS.items()
    },
    **{f"{name} {kind}": with_value(name, change) for name in ("iat", "nbf", "exp") for kind, change in TIMES.items()},
    "jti null": with_value("jti", lambda text: None),
    "jti long": with_value("jti", lambda text: "x" * 65),
    "expired": at(iat=-1_000, nbf=-1_000, exp=-100),
    "expired a moment ago": at(iat=-900, nbf=-900, exp=-6),
    "not valid yet": at(nbf=60),
    "issued in the future": at(iat=60, nbf=-10, exp=120),
    "valid for longer than ours": at(iat=0, exp=ACCESS_SECONDS + 60),
    "valid for ever": at(exp=10**9),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_that_is_nearly_right_is_refused(api: Api, forge: Forge, name: str) -> None:
    assert_refused(api, forge.token(claims=CLAIMS[name](forge.claims, time.time())))


@pytest.mark.parametrize("claims", [[], "text", 1, None, [{}]], ids=repr)
def test_claims_that_are_no_object_are_refused(api: Api, forge: Forge, claims: Any) -> None:
    assert_refused(api, forge.token(claims=json.dumps(claims).encode()))


def test_a_session_is_its_own_users_alone(api: Api, forge: Forge) -> None:
    bob = api.make_account()
    bobs = jwt.decode(bob.access_token, options={"verify_signature": False})
    assert_refused(api, forge.token(claims={**forge.claims, "sub": bobs["sub"]}))
    assert_refused(api, forge.token(claims={**forge.claims, "sid": bobs["sid"]}))


def test_a_user_who_is_gone_is_nobody_although_the_session_is_there(stack: Stack, api: Api, database: str) -> None:
    bob = api.make_account()
    client = connect(stack.urls.mongo)
    user = jwt.decode(bob.access_token, options={"verify_signature": False})["sub"]
    assert client[database][USERS.name].delete_one({"_id": user}).deleted_count == 1
    client.close()
    assert_refused(api, bob.access_token)
    assert api.refresh(bob.refresh_token).status_code == 401


def test_a_token_of_another_kind_is_no_access_token(api: Api, forge: Forge) -> None:
    bob = api.make_account()
    assert api.post("/v1/identity/password-resets", {"email": bob.email}).status_code == 202
    link = api.link_to(bob.email, "Choose a new password")
    for token in (
        bob.refresh_token,
        link,
        bob.refresh_token.rpartition(".")[2],
        forge.token()[:-1],
        forge.token() + ".",
    ):
        assert_refused(api, token)


def test_the_key_set_is_for_caches_and_is_enough_to_check_a_token(api: Api, ann: Person) -> None:
    answer = api.ask("GET", "/.well-known/jwks.json")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "public, max-age=30"
    again = api.ask("GET", "/.well-known/jwks.json", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", answer.headers["etag"])
    assert api.ask("GET", "/.well-known/jwks.json", headers={"if-none-match": '"other"'}).status_code == 200
    assert {name for key in answer.json()["keys"] for name in key} == {"kty", "crv", "use", "alg", "kid", "x"}
    key = jwt.PyJWKSet.from_dict(answer.json())[jwt.get_unverified_header(ann.access_token)["kid"]]
    claims = jwt.decode(ann.access_token, key.key, algorithms=["EdDSA"], audience="marketplace-api", issuer=api.url)
    assert claims["sub"] == ann.ask("GET", ME).json()["id"]


def kid_of(person: Person) -> str:
    return str(jwt.get_unverified_header(person.access_token)["kid"])


def published(api: Api) -> set[str]:
    return {key["kid"] for key in api.ask("GET", "/.well-known/jwks.json").json()["keys"]}


@LONG
def test_a_rotation_signs_nobody_out_of_any_process_and_the_old_key_goes_with_its_last_token(
    stack: Stack, tmp_path: Path
) -> None:
    url = "http://shop.example"
    path = tmp_path / "api" / "keys.json"
    with own_database(stack) as database, ExitStack() as running:
        # As behind one proxy: one public URL, one folder, one database.
        own = {"MARKETPLACE_API_PUBLIC_URL": url}
        processes = [running.enter_context(running_api(stack, tmp_path, database, **own)) for _ in range(2)]
        first, second = processes
        old = first.make_account()
        assert published(first) == published(second) == {kid_of(old)}

        made = json.loads(first.command("keys", "rotate", "--json"))["kid"]
        assert eventually(lambda: published(first) == published(second) == {kid_of(old), made}, 15)
        assert kid_of(first.sign_in(old.email)) == kid_of(old)

        # A further one, as if most of its minute were over: it signs after both have read it.
        newest = rotate_keys(path, time.time() - SIGNS_AFTER_SECONDS + 12).kid
        person, signed_by_newest = first.sign_in(old.email), set[str]()
        deadline = time.monotonic() + 30
        while signed_by_newest != {first.url, second.url}:
            assert time.monotonic() < deadline
            for process in processes:
                tokens = process.refresh(person.refresh_token).json()
                person = Person(process, old.email, tokens["access_token"], tokens["refresh_token"])
                if kid_of(person) == newest:
                    signed_by_newest.add(process.url)
                for other in processes:
                    # Who is asking is decided before how much they may ask.
                    for token in (person.access_token, old.access_token):
                        assert me(other, token).status_code in (200, 429)
        assert published(first) == published(second) == {kid_of(old), made, newest}

        over = [replace(key, retired_at=None if key.kid == newest else time.time()) for key in read_keys(path)]
        write_keys(path, over)
        assert eventually(lambda: published(first) == published(second) == {newest}, 15)
        for process in processes:
            # Whose token was read a moment ago reads for half a second more.
            assert eventually(lambda: me(process, old.access_token).status_code == 401, 1)  # noqa: B023  # it is called before the next one
            assert_refused(process, old.access_token)
            assert process.sign_in(old.email).is_signed_in()


def write_keys(path: Path, keys: list[SigningKey]) -> None:
    document = [{**key.__dict__, "secret": base64.b64encode(key.secret).decode()} for key in keys]
    part_file = path.with_suffix(".part")
    part_file.write_text(json.dumps({"keys": document}))
    part_file.replace(path)
