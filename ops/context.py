"""What every command starts from: the environment, and the embedded stack if one is running."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path, PurePath, PurePosixPath

from marketplace.settings import ALL_PARTS, DEFAULT_DATA_DIR, Settings
from marketplace.settings import Urls as SettingsUrls
from ops.stack import SupervisorHangsError, running_urls
from ops.stack.components import url_variable
from ops.stack.state.model import read_state


def load_settings(
    environment: Mapping[str, str] | None = None,
    data_dir: str | PurePath | None = None,
    needs: Collection[str] = ALL_PARTS,
) -> Settings:
    """Settings from the environment, with the running stack's URLs where the environment names none.

    Args:
        environment: The variables; by default this process's.
        data_dir: The stack's data folder; by default what the environment says.
        needs: The parts that the command uses; of the others the URL may be empty.

    Raises:
        InvalidSettings: A value cannot be used, or a URL is missing and no stack is running.
        StackError: The stack's supervisor hangs, so that what it says may be no longer so.
    """
    variables = dict(os.environ if environment is None else environment)
    if data_dir is not None:
        variables["MARKETPLACE_DATA"] = str(data_dir)
    fallback = None
    # Who names all parts needs no stack here, and waits for none that hangs.
    if not all(variables.get(url_variable(part), "").strip() for part in needs):
        running = running_urls(variables.get("MARKETPLACE_DATA", "").strip() or DEFAULT_DATA_DIR)
        if running is not None:
            fallback = SettingsUrls(running.kafka, running.mongo, running.clickhouse, running.redis)
    settings = Settings.load(variables, fallback, needs)
    return replace(settings, data_dir=PurePosixPath(os.path.abspath(settings.data_dir)))


def load_mongo(environment: Mapping[str, str] | None = None, data_dir: str | PurePath | None = None) -> tuple[str, str]:
    """The URL of Mongo and the name of the database, for commands that need nothing else.

    The stack is asked only where the environment names no Mongo. Where its supervisor hangs, Mongo is looked for where
    it was last: a leaked key has to be replaced all the same.

    Raises:
        InvalidSettings: A value cannot be used, or the URL is missing and no stack is running.
    """
    variables = dict(os.environ if environment is None else environment)
    if data_dir is not None:
        variables["MARKETPLACE_DATA"] = str(data_dir)
    if not variables.get(url_variable("mongo"), "").strip():
        folder = variables.get("MARKETPLACE_DATA", "").strip() or DEFAULT_DATA_DIR
        try:
            running = running_urls(folder)
        except SupervisorHangsError:
            state = read_state(Path(folder).resolve())
            running = state.urls if state is not None else None
        if running is not None:
            variables[url_variable("mongo")] = running.mongo
    return Settings.load_mongo(variables)
