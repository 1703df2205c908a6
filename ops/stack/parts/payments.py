"""The payment provider: a sandbox, where nobody names a real one."""

import sys
from collections.abc import Mapping

from connectors.payments.secrets import BadSecrets, ensure_secrets
from ops.stack.components import Launch, PartSpec
from ops.stack.errors import StackError
from ops.stack.ports import HOST
from ops.stack.process_spec import PACKAGE_ROOT, HealthCheck, ProcessSpec
from runtime.sections import PROVIDER_SECRETS


class Payments(PartSpec):
    """The sandbox; its webhooks go to the REST API of the same stack, and wait where there is none."""

    def url(self, ports: Mapping[str, int], brokers: int) -> str:
        """Its API."""
        del brokers
        return f"http://{HOST}:{ports[self.name]}" if self.name in ports else ""

    @property
    def check_elsewhere(self) -> HealthCheck:
        """A provider has no page about how it is that all of them have: whatever it answers will do."""
        return HealthCheck("answer", "/")

    def processes(self, launch: Launch) -> list[ProcessSpec]:
        """The one process, and the secrets that it shares with the product."""
        secrets = launch.data_dir / PROVIDER_SECRETS
        try:
            ensure_secrets(secrets)
        except BadSecrets as error:
            raise StackError(str(error)) from error
        command = [sys.executable, "-m", "ops.sandbox_provider", "--data", str(self.folder(launch))]
        command += ["--secrets", str(secrets), "--host", HOST, "--port", str(launch.ports[self.name])]
        api = launch.ports.get("api")
        if api is not None:
            command += ["--webhook-url", f"http://{HOST}:{api}/v1/payments/webhooks/sandbox"]
        return [
            ProcessSpec(
                self.name,
                self.name,
                command,
                self.url(launch.ports, launch.brokers),
                environment={"PYTHONPATH": PACKAGE_ROOT},
                check=self.check,
                stop_rank=self.stop_rank,
            )
        ]
