"""Files with secrets for one deployment: random, made once, one value each, named as containers mount them.

Parts and processes of a deployment share them by file, so that no value stands in a variable, an argument or a file of
configuration. Every one may be replaced by its owner's: what is there already is never overwritten.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec

from api.identity.key_file import first_keys
from connectors.mongo.replica_set import REPLICA_SET
from connectors.payments.secrets import ProviderSecrets
from ops.stack.parts.kafka_nodes import new_cluster_id
from ops.stack.proxy.certificate import self_signed

USER: Final = "marketplace"
"""Of the product, in every part that asks for one."""

_FOLDER_MODE: Final = 0o700
_FILE_MODE: Final = 0o444
"""Containers run as several users, and compose mounts a file with the mode that it has: the folder keeps others out."""

_PASSWORD_BYTES: Final = 24
_UNUSABLE: Final = frozenset("\"'\\,[]= ")
"""What has a meaning where a password is read: JAAS, the options of Kafka's tools, or Redis's configuration."""

_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,62}[A-Za-z0-9])?")
"""A certificate has no room for a longer one."""

_KEYFILE_BYTES: Final = 756
_MONGO_MEMBERS: Final = ("mongo-1", "mongo-2", "mongo-3")


class BadSecret(ValueError):
    """A file that somebody has written has what some part could not read; the message has nothing of it."""


@dataclass(frozen=True, slots=True)
class Secret:
    """One file.

    Attributes:
        name: Of the file.
        meaning: A sentence for people.
        make: From the secrets that are there already to the content.
    """

    name: str
    meaning: str
    make: Callable[[Mapping[str, str]], str]


def _password(_known: Mapping[str, str]) -> str:
    """Letters, digits, `-` and `_`: it needs no escapes in URLs, shells, JAAS or XML."""
    return secrets.token_urlsafe(_PASSWORD_BYTES)


def _quoted(known: Mapping[str, str], name: str) -> str:
    return quote(known[name], safe="")


def _mongo_url(known: Mapping[str, str]) -> str:
    hosts = ",".join(f"{host}:27017" for host in _MONGO_MEMBERS)
    return f"mongodb://{USER}:{_quoted(known, 'mongo_password')}@{hosts}/?replicaSet={REPLICA_SET}&authSource=admin"


def _clickhouse_users(known: Mapping[str, str]) -> str:
    digest = hashlib.sha256(known["clickhouse_password"].encode()).hexdigest()
    return (
        f"<clickhouse>\n    <users>\n        <{USER}>\n"
        f"            <password_sha256_hex>{digest}</password_sha256_hex>\n"
        "            <networks><ip>::/0</ip></networks>\n"
        "            <profile>default</profile>\n            <quota>default</quota>\n"
        f"        </{USER}>\n    </users>\n</clickhouse>\n"
    )


def _provider(_known: Mapping[str, str]) -> str:
    made = ProviderSecrets(secrets.token_urlsafe(_PASSWORD_BYTES), (f"whsec_{secrets.token_urlsafe(32)}",))
    return msgspec.json.format(msgspec.json.encode(made)).decode()


SECRETS: Final = (
    Secret("kafka_cluster_id", "the id with which brokers format their disks", lambda _: new_cluster_id()),
    Secret("kafka_password", "Kafka's user of the product", _password),
    Secret("kafka_broker_password", "Kafka's brokers among themselves", _password),
    Secret("mongo_keyfile", "MongoDB's members among themselves",
           lambda _: base64.b64encode(secrets.token_bytes(_KEYFILE_BYTES)).decode()),
    Secret("mongo_root_password", "MongoDB's administrator, for the first start", _password),
    Secret("mongo_password", "MongoDB's user of the product", _password),
    Secret("mongo_url", "where MongoDB is, with that password", _mongo_url),
    Secret("clickhouse_password", "ClickHouse's user of the product", _password),
    Secret("clickhouse_users", "that user, as ClickHouse reads it: the digest of the password", _clickhouse_users),
    Secret("clickhouse_url", "where ClickHouse is, with that password",
           lambda known: f"http://{USER}:{_quoted(known, 'clickhouse_password')}@clickhouse:8123"),
    Secret("redis_password", "Redis", _password),
    Secret("redis_url", "where Redis is, with that password",
           lambda known: f"redis://:{_quoted(known, 'redis_password')}@redis:6379/0"),
    Secret("api_keys", "the keys that sign access tokens, for an API of several pods",
           lambda _: first_keys(time.time())),
    Secret("payments", "what the payment provider knows us by, and what webhooks are signed with", _provider),
)  # fmt: skip
"""All but the certificate, each after those that it is made from."""

CERTIFICATE: Final = ("tls_certificate", "tls_key")
"""Of the proxy: both or none are made."""

OF_COMPOSE: Final = ("mongo_url", "clickhouse_url", "redis_url")
"""Those that name hosts: the containers of compose.yml."""

NAMES: Final = (*(each.name for each in SECRETS), *CERTIFICATE)


def make_secrets(folder: Path, host: str) -> list[str]:
    """Make the files that are missing; returns their names.

    Args:
        folder: Where; made for its user only.
        host: The name under which people reach the proxy, for the self-signed certificate.

    Raises:
        OSError: The folder cannot be written, or a file that is there cannot be read.
        BadSecret: A password that is there, or the name, is one that some part could not read; nothing was made.
    """
    if not _HOST.fullmatch(host):
        raise BadSecret(f"no certificate can be for the name {host!r}")
    if folder.exists() and not folder.is_dir():
        raise BadSecret(f"{folder} is a file, and no folder")
    there = [name for name in CERTIFICATE if (folder / name).exists()]
    if len(there) == 1:
        (other,) = set(CERTIFICATE) - set(there)
        raise BadSecret(f"{folder} has {there[0]} and no {other}: they belong to each other, give both or neither")
    folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    folder.chmod(_FOLDER_MODE)
    for each in SECRETS:
        if each.make is _password and (folder / each.name).exists():
            _check(folder / each.name)
    known: dict[str, str] = {}
    made = []
    for each in SECRETS:
        path = folder / each.name
        if not path.exists():
            _write(path, each.make(known))
            made.append(each.name)
        known[each.name] = path.read_text().strip()
    if not there:
        for name, text in zip(CERTIFICATE, self_signed([host]), strict=True):
            _write(folder / name, text.decode())
            made.append(name)
    return made


def _check(path: Path) -> None:
    """Look at a password that somebody has written.

    Raises:
        BadSecret: Some part could not read it.
    """
    text = path.read_text(errors="replace")
    if not text.strip():
        raise BadSecret(f"{path} is empty")
    if path.name.startswith("kafka_") and text != text.strip():
        raise BadSecret(f"{path} ends with a line break or a space, which Kafka takes for a part of it")
    if not (text.strip().isascii() and text.strip().isprintable()) or _UNUSABLE & set(text.strip()):
        raise BadSecret(
            f"{path}: letters, digits and signs without quotes, backslashes, commas, spaces, = and brackets"
        )


def _write(path: Path, text: str) -> None:
    """Write a whole file, or none; never over one that is there.

    There is no line break at its end, which Kafka would take for a part of the password.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        draft.chmod(_FILE_MODE)
        os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
