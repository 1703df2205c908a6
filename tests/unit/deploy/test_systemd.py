"""The units of systemd: read by systemd itself, and every name in them compared with the code."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from ops.deploy.secrets import NAMES, make_secrets
from ops.reference.settings import SECTIONS
from ops.sandbox_provider.__main__ import parser
from ops.stack.registry import REGISTRY
from ops.stack.supervisor.ending import STOP_SECONDS
from runtime.sections import API_PORT
from runtime.settings import InvalidSettings, load
from tests.kits.compose import READERS

UNITS: Final = Path(__file__).resolve().parents[3] / "deploy" / "systemd"
SANDBOX: Final = UNITS / "marketplace@sandbox.service.d" / "sandbox.conf"
BIN: Final = Path(sys.executable).parent
TEMPLATE: Final = UNITS / "marketplace@.service"
PROGRAM: Final = "/opt/marketplace/bin/marketplace"
SERVICES: Final = tuple(each.name for each in REGISTRY.services if each.name in REGISTRY.usual)
EXPOSURE: Final = 2.0
"""Of 10; systemd calls less than 3 fine."""


@dataclass(frozen=True)
class Unit:
    """A unit's settings in their order; a name may be there several times."""

    settings: tuple[tuple[str, str], ...]

    def all(self, name: str) -> list[str]:
        return [value for each, value in self.settings if each == name]

    def one(self, name: str) -> str:
        (value,) = self.all(name)
        return value


def read_unit(text: str) -> Unit:
    lines = (line for line in text.splitlines() if line and line[0] not in "#;[")
    return Unit(tuple((name, value) for name, _, value in (line.partition("=") for line in lines)))


@pytest.fixture(scope="module")
def unit() -> Unit:
    return read_unit(TEMPLATE.read_text())


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("units") / "secrets"
    make_secrets(folder, "localhost")
    return folder


def environment(unit: Unit, service: str, secrets: Path) -> dict[str, str]:
    """What systemd gives the process of a service."""
    lines = [*(UNITS / "marketplace.env").read_text().splitlines(), *unit.all("Environment")]
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    places = {"%d": str(secrets), "%S": "/var/lib", "%i": service}
    return {name: re.sub("%[a-zA-Z]", lambda found: places[found[0]], value) for name, value in given.items()}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_takes_what_its_unit_gives_it(service: str, unit: Unit, secrets: Path) -> None:
    load(environment(unit, service, secrets), READERS[service])


def test_a_unit_with_a_secret_that_is_not_there_is_refused_by_the_service(unit: Unit, tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="MARKETPLACE_MONGO_URL_FILE"):
        load(environment(unit, "api", tmp_path), READERS["api"])


def test_every_variable_of_the_units_is_read_by_the_code(unit: Unit, secrets: Path) -> None:
    declared = {name for section in SECTIONS for each in section.variables for name in (each.name, each.file_name)}
    assert set(environment(unit, "api", secrets)) <= declared


def test_every_secret_is_a_file_that_is_made_and_a_credential_that_is_read(unit: Unit) -> None:
    loaded = dict(each.split(":", 1) for each in unit.all("LoadCredential"))
    read = [value.removeprefix("%d/") for line in unit.all("Environment") for value in [line.split("=", 1)[1]]]
    assert loaded == {name: f"/etc/marketplace/secrets/{name}" for name in loaded}
    assert set(loaded) <= set(NAMES)
    assert [name for name in read if name in NAMES] == list(loaded)


def test_a_stop_waits_longer_than_any_process_takes(unit: Unit) -> None:
    assert int(unit.one("TimeoutStopSec")) >= 2 * STOP_SECONDS


def test_what_starting_again_cannot_help_is_not_started_again(unit: Unit) -> None:
    final = {str(code) for each in REGISTRY.services if each.name in SERVICES for code in each.final_exits}
    # And what systemd itself ends with where a file of a credential is not there.
    assert set(unit.one("RestartPreventExitStatus").split()) == final | {"243"}


