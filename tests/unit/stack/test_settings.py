"""What the environment says: an empty value is none, a bad one is named in one line; and whom the folder is for."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.settings import Urls
from ops.commands.one_line import exit_code
from ops.stack import settings
from ops.stack.disk.folder import make_private
from ops.stack.errors import StackError
from runtime.sections import Settings
from runtime.settings import InvalidSettings, MissingUrl

HANG, LOW = "MARKETPLACE_HANG_SECONDS", "MARKETPLACE_LOW_DISK_MB"
EVERYTHING = ("HANG_SECONDS", "LOW_DISK_MB", "KAFKA_URL", "MONGO_URL", "CLICKHOUSE_URL", "REDIS_URL")
HERE = Urls("k:1", "mongodb://m", "http://c", "redis://r")


@pytest.mark.parametrize("empty", ["", " ", "\t\n"])
def test_an_empty_value_is_none(empty: str) -> None:
    environment = {f"MARKETPLACE_{name}": empty for name in (*EVERYTHING, "DATA", "DATABASE", "GEOIP_FILE")}
    assert settings.external_urls(environment) == {}
    assert settings.hang_seconds(environment) == settings.hang_seconds({}) == 40.0
    assert settings.low_disk_mb(environment) == settings.low_disk_mb({}) == 1024
    assert Settings.load(environment, HERE) == Settings.load({}, HERE)
    assert str(Settings.load(environment, HERE).data_dir) == ".marketplace"


@given(st.sampled_from([HANG, LOW]), st.text(max_size=12).filter(lambda text: "\0" not in text))
def test_a_number_is_taken_as_it_is_meant_or_refused_with_the_name_of_its_variable(name: str, text: str) -> None:
    read = settings.hang_seconds if name == HANG else settings.low_disk_mb
    refused: InvalidSettings | None = None
    number = 0.0
    try:
        number = read({name: text})
    except InvalidSettings as error:
        refused = error
    if refused is not None:
        assert (name in str(refused), exit_code(refused)) == (True, 2)
    else:
        assert text.strip() == "" or number == float(text) >= 0


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "0.5", "1e9", "soon", "40s"])
def test_a_time_that_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(InvalidSettings, match=f"{HANG}={text}"):
        settings.hang_seconds({HANG: text})


@pytest.mark.parametrize(
    ("part", "url"),
    [
        *(("kafka", url) for url in ("host", "host:", "http://host:1", "a:1,b", "a:1 b:2")),
        *(("mongo", url) for url in ("host:27017", "http://host", "mongodb:", "mongodb://[", "mongodb")),
        *(("clickhouse", url) for url in ("host:8123", "clickhouse://host", "http://", "tcp://host:9000")),
        *(("redis", url) for url in ("host:6379", "http://host", "redis:")),
    ],
)
def test_a_url_that_cannot_be_one_of_its_part_is_named_and_its_password_is_not(part: str, url: str) -> None:
    variable = f"MARKETPLACE_{part.upper()}_URL"
    with pytest.raises(InvalidSettings, match=variable):
        settings.external_urls({variable: url})
    with pytest.raises(InvalidSettings) as raised:
        settings.external_urls({f"MARKETPLACE_{'MONGO' if part == 'kafka' else part.upper()}_URL": "x://u:secret@h"})
    assert "secret" not in str(raised.value)


def test_good_urls_are_taken_as_they_are() -> None:
    urls = {"KAFKA": "a:1,[::1]:2,b.example:3", "MONGO": "mongodb+srv://u:p@h/?a=b", "CLICKHOUSE": "https://c:1"}
    urls["REDIS"] = "unix:///run/redis.sock"
    found = settings.external_urls({f"MARKETPLACE_{part}_URL": url for part, url in urls.items()})
    assert found == {part.lower(): url for part, url in urls.items()}


def test_a_part_that_nobody_names_is_no_bad_setting() -> None:
    with pytest.raises(MissingUrl, match=re.escape("no stack is running in .marketplace")) as raised:
        Settings.load({"MARKETPLACE_DATA": ""})
    assert exit_code(raised.value) == 1


def test_a_new_folder_is_for_its_user_only(tmp_path: Path) -> None:
    assert not make_private(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    assert not make_private(tmp_path / "a" / "b")


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o750, 0o701])
def test_a_folder_that_others_may_read_is_taken_from_them_and_that_is_reported_once(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(mode)
    assert [make_private(folder), make_private(folder)] == [True, False]
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_everybody_shares_is_left_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    with pytest.raises(StackError, match="everybody shares"):
        make_private(tmp_path)
    assert tmp_path.stat().st_mode & 0o7777 == 0o1777
    tmp_path.chmod(0o700)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        make_private(tmp_path / "file")
