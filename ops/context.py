"""Settings of a command, from the environment and from the embedded stack if one is running."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path, PurePath, PurePosixPath
from typing import TypeVar

from marketplace.settings import ALL_PARTS, Urls
from ops.stack import SupervisorHangsError, running_urls
from ops.stack.state.model import read_state
from runtime.sections import (
    DATA_DIR,
    DEFAULT_DATA_DIR,
    MONGO_URL,
    PAYMENTS_URL,
    URLS,
    MongoSettings,
    PaymentSettings,
    Settings,
)
from runtime.settings import EnvReader, load

T = TypeVar("T")


def load_settings(
    environment: Mapping[str, str] | None = None,
    data_dir: str | PurePath | None = None,
    needs: Collection[str] = ALL_PARTS,
) -> Settings:
    """Settings from the environment, with the running stack's URLs where the environment names none.

    Args:
        environment: The variables; by default this process's.
        data_dir: The stack's data folder; by default the environment's.
        needs: The parts that the command uses; the URLs of others may be empty.

    Raises:
        InvalidSettings: A value cannot be used, or a URL is missing and no stack is running.
        StackError: The stack's supervisor hangs, so that its URLs may be out of date.
    """

    def read(env: EnvReader) -> Settings:
        # If all parts are named, the stack is not needed, and a hung one is not waited for.
        running = None if all(env.given(URLS[part]) for part in needs) else running_urls(env.read(DATA_DIR))
        return Settings.read(env, running, needs)

    settings = load(_variables(environment, data_dir), read)
    return replace(settings, data_dir=PurePosixPath(os.path.abspath(settings.data_dir)))


def load_mongo(environment: Mapping[str, str] | None = None, data_dir: str | PurePath | None = None) -> MongoSettings:
    """The settings of MongoDB, for commands that need nothing else.

    The stack is used only if the environment names no Mongo. If its supervisor hangs, Mongo's last known URL is used:
    a leaked key has to be replaced all the same.

    Raises:
        InvalidSettings: A value cannot be used, or the URL is missing and no stack is running.
    """

    def read(env: EnvReader) -> MongoSettings:
        running = None if env.given(MONGO_URL) else _last_urls(env.read(DATA_DIR))
        return MongoSettings.read(env, running)

    return load(_variables(environment, data_dir), read)


def load_payments(
    environment: Mapping[str, str] | None = None, data_dir: str | PurePath | None = None
) -> PaymentSettings:
    """The settings of the payment provider, for commands that ask it something.

    Raises:
        InvalidSettings: A value cannot be used, or the URL is missing and no stack is running.
        StackError: The stack's supervisor hangs, so that its URLs may be out of date.
    """

    def read(env: EnvReader) -> PaymentSettings:
        return PaymentSettings.read(env, None if env.given(PAYMENTS_URL) else running_urls(env.read(DATA_DIR)))

    return load(_variables(environment, data_dir), read)


def load_read(read: Callable[[EnvReader], T], data_dir: str | PurePath | None = None) -> T:
    """Settings of a command that needs no part, read from this process's environment.

    Args:
        read: Reads them.
        data_dir: The data folder; by default the environment's.

    Raises:
        InvalidSettings: A value cannot be used.
    """
    return load(_variables(None, data_dir), read)


def data_flag(folder: Path) -> str:
    """The option that makes a command use a data folder, with a space before it; empty for the usual folder.

    Args:
        folder: An absolute path.
    """
    if folder == Path(DEFAULT_DATA_DIR).resolve():
        return ""
    return f" --data {folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder}"


def _variables(environment: Mapping[str, str] | None, data_dir: str | PurePath | None) -> Mapping[str, str]:
    given = os.environ if environment is None else environment
    return given if data_dir is None else {**given, DATA_DIR.name: str(data_dir)}


def _last_urls(folder: str) -> Urls | None:
    try:
        return running_urls(folder)
    except SupervisorHangsError:
        state = read_state(Path(folder).resolve())
        return state.urls if state is not None else None