def test_the_unit_of_the_sandbox_starts_it_where_the_settings_look_for_it_and_its_webhooks_reach_the_api() -> None:
    start = read_unit(SANDBOX.read_text()).all("ExecStart")
    program, *arguments = start[-1].split()
    options = parser().parse_args(arguments[2:])
    settings = (UNITS / "marketplace.env").read_text()

    assert (start[0], program, arguments[:2]) == ("", "/opt/marketplace/bin/python", ["-m", "ops.sandbox_provider"])
    assert f"\nMARKETPLACE_PAYMENTS_URL=http://{options.host}:{options.port}\n" in settings
    assert options.webhook_url == f"http://127.0.0.1:{API_PORT.default}/v1/payments/webhooks/sandbox"
    assert str(options.secrets) == "%d/payments"
    assert options.data.parent.parent == Path("%S")


def test_a_command_of_root_has_the_settings_and_secrets_of_the_units(unit: Unit, tmp_path: Path) -> None:
    make_secrets(tmp_path / "secrets", "localhost")
    shutil.copy(UNITS / "marketplace.env", tmp_path)
    places = {"CONFIGURATION": str(tmp_path), "PROGRAM": "/usr/bin/env"}
    said = subprocess.run(
        ["/bin/sh", UNITS / "marketplace-command"], env=places, capture_output=True, text=True, timeout=10, check=True
    )
    given = dict(line.split("=", 1) for line in said.stdout.splitlines() if line.startswith("MARKETPLACE_"))
    wanted = environment(unit, "command", tmp_path / "secrets")
    assert {**given, "MARKETPLACE_LOG_FORMAT": "plain"} == wanted


def test_shellcheck_has_nothing_to_say_of_the_command_of_root() -> None:
    done = subprocess.run(
        [BIN / "shellcheck", UNITS / "marketplace-command"], capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, b"")


def systemd_analyze(*arguments: str | Path, folder: Path) -> tuple[int, str]:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed: nobody reads the units here but the other tests")
    done = subprocess.run(
        [program, *arguments],
        env={"PATH": os.environ["PATH"], "SYSTEMD_UNIT_PATH": f"{folder}:", "LC_ALL": "C"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def installed(folder: Path, *, instances: Sequence[str], planted: tuple[str, str] = ("", "")) -> Path:
    """The units as an administrator would install them, but with a program that is there."""
    target = folder / "units"
    target.mkdir()
    text = TEMPLATE.read_text().replace(PROGRAM, sys.executable).replace(*planted)
    for instance in instances:
        (target / f"marketplace@{instance}.service").write_text(text)
    shutil.copy(UNITS / "marketplace.target", target)
    if "sandbox" in instances:
        added = target / SANDBOX.parent.name
        added.mkdir()
        (added / SANDBOX.name).write_text(SANDBOX.read_text().replace(f"{Path(PROGRAM).parent}/python", sys.executable))
    return target


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    folder = installed(tmp_path, instances=[*SERVICES, "sandbox"])
    units = sorted(each for each in folder.iterdir() if each.is_file())
    code, said = systemd_analyze("verify", "--man=no", "--recursive-errors=no", *units, folder=folder)
    assert (code, said) == (0, "")


def test_systemd_finds_a_setting_that_it_does_not_know(tmp_path: Path) -> None:
    folder = installed(tmp_path, instances=["api"], planted=("KillMode=", "KillModus="))
    _, said = systemd_analyze("verify", "--man=no", folder / "marketplace@api.service", folder=folder)
    assert "'KillModus'" in said


def test_a_unit_is_open_to_little(tmp_path: Path) -> None:
    folder = installed(tmp_path, instances=["api"])
    rated = ("security", "--offline=yes", "--no-pager", f"--threshold={EXPOSURE * 10:.0f}")
    code, said = systemd_analyze(*rated, folder / "marketplace@api.service", folder=folder)
    assert code == 0, said
