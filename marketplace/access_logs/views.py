"""Which requests of a log are page views.

A log has everything that was asked for; a visitor saw the pages among it. A page view is a ``GET`` that was answered
with the page (200, or 304 for a page that the browser had), of something that is no file. Health checks of load
balancers and orchestrators ask for pages too, and are kept apart as automated.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from marketplace.access_logs.requests import LoggedRequest

ASSET_EXTENSIONS: Final = frozenset(
    extension
    for kind in (
        "css js mjs map wasm webmanifest",
        "png jpg jpeg jpe gif svg svgz webp avif bmp ico cur tif tiff heic",
        "woff woff2 ttf otf eot",
        "mp3 m4a ogg oga opus wav flac aac",
        "mp4 m4v webm ogv avi mov mpg mpeg m3u8 ts vtt",
    )
    for extension in kind.split()
)
"""File types that browsers load along with a page; a request for one is not a page view."""

FILE_EXTENSIONS: Final = frozenset(
    extension
    for kind in (
        "json xml rss atom txt csv yaml yml",
        "pdf doc docx xls xlsx ppt pptx odt ods epub",
        "zip gz tgz bz2 xz zst 7z rar tar exe msi dmg pkg apk deb rpm iso bin",
    )
    for extension in kind.split()
)
"""Types of data and downloads; a request for one is not a page view either."""

_COLLECTOR_PATHS: Final = ("/v1/collect", "/v1/import", "/v1/pixel.gif", "/m.js")
_ANSWERED: Final = (200, 304, None)
_GET: Final = ("GET", "")
_SCHEME: Final = re.compile(r"https?://", re.IGNORECASE)
_DEFAULT_PORT: Final = re.compile(r"^(?:(http://[^/?#]*):80|(https://[^/?#]*):443)(?=[/?#]|$)", re.IGNORECASE)
_CHECKING_AGENT: Final = re.compile(
    r"ELB-HealthChecker/|kube-probe/|GoogleHC/|Amazon-Route53-Health-Check-Service|Consul Health Check|HAProxy|"
    r"Blackbox[- ]Exporter|Prometheus/|Edge Health Probe|Load Balancer Agent|Traefik-Healthcheck|"
    r"check_http/|Envoy/HC|docker-healthcheck",
    re.IGNORECASE,
)
_CHECKED_PATH: Final = re.compile(
    r"/_?(?:health(?:z|check|-check)?|livez?|readyz?|startupz?|ping|status|up)(?:/\w*)?/?"
)


class Kind(StrEnum):
    """What a logged request is; only a view becomes a click, unless more is asked for."""

    VIEW = "views"
    ASSET = "assets"
    FILE = "files"
    METHOD = "other methods"
    STATUS = "errors and redirects"
    NO_PAGE = "no page"
    COLLECTOR = "the collector's own"
    OTHER_HOST = "other hosts"


def kind_of(request: LoggedRequest) -> Kind:
    """What a request is, by its path, method and status, in this order."""
    if not request.target:
        return Kind.NO_PAGE
    path = _path(request.target)
    if path.endswith(_COLLECTOR_PATHS):
        return Kind.COLLECTOR
    extension = _extension(path)
    if extension in ASSET_EXTENSIONS:
        return Kind.ASSET
    if extension in FILE_EXTENSIONS:
        return Kind.FILE
    if request.method not in _GET:
        return Kind.METHOD
    return Kind.VIEW if request.status in _ANSWERED else Kind.STATUS


def is_health_check(request: LoggedRequest) -> bool:
    """Whether a machine asks whether the server is up: its agent says so, or it has no browser and asks for that."""
    agent = request.user_agent
    if agent.startswith(("Mozilla/", "Opera/")):
        return False
    return _CHECKING_AGENT.match(agent) is not None or _CHECKED_PATH.fullmatch(_path(request.target)) is not None


def page_url(target: str, host: str) -> str:
    """The page's absolute URL.

    Args:
        target: A path, or an absolute URL as proxies get it; anything else, and an empty one, gives an empty string.
        host: The page's host.
    """
    if target.startswith("/"):
        return f"https://{host}{target}"
    return _DEFAULT_PORT.sub(r"\1\2", target) if _SCHEME.match(target) else ""


def _path(target: str) -> str:
    if not target.startswith("/") and _SCHEME.match(target):
        try:
            return urlsplit(target).path
        except ValueError:
            return ""
    return target.partition("?")[0].partition("#")[0]


def _extension(path: str) -> str:
    _, dot, extension = path.rpartition(".")
    return extension.lower() if dot else ""
