"""As much of ClickHouse's grammar as an HTTP front needs: where a statement ends and its data begins.

The statement and its data share one body, and the data may be binary, so the scan works on bytes and stops at the
first byte of data. Strings, quoted names, comments and heredocs are skipped as ClickHouse's own lexer does.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ops.stack.clickhouse_http.errors import ACCESS_DENIED, SYNTAX_ERROR, QueryError

_TOKEN: Final = re.compile(
    rb"""
      (?P<space>\s+|--[^\n]*|\#[!\ ][^\n]*|/\*.*?\*/)
    | (?P<string>'(?:[^'\\]|\\.|'')*'|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
    | (?P<quoted>`(?:[^`\\]|\\.|``)*`|"(?:[^"\\]|\\.|"")*")
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<other>[0-9]+[A-Za-z0-9_.]*|.)
    """,
    re.VERBOSE | re.DOTALL,
)

#: Statements that answer with rows, be it none, and leave a connection as it was, so that it may serve somebody else.
_READS: Final = frozenset({"SELECT", "WITH", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "EXISTS", "("})

#: Functions that read the machine's files or the process's own objects and that no grant controls.
_FORBIDDEN_FUNCTIONS: Final = frozenset({"FILE", "PYTHON"})


@dataclass(frozen=True, slots=True)
class Token:
    """One token that is neither space nor comment."""

    kind: str
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class InputCall:
    """Where `input('structure')` stands in a statement, and the structure it names."""

    start: int
    end: int
    structure: str


@dataclass(frozen=True, slots=True)
class Statement:
    """A request's statement, taken apart.

    `head` is the text for the engine. A `stateless` statement leaves nothing behind on its connection. For an insert
    with data of its own, `data_format` names the format and `data` holds the bytes after it; `input_call` is set when
    the insert selects from `input(...)`.
    """

    head: str
    stateless: bool = True
    gives_rows: bool = False
    output_format: str | None = None
    data_format: str | None = None
    data: bytes = b""
    input_call: InputCall | None = None


def tokens(query: bytes) -> Iterator[Token]:
    """The tokens of a statement, lazily, so that a caller can stop before the data."""
    for match in _TOKEN.finditer(query):
        kind = match.lastgroup or "other"
        if kind == "tag":
            kind = "string"
        if kind != "space":
            yield Token(kind, match.group().decode("utf-8", "surrogateescape"), match.start(), match.end())


def parse(query: bytes) -> Statement:
    """Take a request's text apart.

    Raises:
        QueryError: the statement would read or write files of this machine, or is not text.
    """
    stream = _allowed(tokens(query))
    first = next(stream, None)
    keyword = first.text.upper() if first else ""
    if keyword == "INSERT":
        return _parse_insert(query, stream)
    rest = list(stream)
    reads = keyword in _READS
    one = all(token.text != ";" for token in rest[:-1])
    return Statement(_text(query), stateless=reads and one, gives_rows=reads, output_format=_output_format(rest))


def _output_format(rest: list[Token]) -> str | None:
    """The format a statement ends with; `format` may be a column's name anywhere else."""
    words = [token.text.upper() for token in rest]
    for place in range(len(rest) - 2, -1, -1):
        if words[place] == "FORMAT" and rest[place + 1].kind == "word":
            follower = words[place + 2] if place + 2 < len(words) else ";"
            return rest[place + 1].text if follower in (";", "SETTINGS") else None
    return None


def _parse_insert(query: bytes, stream: Iterator[Token]) -> Statement:
    depth = 0
    selects = False
    call: InputCall | None = None
    for token in stream:
        word = token.text.upper() if token.kind == "word" else token.text
        depth += (word == "(") - (word == ")")
        if word == "INPUT" and selects:
            call = _input_call(token, stream) or call
        elif depth == 0 and word in ("SELECT", "WITH"):
            selects = True
        elif depth == 0 and word == "VALUES" and not selects:
            return Statement(_text(query[: token.start]), data_format="Values", data=query[token.end :])
        elif depth == 0 and word == "FORMAT" and (call or not selects):
            name = next(stream, None)
            if name is not None and name.kind == "word":
                data = query[_data_start(query, name.end) :]
                return Statement(_text(query[: token.start]), data_format=name.text, data=data, input_call=call)
    return Statement(_text(query), input_call=call)


def _input_call(name: Token, stream: Iterator[Token]) -> InputCall | None:
    opening, structure, closing = (next(stream, None) for _ in range(3))
    if opening is None or structure is None or closing is None:
        return None
    if opening.text != "(" or structure.kind != "string" or closing.text != ")":
        return None
    return InputCall(name.start, closing.end, _unquoted(structure.text))


def _unquoted(literal: str) -> str:
    return re.sub(r"\\(.)|''", lambda match: match.group(1) or "'", literal[1:-1], flags=re.DOTALL)


def _data_start(query: bytes, position: int) -> int:
    """ClickHouse's rule: blanks, then at most one line end, belong to the statement; the rest is data."""
    while query[position : position + 1] in (b" ", b"\t", b"\f"):
        position += 1
    if query[position : position + 1] == b"\r":
        position += 1
    return position + 1 if query[position : position + 1] == b"\n" else position


def _allowed(stream: Iterator[Token]) -> Iterator[Token]:
    previous: Token | None = None
    for token in stream:
        if previous is not None:
            name = previous.text.strip('`"').upper()
            if token.text == "(" and previous.kind in ("word", "quoted") and name in _FORBIDDEN_FUNCTIONS:
                raise QueryError(ACCESS_DENIED, f"Function {name.lower()} is not allowed here", "ACCESS_DENIED")
            if (name, token.text.upper()) in (("INTO", "OUTFILE"), ("FROM", "INFILE")):
                raise QueryError(ACCESS_DENIED, f"{name} {token.text.upper()} is not allowed here", "ACCESS_DENIED")
        previous = token
        yield token


def _text(query: bytes) -> str:
    try:
        return query.decode()
    except UnicodeDecodeError:
        raise QueryError(SYNTAX_ERROR, "The statement is not valid UTF-8", "SYNTAX_ERROR") from None
