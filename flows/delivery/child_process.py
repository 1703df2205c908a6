"""One process of a flow as its set sees it: how it is started, what it reports, and why it left."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from flows.delivery.exit_codes import EXIT_CODES
from runtime.ports import free_ports
from runtime.progress import Lease, Progress, ProgressPage


@dataclass
class ChildProcess:
    """A process, with the page on which it reports and the time that its next report may take."""

    popen: subprocess.Popen[bytes]
    page: ProgressPage
    lease: Lease

    @staticmethod
    def start(
        command: Sequence[str],
        environment: Mapping[str, str],
        output: IO[bytes] | None,
        now: float,
        hang_seconds: float,
    ) -> ChildProcess:
        """Start a process that finds its page by ``FLOW_PROGRESS_FD``.

        Args:
            command: What it runs.
            environment: Its variables, without that one.
            output: Where it writes; None is this process's standard error.
            now: Seconds of a monotonic clock.
            hang_seconds: The longest time between two reports, whatever the process asks for.
        """
        page = ProgressPage()
        # A session of its own: Ctrl-C in the terminal is for this process, which then stops its children in order.
        popen = subprocess.Popen(
            command,
            env={**environment, "FLOW_PROGRESS_FD": str(page.fd)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            pass_fds=(page.fd,),
        )
        return ChildProcess(popen, page, Lease(now, most_seconds=hang_seconds))

    def look(self, now: float) -> Progress:
        """What it says now."""
        progress = self.page.read()
        self.lease.observe(progress, now)
        return progress

    @property
    def ended(self) -> bool:
        """Whether it has left."""
        return self.popen.poll() is not None

    def ending(self) -> tuple[int | None, str]:
        """Why it left or is about to, as an exit code, and its reason where it said one; None while it runs."""
        said = self.page.read()
        if said.ending:
            return EXIT_CODES[said.ending], said.reason
        return self.popen.poll(), ""

    def kill(self) -> None:
        """End it at once, and close its page."""
        self.popen.kill()
        self.popen.wait()
        self.page.close()


def free_addresses(count: int) -> list[str]:
    """Addresses of this machine at which nobody listens."""
    return [f"127.0.0.1:{port}" for port in free_ports(count)]
