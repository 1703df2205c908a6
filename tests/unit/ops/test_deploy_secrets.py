"""Files with secrets of a deployment: made once, for their folder's owner, and all that they say fits together."""

from __future__ import annotations

import hashlib
import re
import stat
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from api.identity.key_file import read_keys
from connectors.payments.secrets import read_secrets
from ops.deploy.secrets import CERTIFICATE, NAMES, SECRETS, BadSecret, make_secrets
from runtime.sections import CLICKHOUSE_URL, KAFKA_SASL_PASSWORD, MONGO_URL, REDIS_URL
from runtime.settings import load


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("deploy") / "secrets"
    make_secrets(path, "market.example")
    return path


def text(folder: Path, name: str) -> str:
    return (folder / name).read_text().rstrip("\n")


def test_nobody_else_gets_into_the_folder_and_containers_of_any_user_can_read_its_files(folder: Path) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o444}
    assert {file.name for file in folder.iterdir()} == set(NAMES)


def test_what_is_there_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "redis_password").write_text("an-own-one\n")
    for name in CERTIFICATE:
        (tmp_path / name).write_text("a real one\n")
    made = make_secrets(tmp_path, "localhost")
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    assert "redis_password" not in made
    assert not set(CERTIFICATE) & set(made)
    assert text(tmp_path, "redis_url") == "redis://:an-own-one@redis:6379/0"
    assert make_secrets(tmp_path, "localhost") == []
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", CERTIFICATE)
def test_a_certificate_without_its_key_and_the_other_way_round_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("a real one\n")
    with pytest.raises(BadSecret, match=f"has {name} and no"):
        make_secrets(tmp_path, "localhost")
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(BadSecret, match="is a file, and no folder"):
        make_secrets(tmp_path / "out", "localhost")


def test_two_deployments_share_no_secret(folder: Path, tmp_path: Path) -> None:
    make_secrets(tmp_path, "market.example")
    shared = [name for name in NAMES if text(folder, name) == text(tmp_path, name)]
    assert shared == []


def test_passwords_are_long_and_need_no_escapes_anywhere(folder: Path) -> None:
    passwords = [each.name for each in SECRETS if each.name.endswith("password")]
    assert len(passwords) >= 5
    for name in passwords:
        assert re.fullmatch(r"[A-Za-z0-9_-]{32}", text(folder, name)), name


def test_urls_have_the_passwords_of_their_files_and_are_taken_by_the_settings(folder: Path) -> None:
    for variable, password in (
        (MONGO_URL, "mongo_password"),
        (CLICKHOUSE_URL, "clickhouse_password"),
        (REDIS_URL, "redis_password"),
    ):
        name = password.replace("password", "url")
        url = load({variable.file_name: str(folder / name)}, lambda env, variable=variable: env.read(variable))  # type: ignore[misc]  # mypy infers no lambda with a default
        assert unquote(urlsplit(url).password or "") == text(folder, password)
    kafka = load({KAFKA_SASL_PASSWORD.file_name: str(folder / "kafka_password")}, lambda e: e.read(KAFKA_SASL_PASSWORD))
    assert kafka == text(folder, "kafka_password")


def test_clickhouse_gets_the_digest_of_its_password_and_not_the_password(folder: Path) -> None:
    users = ET.fromstring(text(folder, "clickhouse_users"))
    digest = users.findtext("users/marketplace/password_sha256_hex")
    assert digest == hashlib.sha256(text(folder, "clickhouse_password").encode()).hexdigest()
    assert text(folder, "clickhouse_password") not in text(folder, "clickhouse_users")


def test_the_key_file_is_one_that_mongo_takes(folder: Path) -> None:
    assert re.fullmatch(r"[A-Za-z0-9+/=]{6,1024}", text(folder, "mongo_keyfile"))


def test_the_providers_secrets_are_read_as_its_file(folder: Path) -> None:
    found = read_secrets(folder / "payments")
    assert len(found.api_key) >= 32
    assert len(found.webhook_secrets) == 1


def test_the_api_signs_with_the_key_of_its_file_at_once(folder: Path) -> None:
    (key,) = read_keys(folder / "api_keys")
    assert (key.signs_from <= time.time(), key.retired_at) == (True, None)


def test_the_certificate_is_for_the_host_and_has_its_key(folder: Path) -> None:
    certificate = x509.load_pem_x509_certificate((folder / "tls_certificate").read_bytes())
    key = load_pem_private_key((folder / "tls_key").read_bytes(), None)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["market.example"]
    assert certificate.public_key() == key.public_key()


@pytest.mark.parametrize("name", [each for each in NAMES if each.endswith("_password")])
@pytest.mark.parametrize("own", ["", "\n", 'a"b', "a b", "a\\b", "a,b", "a=b", "a\nb", "é"])
def test_a_password_of_somebody_that_a_part_could_not_read_is_refused_before_anything_is_made(
    tmp_path: Path, name: str, own: str
) -> None:
    (tmp_path / name).write_text(own)
    with pytest.raises(BadSecret, match=name) as refused:
        make_secrets(tmp_path, "localhost")
    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert not own.strip() or own not in str(refused.value).replace(str(tmp_path), "")


def test_a_line_break_at_its_end_is_a_part_of_a_password_for_kafka_alone(tmp_path: Path) -> None:
    (tmp_path / "kafka_broker_password").write_text("own\n")
    with pytest.raises(BadSecret, match="ends with a line break"):
        make_secrets(tmp_path, "localhost")


def test_urls_have_a_password_of_somebody_as_their_readers_take_it(tmp_path: Path) -> None:
    own = "p@ss:w/rd?#%"
    for name in ("mongo_password", "clickhouse_password", "redis_password"):
        (tmp_path / name).write_text(own)
    make_secrets(tmp_path, "localhost")
    for name in ("mongo_url", "clickhouse_url", "redis_url"):
        assert unquote(re.findall(r":([^:@]*)@", text(tmp_path, name))[0]) == own


@pytest.mark.parametrize("host", ["", "a b", "shop.example/", "-", "a" * 65])
def test_a_name_that_no_certificate_can_have_is_refused(tmp_path: Path, host: str) -> None:
    with pytest.raises(BadSecret, match="no certificate"):
        make_secrets(tmp_path, host)
    assert list(tmp_path.iterdir()) == []
