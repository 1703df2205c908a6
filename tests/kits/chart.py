"""What the chart makes of values, and what is wrong with it beyond the schemas of Kubernetes, as lists of problems."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import kubernetes_validate
import yaml
from kubernetes_validate import ValidationError, validate

from ops.deploy.secrets import NAMES
from ops.processes import health_port
from ops.reference.settings import SECTIONS
from ops.stack.components import ServiceSpec
from ops.stack.registry import REGISTRY
from runtime.settings import InvalidSettings, load
from tests.kits.compose import READERS, ROOT, Deployment

CHART: Final = ROOT / "helm" / "marketplace"
VALUES: Final = tuple(sorted(file.stem for file in (ROOT / "helm" / "values").glob("*.yaml")))
HELM: Final = Path(sys.executable).parent / "helm"
KUBERNETES: Final = ("1.30", "1.37")
"""The oldest and the newest version that what is rendered is held against."""

_MOUNTED: Final = "/run/secrets/marketplace/"
_OWN_KEYS: Final = {"smtp_password"}
"""Of the Secret, beside what `marketplace deploy secrets` makes: somebody else's password."""

_DRAIN_SECONDS: Final = 10
_WORKER_MB: Final = 160
_SECRET_NAME: Final = re.compile(r"PASSWORD|SECRET|API_KEY|TOKEN")


@dataclass(frozen=True)
class Pod:
    """A template of pods.

    Attributes:
        name: Of what makes them.
        labels: Theirs.
        spec: Theirs.
    """

    name: str
    labels: dict[str, str]
    spec: dict[str, Any]

    @property
    def container(self) -> dict[str, Any]:
        """Its only one."""
        (found,) = self.spec["containers"]
        return dict(found)

    @property
    def environment(self) -> dict[str, str]:
        return {each["name"]: each["value"] for each in self.container["env"]}

    @property
    def ports(self) -> dict[str, int]:
        return {each["name"]: each["containerPort"] for each in self.container.get("ports", [])}

    @property
    def runs(self) -> str:
        """The service of ours, as the registry knows it; empty for a job."""
        if self.container.get("command") == ["python", "-m", "ops.sandbox_provider"]:
            return "payments"
        first, *rest = self.container["args"]
        return str(rest[0]) if first == "run" else ""

    @property
    def reader(self) -> str:
        """The name in `READERS` of what reads its settings."""
        return self.runs or str(self.container["args"][0])


@dataclass(frozen=True)
class Rendered:
    """What the chart makes of a file of values."""

    documents: list[dict[str, Any]]

    def of_kind(self, *kinds: str) -> Iterator[dict[str, Any]]:
        return (each for each in self.documents if each["kind"] in kinds)

    @property
    def pods(self) -> list[Pod]:
        return [
            Pod(
                each["metadata"]["name"],
                each["spec"]["template"]["metadata"]["labels"],
                each["spec"]["template"]["spec"],
            )
            for each in self.of_kind("Deployment", "StatefulSet", "Job")
        ]

    def changed(self, change: Callable[[list[dict[str, Any]]], None]) -> Rendered:
        """Another one, with a change in it."""
        documents = deepcopy(self.documents)
        change(documents)
        return Rendered(documents)


