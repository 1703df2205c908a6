"""Whether what the chart makes belongs together: who may reach whom, hooks, accounts, owners, and what values say."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import yaml

from ops.deploy.secrets import NAMES
from ops.processes import health_port
from ops.stack.components import ServiceSpec
from ops.stack.registry import REGISTRY
from tests.kits.chart import CHART, Pod, Rendered
from tests.kits.compose import ROOT
from tests.kits.compose_parts import IMAGES
from tests.kits.compose_ways import webhook_paths

Labels = Mapping[str, str]
_PARTS: Final = {"mongo": 27017, "clickhouse": 8123, "redis": 6379}
"""Ports of parts whose URLs are in a Secret, as `marketplace deploy secrets` and the pages write them."""

_HOOK: Final = {"helm.sh/hook": "pre-install,pre-upgrade", "helm.sh/hook-delete-policy": "before-hook-creation"}


def values_of(name: str) -> dict[str, Any]:
    """The values that a file of values makes, as Helm merges them."""
    own = yaml.safe_load((CHART / "values.yaml").read_text())
    return dict(_merged(own, yaml.safe_load((ROOT / "helm" / "values" / f"{name}.yaml").read_text())))


def _merged(below: Any, above: Any) -> Any:
    if isinstance(below, dict) and isinstance(above, dict):
        return {**below, **{key: _merged(below.get(key), value) for key, value in above.items()}}
    return above


# --- Who reaches whom ---


def admits(rendered: Rendered, pod: Pod, port: int, *, pod_labels: Labels | None, namespace: Labels | None) -> bool:
    """Whether policies let somebody reach a port of a pod.

    Args:
        rendered: All policies.
        pod: Who is reached.
        port: Of it.
        pod_labels: Of a pod of the same namespace; None for one of another.
        namespace: Labels of another namespace.
    """
    ruled = False
    for spec in _policies(rendered, pod, "Ingress"):
        ruled = True
        for way in spec.get("ingress", []):
            if _has(way, port, "TCP") and ("from" not in way or any(
                _is(peer, pod_labels, namespace) for peer in way["from"]
            )):  # fmt: skip
                return True
    return not ruled


def may_leave(rendered: Rendered, pod: Pod, port: int, to: Labels | None, protocol: str = "TCP") -> bool:
    """Whether policies let a pod reach a port of another pod with labels, or of whatever is elsewhere."""
    ruled = False
    for spec in _policies(rendered, pod, "Egress"):
        ruled = True
        for way in spec.get("egress", []):
            if _has(way, port, protocol) and ("to" not in way or any(_is(peer, to, None) for peer in way["to"])):
                return True
    return not ruled


def _policies(rendered: Rendered, pod: Pod, kind: str) -> Iterator[dict[str, Any]]:
    for each in rendered.of_kind("NetworkPolicy"):
        spec = each["spec"]
        if kind in spec["policyTypes"] and spec["podSelector"]["matchLabels"].items() <= pod.labels.items():
            yield spec


def _has(way: Mapping[str, Any], port: int, protocol: str) -> bool:
    return "ports" not in way or {"port": port, "protocol": protocol} in way["ports"]


def _is(peer: Mapping[str, Any], pod: Labels | None, namespace: Labels | None) -> bool:
    wanted = peer.get("podSelector", {}).get("matchLabels")
    if "namespaceSelector" in peer:
        return namespace is not None and peer["namespaceSelector"]["matchLabels"].items() <= namespace.items()
    return pod is not None and wanted is not None and wanted.items() <= pod.items()


def closed_ways(rendered: Rendered, values: Mapping[str, Any]) -> Iterator[str]:
    """Ways that a policy closes and somebody needs, and ways that it leaves open to strangers."""
    policy = values["networkPolicy"]
    pods = {pod.name: pod for pod in rendered.pods}
    for pod in pods.values():
        for protocol in ("UDP", "TCP"):
            if not may_leave(rendered, pod, 53, None, protocol):
                yield f"{pod.name}: it cannot ask for names"
        texts = "\n".join([*pod.environment.values(), *pod.container["args"]])
        for host, port in re.findall(r"//(market-[a-z-]+):(\d+)", texts):
            if host not in pods:
                yield f"{pod.name}: there is no {host}"
            elif not may_leave(rendered, pod, int(port), pods[host].labels) or not admits(
                rendered, pods[host], int(port), pod_labels=pod.labels, namespace=None
            ):
                yield f"{pod.name}: no policy lets it reach {host} at {port}"
        for port in sorted(_elsewhere(pod)):
            if not may_leave(rendered, pod, port, None):
                yield f"{pod.name}: no policy lets it leave for {port}"
        for port in sorted(set(pod.ports.values())):
            if policy["enabled"] and (
                admits(rendered, pod, port, pod_labels={}, namespace=None)
                or admits(rendered, pod, port, pod_labels=None, namespace={"name": "other"})
            ):
                yield f"{pod.name}: a stranger reaches {port}"
        annotations = _annotations(rendered, pod)
        if "prometheus.io/port" in annotations and not admits(
            rendered, pod, int(annotations["prometheus.io/port"]), pod_labels=None, namespace=policy["metricsNamespace"]
        ):
            yield f"{pod.name}: no policy lets anybody read its metrics"
    for ingress in rendered.of_kind("Ingress"):
        for path in ingress["spec"]["rules"][0]["http"]["paths"]:
            target = pods.get(path["backend"]["service"]["name"])
            if target is None or not admits(
                rendered, target, target.ports["http"], pod_labels=None, namespace=policy["ingressNamespace"]
            ):
                yield f"{path['path']}: no policy lets people in"


def _elsewhere(pod: Pod) -> set[int]:
    """Ports of parts and providers that a pod connects to outside of this release."""
    given = pod.environment
    found = {port for part, port in _PARTS.items() if f"MARKETPLACE_{part.upper()}_URL_FILE" in given}
    found |= {int(each.rpartition(":")[2]) for each in given.get("MARKETPLACE_KAFKA_URL", "").split(",") if each}
    for name in ("MARKETPLACE_CONNECT_URL", "MARKETPLACE_PAYMENTS_URL"):
        url = re.match(r"(https?)://([^/:]+)(?::(\d+))?", given.get(name, ""))
        if url and not url[2].startswith("market-"):
            found.add(int(url[3] or {"http": 80, "https": 443}[url[1]]))
    return found | ({int(given["MARKETPLACE_MAIL_SMTP_PORT"])} if "MARKETPLACE_MAIL_SMTP_PORT" in given else set())


def _annotations(rendered: Rendered, pod: Pod) -> dict[str, str]:
    for each in rendered.of_kind("Deployment", "StatefulSet", "Job"):
        if each["metadata"]["name"] == pod.name:
            return dict(each["spec"]["template"]["metadata"].get("annotations") or {})
    return {}


# --- Objects ---


def loose_objects(rendered: Rendered, values: Mapping[str, Any]) -> Iterator[str]:
    """Owners that do not find their pods, accounts and services that are not there, and rules that allow nothing."""
    accounts = {each["metadata"]["name"]: each for each in rendered.of_kind("ServiceAccount")}
    services = {each["metadata"]["name"] for each in rendered.of_kind("Service")}
    owners = list(rendered.of_kind("Deployment", "StatefulSet", "Job"))
    templates = [each["spec"]["template"]["metadata"]["labels"] for each in owners]
    yield from (
        f"{name}: pods get its token" for name, each in accounts.items() if each["automountServiceAccountToken"]
    )
    for each in owners:
        name, spec = each["metadata"]["name"], each["spec"]
        hook = {key: text for key, text in (each["metadata"].get("annotations") or {}).items() if "helm.sh/" in key}
        job = each["kind"] == "Job"
        if hook != (_HOOK if job else {}):
            yield f"{name}: it is no job before an installation and an upgrade"
        account = spec["template"]["spec"]["serviceAccountName"]
        if account != "default" if job else account not in accounts:
            yield f"{name}: there is no account {account} by then"
        if spec["template"]["spec"].get("restartPolicy", "Always") != ("Never" if job else "Always"):
            yield f"{name}: it is started again otherwise than its kind allows"
        if job:
            continue
        found = [labels for labels in templates if spec["selector"]["matchLabels"].items() <= labels.items()]
        if found != [spec["template"]["metadata"]["labels"]]:
            yield f"{name}: it takes {len(found)} kinds of pods for its own"
        if "serviceName" in spec and spec["serviceName"] not in services:
            yield f"{name}: there is no service {spec['serviceName']}"
        rolling = (spec.get("strategy") or {}).get("rollingUpdate") or {}
        if rolling and not any(str(count) != "0" for count in rolling.values()):
            yield f"{name}: nothing of it can be replaced"
    for service in rendered.of_kind("Service"):
        if service["spec"].get("sessionAffinity", "None") not in ("None", "ClientIP"):
            yield f"{service['metadata']['name']}: there is no such affinity"
    for name in re.findall(r"deploy/\{\{[^}]*\}\}(\S+)", (CHART / "templates" / "NOTES.txt").read_text()):
        if f"market-marketplace{name}" not in {each["metadata"]["name"] for each in rendered.of_kind("Deployment")}:
            yield f"NOTES.txt: there is no deployment {name}"
    for budget in rendered.of_kind("PodDisruptionBudget"):
        if budget["spec"].get("maxUnavailable") in (0, "0%"):
            yield f"{budget['metadata']['name']}: no node can be emptied"
    for each in rendered.of_kind("HorizontalPodAutoscaler"):
        if [metric["resource"]["name"] for metric in each["spec"]["metrics"]] != ["cpu"]:
            yield f"{each['metadata']['name']}: it grows by what nobody measures"


def alone(rendered: Rendered, values: Mapping[str, Any]) -> Iterator[str]:
    """A relay that runs twice: there is one connector, which it looks after."""
    del values
    for each in rendered.of_kind("Deployment"):
        own = each["spec"]
        relays = own["template"]["spec"]["containers"][0]["args"] == ["run", "relay"]
        if relays and (own["replicas"] != 1 or own["strategy"] != {"type": "Recreate"}):
            yield f"{each['metadata']['name']}: two of them run"


# --- Pods ---


def wrong_pods(rendered: Rendered, values: Mapping[str, Any]) -> Iterator[str]:
    """Users, secrets, metrics and arguments that are not those of the image, of the Secret or of the code."""
    del values
    user = int(IMAGES["marketplace"].user.partition(":")[0])
    for pod in rendered.pods:
        own = pod.spec["securityContext"]
        if {own.get("runAsUser"), own.get("runAsGroup"), own.get("fsGroup")} != {user}:
            yield f"{pod.name}: the image is for the user {user}"
        for volume in pod.spec["volumes"]:
            secret = volume.get("secret", {})
            if secret and not secret.get("defaultMode", 0o644) & 0o040:
                yield f"{pod.name}: its group cannot read {volume['name']}"
            for item in secret.get("items", []):
                if item["key"] in NAMES and item["key"] != item["path"]:
                    yield f"{pod.name}: {item['path']} is {item['key']}"
        annotations = _annotations(rendered, pod)
        metrics = {key: text for key, text in annotations.items() if key.startswith("prometheus.io/")}
        if isinstance(listener := REGISTRY[pod.runs] if pod.runs else None, ServiceSpec) and "http" in pod.ports:
            host = (listener.listen_variable or listener.port_variable).removesuffix("_PORT") + "_HOST"
            if pod.environment.get(host) != "0.0.0.0":
                yield f"{pod.name}: nobody reaches it, because {host} is not 0.0.0.0"
        component = REGISTRY[pod.runs] if pod.runs else None
        if metrics and component is not None:
            port = health_port(component, pod.environment)
            expected = {"scrape": "true", "path": "/metrics", "port": str(port)}
            if metrics != {f"prometheus.io/{key}": text for key, text in expected.items()}:
                yield f"{pod.name}: its metrics are not at {metrics}"
        for kind, seconds in (("startup", 60), ("liveness", 30)):
            probe = pod.container.get(f"{kind}Probe")
            if probe and probe["periodSeconds"] * probe["failureThreshold"] < seconds:
                yield f"{pod.name}: it is killed after less than {seconds} s of {kind}"
        if pod.runs == "payments":
            given = dict(word.removeprefix("--").split("=", 1) for word in pod.container["args"])
            mounts = {each["mountPath"] for each in pod.container["volumeMounts"]}
            if given.get("data") not in mounts or given.get("host") != "0.0.0.0":
                yield f"{pod.name}: its data are on no volume, or nobody reaches it"
            claims = {claim["metadata"]["name"] for each in rendered.of_kind("StatefulSet")
                      for claim in each["spec"].get("volumeClaimTemplates", [])
                      if each["metadata"]["name"] == pod.name}  # fmt: skip
            kept = {each["name"] for each in pod.container["volumeMounts"] if each["mountPath"] == given.get("data")}
            if not kept <= claims:
                yield f"{pod.name}: its data do not outlast it"
            if int(given.get("port", 0)) not in pod.ports.values():
                yield f"{pod.name}: it listens at {given.get('port')}"
            if re.sub(r"^http://[^/]+", "", given.get("webhook-url", "")) not in webhook_paths():
                yield f"{pod.name}: the API takes no webhook at {given.get('webhook-url')}"


# --- Values ---


def lost_values(rendered: Rendered, values: Mapping[str, Any]) -> Iterator[str]:
    """Values that do not reach the process that they are about, or reach it as something else."""
    public = f"https://{values['public']['host']}"
    proxies = ",".join(values["public"]["trustedProxies"])
    switch = {True: "on", False: "off"}
    wanted = {
        "api": {
            "MARKETPLACE_API_PUBLIC_URL": public, "MARKETPLACE_API_SHOP_URL": public,
            "MARKETPLACE_API_COLLECTOR_URL": public, "MARKETPLACE_API_TRUSTED_PROXIES": proxies,
            "MARKETPLACE_MAIL_SMTP_HOST": values["mail"]["host"],
            "MARKETPLACE_MAIL_SMTP_PORT": str(values["mail"]["port"]),
            "MARKETPLACE_MAIL_SMTP_ENCRYPTED": switch[values["mail"]["encrypted"]],
        },
        "collector": {"MARKETPLACE_COLLECTOR_TRUSTED_PROXIES": proxies},
        "dashboard": {"MARKETPLACE_DASHBOARD_NAMES": values["public"]["host"]},
        "consumers": {"MARKETPLACE_PAYMENTS_LIVE": switch[values["payments"]["live"]]},
    }  # fmt: skip
    kafka = {
        "MARKETPLACE_KAFKA_URL": values["kafka"]["url"],
        "MARKETPLACE_KAFKA_SECURITY_PROTOCOL": values["kafka"]["securityProtocol"],
    }
    if values["kafka"]["securityProtocol"].startswith("SASL"):
        kafka["MARKETPLACE_KAFKA_SASL_MECHANISM"] = values["kafka"]["saslMechanism"]
        kafka["MARKETPLACE_KAFKA_SASL_USERNAME"] = values["kafka"]["username"]
    for pod in rendered.pods:
        expected = {**wanted.get(pod.runs, {}), **(kafka if "MARKETPLACE_KAFKA_URL" in pod.environment else {})}
        for name, text in expected.items():
            if pod.environment.get(name) != text:
                yield f"{pod.name}: {name} is not what values say"
    for flow, of in values["flows"].items():
        for pod in rendered.pods:
            if pod.name.endswith(f"-flow-{flow}") and (
                pod.runs != of["service"] or pod.environment["MARKETPLACE_FLOW_WORKERS"] != str(of["workers"])
            ):
                yield f"{pod.name}: it is not the flow that values say"
    for ingress in rendered.of_kind("Ingress"):
        spec = ingress["spec"]
        if spec["ingressClassName"] != values["ingress"]["className"] or spec["tls"] != [
            {"hosts": [values["public"]["host"]], "secretName": values["ingress"]["tlsSecret"]}
        ]:
            yield f"{ingress['metadata']['name']}: its class or certificate is not what values say"


def tighter_ingress(rendered: Rendered, values: Mapping[str, Any]) -> Iterator[str]:
    """An Ingress that refuses, or gives up on, what the proxy of one machine lets through."""
    del values
    text = (ROOT / "deploy/nginx/nginx.conf").read_text()
    blocks = re.findall(r"location [^{]*\{((?:[^{}]|\{[^{}]*\})*)\}", text)
    for ingress in rendered.of_kind("Ingress"):
        process = ingress["metadata"]["name"].rpartition("-")[2]
        own = [block for block in blocks if f"proxy_pass http://{process};" in block]
        for annotation, directive, unit in (
            ("proxy-body-size", "client_max_body_size", {"k": 1 << 10, "m": 1 << 20}),
            ("proxy-read-timeout", "proxy_read_timeout", {"": 1, "s": 1, "h": 3600}),
        ):
            said = (ingress["metadata"].get("annotations") or {}).get(f"nginx.ingress.kubernetes.io/{annotation}")
            found = [_number(each, unit) for block in own for each in re.findall(rf"{directive} (\w+);", block)]
            if said is not None and _number(said, unit) < max(found, default=0):
                yield f"{ingress['metadata']['name']}: {annotation} is less than the proxy's"


def _number(text: str, units: Mapping[str, int]) -> int:
    number, unit = re.findall(r"^(\d+)(\w?)$", str(text))[0]
    return int(number) * units[unit]


CHECKS: Final[Sequence[Callable[[Rendered, Mapping[str, Any]], Iterator[str]]]] = (
    closed_ways,
    loose_objects,
    alone,
    wrong_pods,
    lost_values,
    tighter_ingress,
)


def problems_of_ways(rendered: Rendered, values: str) -> list[str]:
    """All that is wrong with what a file of values makes."""
    given = values_of(values)
    return [line for check in CHECKS for line in check(rendered, given)]
