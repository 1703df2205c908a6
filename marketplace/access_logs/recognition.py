"""Which format a log has, judged by its first lines and not by the first alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

from marketplace.access_logs.balancers import AlbFormat, ElbFormat, HaproxyFormat, S3Format
from marketplace.access_logs.combined import (
    COMMON,
    LAYOUTS,
    LIST_ALONE,
    LIST_AND_PEER,
    NGINX_MAIN,
    PLAIN,
    VIRTUAL_HOST,
    CombinedFormat,
    Layout,
)
from marketplace.access_logs.json_lines import JsonFormat
from marketplace.access_logs.prefixes import PREFIXES, Prefix
from marketplace.access_logs.requests import LineFormat, LoggedRequest, UnparseableLine
from marketplace.access_logs.w3c import W3cFormat

SAMPLE_LINES: Final = 1_000
"""Lines that the format is judged by."""

SAMPLE_BYTES: Final = 4 * 1024 * 1024
"""A sample ends here, however few lines that is."""

LEAST_SHARE: Final = 0.1
"""A file of which fewer lines than this share fit any format is no access log."""

Factory = Callable[[Sequence[bytes], tzinfo], Sequence[LineFormat]]
"""The ways to read a sample, each made for it; none if it cannot be of the format."""


@dataclass(frozen=True)
class Reading:
    """How a file is read.

    Attributes:
        format: The format of its lines.
        prefix: What stands before each; None for nothing.
        sampled: How many lines the sample has, without blank ones and headings.
        requests: The requests that are in them.
        misfit: The first line of the sample that does not fit; None if all do.
    """

    format: LineFormat
    prefix: Prefix | None = None
    sampled: int = 0
    requests: tuple[LoggedRequest, ...] = ()
    misfit: bytes | None = None

    @property
    def name(self) -> str:
        """The format's name, and what stands before it in words."""
        return self.format.name + (f" after the prefix of {self.prefix.name}" if self.prefix else "")

    def parser(self) -> Callable[[bytes], LoggedRequest | None]:
        """What reads one line, see :class:`LineFormat`; a prefix is taken from it before."""
        parse = self.format.parse
        if self.prefix is None:
            return parse
        strip = self.prefix.strip
        return lambda line: parse(strip(line))

    def is_access_log(self) -> bool:
        """Whether enough lines fit; an empty file may become one."""
        return len(self.requests) >= LEAST_SHARE * self.sampled


def _layout(layout: Layout) -> Factory:
    return lambda lines, _zone: [CombinedFormat.seen_in(layout, lines)]


def _json(lines: Sequence[bytes], zone: tzinfo) -> Sequence[LineFormat]:
    found = JsonFormat.seen_in(lines, zone) if any(line.lstrip().startswith(b"{") for line in lines) else None
    return [] if found is None else [found]


def _w3c(lines: Sequence[bytes], zone: tzinfo) -> Sequence[LineFormat]:
    return [W3cFormat(zone)] if any(line.startswith(b"#Fields:") for line in lines) else []


FORMATS: Final[dict[str, Factory]] = {
    PLAIN.name: _layout(PLAIN),
    COMMON: _layout(PLAIN),
    NGINX_MAIN: _layout(PLAIN),
    VIRTUAL_HOST.name: _layout(VIRTUAL_HOST),
    LIST_ALONE.name: lambda lines, _zone: [CombinedFormat.seen_in(each, lines) for each in (LIST_AND_PEER, LIST_ALONE)],
    "json": _json,
    "w3c": _w3c,
    "alb": lambda _lines, zone: [AlbFormat(zone)],
    "elb": lambda _lines, zone: [ElbFormat(zone)],
    "s3": lambda _lines, _zone: [S3Format()],
    "haproxy": lambda _lines, zone: [HaproxyFormat(zone)],
}
"""By the names that ``--format`` takes."""

_TRIED: Final = (*map(_layout, LAYOUTS), *(FORMATS[name] for name in ("json", "w3c", "alb", "elb", "s3", "haproxy")))


def recognise(sample: Sequence[bytes], zone: tzinfo, factories: Sequence[Factory] = _TRIED) -> Reading:
    """The way of reading that most lines of a sample fit.

    Args:
        sample: The first lines of a file, without their ends.
        zone: The zone of times that name no offset.
        factories: The formats to choose from. Of two that fit equally well the first is taken, and one after a prefix
            before one without: what looks like a prefix is one.

    Returns:
        The best reading; whether it is good enough, ``is_access_log`` says.
    """
    lines = [line for line in sample if line.strip()]
    best = Reading(CombinedFormat(), None, len(lines), (), lines[0] if lines else None)
    for prefix, stripped in _stripped(lines):
        for factory in factories:
            for format in factory(stripped, zone):
                reading = _tried(format, prefix, lines)
                if len(reading.requests) > len(best.requests):
                    best = reading
                if lines and len(best.requests) == best.sampled:
                    return best
    return best


def _stripped(lines: Sequence[bytes]) -> Iterator[tuple[Prefix | None, Sequence[bytes]]]:
    for prefix in PREFIXES:
        found = []
        for line in lines:
            try:
                found.append(prefix.strip(line))
            except UnparseableLine:
                continue
        if len(found) > LEAST_SHARE * len(lines):
            yield prefix, found
    yield None, lines


def _tried(format: LineFormat, prefix: Prefix | None, lines: Sequence[bytes]) -> Reading:
    requests: list[LoggedRequest] = []
    headings, misfit = 0, None
    parse = Reading(format, prefix).parser()
    for line in lines:
        try:
            request = parse(line)
        except UnparseableLine:
            misfit = misfit or line
            continue
        if request is None:
            headings += 1
        else:
            requests.append(request)
    return Reading(format, prefix, len(lines) - headings, tuple(requests), misfit)
