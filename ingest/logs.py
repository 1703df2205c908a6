"""Logs without write keys and addresses: masked in the formatter, so that tracebacks are masked too."""

from __future__ import annotations

import logging
import re
import sys
from typing import Final

from runtime.log_limit import RepeatLimit

_SECRETS: Final = re.compile(r"(?i)\b(key=|bearer\s+|x-write-key['\"]?[:,]\s*(?:b?['\"])?)[^\s&'\",;]+")
_IPV4: Final = re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b")
_IPV6: Final = re.compile(r"(?<![\w:.])(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4}(?![\w:.])")


def redact(text: str) -> str:
    """The text with write keys and addresses masked; a time of day such as 12:30:05 may be masked with them."""
    return _IPV6.sub("<address>", _IPV4.sub("<address>", _SECRETS.sub(r"\1<redacted>", text)))


class RedactingFormatter(logging.Formatter):
    """Masks the message and the traceback; the time stamp is put in front of the masked text."""

    def format(self, record: logging.LogRecord) -> str:
        """One masked line, or several with a traceback."""
        return f"{self.formatTime(record)} {record.levelname} {record.name} {redact(super().format(record))}"


def configure_logs(level: int = logging.INFO) -> None:
    """Log to stderr, masked. Called once, by an entrypoint."""
    handler = logging.StreamHandler(sys.stderr)
    # What a client can cause is written a few times a minute and counted: a flood of requests is no flood of lines.
    handler.addFilter(RepeatLimit())
    handler.setFormatter(RedactingFormatter("%(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
