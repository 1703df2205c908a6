"""What can be wrong in how containers of compose.yml find each other: networks, names, order, ends."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Final

from api.payments.routes import PAYMENTS
from connectors.payments.sandbox import NAME
from ops.stack.components import ServiceSpec
from ops.stack.registry import REGISTRY
from tests.kits.compose import ROOT, Deployment, listening

SPOKEN: Final = re.compile(r"(?<![\w.@-])(?:\d@)?([a-z][a-z0-9-]*):(\d{2,5})(?!\d)")


def _text(path: str) -> str:
    return (ROOT / path).read_text()


# --- Networks ---


def speaks_to(deployment: Deployment, name: str) -> set[str]:
    """Containers that one connects to, by its variables, commands and URLs in its secrets."""
    texts = [*deployment.environment(name).values(), *(deployment.services[name].get("command") or [])]
    if name == "proxy":
        texts += [file.read_text() for file in (ROOT / "deploy/compose/nginx/values").iterdir()]
    if name == "connect":
        texts.append(_text("deploy/connect/worker.properties"))
    found = {host for text in texts for host, _ in SPOKEN.findall(text) if host in deployment.services}
    addresses = {address: other for other, address in fixed_addresses(deployment).items()}
    found |= {other for address, other in addresses.items() if any(f"//{address}:" in text for text in texts)}
    for secret in deployment.services[name].get("secrets") or []:
        if secret == "mongo_url":
            found |= {each for each in deployment.services if re.fullmatch(r"mongo-\d", each)}
        if secret in ("clickhouse_url", "redis_url"):
            found.add(secret.removesuffix("_url"))
    mail = deployment.environment(name).get("MARKETPLACE_MAIL_SMTP_HOST")
    return (found | ({mail} if mail in deployment.services else set())) - {name}


def fixed_addresses(deployment: Deployment) -> dict[str, str]:
    """Addresses of containers on the front network."""
    return {
        name: each["networks"]["front"]["ipv4_address"]
        for name, each in deployment.services.items()
        if isinstance(each["networks"], dict) and "ipv4_address" in each["networks"].get("front", {})
    }


def wrong_networks(deployment: Deployment) -> Iterator[str]:
    """Containers that do not reach each other, addresses that cannot be given, and parts with a way out."""
    networks = deployment.document["networks"]
    if not networks["back"].get("internal"):
        yield "back: it has a way out"
    (config,) = networks["front"]["ipam"]["config"]
    addresses = fixed_addresses(deployment)
    if len(set(addresses.values())) < len(addresses):
        yield "front: two containers have one address"
    for name, address in addresses.items():
        if ip_address(address) not in ip_network(config["subnet"]) or ip_address(address) in ip_network(
            config["ip_range"]
        ):
            yield f"{name}: {address} is outside of the front network, or given to others as well"
    for name, service in deployment.services.items():
        for other in sorted(speaks_to(deployment, name)):
            if not set(service["networks"]) & set(deployment.services[other]["networks"]):
                yield f"{name}: it has no network with {other}"
        given = deployment.environment(name)
        if (
            set(service["networks"]) == {"back"}
            and {"MARKETPLACE_PAYMENTS_URL", "MARKETPLACE_MAIL_SMTP_HOST"} & given.keys()
        ):
            yield f"{name}: a provider elsewhere is out of its reach"
        if "front" in service["networks"] and re.match(r"kafka|mongo|clickhouse|redis|connect", name):
            yield f"{name}: a part has a way out"


def wrong_hosts(deployment: Deployment) -> Iterator[str]:
    """Names that no container has, proxies that are not, and processes that listen for nobody else."""
    for name in deployment.services:
        texts = [*deployment.environment(name).values(), *map(str, deployment.services[name].get("command") or [])]
        for host, port in sorted({found for text in texts for found in SPOKEN.findall(text)}):
            if host not in deployment.services and host != "localhost":
                yield f"{name}: there is no {host} at {port}"
        given = deployment.environment(name)
        if "MARKETPLACE_MAIL_SMTP_HOST" in given:
            port, known = int(given["MARKETPLACE_MAIL_SMTP_PORT"]), listening(deployment)
            if port not in known.get(given["MARKETPLACE_MAIL_SMTP_HOST"], set()) - {8025}:
                yield f"{name}: nobody takes mails at {given['MARKETPLACE_MAIL_SMTP_HOST']}:{port}"
            if given.get("MARKETPLACE_MAIL_SMTP_ENCRYPTED") != "off":
                yield f"{name}: the catcher has no TLS"
    for upstream in ("api", "collector", "dashboard"):
        (host,) = re.findall(r"^server ([a-z-]+):", _text(f"deploy/compose/nginx/values/{upstream}.conf"), re.M)
        if host != upstream:
            yield f"proxy: {upstream} is not {host}"
    asked = {other for name in deployment.services for other in speaks_to(deployment, name)}
    addresses = fixed_addresses(deployment)
    for name in sorted(asked & deployment.ours.keys()):
        component = REGISTRY[deployment.runs(name)]
        given = deployment.environment(name)
        if isinstance(component, ServiceSpec):
            listen = (component.listen_variable or component.port_variable).removesuffix("_PORT") + "_HOST"
            if given.get(listen) != "0.0.0.0":
                yield f"{name}: it listens for nobody else"
        elif "--host=0.0.0.0" not in deployment.services[name]["command"]:
            yield f"{name}: it listens for nobody else"
        for key, text in given.items():
            if key.endswith("_TRUSTED_PROXIES"):
                callers = [other for other in ("proxy", "dashboard") if name in speaks_to(deployment, other)]
                if text.split(",") != [addresses[other] for other in callers]:
                    yield f"{name}: it believes {text}, and not {' and '.join(callers)}"
    for name in deployment.ours:
        if deployment.runs(name) == "traffic":
            ways = {"COLLECTOR": "collector", "API": "api"}
            for key, service in ways.items():
                if deployment.environment(name).get(f"MARKETPLACE_TRAFFIC_{key}", "").find(f"//{service}:") < 0:
                    yield f"{name}: its visits do not go to {service}"
        for word in deployment.services[name].get("command") or []:
            if str(word).startswith("--port=") and int(word.removeprefix("--port=")) not in listening(deployment)[name]:
                yield f"{name}: it does not listen at {word}"
            if str(word).startswith("--webhook-url=") and str(word).partition("//api:8000")[2] not in webhook_paths():
                yield f"{name}: the API has no {word}"


def webhook_paths() -> set[str]:
    """Where the API takes webhooks of the sandbox."""
    return {path.replace("{provider}", NAME) for _, path in PAYMENTS.rules}


# --- Order and ends ---

_LATER: Final = {("payments", "api"), ("api", "payments")}
"""Who starts without the other: webhooks wait, and the storefront takes no card meanwhile."""


def missing_order(deployment: Deployment) -> Iterator[str]:
    """Containers that start before what they need."""
    for name in deployment.services:
        waits = _waits(deployment, name)
        if deployment.runs(name) not in ("", "payments") and "provision" not in waits:
            yield f"{name}: it does not wait for provision"
        for other in sorted(speaks_to(deployment, name) - waits):
            voters = re.match(r"kafka-\d", name) and re.match(r"kafka-\d", other)
            if not voters and (name, other) not in _LATER:
                yield f"{name}: it does not wait for {other}"


def _waits(deployment: Deployment, name: str) -> set[str]:
    found: set[str] = set()
    ahead = [name]
    while ahead:
        others = deployment.services[ahead.pop()].get("depends_on") or {}
        new = {other for other in others if other in deployment.services} - found
        found |= new
        ahead += new
    return found


def wrong_ends(deployment: Deployment) -> Iterator[str]:
    """Containers that are stopped by what they do not know, stay down, or keep logs of no size."""
    (drain,) = re.findall(r"^worker_shutdown_timeout (\d+)s;", _text("deploy/compose/nginx/values/main.conf"), re.M)
    for name, service in deployment.services.items():
        if service.get("stop_signal", "SIGTERM") != ("SIGQUIT" if name == "proxy" else "SIGTERM"):
            yield f"{name}: {service.get('stop_signal')} does not let it end"
        if name == "proxy" and int(service["stop_grace_period"].removesuffix("s")) <= int(drain):
            yield f"{name}: it is killed before requests have ended"
        job = bool((service.get("healthcheck") or {}).get("disable"))
        if service.get("restart") != ("on-failure:5" if job else "unless-stopped"):
            yield f"{name}: {service.get('restart')} is not how it is started again"
        if not re.fullmatch(r"[1-9]\d*[kmg]", str(service["logging"]["options"].get("max-size", ""))):
            yield f"{name}: its log has no size"
        scratch = {each.partition(":")[0] for each in service.get("tmpfs") or []}
        if service.get("read_only") and "/tmp" not in scratch:
            yield f"{name}: it can write nowhere"


def shared_volumes(deployment: Deployment) -> Iterator[str]:
    """Volumes that two containers write, but for the demo's."""
    used: dict[str, list[str]] = {}
    for name, service in deployment.services.items():
        for source in {each.partition(":")[0] for each in service.get("volumes") or []}:
            if not source.startswith("./"):
                used.setdefault(source, []).append(name)
    for volume, names in used.items():
        if len(names) > 1 and volume != "demo":
            yield f"{volume}: {', '.join(names)} write it"
