"""What can be wrong in the parts of compose.yml: quorums, users, memory, and files that are mounted.

Right values are read from the code and from the files that are mounted. What the images of others expect, and nothing
here says, is in `IMAGES`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import typer
import typer.main

from ops.cli import make_app
from ops.commands.deploy import ADMINISTRATOR
from ops.deploy.secrets import USER
from ops.sandbox_provider.__main__ import parser
from tests.kits.compose import ROOT, Deployment, without
from tests.kits.compose_ways import missing_order, shared_volumes, wrong_ends, wrong_hosts, wrong_networks

_PATHS: Final = re.compile(r"(?<![\w/])/etc/(?:marketplace|nginx)(?:/[\w.-]+)*")
BAD_ARGUMENT: Final[type[Exception]] = typer.BadParameter.__mro__[1]
"""Of whatever reads arguments for Typer: its own, or Click."""

_BYTES: Final = {"M": 1 << 20, "m": 1 << 20, "G": 1 << 30, "g": 1 << 30}


@dataclass(frozen=True)
class Image:
    """What an image of others expects.

    Attributes:
        user: Of its data.
        programs: What it has that health commands and scripts of ours start.
        variables: What its programs read, beside what files of ours name.
        places: Folders that its configuration is read from, by the end of what is mounted there.
    """

    user: str
    programs: frozenset[str]
    variables: frozenset[str] = frozenset()
    places: dict[str, str] = field(default_factory=dict)


_KAFKA: Final = "/opt/kafka/bin/"
IMAGES: Final = {
    "apache/kafka": Image("1000:1000", frozenset({f"{_KAFKA}kafka-broker-api-versions.sh", "/bin/sh"}),
                          frozenset({"KAFKA_HEAP_OPTS", "KAFKA_LOG4J_OPTS", "EXTRA_ARGS", "LOG_DIR"})),
    "mongo": Image("999:999", frozenset({"mongosh", "/bin/bash"}),
                   frozenset({"MONGO_INITDB_ROOT_USERNAME", "MONGO_INITDB_ROOT_PASSWORD_FILE", "HOME"})),
    "clickhouse/clickhouse-server": Image(
        "101:101", frozenset({"clickhouse-client"}), frozenset({"CLICKHOUSE_SKIP_USER_SETUP"}),
        {"config.xml": "/etc/clickhouse-server/config.d", "users.xml": "/etc/clickhouse-server/users.d",
         "clickhouse_users": "/etc/clickhouse-server/users.d"}),
    "valkey/valkey": Image("999:999", frozenset({"valkey-cli", "/bin/sh"}), frozenset({"REDISCLI_AUTH"})),
    "axllent/mailpit": Image("65534:65534", frozenset({"/mailpit"}), frozenset({"MP_MAX_MESSAGES"})),
    "nginxinc/nginx-unprivileged": Image("101:101", frozenset({"wget", "/bin/sh"})),
    "marketplace-connect": Image("10001:10001", frozenset({"curl", "/bin/sh"})),
    "marketplace": Image("10001:10001", frozenset({"marketplace", "python"})),
}  # fmt: skip


def _image(deployment: Deployment, name: str) -> Image:
    return IMAGES[deployment.services[name]["image"].partition(":")[0]]


def _text(path: str) -> str:
    return (ROOT / path).read_text()


# --- Files ---


def mounted(deployment: Deployment, name: str) -> dict[str, Path]:
    """Files and folders of ours in a container, by their places."""
    volumes = (each.split(":") for each in deployment.services[name].get("volumes") or [])
    return {target: ROOT / source for source, target, *_ in volumes if source.startswith("./")}


def _mounted_texts(deployment: Deployment, name: str) -> str:
    files = (
        file
        for place in mounted(deployment, name).values()
        for file in ([place] if place.is_file() else place.iterdir())
    )
    return "\n".join(file.read_text() for file in files if file.is_file() and file.name != "Dockerfile")


def _words(deployment: Deployment, name: str) -> list[str]:
    service = deployment.services[name]
    health = (service.get("healthcheck") or {}).get("test") or []
    given = [*(service.get("entrypoint") or []), *(service.get("command") or []), *health]
    return [*given, *deployment.environment(name).values()]


def lost_files(deployment: Deployment) -> Iterator[str]:
    """Files that a command, a variable or a script of a container names, and that nothing puts there."""
    for name in deployment.services:
        places = mounted(deployment, name)
        scripts = "\n".join(re.findall(r"^\w+=\$\{\w+:-.*\}$", _mounted_texts(deployment, name), re.M))
        for path in sorted(set(_PATHS.findall("\n".join([*_words(deployment, name), scripts])))):
            inside = any(
                path == target or (path.startswith(f"{target}/") and (source / path[len(target) + 1 :]).exists())
                for target, source in places.items()
            )
            if not inside and not {f"{path}/nginx.conf", f"{path}/values"} <= places.keys():
                yield f"{name}: nothing puts {path} there"
        image = _image(deployment, name)
        given = {str(source.name): target for target, source in places.items()}
        given |= {each["source"]: each["target"] for each in deployment.services[name].get("secrets") or []
                  if isinstance(each, dict)}  # fmt: skip
        for file, folder in image.places.items():
            if Path(given.get(file, "/")).parent != Path(folder) or not given[file].endswith(".xml"):
                yield f"{name}: {file} is not read from {given.get(file)}"
        if len(set(given.values())) < len(given):
            yield f"{name}: two files in one place"


# --- Variables, users, programs ---


def unread_variables(deployment: Deployment) -> Iterator[str]:
    """Variables of parts that neither their image nor a file in them reads, and those that a file lacks."""
    for name in deployment.services.keys() - deployment.ours.keys():
        text = _mounted_texts(deployment, name)
        needed = set(re.findall(r"\$\{env:(\w+)\}", text))
        read = needed | set(re.findall(r"\$\{?([A-Z]\w+)", text)) | _image(deployment, name).variables
        allowed = "|".join(re.findall(r"allowlist\.pattern=(.*)$", text, re.M))
        if name == "connect":
            # A connector reads its own from the worker's.
            read |= set(allowed.split("|"))
        given = deployment.environment(name)
        yield from (f"{name}: nothing reads {each}" for each in sorted(given.keys() - read))
        made = set(re.findall(r"^export (.*)$", text, re.M)[0].split()) if "\nexport " in text else set()
        yield from (f"{name}: it is not given {each}" for each in sorted(needed - given.keys() - made))
        yield from (f"{name}: Kafka may not read {each}" for each in sorted(needed) if not re.fullmatch(allowed, each))


def wrong_users(deployment: Deployment) -> Iterator[str]:
    """Containers that run as another user than the one that owns their data."""
    for name, service in deployment.services.items():
        wanted = _image(deployment, name).user
        if service.get("user") != wanted:
            yield f"{name}: its image is for the user {wanted}"


def wrong_programs(deployment: Deployment) -> Iterator[str]:
    """Health commands and entrypoints that begin with what the image has not, or ask the wrong port."""
    for name, service in deployment.services.items():
        test = (service.get("healthcheck") or {}).get("test") or ["CMD"]
        words = [word for word in " ".join(test[1:]).split() if "=" not in word.partition('"')[0]] or [""]
        first = next((word for word in words if word in _image(deployment, name).programs), words[0])
        started = [first] if test[1:] else []
        for program in [*started, *(service.get("entrypoint") or [])[:1]]:
            if program not in _image(deployment, name).programs:
                yield f"{name}: its image has no {program}"
        for variable in re.findall(r"(\w+)=", " ".join(test[1:])):
            if variable not in _image(deployment, name).variables:
                yield f"{name}: its health command reads no {variable}"
        if name.startswith("kafka-"):
            port = re.findall(r"^listeners=BROKER://:(\d+)", _text("deploy/kafka/server.properties"), re.M)
            if re.findall(r"--bootstrap-server 127\.0\.0\.1:(\d+)", test[-1]) != port:
                yield f"{name}: its health is not asked at the port of clients"


@cache
def _commands() -> Any:
    return typer.main.get_command(make_app())


def wrong_commands(deployment: Deployment) -> Iterator[str]:
    """Arguments that our commands do not take."""
    for name, service in deployment.ours.items():
        words = [str(word) for word in service.get("command") or []]
        try:
            if deployment.runs(name) == "payments":
                parser().parse_args(words)
            else:
                parse_command(words)
        except (BAD_ARGUMENT, KeyError) as error:
            yield f"{name}: {error}"
        except SystemExit:
            yield f"{name}: the sandbox does not take {' '.join(words)}"


def parse_command(words: list[str]) -> None:
    """Read arguments as the command would, and do nothing."""
    command = _commands()
    while commands := getattr(command, "commands", None):
        command, words = commands[words[0]], words[1:]
    command.make_context(command.name, words)


# --- Kafka and MongoDB ---


def wrong_quorum(deployment: Deployment) -> Iterator[str]:
    """Brokers that do not know each other, and numbers of replicas that there cannot be."""
    active = without(deployment)
    brokers = sorted(name for name in active.services if name.startswith("kafka-"))
    settings = _text("deploy/kafka/server.properties")
    (controllers,) = re.findall(r"^listeners=.*CONTROLLER://:(\d+)$", settings, re.M)
    (clients,) = re.findall(r"^listeners=BROKER://:(\d+)", settings, re.M)
    voters = ",".join(f"{number}@{name}:{controllers}" for number, name in enumerate(brokers, 1))
    if f"advertised.listeners=BROKER://${{env:KAFKA_HOST}}:{clients}\n" not in settings:
        yield "server.properties: brokers do not say where they listen"
    for number, name in enumerate(brokers, 1):
        wanted = {
            "KAFKA_NODE": str(number), "KAFKA_HOST": name, "KAFKA_VOTERS": voters,
            "KAFKA_REPLICAS": str(len(brokers)), "KAFKA_IN_SYNC": str(max(1, len(brokers) - 1)),
        }  # fmt: skip
        given = active.environment(name)
        yield from (f"{name}: {key} is not {text}" for key, text in wanted.items() if given.get(key) != text)
    script = _text("deploy/kafka/start.sh")
    users = dict(re.findall(r"name=(\w+),password=\$\(secret (\w+)\)", script))
    (protocol,) = re.findall(r"^listener\.security\.protocol\.map=BROKER:(\w+),", settings, re.M)
    for name in active.ours:
        given = active.environment(name)
        if "MARKETPLACE_KAFKA_URL" not in given:
            continue
        if given["MARKETPLACE_KAFKA_URL"].split(",") != [f"{each}:{clients}" for each in _named(deployment, "kafka-")]:
            yield f"{name}: MARKETPLACE_KAFKA_URL does not name all brokers"
        if given.get("MARKETPLACE_KAFKA_SECURITY_PROTOCOL") != protocol:
            yield f"{name}: brokers speak {protocol}"
        user, file = (given.get(f"MARKETPLACE_KAFKA_SASL_{each}", "") for each in ("USERNAME", "PASSWORD_FILE"))
        if users.get(user) != Path(file).name:
            yield f"{name}: {user} has no password in {file}"


def _named(deployment: Deployment, begin: str) -> list[str]:
    return sorted(name for name in deployment.services if re.fullmatch(rf"{begin}\d", name))


def wrong_set(deployment: Deployment) -> Iterator[str]:
    """Members of MongoDB that are not in the set, and an administrator whom they do not know."""
    active = without(deployment)
    words = active.services["mongo-setup"]["command"]
    given = [word.removeprefix("--member=") for word in words if word.startswith("--member=")]
    if given != [f"{name}:27017" for name in _named(active, "mongo-")]:
        yield f"mongo-setup: the members are not {', '.join(given)}"
    made = active.environment("mongo-1")
    if made.get("MONGO_INITDB_ROOT_USERNAME") != ADMINISTRATOR:
        yield f"mongo-1: its administrator is not {ADMINISTRATOR}"
    options = dict(word.removeprefix("--").split("=", 1) for word in words if "=" in word)
    if made.get("MONGO_INITDB_ROOT_PASSWORD_FILE") != options.get("root-password-file"):
        yield "mongo-setup: the administrator has another password"
    if options.get("password-file") != "/run/secrets/mongo_password":
        yield f"mongo-setup: {USER} has another password"
    for name in _named(deployment, "mongo-"):
        volumes = [each.split(":") for each in deployment.services[name]["volumes"] if not each.startswith("./")]
        if sorted(volumes) != [[name, "/data/db"], [f"{name}-config", "/data/configdb"]]:
            yield f"{name}: its data are on no volumes of its own"
        asked = deployment.services[name]["healthcheck"]["test"][-1]
        if not {"setName", "isreplicaset"} <= set(re.findall(r"it\.(\w+)", asked)):
            yield f"{name}: it says that it is well while its image makes the first user"
    script = _text("deploy/mongo/start.sh")
    copied = re.findall(r"^install -m 400 /run/secrets/mongo_keyfile (\S+)$", script, re.M)
    if copied != re.findall(r"--keyFile (\S+)", script) or "--bind_ip_all" not in script:
        yield "deploy/mongo/start.sh: members do not find their key, or not each other"


# --- Memory ---


def too_much_memory(deployment: Deployment) -> Iterator[str]:
    """JVMs, caches and ratios that leave nothing of a container's limit for the rest."""
    for name, service in without(deployment).services.items():
        limit = int(service["deploy"]["resources"]["limits"]["memory"].removesuffix("M")) << 20
        given = deployment.environment(name)
        for text in given.values():
            for number, unit in re.findall(r"-Xmx(\d+)([mgMG])", text):
                if int(number) * _BYTES[unit] > 0.75 * limit:
                    yield f"{name}: its heap leaves too little of {limit >> 20} MB"
        if "MONGO_CACHE_GB" in given and float(given["MONGO_CACHE_GB"]) * (1 << 30) > 0.5 * limit:
            yield f"{name}: its cache leaves too little of {limit >> 20} MB"
        if name == "clickhouse":
            text = _text("deploy/clickhouse/config.xml")
            (cached,) = re.findall(r"<mark_cache_size>(\d+)<", text)
            (ratio,) = re.findall(r"<max_server_memory_usage_to_ram_ratio>([\d.]+)<", text)
            if int(cached) > 0.5 * limit or not 0 < float(ratio) < 0.95:
                yield f"{name}: its memory leaves too little of {limit >> 20} MB"


CHECKS: Final[Sequence[Callable[[Deployment], Iterator[str]]]] = (
    lost_files,
    unread_variables,
    wrong_users,
    wrong_programs,
    wrong_commands,
    wrong_quorum,
    wrong_set,
    too_much_memory,
    wrong_networks,
    wrong_hosts,
    missing_order,
    wrong_ends,
    shared_volumes,
)


def problems_of_parts(deployment: Deployment) -> list[str]:
    """All that is wrong."""
    return [line for check in CHECKS for line in check(deployment)]


def changed(document: dict[str, Any], *path: str) -> dict[str, Any]:
    """What is at a place of a document."""
    for key in path:
        document = document[key]
    return document
