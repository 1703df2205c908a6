"""Which requests of a log are page views.

A log has everything that was asked for; a visitor saw the pages among it. A page view is a ``GET`` that was answered
with the page (200, or 304 for a page that the browser had), of something that is no file. Health checks of load
balancers and orchestrators ask for pages too, and are kept apart as automated.
"""

from __future__ import annotations

import re
from functools import lru_cache
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


VIEW: Final = "views"
ASSET: Final = "assets"
FILE: Final = "files"
METHOD: Final = "other methods"
STATUS: Final = "errors and redirects"
NO_PAGE: Final = "no page"
COLLECTOR: Final = "the collector's own"
OTHER_HOST: Final = "other hosts"


def kind_of(request: LoggedRequest) -> str:
    """What a request is, by its path, method and status, in this order; only a view is a page view."""
    kind = _kind_of_target(request.target)
    if kind is not VIEW:
        return kind
    if request.method not in _GET:
        return METHOD
    return VIEW if request.status in _ANSWERED else STATUS


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


# Cached: a log has many requests of few pages, and of fewer assets.
@lru_cache(maxsize=8_192)
def _kind_of_target(target: str) -> str:
    if not target:
        return NO_PAGE
    path = _path(target)
    if path.endswith(_COLLECTOR_PATHS):
        return COLLECTOR
    _, dot, extension = path.rpartition(".")
    if not dot:
        return VIEW
    extension = extension.lower()
    return ASSET if extension in ASSET_EXTENSIONS else FILE if extension in FILE_EXTENSIONS else VIEW


def _path(target: str) -> str:
    if not target.startswith("/") and _SCHEME.match(target):
        try:
            return urlsplit(target).path
        except ValueError:
            return ""
    return target.partition("?")[0].partition("#")[0]
