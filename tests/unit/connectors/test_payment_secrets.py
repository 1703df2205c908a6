"""Secrets between the product and its payment provider: made once, replaced while everything runs, shown to nobody."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from connectors.payments.secrets import BadSecrets, KnownSecrets, ProviderSecrets, ensure_secrets, read_secrets
from connectors.payments.signatures import is_signed, signature
from runtime.sections import PaymentSettings
from runtime.settings import MissingUrl, load


def write(path: Path, *webhook_secrets: str) -> None:
    part = path.with_suffix(".part")
    part.write_bytes(msgspec.json.encode(ProviderSecrets("key", webhook_secrets)))
    part.replace(path)


def test_of_several_that_make_the_file_at_once_one_does_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "payments" / "secrets.json"
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: ensure_secrets(path), range(8)))
    assert made == {read_secrets(path)}
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["secrets.json"]


def test_a_secret_is_replaced_while_everything_runs(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    known = KnownSecrets(None, path)
    assert known.now().webhook_secrets == (), "the file is not there yet"
    write(path, "old")
    old, new = signature("old", b"x", 1_000), signature("new", b"x", 1_000)

    def good() -> tuple[bool, bool]:
        secrets = known.now().webhook_secrets
        return is_signed(old, b"x", secrets, 1_000), is_signed(new, b"x", secrets, 1_000)

    assert good() == (True, False)
    write(path, "old", "new")
    assert good() == (True, True)
    write(path, "new")
    assert good() == (False, True)


def test_a_file_that_cannot_be_used_leaves_what_was_known(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    write(path, "old")
    known = KnownSecrets(None, path)
    assert known.now().webhook_secrets == ("old",)
    for bad in (b"", b"{}", b'{"api_key": "k", "webhook_secrets": [""]}', b'{"api_key": "", "webhook_secrets": ["s"]}'):
        path.write_bytes(bad)
        assert known.now().webhook_secrets == ("old",)
        with pytest.raises(BadSecrets) as raised:
            read_secrets(path)
        assert str(path) in str(raised.value)
    path.unlink()
    assert known.now().webhook_secrets == ("old",)


def test_nothing_is_signed_well_where_there_is_no_secret() -> None:
    assert not is_signed(signature("", b"x", 1_000), b"x", ("",), 1_000)
    assert not is_signed(signature("", b"x", 1_000), b"x", (), 1_000)


def test_secrets_are_shown_by_nothing() -> None:
    assert "whsec" not in repr(ProviderSecrets("sk_1", ("whsec_1",)))
    assert "sk_1" not in repr(ProviderSecrets("sk_1", ("whsec_1",)))


def test_settings_come_from_variables_or_from_the_file_of_the_data_folder() -> None:
    given = {
        "MARKETPLACE_PAYMENTS_URL": "https://pay.example",
        "MARKETPLACE_PAYMENTS_API_KEY": "sk",
        "MARKETPLACE_PAYMENTS_WEBHOOK_SECRETS": " one, two ,",
    }
    found = load(given, PaymentSettings.read)
    assert found.known_secrets().now() == ProviderSecrets("sk", ("one", "two"))
    assert (found.url, found.provider, found.live) == ("https://pay.example", "sandbox", False)
    other = load({"MARKETPLACE_DATA": "/data"}, lambda env: PaymentSettings.read(env, asks=False))
    assert other.secrets_file == Path("/data/payments/secrets.json")
    with pytest.raises(MissingUrl, match="MARKETPLACE_PAYMENTS_URL"):
        load({}, PaymentSettings.read)
