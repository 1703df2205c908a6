"""Where the demo plays: parts that run already, or an embedded stack of its own."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Final

from marketplace.settings import Urls as SettingsUrls
from ops.demo.services.served import service_settings
from ops.stack import Stack, StackError, Urls, running_urls
from ops.stack.ports import is_free
from ops.stack.registry import PARTS, REGISTRY, SERVICES
from ops.stack.supervisor.reaper import start_time
from runtime.sections import DEFAULT_DATA_DIR, Settings

_PREFIX: Final = "marketplace-demo-"
_OWNER: Final = "owner"


@dataclass
class Stage:
    """Parts that run.

    Attributes:
        settings: Where they are.
        folder: The data folder; logs and state of the demo's own processes go there.
        stack: The embedded stack, if the demo started it.
        temporary: The folder goes with the demo.
    """

    settings: Settings
    folder: Path
    stack: Stack | None = None
    temporary: bool = False

    @property
    def logs(self) -> Path:
        """Where logs go."""
        return self.folder / "logs"

    def close(self, *, keep: bool) -> None:
        """Stop what the demo started; ``keep`` leaves the parts running and the folder in place."""
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


def open_stage(data: Path | None, *, once: bool, brokers: int, workers: int = 1) -> Stage:
    """Take the parts that run, or start them.

    Parts are taken from the environment's URLs. A check (``once``) without a folder has a temporary stack of its own;
    otherwise a stack that runs on the data folder is used, or one is started there. Open shops are served by the
    stack's own services; a check brings its own, so that it can tell what they do from the outside.

    Raises:
        StackError: A part cannot be started.
    """
    remove_abandoned()
    folder = (data or Path(DEFAULT_DATA_DIR)).resolve()
    given = {part.name: os.environ.get(part.url_variable, "") for part in REGISTRY.parts}
    if once and all(given.values()):
        return _elsewhere(Urls(**given), data, once=once)
    # A check of every number has a stack of its own: it must not leave its shops among somebody's stores.
    temporary = once and data is None
    running = None if temporary else running_urls(folder)
    if running is not None:
        return Stage(_settings(running, folder), folder)
    if temporary:
        folder = _temporary_folder()
    # The usual ports are what people and other commands look for; a stack of a minute must not quarrel about them.
    usual = not temporary and all(is_free(each.default_port) for each in REGISTRY if each.default_port)
    stack = Stack(
        folder,
        ports="default" if usual else "auto",
        brokers=brokers,
        parts=PARTS if once else (*PARTS, *SERVICES),
        service_settings=service_settings(folder, workers),
    )
    stage = Stage(_settings(Urls(), folder), folder, stack, temporary)
    try:
        stack.start()
    except BaseException:
        stage.close(keep=False)
        raise
    stage.settings = _settings(stack.urls, folder)
    return stage


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


def _elsewhere(urls: Urls, data: Path | None, *, once: bool) -> Stage:
    if data is None and once:
        folder = _temporary_folder()
        return Stage(_settings(urls, folder), folder, temporary=True)
    folder = (data or Path(DEFAULT_DATA_DIR)).resolve()
    return Stage(_settings(urls, folder), folder)


def _settings(urls: Urls, folder: Path) -> Settings:
    found = SettingsUrls(urls.kafka or "-", urls.mongo or "-", urls.clickhouse or "-", urls.redis or "-")
    settings = Settings.load({**os.environ, "MARKETPLACE_DATA": str(folder)}, found)
    return replace(settings, data_dir=PurePosixPath(folder))
