"""Environment variables: each is declared once, in a section, and a process reads the sections that it needs.

A declaration has all that is known of a variable: its name, kind, range, default and meaning. Values are
read by it, error messages say what it allows, and docs/reference/settings.md is made of it (see docs/adr/0019).

A secret may stand in a file, as compose and Kubernetes mount it: ``NAME_FILE`` names the file instead of ``NAME``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final, Generic, Literal, TypeVar
from urllib.parse import urlsplit

from marketplace.networks import Network, parse_networks

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
D = TypeVar("D")
Choice = TypeVar("Choice", bound=str)
Kind = Literal["text", "whole number", "number", "seconds", "port", "choice", "switch", "networks", "URL", "path"]

MOST_WHOLE: Final = 1 << 53
HIGHEST_PORT: Final = 65_535
LONGEST_SECONDS: Final = 86_400.0
PREFIX: Final = "MARKETPLACE_"
"""Every variable of ours begins with it."""
FILE_SUFFIX: Final = "_FILE"
"""Behind the name of a secret variable: the file that holds its value."""
LARGEST_SECRET_BYTES: Final = 64 * 1024

_SHOWN_CHARS: Final = 80
_MAX_DIGITS: Final = 20
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_BROKER: Final = re.compile(r"(\[[0-9a-fA-F:.%]+\]|[^\s:/@]+):[0-9]{1,5}")
_ON: Final = frozenset({"1", "true", "yes", "on"})
_OFF: Final = frozenset({"0", "false", "no", "off"})


class InvalidSettings(ValueError):
    """Environment variables have values that cannot be used; the message names all of them and what is allowed."""


class MissingUrl(InvalidSettings):
    """The environment does not say where a part is, and no stack is running that would."""


@dataclass(frozen=True)
class Variable(Generic[T_co]):
    """One environment variable.

    Attributes:
        name: Its full name.
        kind: What its value is.
        meaning: One sentence.
        allowed: What to give, as an instruction: ``give a whole number from 1 to 64``.
        parse: From the stripped, non-empty text to the value; raises ``ValueError`` for anything that is not allowed.
        default: The value where the variable is missing or empty.
        default_text: The default as documentation shows it.
        secret: Its value is never shown.
    """

    name: str
    kind: Kind
    meaning: str
    allowed: str
    parse: Callable[[str], T_co]
    default: T_co
    default_text: str
    secret: bool = False

    @property
    def file_name(self) -> str:
        """The variable that may name a file with the value; empty for one that is no secret."""
        return f"{self.name}{FILE_SUFFIX}" if self.secret else ""

    def problem(self, text: str) -> str:
        """Why a value cannot be used, in one line."""
        shown = "" if self.secret else "=" + "".join(c for c in text if c.isprintable())[:_SHOWN_CHARS]
        return f"{self.name}{shown}: {self.allowed}"


class Section:
    """Variables that belong together; each method declares one more.

    Args:
        title: A heading of the reference page.
        about: Who reads these variables, in a sentence or two.
    """

    def __init__(self, title: str, about: str) -> None:
        self.title, self.about = title, about
        self.variables: list[Variable[object]] = []

    def text(
        self, name: str, meaning: str, default: str = "", *, default_text: str = "", secret: bool = False
    ) -> Variable[str]:
        """Any text without line breaks."""
        return self._declare(name, "text", meaning, "give a text of one line", _one_line, default, default_text, secret)

    def path(self, name: str, meaning: str, default: str = "", *, default_text: str = "") -> Variable[str]:
        """A file or a folder; whether there is one is for its user to find out."""
        return self._declare(name, "path", meaning, "give a path of one line", _one_line, default, default_text)

    def whole(
        self,
        name: str,
        meaning: str,
        default: D,
        *,
        lowest: int = 0,
        highest: int = MOST_WHOLE,
        default_text: str = "",
    ) -> Variable[int | D]:
        """A whole number within a range, both ends included."""
        allowed = f"give a whole number {_range_text(lowest, highest, MOST_WHOLE)}"

        def parse(text: str) -> int | D:
            return _checked(_whole(text), lowest <= _whole(text) <= highest)

        return self._declare(name, "whole number", meaning, allowed, parse, default, default_text)

    def number(
        self, name: str, meaning: str, default: float, *, lowest: float = 0.0, more_than: float | None = None
    ) -> Variable[float]:
        """A finite number that is at least ``lowest``, or greater than ``more_than``."""
        allowed = f"give a number, {f'{lowest:g} or more' if more_than is None else f'more than {more_than:g}'}"

        def parse(text: str) -> float:
            value = _number(text)
            return _checked(value, value >= lowest if more_than is None else value > more_than)

        return self._declare(name, "number", meaning, allowed, parse, default)

    def seconds(
        self, name: str, meaning: str, default: float, *, lowest: float = 0.001, highest: float = LONGEST_SECONDS
    ) -> Variable[float]:
        """A time in seconds within a range, both ends included."""
        allowed = f"give seconds, from {lowest:g} to {highest:.0f}"

        def parse(text: str) -> float:
            return _checked(_number(text), lowest <= _number(text) <= highest)

        return self._declare(name, "seconds", meaning, allowed, parse, default)

    def port(
        self, name: str, meaning: str, default: D, *, lowest: int = 0, default_text: str = ""
    ) -> Variable[int | D]:
        """A TCP port; 0, where it is allowed, stands for a free one."""
        allowed = f"not a port: give {lowest} to {HIGHEST_PORT}"

        def parse(text: str) -> int | D:
            return _checked(_whole(text), lowest <= _whole(text) <= HIGHEST_PORT)

        return self._declare(name, "port", meaning, allowed, parse, default, default_text)

    def choice(self, name: str, meaning: str, default: Choice, choices: Sequence[Choice]) -> Variable[Choice]:
        """One of some names; upper and lower case are the same."""
        allowed = f"give {' or '.join([', '.join(choices[:-1]), choices[-1]] if choices[1:] else choices)}"
        by_name = {choice.casefold(): choice for choice in choices}

        def parse(text: str) -> Choice:
            _checked(text, text.casefold() in by_name)
            return by_name[text.casefold()]

        return self._declare(name, "choice", meaning, allowed, parse, default)

    def switch(self, name: str, meaning: str, *, default: bool = False) -> Variable[bool]:
        """On or off."""

        def parse(text: str) -> bool:
            return _checked(text.casefold(), text.casefold() in _ON | _OFF) in _ON

        return self._declare(name, "switch", meaning, "give on or off", parse, default, "on" if default else "off")

    def networks(self, name: str, meaning: str) -> Variable[tuple[Network, ...]]:
        """Addresses and CIDR ranges with commas between them."""
        allowed = "give networks such as 10.0.0.0/8, with commas between them"
        return self._declare(name, "networks", meaning, allowed, parse_networks, ())

    def url(
        self, name: str, meaning: str, schemes: Sequence[str], default: str = "", *, default_text: str = ""
    ) -> Variable[str]:
        """A URL of one of the schemes; it may hold a password, so it is never shown."""
        begin = " or ".join(f"{scheme}://" for scheme in schemes)
        allowed = f"this is no URL that begins with {begin} (write / # ? @ in a password as %2F %23 %3F %40)"

        def parse(text: str) -> str:
            # ``urlsplit`` raises ValueError for a host that cannot be one.
            parts = urlsplit(text)
            # A password with a slash in it ends the host early, and stands where the port is expected. MongoDB's may
            # have several hosts; its client checks them.
            several = parts.scheme.startswith("mongodb")
            somewhere = bool(parts.netloc) and (several or (bool(parts.hostname) and parts.port != 0))
            return _checked(text, parts.scheme in schemes and (somewhere or parts.scheme == "unix"))

        return self._declare(name, "URL", meaning, allowed, parse, default, default_text, secret=True)

    def brokers(self, name: str, meaning: str, *, default_text: str = "") -> Variable[str]:
        """Kafka's bootstrap list. Who takes it for a URL may write a password into it, so it is never shown."""
        allowed = "give host:port, or several with commas between them"

        def parse(text: str) -> str:
            return _checked(text, all(map(_BROKER.fullmatch, text.split(","))))

        return self._declare(name, "text", meaning, allowed, parse, "", default_text, secret=True)

    def pattern(self, name: str, meaning: str, default: str, pattern: str, allowed: str) -> Variable[str]:
        """A text that matches a pattern as a whole."""

        def parse(text: str) -> str:
            return _checked(text, re.fullmatch(pattern, text) is not None)

        return self._declare(name, "text", meaning, allowed, parse, default)

    def _declare(
        self,
        name: str,
        kind: Kind,
        meaning: str,
        allowed: str,
        parse: Callable[[str], T],
        default: T,
        default_text: str = "",
        secret: bool = False,
    ) -> Variable[T]:
        shown = default_text or ("none" if default in ("", None, ()) else _plain(default))
        variable = Variable(name, kind, meaning, allowed, parse, default, shown, secret)
        self.variables.append(variable)
        return variable