def render(values: str, *arguments: str, release: str = "market") -> Rendered:
    """What `helm template` makes of a file of values."""
    file = ROOT / "helm" / "values" / f"{values}.yaml"
    command = [str(HELM), "template", release, str(CHART), "--namespace", "shop", "--values", str(file), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise ValueError(done.stderr)
    return Rendered([each for each in yaml.safe_load_all(done.stdout) if each])


# --- Kubernetes' own rules ---


def refused_by_kubernetes(rendered: Rendered) -> Iterator[str]:
    """What its schemas do not take, unknown keys included."""
    for version in KUBERNETES:
        for each in rendered.documents:
            try:
                validate(each, version, strict=True)
            except ValidationError as error:
                yield f"{each['kind']} {each['metadata']['name']}: {version}: {error.message}"


# --- Settings ---


def unknown_variables(rendered: Rendered) -> Iterator[str]:
    """Variables that the code does not read, and files for what is no secret."""
    declared = {name for section in SECTIONS for each in section.variables for name in (each.name, each.file_name)}
    for pod in rendered.pods:
        yield from (f"{pod.name}: nothing reads {name}" for name in sorted(pod.environment.keys() - declared))


def refused_settings(rendered: Rendered, secrets: Path) -> Iterator[str]:
    """What each process would say of its settings before it begins, with secrets that were made."""
    for pod in rendered.pods:
        if pod.runs == "payments":
            continue
        given = {name: re.sub(r"^/run/secrets/[\w-]+/", f"{secrets}/", text) for name, text in pod.environment.items()}
        try:
            load(given, READERS[pod.reader])
        except InvalidSettings as error:
            yield f"{pod.name}: {error}"


def plain_secrets(rendered: Rendered) -> Iterator[str]:
    """Passwords in variables, arguments or objects of their own, and URLs with one in them."""
    for each in rendered.of_kind("Secret"):
        yield f"{each['metadata']['name']}: the chart makes a Secret"
    for pod in rendered.pods:
        for name, text in pod.environment.items():
            if text and _SECRET_NAME.search(name) and not name.endswith("_FILE"):
                yield f"{pod.name}: {name} has a secret in plain"
        for text in (*pod.environment.values(), *pod.container["args"]):
            if re.search(r"://[^/\s@]*:[^/\s@]+@", text):
                yield f"{pod.name}: a URL has a password in it"


def wrong_secrets(rendered: Rendered) -> Iterator[str]:
    """Files that are read and not mounted, mounted and not read, or under a key that nobody makes."""
    for pod in rendered.pods:
        volumes = {each["name"]: each for each in pod.spec["volumes"]}
        items = volumes.get("secrets", {}).get("secret", {}).get("items", [])
        given = {each["path"] for each in items}
        texts = "\n".join([*pod.environment.values(), *pod.container["args"]])
        read = set(re.findall(rf"{_MOUNTED}(\w+)", texts))
        yield from (f"{pod.name}: it reads {name}, and is not given it" for name in sorted(read - given))
        yield from (f"{pod.name}: it is given {name}, and does not read it" for name in sorted(given - read))
        for key in sorted({each["key"] for each in items} - {*NAMES, *_OWN_KEYS}):
            yield f"{pod.name}: nobody makes the key {key}"


# --- Ports and probes ---


def wrong_probes(rendered: Rendered) -> Iterator[str]:
    """Probes that ask where nobody listens, for pages that are not there, or from where nobody is let in."""
    for pod in rendered.pods:
        probes = {kind: pod.container.get(f"{kind}Probe") for kind in ("startup", "liveness", "readiness")}
        if not pod.runs:
            if any(probes.values()):
                yield f"{pod.name}: a job has no probe"
            continue
        component = REGISTRY[pod.runs]
        is_page = component.check.protocol == "page"
        pages = dict.fromkeys(probes, component.check.path if is_page else "/livez")
        if not is_page:
            pages["readiness"] = "/readyz"
        for kind, probe in probes.items():
            if probe is None:
                yield f"{pod.name}: nobody asks for its {kind}"
                continue
            asked = probe["httpGet"]
            if asked["path"] != pages[kind]:
                yield f"{pod.name}: {kind} asks for {asked['path']}, which is not its page"
            if pod.runs != "payments" and pod.ports.get(asked["port"]) != health_port(component, pod.environment):
                yield f"{pod.name}: {kind} asks at {asked['port']}, where nothing says how it is"
        if isinstance(component, ServiceSpec):
            listen = component.listen_variable or component.port_variable
            host = (component.admin_port_variable or listen).removesuffix("_PORT") + "_HOST"
            if pod.environment.get(host) != "0.0.0.0":
                yield f"{pod.name}: no probe reaches it, because {host} is not 0.0.0.0"


def wrong_ports(rendered: Rendered) -> Iterator[str]:
    """Ports and names by which nothing of this release is found."""
    pods = rendered.pods
    services = {each["metadata"]["name"]: each for each in rendered.of_kind("Service")}
    for pod in pods:
        component = REGISTRY[pod.runs] if pod.runs else None
        if isinstance(component, ServiceSpec) and "http" in pod.ports:
            listen = component.listen_variable or component.port_variable
            if pod.environment.get(listen) != str(pod.ports["http"]):
                yield f"{pod.name}: it does not listen at {pod.ports['http']}"
        texts = [*pod.environment.values(), *pod.container["args"]]
        for host, port in re.findall(r"//(market-[a-z-]+):(\d+)", "\n".join(texts)):
            if int(port) not in {each["port"] for each in services.get(host, {"spec": {"ports": []}})["spec"]["ports"]}:
                yield f"{pod.name}: there is no {host} at {port}"
    for name, service in services.items():
        found = [pod for pod in pods if service["spec"]["selector"].items() <= pod.labels.items()]
        if len(found) != 1:
            yield f"{name}: it finds {len(found)} kinds of pods"
            continue
        for port in service["spec"]["ports"]:
            if found[0].ports.get(port["targetPort"]) != port["port"]:
                yield f"{name}: its pods have no port {port['targetPort']} of {port['port']}"
    for ingress in rendered.of_kind("Ingress"):
        for path in ingress["spec"]["rules"][0]["http"]["paths"]:
            backend = path["backend"]["service"]
            ports = services.get(backend["name"], {"spec": {"ports": []}})["spec"]["ports"]
            if backend["port"]["name"] not in {each["name"] for each in ports}:
                yield f"{path['path']}: it leads to no port of {backend['name']}"


def lost_policies(rendered: Rendered) -> Iterator[str]:
    """Budgets, policies and autoscalers that are about nothing, and autoscalers of what must not grow by pods."""
    pods = rendered.pods
    for each in rendered.of_kind("PodDisruptionBudget", "NetworkPolicy"):
        spec = each["spec"]
        labels = (spec.get("selector") or spec["podSelector"])["matchLabels"]
        if not any(labels.items() <= pod.labels.items() for pod in pods):
            yield f"{each['kind']} {each['metadata']['name']}: it is about no pod"
    for policy in rendered.of_kind("NetworkPolicy"):
        labels = policy["spec"]["podSelector"]["matchLabels"]
        known = {port for pod in pods if labels.items() <= pod.labels.items() for port in pod.ports.values()}
        for way in policy["spec"].get("ingress", []):
            for port in {each["port"] for each in way.get("ports", [])} - known:
                yield f"NetworkPolicy {policy['metadata']['name']}: nothing listens at {port}"
    growing = {"api", "collector"}
    for each in rendered.of_kind("HorizontalPodAutoscaler"):
        target = each["spec"]["scaleTargetRef"]
        found = [pod for pod in pods if pod.name == target["name"]]
        if target["kind"] != "Deployment" or not found or found[0].runs not in growing:
            yield f"HorizontalPodAutoscaler {each['metadata']['name']}: {target['name']} must not grow by itself"
    for each in rendered.of_kind("StatefulSet"):
        if each["spec"]["replicas"] != 1:
            yield f"{each['metadata']['name']}: a second pod would fence the first"


# --- Pods ---


def loose_pods(rendered: Rendered) -> Iterator[str]:
    """Pods that may do more or take more than they need, or are not given the time to end."""
    for pod in rendered.pods:
        own, every = pod.container.get("securityContext", {}), pod.spec.get("securityContext", {})
        if not every.get("runAsNonRoot") or not every.get("runAsUser"):
            yield f"{pod.name}: it may run as root"
        if not own.get("readOnlyRootFilesystem"):
            yield f"{pod.name}: its root file system can be written"
        if (
            own.get("allowPrivilegeEscalation", True)
            or own.get("capabilities") != {"drop": ["ALL"]}
            or own.get("privileged")
        ):
            yield f"{pod.name}: it keeps capabilities, or can get some"
        if every.get("seccompProfile") != {"type": "RuntimeDefault"}:
            yield f"{pod.name}: any system call is open to it"
        if pod.spec.get("automountServiceAccountToken", True):
            yield f"{pod.name}: it has a token of Kubernetes"
        if any(pod.spec.get(each) for each in ("hostNetwork", "hostPID", "hostIPC")):
            yield f"{pod.name}: it is in its node's own spaces"
        bounds = pod.container.get("resources", {})
        if any(not {"cpu", "memory"} <= bounds.get(kind, {}).keys() for kind in ("requests", "limits")):
            yield f"{pod.name}: it has no limits or no requests"
        if pod.runs and pod.spec.get("terminationGracePeriodSeconds", 30) <= _DRAIN_SECONDS:
            yield f"{pod.name}: it is killed before it has finished"
        memory = pod.environment.get("MARKETPLACE_FLOW_MEMORY_MB")
        if memory is not None:
            wanted = int(memory) + _WORKER_MB * int(pod.environment["MARKETPLACE_FLOW_WORKERS"])
            if wanted > _megabytes(bounds["limits"]["memory"]):
                yield f"{pod.name}: its state and workers take {wanted} MB, more than its limit"


def loose_images(rendered: Rendered) -> Iterator[str]:
    """Images without an exact version."""
    for pod in rendered.pods:
        if not re.search(r":v?\d+\.\d+\.\d+[\w.-]*$|@sha256:[0-9a-f]{64}$", pod.container["image"]):
            yield f"{pod.name}: {pod.container['image']} is no exact version"


def wrong_volumes(rendered: Rendered) -> Iterator[str]:
    """Mounts without a volume, volumes without a mount, and places that are written to and are on none."""
    for each in rendered.of_kind("Deployment", "StatefulSet", "Job"):
        spec, name = each["spec"]["template"]["spec"], each["metadata"]["name"]
        claims = {claim["metadata"]["name"] for claim in each["spec"].get("volumeClaimTemplates", [])}
        volumes = {volume["name"] for volume in spec["volumes"]} | claims
        mounts = {mount["name"]: mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]}
        yield from (f"{name}: there is no volume {mount}" for mount in sorted(mounts.keys() - volumes))
        yield from (f"{name}: nothing mounts the volume {volume}" for volume in sorted(volumes - mounts.keys()))
        texts = "\n".join(str(each["value"]) for each in spec["containers"][0]["env"])
        for place in sorted(set(re.findall(r"^(/run/secrets/[\w-]+)/", texts, re.M)) - set(mounts.values())):
            yield f"{name}: nothing is mounted at {place}"
        yield from (f"{name}: {place} cannot be written" for place in ("/tmp", "/data") if place not in mounts.values())


