"""What can be wrong in the files of deploy/ and in the Dockerfiles: each check lists problems.

Kafka and Redis have the settings of the embedded stack, but for those that a cluster needs others of; versions are
those of the project and of its jars.
"""

from __future__ import annotations

import re
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import yaml

from connectors.kafka.client_config import KafkaSecurity
from ops.reference.settings import SECTIONS
from ops.stack.parts.connect import worker_settings
from ops.stack.parts.kafka_nodes import kafka_properties
from runtime.logs import LOG_FORMATS
from tests.kits.compose import CORE, FILE, ROOT, Deployment, read_compose, without
from tests.kits.compose_parts import IMAGES

BROKER: Final = "broker"


def _text(path: str) -> str:
    return (ROOT / path).read_text()


def _settings(text: str, between: str = "=") -> dict[str, str]:
    lines = (line for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return {name: value for name, _, value in (line.partition(between) for line in lines)}


# --- Kafka and Connect ---

_JAAS: Final = "org.apache.kafka.common.security"
_PASSWORD: Final = '"${dir:/run/secrets:kafka_broker_password}"'
_LOGIN: Final = f'{_JAAS}.scram.ScramLoginModule required username="{BROKER}" password={_PASSWORD};'
_PROVIDER: Final = {
    "config.providers.dir.class": "org.apache.kafka.common.config.provider.DirectoryConfigProvider",
    "config.providers.dir.param.allowed.paths": "/run/secrets",
}
_OF_A_CLUSTER: Final = {
    **_PROVIDER,
    "config.providers": "env,dir",
    "config.providers.env.class": "org.apache.kafka.common.config.provider.EnvVarConfigProvider",
    "config.providers.env.param.allowlist.pattern": "KAFKA_(NODE|HOST|VOTERS|REPLICAS|IN_SYNC)",
    "node.id": "${env:KAFKA_NODE}",
    "controller.quorum.voters": "${env:KAFKA_VOTERS}",
    "listeners": "BROKER://:9092,CONTROLLER://:9093",
    "advertised.listeners": "BROKER://${env:KAFKA_HOST}:9092",
    "listener.security.protocol.map": "BROKER:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT",
    "sasl.enabled.mechanisms": "SCRAM-SHA-512",
    "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
    "listener.name.broker.sasl.enabled.mechanisms": "SCRAM-SHA-512",
    "listener.name.broker.scram-sha-512.sasl.jaas.config": _LOGIN,
    "sasl.mechanism.controller.protocol": "PLAIN",
    "listener.name.controller.sasl.enabled.mechanisms": "PLAIN",
    "listener.name.controller.plain.sasl.jaas.config": (
        _LOGIN.replace("scram.ScramLoginModule", "plain.PlainLoginModule").rstrip(";") + f" user_{BROKER}={_PASSWORD};"
    ),
    "log.dirs": "/var/lib/kafka/data",
    "offsets.topic.num.partitions": "12",
    "unclean.leader.election.enable": "false",
    "controlled.shutdown.enable": "true",
}
"""What differs from one machine, whose numbers of replicas are variables as well."""
_OF_ONE_MACHINE: Final = {
    "group.initial.rebalance.delay.ms",
    "broker.session.timeout.ms",
    "broker.heartbeat.interval.ms",
}


def wrong_kafka() -> Iterator[str]:
    """Settings of brokers and of their tools that are neither the embedded stack's nor a cluster's."""
    embedded = _settings(kafka_properties(Path("unused"), 1, 9092, 9093, "", 3))
    counted = {"3": "${env:KAFKA_REPLICAS}", "2": "${env:KAFKA_IN_SYNC}"}
    usual = {
        name: counted.get(value, value) if re.search(r"replicas|factor|isr", name) else value
        for name, value in embedded.items()
        if name not in _OF_ONE_MACHINE
    }
    files = {
        "server": usual | _OF_A_CLUSTER,
        "client": {
            **_PROVIDER, "config.providers": "dir", "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "SCRAM-SHA-512", "sasl.jaas.config": _LOGIN,
        },
    }  # fmt: skip
    for file, wanted in files.items():
        found = _settings(_text(f"deploy/kafka/{file}.properties"))
        for name in sorted(wanted.keys() | found.keys()):
            if wanted.get(name) != found.get(name):
                yield f"{file}.properties: {name} is {found.get(name)}, and not {wanted.get(name)}"
    script = _text("deploy/kafka/start.sh")
    if 'kafka-storage.sh" format --ignore-formatted ' not in script:
        yield "deploy/kafka/start.sh: a broker does not start a second time"
    if not re.search(r'^exec "\$home/bin/kafka-server-start.sh" "\$config"$', script, re.M):
        yield "deploy/kafka/start.sh: it becomes no broker"


def wrong_connect() -> Iterator[str]:
    """A worker that does not find its jars, its class or its secrets."""
    script, image = _text("deploy/connect/start.sh"), _text("deploy/connect/Dockerfile")
    (jars,) = re.findall(r"^jars=\$\{CONNECT_JARS:-(\S+)\}$", script, re.M)
    places = {
        *re.findall(r"-DoutputDirectory=(\S+)", image),
        *re.findall(r"^COPY --from=jars (\S+) (\S+)$", image, re.M)[0],
    }
    if places != {jars}:
        yield f"deploy/connect: jars are in {', '.join(sorted(places))}, and read from {jars}"
    pattern = "config.providers.env.param.allowlist.pattern"
    security = KafkaSecurity("SASL_PLAINTEXT", "SCRAM-SHA-512", "unused", "unused")
    read = str(worker_settings(8083, "unused", None, security)[pattern]).split("|")
    exported = re.findall(r"^export (.*)$", script, re.M)[0].split()
    if sorted(exported) != sorted({*read} - {"MARKETPLACE_DATABASE"}):
        yield f"deploy/connect/start.sh: connectors read {', '.join(read)}"
    for file in re.findall(r"^COPY ([\w/.]+) pom.xml$", image, re.M):
        if not (ROOT / file).exists():
            yield f"deploy/connect/Dockerfile: there is no {file}"
    for java in re.findall(r"^FROM \S+:(?:[\d.]+-eclipse-temurin-)?(\d+)", image, re.M):
        if int(java) < 17:
            yield f"deploy/connect/Dockerfile: Kafka needs Java 17 or newer, and this is {java}"
    if " org.apache.kafka.connect.cli.ConnectDistributed " not in script:
        yield "deploy/connect/start.sh: it becomes no worker"


# --- ClickHouse, Redis, MongoDB ---

_SERVER_LOGS: Final = {
    f"{name}_log"
    for name in ("query", "part", "query_thread", "query_views", "trace", "text", "metric", "asynchronous_metric",
                 "processors_profile", "session", "query_metric", "error", "opentelemetry_span", "asynchronous_insert")
}  # fmt: skip


def wrong_clickhouse() -> Iterator[str]:
    """Users that are let in from elsewhere or may write, and logs of the server that grow without end."""
    users = ET.parse(ROOT / "deploy/clickhouse/users.xml").getroot()
    for user in users.findall("users/*"):
        networks = user.find("networks")
        if (
            networks is None
            or networks.get("replace") != "replace"
            or {each.text for each in networks} != {"127.0.0.1", "::1"}
        ):
            yield f"users.xml: others than its own container are let in as {user.tag} without a password"
    if users.findtext("users/default/profile") != "readonly":
        yield "users.xml: who has no password may write"
    config = ET.parse(ROOT / "deploy/clickhouse/config.xml").getroot()
    if config.findtext("listen_host") != "0.0.0.0":
        yield "config.xml: it listens for nobody else"
    logs = {each.tag: each for each in config if each.tag.endswith("_log")}
    yield from (f"config.xml: {name} grows without end" for name in sorted(_SERVER_LOGS - logs.keys()))
    yield from (f"config.xml: there is no {name}" for name in sorted(logs.keys() - _SERVER_LOGS))
    for name, log in logs.items():
        kept = re.fullmatch(r"event_date \+ INTERVAL [1-9]\d? DAY DELETE", log.findtext("ttl", ""))
        if not kept and log.get("remove") != "remove":
            yield f"config.xml: {name} grows without end"


def wrong_redis() -> Iterator[str]:
    """Settings that are not the embedded stack's, or that a container needs others of."""
    conf, script = _settings(_text("deploy/redis/redis.conf"), " "), _text("deploy/redis/start.sh")
    wanted = {
        "bind": "* -::*", "port": "6379", "dir": "/data", "appendonly": "yes", "appendfsync": "everysec",
        "save": '""', "maxmemory-policy": "noeviction",
    }  # fmt: skip
    for name in sorted((wanted.keys() | conf.keys()) - {"maxmemory"}):
        if conf.get(name) != wanted.get(name):
            yield f"redis.conf: {name} is {conf.get(name)}, and not {wanted.get(name)}"
    if '\nrequirepass $(cat "$secrets/redis_password")\n' not in script:
        yield "deploy/redis/start.sh: everybody is let in"


# --- Images and versions ---


def wrong_versions() -> Iterator[str]:
    """Images whose versions are not those of the project, of its jars or of its Python."""
    project = tomllib.loads(_text("pyproject.toml"))["project"]
    version, python = project["version"], re.findall(r"\d+\.(\d+)", project["requires-python"])
    images = {each["image"] for each in read_compose().services.values()}
    ours = {image for image in images if image.startswith("marketplace")}
    if ours != {f"marketplace:{version}", f"marketplace-connect:{version}"}:
        yield f"compose.yml: {', '.join(sorted(ours))} are not of version {version}"
    kafka = re.findall(r"<artifactId>kafka_\S+\s+<version>(\S+)</version>", _text("ops/stack/parts/kafka_pom.xml"))
    if [f"apache/kafka:{each}" for each in kafka] != [image for image in images if image.startswith("apache/kafka:")]:
        yield f"compose.yml: brokers are not of version {kafka}, which tests run with"
    chart = yaml.safe_load(_text("helm/marketplace/Chart.yaml"))
    said = {
        "Dockerfile": re.findall(r"^ARG VERSION=(\S+)$", _text("Dockerfile"), re.M),
        "deploy/connect/Dockerfile": re.findall(r'image\.version="(\S+)"', _text("deploy/connect/Dockerfile")),
        "Chart.yaml": [str(chart["appVersion"])],
    }
    yield from (f"{file}: it is not of version {version}" for file, found in said.items() if found != [version])
    (minor,) = re.findall(r"^ARG PYTHON=3\.(\d+)\.\d+-", _text("Dockerfile"), re.M)
    if not int(python[0]) <= int(minor) < int(python[1]):
        yield f"Dockerfile: Python 3.{minor} is not of {project['requires-python']}"


def wrong_image() -> Iterator[str]:
    """An image of ours whose user, folders, variables and files do not belong together."""
    text = _text("Dockerfile")
    build, last = text.split("\nFROM ")[1:]
    user = IMAGES["marketplace"].user
    numbers = {
        *re.findall(r"^USER (\S+)$", last, re.M),
        *(f"{uid}:{gid}" for uid, gid in re.findall(r"--uid (\d+) --gid (\d+)", last)),
        *(f"{uid}:{gid}" for uid, gid in re.findall(r"--owner (\d+) --group (\d+)", last)),
        *(f"{gid}:{gid}" for gid in re.findall(r"groupadd --gid (\d+)", last)),
    }
    if numbers != {user}:
        yield f"Dockerfile: it has {', '.join(sorted(numbers))}, and its volumes are of {user}"
    (environment,) = re.findall(r"^ENV ((?:.*\\\n)*.*)$", last, re.M)
    given = dict(pair.split("=", 1) for pair in environment.replace("\\\n", " ").split())
    declared = {each.name for section in SECTIONS for each in section.variables}
    read = declared | {"PATH", "HOME", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONSAFEPATH"}
    yield from (f"Dockerfile: nothing reads {name}" for name in sorted(given.keys() - read))
    if given.get("MARKETPLACE_LOG_FORMAT") not in LOG_FORMATS:
        yield "Dockerfile: there is no such format of logs"
    folder = re.findall(r"--mode 0700 (\S+)$", last, re.M)
    if folder != [given.get("MARKETPLACE_DATA")] or re.findall(r"^WORKDIR (\S+)$", last, re.M) != folder:
        yield f"Dockerfile: data are not in {folder}"
    if given.get("HOME") != "/tmp":
        yield "Dockerfile: a home that cannot be written"
    places = {
        *re.findall(r"venv --without-pip (\S+)", build), *re.findall(r"--python (\S+)/bin/python", build),
        *re.findall(r"^COPY --from=build (\S+) (\S+)$", last, re.M)[0], given["PATH"].partition("/bin:")[0],
    }  # fmt: skip
    if len(places) != 1:
        yield f"Dockerfile: packages are in {', '.join(sorted(places))}"
    copied = set(re.findall(r"requirements-\w+\.lock", re.findall(r"^COPY (requirements.*)$", build, re.M)[0]))
    read_locks = {"requirements-build.lock", *(f"requirements-{lock}.lock" for lock in ("image", "stack"))}
    named = set(re.findall(r"requirements?-(?:\$\{LOCK\}|\w+)\.lock", build.split("RUN ", 1)[1]))
    if copied != read_locks or named != {"requirements-${LOCK}.lock", "requirements-build.lock"}:
        yield "Dockerfile: locks that are read are not those that are copied"


# --- What is chosen for a host ---


def wrong_choices() -> Iterator[str]:
    """What the demo, a small machine and the variables of a host change, and must not, or do not, and must."""
    for files in ((FILE,), (FILE, CORE)):
        plain, demo = (without(read_compose(*files), *profiles) for profiles in ((), ("demo",)))
        more = demo.services.keys() - plain.services.keys()
        if {name for name in more if not name.startswith("demo-")}:
            yield f"with the demo: {', '.join(sorted(more))} start as well"
    given = {"PUBLIC_HOST": "shop.example", "HSTS_SECONDS": "300", "PUBLIC_URL": "https://shop.example"}
    host: Deployment = read_compose(given=given)
    for name, variable, text in (
        ("dashboard", "MARKETPLACE_DASHBOARD_NAMES", "shop.example"),
        ("proxy", "PUBLIC_HOST", "shop.example"),
        ("proxy", "PUBLIC_URL", "https://shop.example"),
        ("proxy", "HSTS_SECONDS", "300"),
        ("api", "MARKETPLACE_API_PUBLIC_URL", "https://shop.example"),
        ("api", "MARKETPLACE_API_SHOP_URL", "https://shop.example"),
        ("api", "MARKETPLACE_API_COLLECTOR_URL", "https://shop.example"),
    ):
        if host.environment(name).get(variable) != text:
            yield f"{name}: {variable} is not the host's"


CHECKS: Final[Sequence[Callable[[], Iterator[str]]]] = (
    wrong_kafka,
    wrong_connect,
    wrong_clickhouse,
    wrong_redis,
    wrong_versions,
    wrong_image,
    wrong_choices,
)


def problems_of_files() -> list[str]:
    """All that is wrong."""
    return [line for check in CHECKS for line in check()]
