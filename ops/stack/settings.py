"""What the environment says about the embedded stack; an empty value is none."""

import math
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from marketplace.settings import InvalidSettings
from ops.stack.components import PartSpec
from ops.stack.disk.space import LOW_DISK_MB, LOW_DISK_VARIABLE
from ops.stack.health.silence import HANG_SECONDS, HANG_VARIABLE
from ops.stack.registry import REGISTRY, Registry
from ops.stack.state.model import Part

_SHORTEST_HANG_SECONDS: Final = 1.0
_LONGEST_HANG_SECONDS: Final = 86_400.0
_MOST_MB: Final = 1 << 30


def external_urls(environment: Mapping[str, str], registry: Registry = REGISTRY) -> dict[Part, str]:
    """The parts that run elsewhere, and where.

    Raises:
        InvalidSettings: a URL cannot be one of its part; names the variable.
    """
    given = {part: environment.get(part.url_variable, "").strip() for part in registry.parts}
    return {part.name: _url(part, url) for part, url in given.items() if url}


def hang_seconds(environment: Mapping[str, str]) -> float:
    """After how long without an answer a process is started again.

    Raises:
        InvalidSettings: it is no number of seconds.
    """
    text = environment.get(HANG_VARIABLE, "").strip()
    try:
        seconds = float(text) if text else HANG_SECONDS
    except ValueError:
        seconds = math.nan
    if not _SHORTEST_HANG_SECONDS <= seconds <= _LONGEST_HANG_SECONDS:
        allowed = f"{_SHORTEST_HANG_SECONDS:.0f} to {_LONGEST_HANG_SECONDS:.0f}"
        raise InvalidSettings(f"{HANG_VARIABLE}={text}: give seconds, from {allowed}")
    return seconds


def low_disk_mb(environment: Mapping[str, str]) -> int:
    """Less free disk than so many MB is low.

    Raises:
        InvalidSettings: it is no number.
    """
    text = environment.get(LOW_DISK_VARIABLE, "").strip()
    if not text:
        return LOW_DISK_MB
    if not re.fullmatch(r"[0-9]{1,10}", text) or int(text) > _MOST_MB:
        raise InvalidSettings(f"{LOW_DISK_VARIABLE}={text}: give a number of MB, from 0 to {_MOST_MB}")
    return int(text)


def _url(part: PartSpec, url: str) -> str:
    if not part.schemes:
        if not all(re.fullmatch(r"(\[[0-9a-fA-F:.%]+\]|[^\s:/]+):[0-9]{1,5}", address) for address in url.split(",")):
            raise InvalidSettings(f"{part.url_variable}={url}: give host:port, or several with commas between them")
        return url
    try:
        parts = urlsplit(url)
        good = parts.scheme in part.schemes and bool(parts.netloc or parts.scheme == "unix")
    except ValueError:
        good = False
    if not good:
        # The text is not repeated: there may be a password in it.
        raise InvalidSettings(f"{part.url_variable} is no URL that begins with {' or '.join(part.schemes)}://")
    return url
