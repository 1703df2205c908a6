"""The proxy's folder: the configuration of deploy/nginx as it is, and values for this machine beside it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ops.stack.errors import StackError
from ops.stack.ports import HOST
from ops.stack.process_spec import PACKAGE_ROOT
from ops.stack.proxy.certificate import ensure_certificate
from ops.stack.proxy.settings import ProxySettings

TEMPLATE: Final = Path(PACKAGE_ROOT) / "deploy" / "nginx"
CONFIGURATION: Final = "nginx.conf"
CERTIFICATE: Final = "certificate.pem"
UPSTREAMS: Final = ("api", "collector", "dashboard")
_LOCAL_NAMES: Final = (HOST, "[::1]")
_TEMPORARY: Final = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@dataclass(frozen=True, slots=True)
class ProxyPorts:
    """Where the proxy and the services listen on loopback.

    Attributes:
        https: The public port.
        http: Redirects to the public one.
        admin: Whether it lives.
        upstreams: Of each service, by its name.
    """

    https: int
    http: int
    admin: int
    upstreams: Mapping[str, int]


def write_folder(folder: Path, settings: ProxySettings, ports: ProxyPorts) -> None:
    """Make or replace the configuration, and the certificate where none is given.

    Raises:
        StackError: The configuration is not installed, or the folder cannot be written.
    """
    try:
        if not (TEMPLATE / CONFIGURATION).is_file():
            raise StackError(f"the proxy's configuration is missing: there is no {TEMPLATE / CONFIGURATION}")
        for each in (folder, folder / "values", folder / "tmp"):
            each.mkdir(mode=0o700, exist_ok=True)
        if settings.certificate is None:
            ensure_certificate(folder / CERTIFICATE, settings.names)
        shutil.copyfile(TEMPLATE / CONFIGURATION, folder / CONFIGURATION)
        for name, text in values(settings, ports).items():
            with open(os.open(folder / "values" / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(text)
    except OSError as error:
        raise StackError(f"the proxy's folder {folder} cannot be written: {error.strerror or error}") from error


def values(settings: ProxySettings, ports: ProxyPorts) -> dict[str, str]:
    """The files of `values/` for one machine, by their names: the same files as in deploy/nginx/values."""
    certificate, key = settings.certificate or (Path(CERTIFICATE), Path(CERTIFICATE))
    names = "".join(f"    {name} 1;\n" for name in (*settings.names, *_LOCAL_NAMES))
    files = {
        "main.conf": "pid nginx.pid;\nerror_log stderr alert;\nworker_shutdown_timeout 3s;\nworker_processes auto;\n",
        "http.conf": (
            "access_log /dev/stdout requests;\n"
            f'map $host $known_host {{\n    default "";\n{names}}}\n'
            f'map "" $public_url {{\n    default {public_url(settings, ports.https)};\n}}\n'
            # It would apply to every port of localhost, where other servers speak plain http.
            'map "" $hsts {\n    default "";\n}\n'
            + "".join(f"set_real_ip_from {network};\n" for network in settings.balancers)
            + "".join(f"{name}_temp_path tmp/{name};\n" for name in _TEMPORARY)
        ),
        "listen.conf": (
            f"listen {HOST}:{ports.https} ssl http2 default_server;\n"
            f'ssl_certificate "{certificate}";\nssl_certificate_key "{key}";\n'
        ),
        "redirect.conf": f"listen {HOST}:{ports.http} default_server;\n",
        "admin.conf": f"listen {HOST}:{ports.admin};\n",
    }
    return files | {f"{name}.conf": f"server {HOST}:{ports.upstreams[name]};\n" for name in UPSTREAMS}


def public_url(settings: ProxySettings, port: int) -> str:
    """Where people reach it."""
    return f"https://{settings.names[0]}:{port}"
