"""A secret may be in a file: every one that is declared, and what is wrong with a file is said in one line."""

from __future__ import annotations

from pathlib import Path
from tempfile import NamedTemporaryFile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.reference.settings import SECTIONS
from runtime.settings import LARGEST_SECRET_BYTES, EnvReader, InvalidSettings, Section, Variable, load, with_values

SECTION = Section("Test", "For tests.")
PASSWORD = SECTION.text("T_PASSWORD", "Never shown.", secret=True)
OPEN = SECTION.text("T_OPEN", "Shown.")

DECLARED = [variable for section in SECTIONS for variable in section.variables]
SECRET = [variable for variable in DECLARED if variable.secret]

VALUES = {"http": "http://user:p%40ss@host:8123", "mongodb": "mongodb://user:p%40ss@a:1,b:2/?replicaSet=rs0"}


def value_of(variable: Variable[object]) -> str:
    """A value that the variable takes."""
    tried = [*VALUES.values(), "redis://:pass@host:6379/0", "host:9092,other:9092", "correct horse"]
    return next(text for text in tried if accepted(variable, text))


def accepted(variable: Variable[object], text: str) -> bool:
    try:
        variable.parse(text)
    except ValueError:
        return False
    return True


def refusal(environment: dict[str, str]) -> str:
    with pytest.raises(InvalidSettings) as raised:
        load(environment, lambda env: env.read(PASSWORD))
    return str(raised.value)


@pytest.mark.parametrize("variable", SECRET, ids=lambda variable: variable.name)
def test_every_secret_of_the_product_is_read_from_a_file_as_it_is_from_the_environment(
    variable: Variable[object], tmp_path: Path
) -> None:
    text = value_of(variable)
    file = tmp_path / "secret"
    file.write_text(f"{text}\n")

    from_file = load({variable.file_name: str(file)}, lambda env: (env.given(variable), env.read(variable)))

    assert from_file == (True, load({variable.name: text}, lambda env: env.read(variable)))


def test_no_variable_with_a_meaning_of_its_own_is_also_that_of_a_secrets_file() -> None:
    assert {variable.file_name for variable in SECRET} & {variable.name for variable in DECLARED} == set()


def test_what_is_no_secret_is_read_from_no_file(tmp_path: Path) -> None:
    (tmp_path / "value").write_text("text")
    assert load({"T_OPEN_FILE": str(tmp_path / "value")}, lambda env: (env.given(OPEN), env.read(OPEN))) == (False, "")


@given(st.text().filter(lambda text: text.strip().isprintable() and text.strip()), st.sampled_from(["", "\n", "\r\n"]))
def test_a_line_break_at_the_end_of_a_file_does_not_count(text: str, end: str) -> None:
    with NamedTemporaryFile() as file:
        file.write(f"{text}{end}".encode())
        file.flush()
        assert load({"T_PASSWORD_FILE": file.name}, lambda env: env.read(PASSWORD)) == text.strip()


def test_a_value_and_a_file_for_it_are_refused_together(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from-the-file")
    said = refusal({"T_PASSWORD": "from-the-environment", "T_PASSWORD_FILE": str(tmp_path / "secret")})
    assert said == "T_PASSWORD and T_PASSWORD_FILE: give one of them"


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_name_of_a_file_says_as_much_as_a_missing_one(empty: str) -> None:
    environment = {"T_PASSWORD": "p", "T_PASSWORD_FILE": empty}
    assert load(environment, lambda env: env.read(PASSWORD)) == "p"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "it cannot be read: No such file or directory"),
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b"x" * (LARGEST_SECRET_BYTES + 1), f"it is larger than {LARGEST_SECRET_BYTES} bytes"),
        (b"\xff\xfe", "this is no file of text"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line_that_names_the_variable(
    content: bytes | None, why: str, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    said = refusal({"T_PASSWORD_FILE": str(file)})
    assert said.startswith("T_PASSWORD_FILE=")
    assert said.endswith(f": {why}")


def test_a_value_in_a_file_that_is_not_allowed_is_refused_and_not_repeated(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("sec\x00ret")
    said = refusal({"T_PASSWORD_FILE": str(tmp_path / "secret")})
    assert said == "T_PASSWORD: give a text of one line"


def test_a_file_is_read_once(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("first")
    env = EnvReader({"T_PASSWORD_FILE": str(file)})
    assert env.read(PASSWORD) == "first"
    file.unlink()
    assert env.read(PASSWORD) == "first"


def test_what_a_child_process_is_given_takes_the_place_of_a_file() -> None:
    ours = {"T_PASSWORD_FILE": "/run/secrets/password", "PATH": "/bin", "T_OTHER_FILE": "/x"}
    assert with_values(ours, {"T_PASSWORD": "p"}) == {"T_PASSWORD": "p", "PATH": "/bin", "T_OTHER_FILE": "/x"}
