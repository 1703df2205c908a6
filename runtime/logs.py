"""Logs of every process: one format, bounded lines of one kind, and no secrets, whoever writes the line.

Secrets are masked in the formatter, after the arguments are put in, so that tracebacks are masked too.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Literal, TextIO

from runtime.log_limit import RepeatLimit
from runtime.settings import EnvReader, Section

LogFormat = Literal["plain", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]
LOG_FORMATS: Final[tuple[LogFormat, ...]] = ("plain", "json")
LOG_LEVELS: Final[tuple[LogLevel, ...]] = ("debug", "info", "warning", "error")

LOGS: Final = Section("Logs", "For every service. Logs go to standard error.")
LOG_FORMAT: Final = LOGS.choice(
    "MARKETPLACE_LOG_FORMAT", "Lines for people, or a JSON object on each line.", "plain", LOG_FORMATS
)
LOG_LEVEL: Final = LOGS.choice("MARKETPLACE_LOG_LEVEL", "The least severe lines to write.", "info", LOG_LEVELS)

MASK: Final = "<redacted>"

_LINES_OF_A_KIND: Final = 10
_NAME: Final = r"[\w.-]{0,40}(?:key|password|secret|token)"
_VALUE: Final = r"(?:b?'[^']*'|b?\"[^\"]*\"|[^\s&'\",;]+)"
_NAMED: Final = re.compile(
    rf"(?i)\b({_NAME}=|{_NAME}['\"]\s?[:,]\s?|(?:x-write-key|password|secret):\s?|bearer\s){_VALUE}", re.ASCII
)
_URL_PASSWORD: Final = re.compile(r"(\b[a-zA-Z][a-zA-Z0-9+.-]{0,30}://[^\s:/@]{0,256}:)[^\s/]{1,512}@")
_NAMED_ID: Final = r"\b(?:request|order|payment|refund|reservation|import|product) ['\"]?[0-9a-f]{32}(?![0-9a-zA-Z])"
_STORE_KEY: Final = re.compile(rf"({_NAMED_ID})|(?<![0-9a-zA-Z])(?:[0-9a-f]{{32}}){{1,2}}(?![0-9a-zA-Z])")
"""Keys of stores and secrets of visitors, as they are made: 16 or 32 bytes as hexadecimal digits. Ids are made in the
same way: one that a message calls so is what an operator looks for, and stays."""
_CONTINUED: Final = str.maketrans({"\n": "\n    ", "\r": "\\r"})
_IPV4: Final = re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b")
_IPV6: Final = re.compile(r"(?<![\w:.])(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4}(?![\w:.])")


@dataclass(frozen=True)
class LogSettings:
    """How logs are written: plain lines or JSON, and the least severe ones."""

    format: LogFormat = LOG_FORMAT.default
    level: LogLevel = LOG_LEVEL.default

    @staticmethod
    def read(env: EnvReader) -> LogSettings:
        """Read the section of logs."""
        return LogSettings(env.read(LOG_FORMAT), env.read(LOG_LEVEL))


def redact(text: str) -> str:
    """The text without passwords in URLs, bearer tokens, keys of stores, and what is named a key or a password."""
    text = _NAMED.sub(rf"\1{MASK}", text)
    return _STORE_KEY.sub(lambda found: found[0] if found[1] else MASK, _URL_PASSWORD.sub(rf"\1{MASK}@", text))


def mask_addresses(text: str) -> str:
    """The text without IP addresses; a time of day such as 12:30:05 may be masked with them."""
    return _IPV6.sub("<address>", _IPV4.sub("<address>", text))


class PlainFormatter(logging.Formatter):
    """``2026-01-31T12:30:05.123Z INFO logger message``; further lines, such as a traceback, are indented.

    Args:
        mask: From a message or a traceback to what may be written of it.
    """

    def __init__(self, mask: Callable[[str], str] = redact) -> None:
        super().__init__()
        self._mask = mask

    def format(self, record: logging.LogRecord) -> str:
        """One masked line, or several with a traceback."""
        text = "\n".join(filter(None, (record.getMessage(), self._details(record))))
        # What a client wrote must not look like a line of ours.
        return f"{_time(record)} {record.levelname} {record.name} {self._mask(text)}".translate(_CONTINUED)

    def _details(self, record: logging.LogRecord) -> str:
        trace = self.formatException(record.exc_info) if record.exc_info and record.exc_info[0] else ""
        return "\n".join(filter(None, (trace, record.stack_info)))


class JsonFormatter(PlainFormatter):
    """One JSON object on a line: ``time``, ``level``, ``logger``, ``message``, and ``traceback`` where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever the message holds."""
        line = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._mask(record.getMessage()),
        }
        if details := self._details(record):
            line["traceback"] = self._mask(details)
        return json.dumps(line)


def configure_logs(
    settings: LogSettings | None = None,
    *,
    without_addresses: bool = False,
    lines_of_a_kind: int = _LINES_OF_A_KIND,
    stream: TextIO | None = None,
) -> None:
    """Set up the logs of this process, and let errors that nothing catches be logged too. Called by an entrypoint.

    Args:
        settings: Format and level; plain lines from ``info`` on by default.
        without_addresses: Whether IP addresses are masked, in processes whose clients are visitors.
        lines_of_a_kind: The maximum in a minute; the next line says how many were left out.
        stream: Where lines go; standard error by default.
    """
    settings = settings or LogSettings()

    def mask(text: str) -> str:
        return mask_addresses(redact(text)) if without_addresses else redact(text)

    handler = logging.StreamHandler(stream or sys.stderr)
    # What a client can cause is written a few times a minute and counted: a flood of requests is no flood of lines.
    handler.addFilter(RepeatLimit(lines_of_a_kind))
    handler.setFormatter(JsonFormatter(mask) if settings.format == "json" else PlainFormatter(mask))
    logging.basicConfig(level=settings.level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda thrown: _log_uncaught(thrown.exc_type, thrown.exc_value, thrown.exc_traceback)


def _log_uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if error is None or issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error or kind(), trace)
        return
    logging.getLogger("uncaught").critical("an error that nothing expected", exc_info=(kind, error, trace))


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
