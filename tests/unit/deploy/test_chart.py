"""The chart: rendered by helm, held against Kubernetes' schemas and against the code."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from ops.deploy.secrets import make_secrets
from ops.reference.settings import SECTIONS
from tests.kits.chart import (
    CHART,
    HELM,
    KUBERNETES,
    VALUES,
    Pod,
    Rendered,
    nginx_ways,
    problems,
    refused_by_kubernetes,
    render,
    schemas_for_kubeconform,
)
from tests.kits.compose import ROOT

Documents = list[dict[str, Any]]


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("secrets")
    make_secrets(folder, "localhost")
    (folder / "smtp_password").write_text("of somebody else")
    (folder / "ca.crt").write_text((folder / "tls_certificate").read_text())
    return folder


@pytest.fixture(scope="module")
def rendered() -> dict[str, Rendered]:
    return {values: render(values) for values in VALUES}


def test_there_are_values_for_four_kinds_of_cluster() -> None:
    assert VALUES == ("bare", "operators", "production", "trial")


@pytest.mark.parametrize("values", VALUES)
def test_helm_has_nothing_to_say_of_the_chart(values: str) -> None:
    command = [HELM, "lint", "--strict", CHART, "--values", CHART.parent / "values" / f"{values}.yaml"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
    assert "[WARNING]" not in done.stdout


@pytest.mark.parametrize("values", VALUES)
def test_kubernetes_takes_all_that_is_rendered(rendered: dict[str, Rendered], values: str) -> None:
    assert list(refused_by_kubernetes(rendered[values])) == []


@pytest.mark.parametrize("values", VALUES)
def test_nothing_that_is_rendered_disagrees_with_the_code(
    rendered: dict[str, Rendered], secrets: Path, values: str
) -> None:
    assert problems(rendered[values], secrets) == []


def test_every_service_of_ours_runs_in_some_pod(rendered: dict[str, Rendered]) -> None:
    ours = {"flow", "dead_letters", "relay", "consumers", "collector", "api", "dashboard"}
    assert all({pod.runs for pod in each.pods} - {"", "payments"} == ours for each in rendered.values())


def test_an_address_leads_where_the_proxy_of_one_machine_leads_it(rendered: dict[str, Rendered]) -> None:
    ways = [
        way for ingress in rendered["trial"].of_kind("Ingress") for way in ingress["spec"]["rules"][0]["http"]["paths"]
    ]

    def leads_to(path: str) -> str:
        exact = [each for each in ways if each["pathType"] != "Prefix" and each["path"] == path]
        below = [
            each
            for each in ways
            if each["pathType"] == "Prefix" and f"{path}/".startswith(f"{each['path'].rstrip('/')}/")
        ]
        longest = sorted(below, key=lambda each: len(each["path"]))[-1:]
        return str((exact or longest)[0]["backend"]["service"]["name"]).removeprefix("market-marketplace-")

    assert {path: leads_to(path) for path in nginx_ways()} == nginx_ways()
    assert leads_to("/_stcore/metrics") == "api", "which has nothing there"


def test_no_path_with_a_dot_is_an_exact_one_which_some_controllers_refuse(rendered: dict[str, Rendered]) -> None:
    for ingress in rendered["production"].of_kind("Ingress"):
        paths = ingress["spec"]["rules"][0]["http"]["paths"]
        assert [
            each["path"] for each in paths if "." in each["path"] and each["pathType"] != "ImplementationSpecific"
        ] == []


def test_what_is_right_for_one_process_is_said_of_it_alone(rendered: dict[str, Rendered]) -> None:
    said = {
        each["metadata"]["name"].removeprefix("market-marketplace-"): {
            name.rpartition("/")[2]: value for name, value in each["metadata"]["annotations"].items()
        }
        for each in rendered["production"].of_kind("Ingress")
    }
    assert [name for name, each in said.items() if "affinity" in each] == ["dashboard"], "no cookie for visitors"
    assert said["collector"]["proxy-next-upstream"] == "off", "a second try would count an event twice"


@pytest.mark.parametrize("values", VALUES)
def test_the_storefront_knows_where_cards_are_taken_and_may_go_there(
    rendered: dict[str, Rendered], values: str
) -> None:
    environments = {pod.runs: pod.environment for pod in rendered[values].pods}
    name = "MARKETPLACE_PAYMENTS_URL"
    assert environments["api"][name] == environments["consumers"][name] != ""
    for policy in rendered[values].of_kind("NetworkPolicy"):
        if policy["metadata"]["name"].endswith("-sandbox"):
            (way,) = policy["spec"]["ingress"]
            allowed = {each["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for each in way["from"]}
            assert allowed >= {"api", "consumers-all"}


def test_a_group_of_consumers_gets_the_names_of_its_own(rendered: dict[str, Rendered]) -> None:
    arguments = {pod.name: pod.container["args"] for pod in rendered["production"].pods}
    assert arguments["market-marketplace-consumers-payments"] == ["run", "consumers", "payments"]
    assert arguments["market-marketplace-consumers-all"] == ["run", "consumers", "orders", "inventory", "notifications"]


@pytest.mark.parametrize(
    ("left_out", "named"),
    [
        ("public.host", "public.host is required"),
        ("secrets.name", "secrets.name is required"),
        ("kafka.url", "kafka.url is required"),
        ("connect.url", "connect.url is required"),
        ("mail.host", "mail.host is required"),
        ("sandbox.enabled", "payments.url is required"),
    ],
)
def test_what_nobody_can_guess_is_asked_for_by_name(left_out: str, named: str) -> None:
    empty = "false" if left_out == "sandbox.enabled" else ""
    with pytest.raises(ValueError, match=named):
        render("trial", "--set", f"{left_out}={empty}")


@pytest.mark.parametrize(
    "wrong",
    [
        "flows.clicks.replicas=2",
        "settings.MARKETPLACE_KAFKA_SASL_PASSWORD=secret",
        "settings.OTHER=1",
        "settings.MARKETPLACE_API_PORT=9000",
        "api.settings.MARKETPLACE_API_ADMIN_HOST=127.0.0.1",
        "image.tag=latest",
        "api.resources.limits.memory=much",
        "consumers.all.names={nobody}",
        "kafka.securityProtocol=NONE",
        "connect.url=http://user:word@connect:8083",
        "apy.replicas=2",
        "settings.MARKETPLACE_LOGLEVEL=debug",
        "flows.clicks.settings.MARKETPLACE_FLOW_WORKERS=2",
        "flows.clicks.volumes[0].name=data",
        "api.resources.limits.memory=-1",
        "api.resources.limits.memory=1.2.3",
        "public.host=a..b",
        "public.trustedProxies={10.0.0.0/99}",
        "secrets.name=A_b",
        "secrets.keys.mongoUrl=../x",
        "secrets.keys.mongoUrl=null",
        "kafka.url=a b",
        "image.tag=a b",
        "image.repository=UPPER/x",
        "ingress.tlsSecret=A b",
        "podDefaults.priorityClassName=A b",
        "networkPolicy.ingressNamespace=null",
    ],
)
def test_values_that_cannot_be_meant_are_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="values don't meet the specifications of the schema"):
        render("trial", "--set", wrong)


@pytest.mark.parametrize(
    ("release", "more", "named"),
    [
        ("a.b", (), "to have no dot"),
        ("1market", (), "has to begin with a letter"),
        ("market", ("--set", "consumers.all.names={orders}"), "no group runs payments"),
        ("market", ("--set", "flows.clicks.memoryMb=9000"), "more than the limit of 768Mi"),
        (
            "market",
            ("--set", "api.resources.requests.memory=2Gi"),
            "api: it requests memory 2Gi, and its limit is 512Mi",
        ),
        (
            "market",
            ("--set", "relay.resources.requests.cpu=700m"),
            "relay: it requests cpu 700m, and its limit is 500m",
        ),
        ("market", ("--set", "flows.clicks.workers=3"), "250 MB for each of 3 workers"),
        ("market", ("--set", "api.autoscaling.enabled=true,api.autoscaling.maxReplicas=1"), "minReplicas is more than"),
    ],
)
def test_what_kubernetes_would_refuse_later_is_refused_by_name(release: str, more: tuple[str, ...], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        render("trial", *more, release=release)


@pytest.mark.parametrize("release", ["a" * 53, f"{'a' * 40}marketplace", "a" * 33 + "-marketplace"])
def test_names_and_labels_of_a_release_with_a_long_name_have_room_for_what_kubernetes_appends(release: str) -> None:
    rendered = render("trial", release=release)
    lengths = {each["metadata"]["name"]: len(each["metadata"]["name"]) for each in rendered.of_kind("StatefulSet")}
    # A label of its pods is its name with a hyphen and ten letters; the longest name that values may give is as long.
    assert len(lengths) >= 3
    assert max(lengths.values()) <= 52
    assert all(len(each["metadata"]["name"]) <= 63 for each in rendered.documents)
    labels = [value for pod in rendered.pods for value in pod.labels.values()]
    assert [value for value in labels if len(value) > 63 or not value[-1].isalnum()] == []


def test_a_variable_that_the_chart_sets_from_a_value_is_no_setting_beside_it(rendered: dict[str, Rendered]) -> None:
    allowed = set(settings_of_the_schema())
    made = {name for each in rendered.values() for pod in each.pods for name in pod.environment}
    free = {"MARKETPLACE_LOG_LEVEL", "MARKETPLACE_LOG_FORMAT"}
    assert made & allowed == free & made
    assert free <= allowed


OWN_VALUES: Final = re.compile(
    "(PASSWORD|API_KEY|WEBHOOK_SECRETS|_PORT|_HOST|_DATA|_URL|_FILE|_TRUSTED_PROXIES)$|^MARKETPLACE_(KAFKA|PAYMENTS|MAIL)_"
    "|^MARKETPLACE_(DATABASE|DASHBOARD_NAMES|FLOW_WORKERS|FLOW_MEMORY_MB)$"
)
"""Settings that have values of their own, or none in a pod."""


def settings_of_the_schema() -> list[str]:
    schema = json.loads((CHART / "values.schema.json").read_text())["definitions"]["settings"]
    return list(schema["propertyNames"]["enum"])


def test_a_setting_in_the_values_is_one_that_the_code_reads_and_that_has_no_value_of_its_own() -> None:
    declared = {each.name for section in SECTIONS for each in section.variables}
    free = {name for name in declared if not OWN_VALUES.search(name)} | {"MARKETPLACE_GEOIP_FILE"}
    assert settings_of_the_schema() == sorted(free)


def test_a_file_of_an_operator_is_mounted_for_the_process_that_reads_it_and_cannot_be_written() -> None:
    given = {
        "settings": {"MARKETPLACE_GEOIP_FILE": "/geoip/city.mmdb"},
        "volumes": [{"name": "geoip", "persistentVolumeClaim": {"claimName": "geoip", "readOnly": True}}],
        "mounts": [{"name": "geoip", "mountPath": "/geoip"}],
    }
    shown = render("trial", "--set-json", f"flows.clicks={json.dumps(given)}")
    mounted = {each.name: mounts_of(each) for each in shown.pods}
    with_it = [name for name, mounts in mounted.items() if "/geoip" in mounts]
    assert with_it == ["market-marketplace-flow-clicks"]
    assert mounted[with_it[0]]["/geoip"] == {"name": "geoip", "mountPath": "/geoip", "readOnly": True}


UNITS: Final = {"": 1.0, "m": 0.001, "Mi": 1 / 1024, "Gi": 1.0}
"""In CPUs, and in GiB."""


@pytest.mark.parametrize("values", VALUES)
def test_the_page_says_what_all_pods_are_asked_for(values: str, rendered: dict[str, Rendered]) -> None:
    shown = rendered[values]
    least = {
        each["spec"]["scaleTargetRef"]["name"]: each["spec"]["minReplicas"]
        for each in shown.of_kind("HorizontalPodAutoscaler")
    }
    pods, sums = 0, dict.fromkeys(["requests cpu", "requests memory", "limits cpu", "limits memory"], 0.0)
    for each in [*shown.of_kind("Deployment"), *shown.of_kind("StatefulSet")]:
        replicas = each["spec"].get("replicas") or least[each["metadata"]["name"]]
        resources = each["spec"]["template"]["spec"]["containers"][0]["resources"]
        pods += replicas
        for name in sums:
            kind, what = name.split()
            number, unit = re.fullmatch(r"([\d.]+)(.*)", str(resources[kind][what])).groups()  # type: ignore[union-attr]  # None fails the test
            sums[name] += replicas * float(number) * UNITS[unit]
    cpus, memory, most_cpus, most_memory = (round(each, 2) for each in sums.values())
    row = (
        rf"\| `{values}.yaml`[^|]*\| {pods} \| {cpus:g} CPUs, {memory:.1f} GiB \| {most_cpus:g} CPUs, {most_memory:.2g}"
    )
    assert re.search(row, (ROOT / "docs/how-to/deploy-with-helm.md").read_text()), row


def mounts_of(pod: Pod) -> dict[str, dict[str, Any]]:
    return {each["mountPath"]: each for each in pod.container["volumeMounts"]}


# --- Planted faults: each is found, and nothing else ---


def pod_of(documents: Documents, name: str) -> dict[str, Any]:
    (found,) = (
        each for each in documents
        if each["metadata"]["name"] == f"market-marketplace-{name}" and "template" in each["spec"]
    )  # fmt: skip
    spec: dict[str, Any] = found["spec"]["template"]["spec"]
    return spec


def container_of(documents: Documents, name: str) -> dict[str, Any]:
    container: dict[str, Any] = pod_of(documents, name)["containers"][0]
    return container


def a_variable_misspelt(documents: Documents) -> None:
    (found,) = (each for each in container_of(documents, "api")["env"] if each["name"] == "MARKETPLACE_API_KEY_FILE")
    found["name"] = "MARKETPLACE_API_KEYS_FILE"


def a_variable_left_out(documents: Documents) -> None:
    environment = container_of(documents, "relay")["env"]
    environment[:] = [each for each in environment if each["name"] != "MARKETPLACE_CONNECT_URL"]


def a_wrong_port(documents: Documents) -> None:
    container_of(documents, "collector")["ports"][1]["containerPort"] = 8701


def a_service_at_another_port(documents: Documents) -> None:
    (found,) = (
        each for each in documents if each["kind"] == "Service" and each["metadata"]["name"] == "market-marketplace-api"
    )
    found["spec"]["ports"][0]["port"] = 8080


def a_probe_of_a_page_that_is_not_there(documents: Documents) -> None:
    container_of(documents, "consumers-all")["livenessProbe"]["httpGet"]["path"] = "/alive"


def a_process_that_no_probe_reaches(documents: Documents) -> None:
    (found,) = (each for each in container_of(documents, "relay")["env"] if each["name"] == "MARKETPLACE_RELAY_HOST")
    found["value"] = "127.0.0.1"


def a_missing_volume(documents: Documents) -> None:
    volumes = pod_of(documents, "dashboard")["volumes"]
    volumes[:] = [each for each in volumes if each["name"] != "data"]


def a_secret_in_plain(documents: Documents) -> None:
    environment = container_of(documents, "flow-clicks")["env"]
    (found,) = (each for each in environment if each["name"] == "MARKETPLACE_KAFKA_SASL_PASSWORD_FILE")
    found.update(name="MARKETPLACE_KAFKA_SASL_PASSWORD", value="hunter2")


def a_password_in_a_url(documents: Documents) -> None:
    (found,) = (each for each in container_of(documents, "api")["env"] if each["name"] == "MARKETPLACE_MONGO_URL_FILE")
    found.update(name="MARKETPLACE_MONGO_URL", value="mongodb://marketplace:hunter2@mongo:27017/")


def the_newest_image(documents: Documents) -> None:
    container_of(documents, "api")["image"] = "marketplace:latest"


def a_pod_of_root(documents: Documents) -> None:
    pod_of(documents, "api")["securityContext"]["runAsNonRoot"] = False


def a_pod_without_limits(documents: Documents) -> None:
    del container_of(documents, "collector")["resources"]["limits"]


def an_autoscaler_of_a_flow(documents: Documents) -> None:
    (first, *_) = (each for each in documents if each["kind"] == "HorizontalPodAutoscaler")
    first["spec"]["scaleTargetRef"] = {
        "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "market-marketplace-flow-clicks",
    }  # fmt: skip


def two_pods_of_a_flow(documents: Documents) -> None:
    (first, *_) = (each for each in documents if each["kind"] == "StatefulSet")
    first["spec"]["replicas"] = 2


def a_budget_of_nothing(documents: Documents) -> None:
    (first, *_) = (each for each in documents if each["kind"] == "PodDisruptionBudget")
    first["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"] = "apy"


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        (a_variable_misspelt, "nothing reads MARKETPLACE_API_KEYS_FILE"),
        (a_variable_left_out, "MARKETPLACE_CONNECT_URL"),
        (a_wrong_port, "it does not listen at 8701"),
        (a_service_at_another_port, "its pods have no port http of 8080"),
        (a_probe_of_a_page_that_is_not_there, "liveness asks for /alive, which is not its page"),
        (a_process_that_no_probe_reaches, "MARKETPLACE_RELAY_HOST is not 0.0.0.0"),
        (a_missing_volume, "there is no volume data"),
        (a_secret_in_plain, "MARKETPLACE_KAFKA_SASL_PASSWORD has a secret in plain"),
        (a_password_in_a_url, "a URL has a password in it"),
        (the_newest_image, "marketplace:latest is no exact version"),
        (a_pod_of_root, "it may run as root"),
        (a_pod_without_limits, "it has no limits or no requests"),
        (an_autoscaler_of_a_flow, "must not grow by itself"),
        (two_pods_of_a_flow, "a second pod would fence the first"),
        (a_budget_of_nothing, "it is about no pod"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_planted_fault_is_found(
    rendered: dict[str, Rendered], secrets: Path, plant: Callable[[Documents], None], said: str
) -> None:
    found = problems(rendered["production"].changed(plant), secrets)
    assert [line for line in found if said in line], found


def test_a_key_that_kubernetes_does_not_know_is_found(rendered: dict[str, Rendered]) -> None:
    def plant(documents: Documents) -> None:
        container_of(documents, "api")["livenessProbe"]["periodSecond"] = 3

    found = list(refused_by_kubernetes(rendered["production"].changed(plant)))
    assert len(found) == len(KUBERNETES)
    assert "periodSecond" in found[0]


def test_kubeconform_says_the_same_of_all_that_is_rendered(rendered: dict[str, Rendered], tmp_path: Path) -> None:
    program = shutil.which("kubeconform")
    if program is None:
        pytest.skip("kubeconform is not here (`make helm-check` makes it where Go is); the same schemas are used above")
    for values in VALUES:
        (tmp_path / f"{values}.yaml").write_text(yaml.safe_dump_all(rendered[values].documents))
    location = schemas_for_kubeconform(tmp_path / "schemas", KUBERNETES[-1])
    command = [program, "-strict", "-summary", "-schema-location", location, *map(str, tmp_path.glob("*.yaml"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Invalid: 0, Errors: 0, Skipped: 0" in done.stdout
