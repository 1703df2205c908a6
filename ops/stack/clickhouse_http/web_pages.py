"""Which requests the process takes: those of programs on this machine, and none that a web page makes.

It has no password. A page of any site that is open in a browser here could post a query to it, and could let a name of
its own lead here to read the answers.
"""

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

_OTHER_SITES: Final = ("cross-site", "same-site")


def refusal(headers: Mapping[str, str]) -> str:
    """Why a request is not taken, in one line; nothing where it is.

    Args:
        headers: by lower-case name.
    """
    if "origin" in headers:
        return "Requests of web pages (with an Origin header) are not taken here"
    if headers.get("sec-fetch-site", "").strip().lower() in _OTHER_SITES:
        return "Requests of other sites' pages (Sec-Fetch-Site) are not taken here"
    if "host" in headers and not _is_local(headers["host"]):
        return "The Host is neither localhost nor an address: names of others may not lead here"
    return ""


def _is_local(host: str) -> bool:
    """Whether nobody else can make the name lead here; an address in its place leads where it says."""
    try:
        parts = urlsplit(f"//{host.strip()}")
        name = parts.hostname or ""
        if parts.netloc.startswith("[") and not re.fullmatch(r"\[[^]]*\](:\d+)?", parts.netloc):
            return False
        if name == "localhost" or name.endswith(".localhost"):
            return True
        ip_address(name)
    except ValueError:
        return False
    return True
