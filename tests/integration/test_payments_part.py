"""The sandbox provider as a part of the stack: started, watched, started again, and not where another one is named."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from pathlib import Path

from connectors.payments.provider import Charge
from connectors.payments.sandbox import SandboxProvider
from connectors.payments.secrets import KnownSecrets, read_secrets
from marketplace.sagas.provider_calls import Outcome
from ops.stack import Stack
from runtime.sections import PROVIDER_SECRETS
from tests.kits.payments import Sandbox
from tests.kits.stack import eventually


def test_the_provider_runs_with_the_stack_and_remembers_what_it_did_when_it_was_killed(tmp_path: Path) -> None:
    with Stack(tmp_path / "data", ports="auto", parts={"payments"}, external={}) as stack:
        url = stack.urls.payments
        assert stack.process("payments").healthy
        secrets = tmp_path / "data" / PROVIDER_SECRETS
        assert secrets.stat().st_mode & 0o777 == 0o600
        sandbox = Sandbox(tmp_path, int(url.rpartition(":")[2]))
        charge = Charge("p1:charge", 2_500, "EUR", sandbox.method("success"))
        with closing(SandboxProvider(url, KnownSecrets(read_secrets(secrets)), "sandbox")) as client:
            said = client.charge(charge)
            old = stack.pid("payments")
            os.kill(old, signal.SIGKILL)
            assert eventually(lambda: stack.process("payments").pid not in (None, old))
            stack.wait_healthy("payments", 20)
            assert client.look_up(charge.key) == said
            assert said.outcome is Outcome.SUCCEEDED

        with Stack(tmp_path / "other", ports="auto", parts={"payments"}, external={"payments": url}) as other:
            assert (other.process("payments").external, other.urls.payments) == (True, url)
            assert other.process("payments").pid is None
            assert other.state().urls.environment() == {"MARKETPLACE_PAYMENTS_URL": url}
