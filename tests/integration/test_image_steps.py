"""The Dockerfile without an engine: its steps in a fresh Debian root by chroot, and a process of compose.yml in it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ops.deploy.secrets import make_secrets
from tests.kits.compose import ROOT, read_compose
from tests.kits.containers import Machine, missing
from tests.kits.depth import LONG
from tests.kits.image_steps import build, fresh_root
from tests.kits.processes import wait_until

pytestmark = [LONG, pytest.mark.timeout(1_800)]


def registries() -> dict[str, str]:
    """How pip finds packages on this machine."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    )
    options = {"global.index-url": "PIP_INDEX_URL", "global.trusted-host": "PIP_TRUSTED_HOST"}
    lines = dict(line.split("=", 1) for line in listed.stdout.splitlines() if "=" in line)
    wanted = ("PIP_CERT", "PIP_INDEX_URL", "PIP_TRUSTED_HOST", "http_proxy", "https_proxy", "no_proxy")
    given = {name: os.environ[name] for name in wanted if name in os.environ}
    return {variable: lines[option].strip("'") for option, variable in options.items() if option in lines} | given


def test_the_steps_of_the_dockerfile_make_an_image_whose_processes_are_healthy(tmp_path: Path) -> None:
    if reason := missing():
        pytest.skip(reason)
    if shutil.which("debootstrap") is None:
        pytest.skip("debootstrap is missing: apt install debootstrap")
    began = time.monotonic()
    fresh = fresh_root(tmp_path / "fresh")
    fresh_seconds = time.monotonic() - began
    stage = build(ROOT / "Dockerfile", ROOT, fresh, tmp_path, registries())
    sys.stdout.write(f"fresh root {fresh_seconds:.0f} s, steps {time.monotonic() - began - fresh_seconds:.0f} s\n")
    assert (stage.user, stage.entrypoint, stage.health) == ("10001:10001", ["marketplace"], ["marketplace", "health"])

    compose = read_compose()
    secrets = tmp_path / "secrets"
    make_secrets(secrets, "localhost")
    (tmp_path / "hosts").write_text(f"127.0.0.1 localhost {socket.gethostname()} payments api\n")
    machine = Machine(tmp_path, secrets, {}, str(stage.root))
    machine.start([])
    try:
        machine.run("payments", compose.services["payments"], {**stage.environment, **compose.environment("payments")})
        wait_until(lambda: machine.health("payments")[0] == 0, 90, "health of the payments container")
        sys.stdout.write(f"{machine.health('payments')[1]}\n")
        code, _ = machine.stop("payments")
        # Without a setting that it needs, a process says so in a line and ends with 2.
        refused = machine.run("api", {**compose.services["api"], "volumes": []}, stage.environment)
        assert refused.process.wait(60) == 2
        assert "MARKETPLACE_MONGO_URL" in refused.said()
    finally:
        machine.end()
    assert code == 0
    used = subprocess.run(
        ["du", "-sm", str(stage.root / "opt/marketplace")], capture_output=True, text=True, check=True
    )
    sys.stdout.write(f"/opt/marketplace {used.stdout.split()[0]} MB\n")
