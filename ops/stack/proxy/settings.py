"""What the environment says about the embedded proxy."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from marketplace.networks import Network
from ops.stack.errors import StackError
from runtime.settings import EnvReader, Section, load

PROXY: Final = Section("Proxy", "For `marketplace up --proxy`, which starts nginx in front of the services.")
DEFAULT_PORT: Final = 8443
PORT: Final = PROXY.port(
    "MARKETPLACE_PROXY_PORT", "Its port for https; http and probes have the two after it.", DEFAULT_PORT, lowest=1
)
NAMES: Final = PROXY.text(
    "MARKETPLACE_PROXY_NAMES",
    "Host names under which it is reached, with commas between them; links lead to the first. Others get 421.",
    "localhost",
)
CERTIFICATE_FILE: Final = PROXY.path(
    "MARKETPLACE_PROXY_CERTIFICATE_FILE",
    "Its certificate with those that sign it (PEM).",
    default_text="a self-signed one in the data folder",
)
KEY_FILE: Final = PROXY.path(
    "MARKETPLACE_PROXY_KEY_FILE", "The certificate's key (PEM).", default_text="that of the self-signed one"
)
BALANCERS: Final = PROXY.networks(
    "MARKETPLACE_PROXY_TRUSTED_PROXIES", "Load balancers in front of it, whose `X-Forwarded-For` it believes."
)
PROGRAM: Final = PROXY.path(
    "MARKETPLACE_PROXY_PROGRAM", "The program nginx.", default_text="`nginx` on the path or in `/usr/sbin`"
)

_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")
_UNUSABLE: Final = frozenset('"\\$\n')
"""Characters that mean something in a configuration of nginx, in a text with quotation marks."""
_SYSTEM_FOLDERS: Final = ("/usr/sbin", "/usr/local/sbin")


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """Settings of the embedded proxy; the variables above describe each.

    Attributes:
        certificate: The files of certificate and key; None for the self-signed ones.
        balancers: Networks whose `X-Forwarded-For` is believed.
        program: The path of nginx; empty to look for it.
    """

    names: tuple[str, ...]
    certificate: tuple[Path, Path] | None
    balancers: tuple[Network, ...]
    program: str

    @staticmethod
    def read(env: EnvReader) -> ProxySettings:
        """Read the section."""
        names = tuple(name.strip().lower() for name in env.read(NAMES).split(",") if name.strip())
        if not names or not all(map(_NAME.fullmatch, names)):
            env.reject(f"{NAMES.name}={env.read(NAMES)}: give host names with commas between them")
        files = [variable for variable in (CERTIFICATE_FILE, KEY_FILE) if env.given(variable)]
        if len(files) == 1:
            env.reject(f"{CERTIFICATE_FILE.name} and {KEY_FILE.name} belong together: give both or none")
        for variable in files:
            if _UNUSABLE & frozenset(env.read(variable)):
                env.reject(f"{variable.name}: nginx takes no path with a quotation mark, a backslash or a dollar sign")
            elif not Path(env.read(variable)).is_file():
                env.reject(f"{variable.name}={env.read(variable)}: there is no such file")
        certificate = (Path(env.read(CERTIFICATE_FILE)).resolve(), Path(env.read(KEY_FILE)).resolve())
        return ProxySettings(names, certificate if files else None, env.read(BALANCERS), env.read(PROGRAM))

    @staticmethod
    def load(environment: Mapping[str, str]) -> ProxySettings:
        """Read the environment.

        Raises:
            InvalidSettings: Values cannot be used; the message names the variables.
        """
        return load(environment, ProxySettings.read)

    def find_program(self) -> str:
        """The path of nginx.

        Raises:
            StackError: It is not installed.
        """
        found = shutil.which(self.program or "nginx") or shutil.which(
            self.program or "nginx", path=":".join(_SYSTEM_FOLDERS)
        )
        if found is None:
            where = f"{PROGRAM.name}={self.program} is no program" if self.program else "nginx is missing"
            raise StackError(f"{where}: apt install nginx, or start without --proxy")
        return found
