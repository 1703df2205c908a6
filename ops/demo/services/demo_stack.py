"""The parts that the demo runs on: those that run already, or an embedded stack of its own."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Final

from marketplace.settings import ALL_PARTS, Urls
from ops.demo.services.served import service_settings
from ops.stack import Stack, StackError, running_urls
from ops.stack.ports import is_free
from ops.stack.registry import REGISTRY, SERVICES
from ops.stack.settings import external_urls
from ops.stack.supervisor.reaper import start_time
from runtime.sections import DEFAULT_DATA_DIR, Settings

ORDER_SERVICES: Final = ("relay", "consumers", "api")
"""What orders need beside the parts."""

SERVED: Final = REGISTRY.needed_by((*ALL_PARTS, *SERVICES))
_PREFIX: Final = "marketplace-demo-"
_OWNER: Final = "owner"


@dataclass
class DemoStack:
    """Running parts.

    Attributes:
        settings: Their URLs and the database.
        folder: The data folder; logs and state of the demo's own processes go there.
        stack: The embedded stack, if the demo started it.
        temporary: The folder is removed with the demo.
    """

    settings: Settings
    folder: Path
    stack: Stack | None = None
    temporary: bool = False

    @property
    def logs(self) -> Path:
        """The folder of log files."""
        return self.folder / "logs"

    def close(self, *, keep: bool) -> None:
        """Stop what the demo started, unless ``keep`` leaves the parts running and the folder in place."""
        if self.stack is not None:
            if keep:
                self.stack.detach()
            else:
                self.stack.stop()
        if self.temporary:
            if keep:
                (self.folder / _OWNER).unlink(missing_ok=True)
            else:
                shutil.rmtree(self.folder, ignore_errors=True)


def open_demo_stack(
    data: Path | None, *, once: bool, brokers: int, workers: int = 1, orders: bool = False
) -> DemoStack:
    """Use the parts that run, or start them.

    A check (``once``) uses the URLs of the environment if it has all of them. A check without a folder has a temporary
    stack of its own; otherwise the stack that runs on the data folder is used, or one is started there. Live shops use
    the stack's own services; a check starts its own collector and flow, so that it can restart and count them. Where it
    places orders, the services that orders need are the stack's.

    Raises:
        StackError: A part cannot be started.
    """
    remove_abandoned()
    folder = (data or Path(DEFAULT_DATA_DIR)).resolve()
    given = {part.name: "" for part in REGISTRY.parts} | external_urls(os.environ)
    if once and not orders and all(given[part] for part in ALL_PARTS):
        return _elsewhere(Urls(**given), data, once=once)
    # A check has a stack of its own: it must not leave its shops among the user's stores.
    temporary = once and data is None
    running = None if temporary else running_urls(folder)
    if running is not None:
        return DemoStack(_settings(running, folder), folder)
    if temporary:
        folder = _temporary_folder()
    # People and other commands expect the usual ports; a temporary stack must not take them.
    usual = not temporary and all(is_free(each.default_port) for each in REGISTRY if each.default_port)
    stack = Stack(
        folder,
        ports="default" if usual else "auto",
        brokers=brokers,
        parts=(*ALL_PARTS, *(REGISTRY.needed_by(ORDER_SERVICES) if orders else ())) if once else SERVED,
        service_settings=service_settings(workers),
    )
    demo_stack = DemoStack(_settings(Urls(), folder), folder, stack, temporary)
    try:
        stack.start()
    except BaseException:
        demo_stack.close(keep=False)
        raise
    demo_stack.settings = _settings(stack.urls, folder)
    return demo_stack


def remove_abandoned() -> None:
    """Remove temporary folders of demos that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            pid, _, started = (folder / _OWNER).read_text().partition(" ")
            abandoned = str(start_time(int(pid))) != started and running_urls(folder) is None
        except (OSError, ValueError, StackError):
            continue
        if abandoned:
            shutil.rmtree(folder, ignore_errors=True)


def _temporary_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    (folder / _OWNER).write_text(f"{os.getpid()} {start_time(os.getpid())}")
    return folder


def _elsewhere(urls: Urls, data: Path | None, *, once: bool) -> DemoStack:
    if data is None and once:
        folder = _temporary_folder()
        return DemoStack(_settings(urls, folder), folder, temporary=True)
    folder = (data or Path(DEFAULT_DATA_DIR)).resolve()
    return DemoStack(_settings(urls, folder), folder)


def _settings(urls: Urls, folder: Path) -> Settings:
    found = Urls(urls.kafka or "-", urls.mongo or "-", urls.clickhouse or "-", urls.redis or "-")
    settings = Settings.load({**os.environ, "MARKETPLACE_DATA": str(folder)}, found)
    return replace(settings, data_dir=PurePosixPath(folder))