class EnvReader:
    """Reads declared variables from a mapping and collects what is wrong with them. See :func:`load`.

    Args:
        environment: Names and values; a value that is empty or blank says as much as one that is missing. A secret may
            be in a file, which is read once.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._problems: list[str] = []
        self._missing: dict[str, str] = {}
        self._files: dict[str, str] = {}

    def given(self, variable: Variable[T]) -> bool:
        """Whether the environment has a value for it, or names a file that is to have one."""
        return bool(self._stripped(variable.name) or self._stripped(variable.file_name))

    def read(self, variable: Variable[T]) -> T:
        """Its value, or the default; the default also where the value cannot be used, which :meth:`check` reports."""
        text = self._text(variable)
        if not text:
            return variable.default
        try:
            return variable.parse(text)
        except ValueError:
            self.reject(variable.problem(text))
            return variable.default

    def require(self, variable: Variable[str], otherwise: str, missing: str) -> str:
        """The value of a URL that has no default.

        Args:
            variable: Which.
            otherwise: The value where the environment has none; empty if there is none either.
            missing: What else can be done then, before ", or set" and its name; empty for nothing else.
        """
        if self.given(variable):
            return self.read(variable)
        if not otherwise:
            self._missing[variable.name] = missing
        return otherwise

    def reject(self, problem: str) -> None:
        """Note what is wrong with values that are right by themselves, such as two that exclude each other."""
        if problem not in self._problems:
            self._problems.append(problem)

    def check(self) -> None:
        """Report everything that was found wrong so far, in one line.

        Raises:
            InvalidSettings: Values cannot be used.
            MissingUrl: URLs are missing, and nothing else is wrong.
        """
        missing = []
        if self._missing:
            (first, reason), *others = self._missing.items()
            also = f" ({', '.join(name for name, _ in others)} {'are' if others[1:] else 'is'} missing too)"
            missing = [f"no {first} in the environment{also if others else ''}"]
            if reason:
                missing = [f"{reason}, or set {', '.join(self._missing)}"]
        if self._problems:
            raise InvalidSettings("; ".join([*self._problems, *missing]))
        if missing:
            raise MissingUrl(missing[0])

    def _text(self, variable: Variable[T]) -> str:
        """The stripped value; empty where there is none, or where its file cannot be used, which is noted."""
        text, file = self._stripped(variable.name), self._stripped(variable.file_name)
        if not file:
            return text
        if text:
            self.reject(f"{variable.name} and {variable.file_name}: give one of them")
            return text
        if variable.name not in self._files:
            try:
                self._files[variable.name] = _read_secret(file)
            except ValueError as error:
                self._files[variable.name] = ""
                shown = "".join(c for c in file if c.isprintable())[:_SHOWN_CHARS]
                self.reject(f"{variable.file_name}={shown}: {error}")
        return self._files[variable.name]

    def _stripped(self, name: str) -> str:
        return self._environment.get(name, "").strip()


def unknown_names(environment: Iterable[str], sections: Iterable[Section]) -> list[str]:
    """A line for each variable that begins like ours and that nothing reads, with the nearest one that something does.

    Args:
        environment: Names of variables; values are not looked at.
        sections: All that are declared.
    """
    declared = {name for section in sections for each in section.variables for name in (each.name, each.file_name)}
    lines = []
    for name in sorted(name for name in environment if name.startswith(PREFIX) and name not in declared):
        shown = "".join(c for c in name if c.isprintable())[:_SHOWN_CHARS]
        nearest = get_close_matches(name, sorted(declared), 1)
        lines.append(f"nothing reads {shown}{f', but {nearest[0]}' if nearest else ''}")
    return lines


def load(environment: Mapping[str, str], read: Callable[[EnvReader], T]) -> T:
    """What ``read`` makes of the environment.

    Args:
        environment: Names and values.
        read: Reads all sections that a process needs, so that it reports all that is wrong at once.

    Raises:
        InvalidSettings: Values cannot be used.
        MissingUrl: URLs are missing, and nothing else is wrong.
    """
    reader = EnvReader(environment)
    value = read(reader)
    reader.check()
    return value


def with_values(environment: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    """The environment of a child process: the values take the place of what there is, also of files that had them."""
    files = {f"{name}{FILE_SUFFIX}" for name in values}
    return {name: text for name, text in environment.items() if name not in files} | dict(values)


def reference(sections: Iterable[Section]) -> str:
    """Sections as Markdown, a table each."""
    return "\n".join(_table(section) for section in sections)


def _table(section: Section) -> str:
    rows = [
        f"| {_names(variable)} | {variable.meaning} | {_values(variable)} | {variable.default_text} |\n"
        for variable in section.variables
    ]
    head = f"## {section.title}\n\n{section.about}\n\n| variable | meaning | values | default |\n|---|---|---|---|\n"
    return head + "".join(rows)


def _names(variable: Variable[object]) -> str:
    return f"`{variable.name}` (`{FILE_SUFFIX}`)" if variable.secret else f"`{variable.name}`"


def _values(variable: Variable[object]) -> str:
    text = variable.allowed
    for prefix, instead in {"not a port: give ": "a port, ", "this is no ": "a ", "give ": "", "use ": ""}.items():
        if text.startswith(prefix):
            return instead + text.removeprefix(prefix)
    return text


def _range_text(lowest: int, highest: int, unbounded: int) -> str:
    return f"from {lowest} to {highest}" if highest < unbounded else f"of {lowest} or more"


def _plain(value: object) -> str:
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _read_secret(path: str) -> str:
    """The text of a file of one secret, without line breaks at its end.

    Raises:
        ValueError: It cannot be used; says why, and nothing of what is in it.
    """
    try:
        with Path(path).open("rb") as file:
            found = file.read(LARGEST_SECRET_BYTES + 1)
        text = found.decode().rstrip("\r\n")
    except OSError as error:
        raise ValueError(f"it cannot be read: {error.strerror}") from error
    except ValueError as error:
        # A path with a NUL in it, or bytes that are no text; neither is repeated.
        raise ValueError("this is no file of text") from error
    if len(found) > LARGEST_SECRET_BYTES:
        raise ValueError(f"it is larger than {LARGEST_SECRET_BYTES} bytes")
    if not text.strip():
        raise ValueError("it is empty")
    return text.strip()


def _checked(value: T, allowed: bool) -> T:
    if not allowed:
        raise ValueError
    return value


def _one_line(text: str) -> str:
    return _checked(text, text.isprintable())


def _whole(text: str) -> int:
    digits = text.removeprefix("-").removeprefix("+")
    _checked(text, digits.isascii() and digits.isdecimal() and len(digits) <= _MAX_DIGITS)
    return int(text)


def _number(text: str) -> float:
    _checked(text, _NUMBER.fullmatch(text) is not None)
    return _checked(float(text), math.isfinite(float(text)))
