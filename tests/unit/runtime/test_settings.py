"""Reading declared variables: what is allowed, what is said about the rest, and that nothing is forgotten."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.settings import EnvReader, InvalidSettings, MissingUrl, Section, Variable, load, reference

SECTION = Section("Test", "For tests.")
WORKERS = SECTION.whole("T_WORKERS", "Processes.", 1, lowest=1, highest=64)
OFFSET = SECTION.whole("T_OFFSET", "A place.", None, lowest=-5)
RATE = SECTION.number("T_RATE", "Events a second.", 10.0)
BURST = SECTION.number("T_BURST", "Events at one time.", 5.0, more_than=0)
WAIT = SECTION.seconds("T_WAIT", "How long.", 3.0)
PORT = SECTION.port("T_PORT", "Where.", 8080)
OWN_PORT = SECTION.port("T_OWN_PORT", "Where else.", 1, lowest=1)
COLOR = SECTION.choice("T_COLOR", "Which.", "red", ("red", "green", "blue"))
DRY = SECTION.switch("T_DRY", "Whether.")
PROXIES = SECTION.networks("T_PROXIES", "Who.")
URL = SECTION.url("T_URL", "Where it is.", ("http", "https"))
BROKERS = SECTION.brokers("T_BROKERS", "Where they are.")
FILE = SECTION.path("T_FILE", "Which file.", "here")
NAME = SECTION.pattern("T_NAME", "What it is called.", "x", "[a-z]+", "use a-z")
PASSWORD = SECTION.text("T_PASSWORD", "Never shown.", secret=True)


def read(variable: Variable[object], text: str) -> object:
    return load({variable.name: text}, lambda env: env.read(variable))


@pytest.mark.parametrize("empty", ["", " ", "\t\n"])
def test_an_empty_variable_says_as_much_as_a_missing_one(empty: str) -> None:
    for variable in SECTION.variables:
        assert read(variable, empty) == variable.default


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        (WORKERS, " 64 ", 64),
        (OFFSET, "-5", -5),
        (RATE, "0", 0.0),
        (RATE, "2.5e3", 2500.0),
        (BURST, ".5", 0.5),
        (WAIT, "86400", 86400.0),
        (PORT, "0", 0),
        (PORT, "65535", 65535),
        (COLOR, "GREEN", "green"),
        (DRY, "Yes", True),
        (DRY, "0", False),
        (URL, "https://user:secret@host:1/path", "https://user:secret@host:1/path"),
        (BROKERS, "a:1,[::1]:2", "a:1,[::1]:2"),
        (FILE, "/a folder/file", "/a folder/file"),
        (NAME, "abc", "abc"),
        (PASSWORD, "p w", "p w"),
    ],
)
def test_what_is_allowed_is_read(variable: Variable[object], text: str, value: object) -> None:
    assert read(variable, text) == value


@pytest.mark.parametrize(
    ("variable", "text", "allowed"),
    [
        (WORKERS, "0", "give a whole number from 1 to 64"),
        (WORKERS, "65", "give a whole number from 1 to 64"),
        (WORKERS, "1.0", "give a whole number from 1 to 64"),
        (WORKERS, "1_0", "give a whole number from 1 to 64"),
        (WORKERS, "9" * 5_000, "give a whole number from 1 to 64"),
        (OFFSET, "-6", "give a whole number of -5 or more"),
        (RATE, "-1", "give a number, 0 or more"),
        (RATE, "nan", "give a number, 0 or more"),
        (RATE, "1e999", "give a number, 0 or more"),
        (BURST, "0", "give a number, more than 0"),
        (WAIT, "0", "give seconds, from 0.001 to 86400"),
        (WAIT, "1 min", "give seconds, from 0.001 to 86400"),
        (PORT, "²", "not a port: give 0 to 65535"),
        (OWN_PORT, "0", "not a port: give 1 to 65535"),
        (COLOR, "yellow", "give red, green or blue"),
        (DRY, "maybe", "give on or off"),
        (PROXIES, "everyone", "give networks such as 10.0.0.0/8, with commas between them"),
        (NAME, "1", "use a-z"),
        (FILE, "a\nb", "give a path of one line"),
    ],
)
def test_anything_else_is_refused_in_one_line_with_its_name_its_value_and_what_is_allowed(
    variable: Variable[object], text: str, allowed: str
) -> None:
    with pytest.raises(InvalidSettings) as raised:
        read(variable, text)

    message = str(raised.value)
    assert message.startswith(f"{variable.name}={text[:80].replace(chr(10), '')}")
    assert message.endswith(f": {allowed}")
    assert message.isprintable()
    assert len(message) < 250


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        (URL, "ftp://user:secret@host"),
        (URL, "http://[secret"),
        (BROKERS, "user:secret@host:9092"),
        (PASSWORD, "secret\x00"),
    ],
)
def test_a_value_that_may_be_secret_is_never_repeated(variable: Variable[object], text: str) -> None:
    with pytest.raises(InvalidSettings, match=variable.name) as raised:
        read(variable, text)
    assert "secret" not in str(raised.value)


def test_all_bad_values_are_reported_at_once_and_each_of_them_once() -> None:
    def read_twice(env: EnvReader) -> None:
        for variable in (WORKERS, PORT, RATE, WORKERS):
            env.read(variable)

    with pytest.raises(InvalidSettings) as raised:
        load({"T_WORKERS": "many", "T_PORT": "-1", "T_RATE": "5"}, read_twice)

    assert str(raised.value).split("; ") == [
        "T_WORKERS=many: give a whole number from 1 to 64",
        "T_PORT=-1: not a port: give 0 to 65535",
    ]


def test_what_a_process_does_not_read_may_have_any_value() -> None:
    assert load({"T_WORKERS": "many", "T_PORT": "1"}, lambda env: env.read(PORT)) == 1


def test_a_url_that_nobody_gives_is_missing_and_one_that_is_known_otherwise_is_not() -> None:
    with pytest.raises(MissingUrl, match=r"^look here, or set T_URL$"):
        load({}, lambda env: env.require(URL, "", "look here"))
    assert load({}, lambda env: env.require(URL, "http://running", "")) == "http://running"
    assert load({"T_URL": "http://given"}, lambda env: env.require(URL, "http://running", "")) == "http://given"


def test_missing_urls_are_named_together() -> None:
    with pytest.raises(MissingUrl, match=r"^look here, or set T_URL, T_BROKERS$"):
        load({}, lambda env: [env.require(variable, "", "look here") for variable in (URL, BROKERS)])


def test_a_bad_value_beside_a_missing_url_is_no_missing_url() -> None:
    with pytest.raises(InvalidSettings) as raised:
        load({"T_PORT": "x"}, lambda env: (env.require(URL, "", ""), env.read(PORT)))

    assert type(raised.value) is InvalidSettings
    assert "T_PORT=x" in str(raised.value)
    assert "no T_URL" in str(raised.value)


@given(st.sampled_from(SECTION.variables), st.text())
def test_no_text_makes_a_reader_fail_otherwise(variable: Variable[object], text: str) -> None:
    refused: InvalidSettings | None = None
    value: object = None
    try:
        value = read(variable, text)
    except InvalidSettings as error:
        refused = error
    if refused is not None:
        assert variable.name in str(refused)
    else:
        assert value == variable.default or text.strip()
        assert not isinstance(value, float) or math.isfinite(value)


def test_the_reference_has_a_row_for_each_declaration() -> None:
    page = reference([SECTION])

    assert page.startswith("## Test\n\nFor tests.\n")
    assert "| `T_WORKERS` | Processes. | a whole number from 1 to 64 | 1 |\n" in page
    assert "| `T_OWN_PORT` | Where else. | a port, 1 to 65535 | 1 |\n" in page
    assert "| `T_PASSWORD` (`_FILE`) | Never shown. | a text of one line | none |\n" in page
    assert page.count("\n| `") == len(SECTION.variables)


@pytest.mark.parametrize(
    "rest",
    [
        "u:S3cr3tPw/x@127.0.0.1:1", "u:S3cr3tPw#x@h:1", "u:S3cr3tPw?x@h:1", "h:abc", "h:99999", "h:-1", "h:0",
        "h:\u0661", ":80", "u:S3cr3tPw@", "[::1",
    ],
)  # fmt: skip
def test_a_url_whose_host_or_port_cannot_be_is_refused_and_never_shown(rest: str) -> None:
    with pytest.raises(InvalidSettings, match=r"^T_URL: this is no URL") as refused:
        load({"T_URL": f"http://{rest}"}, lambda env: env.read(URL))
    assert "S3cr3tPw" not in str(refused.value)
    assert refused.value.__cause__ is None or "S3cr3tPw" not in str(refused.value.__cause__)


@pytest.mark.parametrize("rest", ["h", "h:1", "[::1]:8123", "u:S3cr3tPw%2Fx@h:65535", "h/path?x=1"])
def test_a_url_that_can_be_connected_to_is_taken(rest: str) -> None:
    assert load({"T_URL": f"http://{rest}"}, lambda env: env.read(URL)) == f"http://{rest}"
