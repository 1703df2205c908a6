"""What the chart makes belongs together, and a fault in it is found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.kits.chart import VALUES, Rendered, render
from tests.kits.chart_ways import problems_of_ways

Documents = list[dict[str, Any]]


@pytest.fixture(scope="module")
def rendered() -> dict[str, Rendered]:
    return {values: render(values) for values in VALUES}


@pytest.mark.parametrize("values", VALUES)
def test_all_that_is_rendered_belongs_together(rendered: dict[str, Rendered], values: str) -> None:
    assert problems_of_ways(rendered[values], values) == []


def named(documents: Documents, kind: str, name: str) -> dict[str, Any]:
    whole = f"market-marketplace{f'-{name}' if name else ''}"
    (found,) = (each for each in documents if each["kind"] == kind and each["metadata"]["name"] == whole)
    return found


def at(kind: str, name: str, *path: str | int, value: object) -> Callable[[Documents], None]:
    """Put a value at a place of an object."""

    def plant(documents: Documents) -> None:
        place: Any = named(documents, kind, name)
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return plant


POD = ("spec", "template", "spec")
BOX = (*POD, "containers", 0)
FAULTS: tuple[tuple[str, Callable[[Documents], None], str], ...] = (
    ("trial", at("NetworkPolicy", "api", "spec", "ingress", 0, "ports", 0, "port", value=8001), "lets people in"),
    (
        "trial",
        at("NetworkPolicy", "sandbox", "spec", "ingress", value=[]),
        "no policy lets it reach market-marketplace-sandbox",
    ),
    (
        "trial",
        at("NetworkPolicy", "", "spec", "ingress", 0, "ports", value=[]),
        "no policy lets anybody read its metrics",
    ),
    ("trial", at("NetworkPolicy", "", "spec", "policyTypes", value=["Egress"]), "a stranger reaches 19466"),
    ("trial", at("NetworkPolicy", "", "spec", "egress", 0, "ports", value=[]), "it cannot ask for names"),
    ("trial", at("NetworkPolicy", "", "spec", "egress", 1, "ports", value=[]), "no policy lets it leave for 27017"),
    ("trial", at("Job", "provision", "metadata", "annotations", value={}), "no job before an installation"),
    ("trial", at("Job", "provision", *POD, "serviceAccountName", value="market-marketplace"), "there is no account"),
    ("trial", at("Job", "provision", *POD, "restartPolicy", value="Always"), "it is started again otherwise"),
    ("trial", at("ServiceAccount", "", "metadata", "name", value="other"), "there is no account market-marketplace"),
    ("trial", at("StatefulSet", "sandbox", "spec", "serviceName", value="box"), "there is no service box"),
    ("trial", at("StatefulSet", "sandbox", "spec", "volumeClaimTemplates", value=[]), "its data do not outlast it"),
    ("trial", at("Deployment", "relay", "spec", "replicas", value=2), "two of them run"),
    ("trial", at("Deployment", "api", "spec", "selector", "matchLabels", value={}), "kinds of pods for its own"),
    ("trial", at("Deployment", "api", *POD, "securityContext", "fsGroup", value=1001), "is for the user 10001"),
    ("trial", at("Deployment", "api", *BOX, "startupProbe", "failureThreshold", value=1), "less than 60 s of startup"),
    (
        "trial",
        at("Deployment", "relay", *POD[:2], "metadata", "annotations", "prometheus.io/port", value="19467"),
        "its metrics are not at",
    ),
    ("trial", at("Ingress", "api", "spec", "ingressClassName", value="other"), "is not what values say"),
    ("production", at("PodDisruptionBudget", "api", "spec", "maxUnavailable", value=0), "no node can be emptied"),
    (
        "production",
        at("Ingress", "api", "metadata", "annotations", "nginx.ingress.kubernetes.io/proxy-body-size", value="1m"),
        "proxy-body-size is less than the proxy's",
    ),
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault[2])
def test_a_fault_is_found(fault: tuple[str, Callable[[Documents], None], str], rendered: dict[str, Rendered]) -> None:
    values, plant, said = fault
    found = problems_of_ways(rendered[values].changed(plant), values)
    assert [line for line in found if said in line], found


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MARKETPLACE_API_HOST", "127.0.0.1"),
        ("MARKETPLACE_API_SHOP_URL", ""),
        ("MARKETPLACE_API_TRUSTED_PROXIES", ""),
        ("MARKETPLACE_MAIL_SMTP_ENCRYPTED", "on"),
    ],
)
def test_a_variable_that_is_not_what_values_say_is_found(name: str, value: str, rendered: dict[str, Rendered]) -> None:
    def plant(documents: Documents) -> None:
        (found,) = (
            each
            for each in named(documents, "Deployment", "api")["spec"]["template"]["spec"]["containers"][0]["env"]
            if each["name"] == name
        )
        found["value"] = value

    found = problems_of_ways(rendered["trial"].changed(plant), "trial")
    assert [line for line in found if name in line], found
