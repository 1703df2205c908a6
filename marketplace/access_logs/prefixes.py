"""What stands before a log's own lines when something else has written them down: syslog, Docker, Kubernetes."""

from __future__ import annotations

import re
from typing import Final, Protocol

import msgspec

from marketplace.access_logs.requests import UnparseableLine

_ISO: Final = rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?"
_RFC3164: Final = re.compile(
    rb"(?:<\d{1,3}>)?(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|"
    + _ISO
    + rb") \S{1,255} [^\s:\[]{1,255}(?:\[[^\]]{0,64}\])?: ?"
)
_RFC5424: Final = re.compile(
    rb"<\d{1,3}>\d{1,2} (?:-|" + _ISO + rb") \S{1,255} \S{1,48} \S{1,128} \S{1,32} "
    rb'(?:-|(?:\[[^\s\]]{1,64}(?: [^=\s\]]{1,64}="(?:[^"\\\]]|\\.)*+")*\])+) (?:\xef\xbb\xbf)?'
)
_CRI: Final = re.compile(_ISO + rb" (?:stdout|stderr) ([FP])(?::\S+)? ")
_KUBECTL: Final = re.compile(rb"(?:\[[\w./-]{1,512}\] )?" + _ISO + rb" ")
_POD: Final = re.compile(rb"\[[\w./-]{1,512}\] ")
_COMPOSE: Final = re.compile(rb"[\w.-]{1,128} +\| (?:" + _ISO + rb" )?")


class Prefix(Protocol):
    """Something that stands before, or around, each line."""

    @property
    def name(self) -> str:
        """In words."""

    def strip(self, line: bytes) -> bytes:
        """The line that was logged.

        Raises:
            UnparseableLine: The prefix is not there.
        """


class TextPrefix:
    """A prefix that is recognised by its pattern.

    Args:
        name: In words.
        pattern: Of the prefix; its one group, if it has one, must be ``F``: the line is whole.
    """

    def __init__(self, name: str, pattern: re.Pattern[bytes]) -> None:
        self.name = name
        self._match = pattern.match

    def strip(self, line: bytes) -> bytes:
        """See :class:`Prefix`."""
        match = self._match(line)
        if match is None:
            raise UnparseableLine(f"the prefix of {self.name} is not there")
        if match.lastindex and match[1] != b"F":
            raise UnparseableLine("the container runtime has cut this line in parts")
        return line[match.end() :]


class _JsonFile(msgspec.Struct):
    log: str


class DockerPrefix:
    """Docker's ``json-file``: each line is the text ``log`` of an object."""

    name = "Docker's JSON files"

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(_JsonFile)

    def strip(self, line: bytes) -> bytes:
        """See :class:`Prefix`."""
        try:
            return self._decoder.decode(line).log.rstrip("\r\n").encode()
        except (msgspec.DecodeError, UnicodeDecodeError, UnicodeEncodeError):
            raise UnparseableLine("not a line of Docker's JSON files") from None


PREFIXES: Final[tuple[Prefix, ...]] = (
    TextPrefix("syslog (RFC 3164)", _RFC3164),
    TextPrefix("syslog (RFC 5424)", _RFC5424),
    TextPrefix("a container runtime (CRI)", _CRI),
    TextPrefix("kubectl logs --timestamps", _KUBECTL),
    TextPrefix("kubectl logs --prefix", _POD),
    TextPrefix("docker compose logs", _COMPOSE),
    DockerPrefix(),
)
"""In the order in which they are tried."""
