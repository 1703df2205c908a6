from __future__ import annotations

import pytest

from marketplace.enrichments import Lookups, Place
from marketplace.enrichments.device import DEVICE, DEVICES
from marketplace.enrichments.registry import Agent
from marketplace.enrichments.text import MAX_VALUE_CHARS


class NoPlaces:
    def version(self) -> str:
        return "none"

    def find(self, ip: str) -> Place:
        return Place()


class OneAgent:
    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def version(self) -> str:
        return "agents-1"

    def find(self, user_agent: str) -> Agent:
        return self._agent


def identified(agent: Agent) -> dict[str, str]:
    answer = DEVICE.enrich(Lookups(places=NoPlaces(), agents=OneAgent(agent)), ("any",))
    return dict(zip(DEVICE.columns, answer, strict=True))


@pytest.mark.parametrize("device", DEVICES)
def test_a_kind_of_device_is_kept(device: str) -> None:
    assert identified(Agent(device=device))["device"] == device


@pytest.mark.parametrize("device", ["", "toaster", "Desktop"])
def test_another_kind_is_unknown(device: str) -> None:
    assert identified(Agent(device=device))["device"] == ""


def test_names_and_versions_become_labels() -> None:
    found = identified(Agent("Fire\nfox", "1" * 500, " Linux ", "6.1"))
    assert found == {
        "browser": "Fire fox",
        "browser_version": "1" * MAX_VALUE_CHARS,
        "os": "Linux",
        "os_version": "6.1",
        "device": "",
    }