def _megabytes(quantity: str) -> int:
    number, unit = re.fullmatch(r"(\d+)([MG])i", quantity).groups()  # type: ignore[union-attr]  # None fails the test
    return int(number) * (1024 if unit == "G" else 1)


CHECKS: Final[Sequence[Callable[[Rendered], Iterator[str]]]] = (
    unknown_variables,
    plain_secrets,
    wrong_secrets,
    wrong_probes,
    wrong_ports,
    lost_policies,
    loose_pods,
    loose_images,
    wrong_volumes,
)


def problems(rendered: Rendered, secrets: Path) -> list[str]:
    """All that is wrong, but for Kubernetes' own rules."""
    return [*(line for check in CHECKS for line in check(rendered)), *refused_settings(rendered, secrets)]


def schemas_for_kubeconform(folder: Path, version: str) -> str:
    """Where kubeconform finds the schemas of a version, whose references are written as it reads them."""
    source = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema" / f"v{version}.0-local-strict"
    folder.mkdir(parents=True, exist_ok=True)
    for file in source.glob("*.json"):
        document = json.loads(file.read_text().replace('"/api/_definitions.json#', '"_definitions.json#'))
        document.pop("$id", None)
        (folder / file.name).write_text(json.dumps(document))
    return f"{folder}/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json"


