"""What every command starts from: the environment, and the embedded stack if one is running."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path, PurePath, PurePosixPath

from marketplace.settings import ALL_PARTS, Urls
from ops.stack import SupervisorHangsError, running_urls
from ops.stack import Urls as StackUrls
from ops.stack.state.model import read_state
from runtime.sections import DATA_DIR, MONGO_URL, URLS, MongoSettings, Settings
from runtime.settings import EnvReader, load


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

    def read(env: EnvReader) -> Settings:
        # Who names all parts needs no stack here, and waits for none that hangs.
        running = None if all(env.given(URLS[part]) for part in needs) else running_urls(env.read(DATA_DIR))
        return Settings.read(env, _plain(running) if running is not None else None, needs)

    settings = load(_variables(environment, data_dir), read)
    return replace(settings, data_dir=PurePosixPath(os.path.abspath(settings.data_dir)))


def load_mongo(environment: Mapping[str, str] | None = None, data_dir: str | PurePath | None = None) -> MongoSettings:
    """Where MongoDB is, for commands that need nothing else.

    The stack is asked only where the environment names no Mongo. Where its supervisor hangs, Mongo is looked for where
    it was last: a leaked key has to be replaced all the same.

    Raises:
        InvalidSettings: A value cannot be used, or the URL is missing and no stack is running.
    """

    def read(env: EnvReader) -> MongoSettings:
        running = None if env.given(MONGO_URL) else _last_urls(env.read(DATA_DIR))
        return MongoSettings.read(env, _plain(running) if running is not None else None)

    return load(_variables(environment, data_dir), read)


def _variables(environment: Mapping[str, str] | None, data_dir: str | PurePath | None) -> Mapping[str, str]:
    given = os.environ if environment is None else environment
    return given if data_dir is None else {**given, DATA_DIR.name: str(data_dir)}


def _last_urls(folder: str) -> StackUrls | None:
    try:
        return running_urls(folder)
    except SupervisorHangsError:
        state = read_state(Path(folder).resolve())
        return state.urls if state is not None else None


def _plain(urls: StackUrls) -> Urls:
    return Urls(urls.kafka, urls.mongo, urls.clickhouse, urls.redis)
