"""compose.yml as compose reads it, and what can be wrong with it beyond its own schema: each check lists problems."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from api.__main__ import read as read_api
from dashboards.__main__ import read as read_dashboard
from ingest.__main__ import read as read_collector
from marketplace.flows import CLICKS_FLOW, DEAD_LETTERS_FLOW
from ops import consumer_service, flow_service
from ops.demo.services import traffic
from ops.deploy.secrets import NAMES
from ops.processes import health_port
from ops.reference.settings import SECTIONS
from ops.relay.__main__ import read as read_relay
from ops.stack.registry import REGISTRY
from runtime.sections import PAYMENTS_URL, Settings
from runtime.settings import EnvReader, InvalidSettings, load

ROOT: Final = Path(__file__).resolve().parents[2]
FILE: Final = ROOT / "compose.yml"
CORE: Final = ROOT / "deploy" / "compose" / "core.yml"
SECRETS: Final = "/run/secrets/"
IMAGE: Final = "marketplace:"

_VARIABLE: Final = re.compile(r"\$\{(\w+)(?::-([^${}]*))?\}")
"""The innermost one: a default may have variables in it."""
_PLACE: Final = re.compile(r"(?<![\w.-])([a-z][a-z0-9-]*):(\d{2,5})(?!\d)")
_SECRET_NAME: Final = re.compile(r"PASSWORD|SECRET|API_KEY|TOKEN", re.IGNORECASE)
_DRAIN_SECONDS: Final = 10


@dataclass(frozen=True)
class Deployment:
    """A file of compose, merged and interpolated.

    Attributes:
        document: All of it.
        texts: What is mounted or read beside it, by its path from the root.
    """

    document: dict[str, Any]

    @property
    def services(self) -> dict[str, dict[str, Any]]:
        return dict(self.document["services"])

    @property
    def ours(self) -> dict[str, dict[str, Any]]:
        """Those of our image."""
        return {name: each for name, each in self.services.items() if each["image"].startswith(IMAGE)}

    def environment(self, name: str) -> dict[str, str]:
        return {key: str(value) for key, value in (self.services[name].get("environment") or {}).items()}

    def runs(self, name: str) -> str:
        """The service of ours that a container runs, as the registry knows it; empty for a job or a part."""
        service = self.services[name]
        command = service.get("command") or []
        if service.get("entrypoint") == ["python", "-m", "ops.sandbox_provider"]:
            return "payments"
        return str(command[1]) if command[:1] == ["run"] else ""


def read_compose(*files: Path, given: Mapping[str, str] | None = None) -> Deployment:
    """The file as compose would have it, with those that follow merged into it."""
    document: dict[str, Any] = {}
    for file in files or (FILE,):
        document = _merged(document, yaml.safe_load(file.read_text()))
    return Deployment(_interpolated(document, given or {}))


def without(deployment: Deployment, *profiles: str) -> Deployment:
    """What starts with these profiles."""
    services = {
        name: each
        for name, each in deployment.services.items()
        if not each.get("profiles") or set(each["profiles"]) & set(profiles)
    }
    return Deployment({**deployment.document, "services": services})


def _merged(below: Any, above: Any) -> Any:
    if isinstance(below, dict) and isinstance(above, dict):
        return {**below, **{key: _merged(below[key], value) if key in below else value for key, value in above.items()}}
    return above


def _interpolated(value: Any, given: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _interpolated(each, given) for key, each in value.items()}
    if isinstance(value, list):
        return [_interpolated(each, given) for each in value]
    if isinstance(value, str):
        while _VARIABLE.search(value):
            value = _VARIABLE.sub(lambda found: given.get(found[1]) or found[2] or "", value)
        return value.replace("$$", "$")
    return value


# --- Settings ---


def unknown_variables(deployment: Deployment) -> Iterator[str]:
    """Variables that the code does not read, and files for what is no secret."""
    declared = {name for section in SECTIONS for each in section.variables for name in (each.name, each.file_name)}
    for name in deployment.ours:
        for variable in deployment.environment(name):
            if variable not in declared:
                yield f"{name}: nothing reads {variable}"


def _read_consumers(env: EnvReader) -> object:
    return consumer_service.read(env), env.require(PAYMENTS_URL, "", "")


READERS: Final[Mapping[str, Callable[[EnvReader], object]]] = {
    "api": read_api,
    "collector": read_collector,
    "dashboard": read_dashboard,
    "flow": lambda env: flow_service.read(env, CLICKS_FLOW),
    "dead_letters": lambda env: flow_service.read(env, DEAD_LETTERS_FLOW),
    "relay": read_relay,
    "consumers": _read_consumers,
    "traffic": lambda env: (Settings.read(env, needs=("mongo",)), env.read(traffic.TRAFFIC_RATE)),
    "provision": Settings.read,
}


def refused_settings(deployment: Deployment, secrets: Path) -> Iterator[str]:
    """What each process would say of its settings before it begins, with secrets that were made."""
    for name in deployment.ours:
        read = READERS.get(deployment.runs(name) or deployment.services[name]["command"][0])
        if read is None:
            continue
        given = {key: text.replace(SECRETS, f"{secrets}/") for key, text in deployment.environment(name).items()}
        try:
            load(given, read)
        except InvalidSettings as error:
            yield f"{name}: {error}"


NEEDED: Final = (
    ("api", "MARKETPLACE_PAYMENTS_URL"),
    ("traffic", "MARKETPLACE_PAYMENTS_URL"),
    ("traffic", "MARKETPLACE_TRAFFIC_API"),
    ("traffic", "MARKETPLACE_TRAFFIC_COLLECTOR"),
)
"""What a process needs in a deployment, although its reader does not insist: elsewhere it goes without."""


def lacking_settings(deployment: Deployment) -> Iterator[str]:
    """What a process is not given, would start without, and could not do its work without."""
    for name in deployment.ours:
        for runs, variable in NEEDED:
            if deployment.runs(name) == runs and not deployment.environment(name).get(variable):
                yield f"{name}: it is not given {variable}"


# --- Ports and health ---


def listening(deployment: Deployment) -> dict[str, set[int]]:
    """Where each container listens for others, as its code or its own configuration says."""
    found = {
        name: {_default_port(deployment.runs(name))} for name in deployment.ours if deployment.runs(name) != "traffic"
    }
    kafka = _text("deploy/kafka/server.properties")
    for name in deployment.services:
        if name.startswith("kafka-"):
            found[name] = {int(port) for port in re.findall(r"^listeners=\S*?:(\d+),\S*?:(\d+)$", kafka, re.M)[0]}
        if re.fullmatch(r"mongo-\d", name):
            found[name] = {27017}
    found["clickhouse"] = {8123}
    found["redis"] = {int(re.findall(r"^port (\d+)$", _text("deploy/redis/redis.conf"), re.M)[0])}
    found["connect"] = {
        int(re.findall(r"^listeners=http://:(\d+)$", _text("deploy/connect/worker.properties"), re.M)[0])
    }
    found["mail"] = {1025, 8025}
    values = "".join(file.read_text() for file in (ROOT / "deploy/compose/nginx/values").glob("*.conf"))
    found["proxy"] = {int(port) for port in re.findall(r"listen (?:[\d.]+:)?(\d+)", values)}
    return found


def _default_port(service: str) -> int:
    port = REGISTRY[service].default_port if service else 0
    return port or 0


def _text(path: str) -> str:
    return (ROOT / path).read_text()


def wrong_ports(deployment: Deployment) -> Iterator[str]:
    """Addresses of a container at which it does not listen: in settings, commands, published ports and nginx."""
    known = listening(deployment)
    fixed = {
        each["networks"]["front"]["ipv4_address"]: name
        for name, each in deployment.services.items()
        if isinstance(each.get("networks"), dict) and "ipv4_address" in each["networks"].get("front", {})
    }
    for where, text in _spoken(deployment):
        for address, name in fixed.items():
            text = text.replace(f"//{address}:", f"//{name}:")
        for host, port in _PLACE.findall(text):
            if host in known and int(port) not in known[host]:
                yield f"{where}: {host} does not listen at {port}"
    for name, service in deployment.services.items():
        for published in service.get("ports") or []:
            if int(published.rpartition(":")[2]) not in known[name]:
                yield f"{name}: it publishes {published}, and does not listen there"


def _spoken(deployment: Deployment) -> Iterator[tuple[str, str]]:
    for name in deployment.services:
        for key, text in deployment.environment(name).items():
            yield f"{name}: {key}", text
        for word in deployment.services[name].get("command") or []:
            yield f"{name}: {word}", word
    for path in ("deploy/compose/nginx/values/api.conf", "deploy/compose/nginx/values/collector.conf",
                 "deploy/compose/nginx/values/dashboard.conf", "deploy/connect/worker.properties"):  # fmt: skip
        yield path, _text(path)


def wrong_health(deployment: Deployment) -> Iterator[str]:
    """Health checks of ours that ask another service or port than the one that runs, and pages that are not there."""
    for name, service in deployment.services.items():
        health = service.get("healthcheck") or {}
        test = health.get("test") or []
        runs = deployment.runs(name) if name in deployment.ours else ""
        if runs:
            if test != ["CMD", "marketplace", "health", runs]:
                yield f"{name}: its health is not asked by `marketplace health {runs}`"
            elif not health_port(REGISTRY[runs], deployment.environment(name)):
                yield f"{name}: its port is not known"
        elif name in deployment.ours:
            if not health.get("disable"):
                yield f"{name}: a job has no health"
        elif not test:
            yield f"{name}: nobody asks it how it is"
        for url in re.findall(r"http://127\.0\.0\.1:(\d+)(/\S*)", " ".join(test)):
            yield from _wrong_page(deployment, name, int(url[0]), url[1])


def _wrong_page(deployment: Deployment, name: str, port: int, path: str) -> Iterator[str]:
    pages = {"proxy": re.findall(r"location = (/\S+) \{", _text("deploy/nginx/nginx.conf")), "connect": ["/health"]}
    if port not in listening(deployment)[name] or path not in pages[name]:
        yield f"{name}: there is no page {path} at port {port}"


# --- Secrets, volumes, images ---


def plain_secrets(deployment: Deployment) -> Iterator[str]:
    """Passwords in variables or commands, and URLs with one in them."""
    for name in deployment.services:
        for key, text in deployment.environment(name).items():
            if text and not text.startswith("/") and _SECRET_NAME.search(key) and not key.endswith("_FILE"):
                yield f"{name}: {key} has a secret in plain"
        for where, text in _spoken(deployment):
            if where.startswith(f"{name}:") and re.search(r"://[^/\s@]*:[^/\s@]+@", text):
                yield f"{where}: a URL has a password in it"


def wrong_secrets(deployment: Deployment) -> Iterator[str]:
    """Secrets that are declared, made, given and read by different names."""
    declared = deployment.document["secrets"]
    for secret, source in declared.items():
        if source != {"file": f"./deploy/compose/secrets/{secret}"} or secret not in NAMES:
            yield f"{secret}: `marketplace deploy secrets` makes no such file"
    used = set()
    for name, service in deployment.services.items():
        given = {each if isinstance(each, str) else each["source"] for each in service.get("secrets") or []}
        used |= given
        yield from (f"{name}: the secret {secret} is not declared" for secret in sorted(given - set(declared)))
        read = _secrets_read(deployment, name)
        yield from (f"{name}: it reads {secret}, and is not given it" for secret in sorted(read - given))
        mounted = {each["source"] for each in service.get("secrets") or [] if isinstance(each, dict)}
        yield from (f"{name}: it is given {secret}, and does not read it" for secret in sorted(given - read - mounted))
    yield from (f"{secret}: nothing is given it" for secret in sorted(set(declared) - used))


def _secrets_read(deployment: Deployment, name: str) -> set[str]:
    service = deployment.services[name]
    texts = [*deployment.environment(name).values(), *(service.get("command") or [])]
    for volume in service.get("volumes") or []:
        source = ROOT / volume.partition(":")[0]
        if volume.startswith("./") and source.exists():
            files = [source] if source.is_file() else [each for each in source.rglob("*") if each.is_file()]
            texts += [each.read_text() for each in files if each.name != "Dockerfile"]
    text = "\n".join(texts)
    return set(re.findall(r"(?:/run/secrets[/:]|\$secrets/|secret )([a-z_]+)", text)) & set(NAMES)


def wrong_volumes(deployment: Deployment) -> Iterator[str]:
    """Volumes that are not declared or not used, and files that are not there."""
    declared, used = set(deployment.document["volumes"]), set()
    for name, service in deployment.services.items():
        targets = []
        for volume in service.get("volumes") or []:
            source, target, *mode = volume.split(":")
            targets.append(target)
            if source.startswith("./"):
                if not (ROOT / source).exists():
                    yield f"{name}: there is no {source}"
                if mode != ["ro"]:
                    yield f"{name}: {source} can be written"
            else:
                used.add(source)
                if source not in declared:
                    yield f"{name}: the volume {source} is not declared"
        if len(set(targets)) < len(targets):
            yield f"{name}: two volumes in one place"
        writes = _WRITES.get(deployment.runs(name) or service["image"].partition(":")[0])
        if writes and writes not in targets:
            yield f"{name}: what it writes into {writes} is on no volume"
    yield from (f"{volume}: nothing uses it" for volume in sorted(declared - used))


_WRITES: Final = {
    "api": "/data", "payments": "/data", "traffic": "/data", "apache/kafka": "/var/lib/kafka/data", "mongo": "/data/db",
    "clickhouse/clickhouse-server": "/var/lib/clickhouse", "valkey/valkey": "/data",
}  # fmt: skip
"""Where each keeps what must outlast its container."""


def loose_images(deployment: Deployment) -> Iterator[str]:
    """Images without an exact version."""
    for name, service in deployment.services.items():
        image = service["image"]
        if not re.fullmatch(r"[a-z0-9/-]+:v?\d+\.\d+\.\d+[a-z0-9._-]*", image):
            yield f"{name}: {image} is no exact version"


def wrong_builds(deployment: Deployment) -> Iterator[str]:
    """Images of ours that nobody builds, or several at once, which would write one tag together."""
    built: dict[str, list[str]] = {}
    for name, service in deployment.services.items():
        if "build" in service:
            built.setdefault(service["image"], []).append(name)
    for image in sorted({service["image"] for service in deployment.services.values()}):
        if image.startswith("marketplace") and image not in built:
            yield f"{image}: nobody builds it"
    for image, names in built.items():
        if len(names) > 1:
            yield f"{image}: {', '.join(names)} build it"


# --- The rest ---


def wrong_order(deployment: Deployment) -> Iterator[str]:
    """What waits for a container that is not there, or for what it never says."""
    for name, service in deployment.services.items():
        for other, how in (service.get("depends_on") or {}).items():
            found = deployment.services.get(other)
            if found is None:
                yield f"{name}: it waits for {other}, which is not there"
                continue
            job = found.get("restart") == "on-failure:5"
            if how["condition"] != ("service_completed_successfully" if job else "service_healthy"):
                yield f"{name}: it waits for {other} to be {how['condition']}"


def loose_containers(deployment: Deployment) -> Iterator[str]:
    """Containers that may do more, take more or say more than they need."""
    for name, service in deployment.services.items():
        if service.get("cap_drop") != ["ALL"] or "no-new-privileges:true" not in service.get("security_opt", []):
            yield f"{name}: it keeps capabilities"
        if not re.fullmatch(r"[1-9]\d*:[1-9]\d*", service.get("user", "")):
            yield f"{name}: it runs as no user with a number, or as root"
        if name in deployment.ours and not service.get("read_only"):
            yield f"{name}: its root file system can be written"
        limits = service.get("deploy", {}).get("resources", {}).get("limits", {})
        if not {"cpus", "memory"} <= limits.keys():
            yield f"{name}: it has no limits"
        if not service.get("logging", {}).get("options", {}).get("max-size"):
            yield f"{name}: its log grows without end"
        if not service.get("restart"):
            yield f"{name}: nobody starts it again"
        if service.get("privileged") or service.get("network_mode") or service.get("pid"):
            yield f"{name}: it is not alone"
        if name in deployment.ours and int(service["stop_grace_period"].removesuffix("s")) <= _DRAIN_SECONDS:
            yield f"{name}: it is killed before it has finished"
        for port in service.get("ports") or []:
            if not port.startswith("127.0.0.1:"):
                yield f"{name}: it publishes {port} to everybody"


_JVMS: Final = ("apache/kafka", "marketplace-connect")


def closed_scratch(deployment: Deployment) -> Iterator[str]:
    """JVMs that cannot load the libraries which codecs unpack into /tmp: an engine mounts it without execution."""
    for name, service in deployment.services.items():
        if service["image"].partition(":")[0] not in _JVMS:
            continue
        options = {place: text.split(",") for place, _, text in (each.partition(":") for each in service["tmpfs"])}
        if "exec" not in options.get("/tmp", []):
            yield f"{name}: nothing in its /tmp can be executed"


def limits(deployment: Deployment) -> tuple[float, int]:
    """CPUs and MiB that all containers together may take."""
    found = [each["deploy"]["resources"]["limits"] for each in deployment.services.values()]
    return sum(float(each["cpus"]) for each in found), sum(int(each["memory"].removesuffix("M")) for each in found)


def problems(deployment: Deployment, secrets: Path) -> list[str]:
    """All that is wrong."""
    checks: Sequence[Callable[[Deployment], Iterator[str]]] = (
        unknown_variables,
        lacking_settings,
        wrong_ports,
        wrong_health,
        plain_secrets,
        wrong_secrets,
        wrong_volumes,
        loose_images,
        wrong_builds,
        wrong_order,
        loose_containers,
        closed_scratch,
    )
    return [*(line for check in checks for line in check(deployment)), *refused_settings(deployment, secrets)]