# --- As containers without an engine run them ---

PROCESSES: Final[Mapping[str, str]] = {
    "api": "api", "collector": "collector", "dashboard": "dashboard", "flow": "flow-clicks", "relay": "relay",
    "dead-letters": "flow-dead-letters", "consumers": "consumers-all", "provision": "provision", "payments": "sandbox",
}  # fmt: skip
"""Processes by their names in compose.yml and in the chart."""


def as_container(pod: Pod) -> dict[str, Any]:
    """What compose would say of a pod; `probe` is the port and the path at which it says that it is ready."""
    own, user = pod.container, pod.spec["securityContext"]["runAsUser"]
    mounts = {each["name"]: each["mountPath"] for each in own["volumeMounts"]}
    volumes = {each["name"]: each for each in pod.spec["volumes"]}
    items = [
        {"source": item["key"], "target": f"{mounts[name]}/{item['path']}"}
        for name, volume in volumes.items()
        for item in volume.get("secret", {}).get("items", [])
    ]
    scratch = [place for name, place in mounts.items() if "secret" not in volumes.get(name, {})]
    ready = own.get("readinessProbe", {}).get("httpGet")
    limits = own["resources"]["limits"]
    return {
        "image": own["image"],
        "entrypoint": own.get("command") or [],
        "command": own["args"],
        "environment": pod.environment,
        "user": f"{user}:{pod.spec['securityContext']['runAsGroup']}",
        "read_only": own["securityContext"]["readOnlyRootFilesystem"],
        "secrets": items,
        "tmpfs": [f"{place}:size=128m,mode=1777" for place in scratch],
        "stop_grace_period": f"{pod.spec['terminationGracePeriodSeconds']}s",
        "deploy": {"resources": {"limits": {"memory": f"{_megabytes(limits['memory'])}M"}}},
        "probe": (pod.ports[ready["port"]], ready["path"]) if ready else None,
    }


def instead_of(compose: Deployment, rendered: Rendered) -> Deployment:
    """The parts of compose, in the same order, with the chart's processes in the place of its own."""
    pods = {pod.name.removeprefix("market-marketplace-"): pod for pod in rendered.pods}
    services = dict(compose.services)
    for name, process in PROCESSES.items():
        there = services[name]
        kept: dict[str, Any] = {key: there[key] for key in ("depends_on", "restart", "networks") if key in there}
        services[name] = as_container(pods[process]) | kept
    return Deployment({**compose.document, "services": services})


def nginx_ways() -> Mapping[str, str]:
    """Paths that the proxy of compose and of `up --proxy` passes on, each with the service that it leads to."""
    return {
        "/v1/collect": "collector", "/v1/import": "collector", "/v1/pixel.gif": "collector", "/m.js": "collector",
        "/v1/orders": "api", "/shop": "api", "/shop/brooklyn-coffee": "api", "/openapi.json": "api", "/docs": "api",
        "/problems/invalid": "api", "/.well-known/jwks.json": "api", "/": "dashboard", "/sign-in": "dashboard",
        "/_stcore/stream": "dashboard", "/orders": "dashboard", "/v1x": "dashboard",
    }  # fmt: skip
