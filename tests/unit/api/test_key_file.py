from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from api.identity.access_tokens import AccessTokens
from api.identity.key_file import SIGNS_AFTER_SECONDS, BadKeyFile, ensure_keys, read_keys, rotate_keys
from marketplace.identity.claims import ACCESS_SECONDS, InvalidClaims

NOW = 1_000_000.0


def tokens(path: Path) -> AccessTokens:
    return AccessTokens(read_keys(path), "https://shop.example", "marketplace")


def test_a_missing_file_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "api" / "keys.json"
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: ensure_keys(path, NOW), range(16)))
    assert made == {read_keys(path)}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["keys.json"]


def test_after_a_rotation_old_tokens_hold_until_they_expire_and_new_ones_are_signed_by_the_new_key(
    tmp_path: Path,
) -> None:
    path = tmp_path / "keys.json"
    ensure_keys(path, NOW)
    before = tokens(path).sign("u", "s", "t", NOW)
    rotate_keys(path, NOW)
    after = tokens(path)
    assert after.read(before, NOW + ACCESS_SECONDS - 1).user == "u"
    last_of_old = after.sign("u", "s", "t", NOW + SIGNS_AFTER_SECONDS - 1)
    first_of_new = after.sign("u", "s", "t", NOW + SIGNS_AFTER_SECONDS)
    end = NOW + SIGNS_AFTER_SECONDS + ACCESS_SECONDS
    assert after.read(last_of_old, end - 1).user == "u"
    rotate_keys(path, end + 60)
    assert len(read_keys(path)) == 2
    assert tokens(path).read(first_of_new, end - 1).user == "u"
    with pytest.raises(InvalidClaims, match="kid"):
        tokens(path).read(last_of_old, end - 1)


def test_a_key_that_others_know_is_replaced_at_once(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    ensure_keys(path, NOW)
    before = tokens(path).sign("u", "s", "t", NOW)
    rotate_keys(path, NOW + 1)
    made = rotate_keys(path, NOW + 2, at_once=True)
    assert [key.kid for key in read_keys(path)] == [made.kid]
    assert tokens(path).read(tokens(path).sign("u", "s", "t", NOW + 2), NOW + 3).user == "u"
    with pytest.raises(InvalidClaims, match="kid"):
        tokens(path).read(before, NOW + 3)


def test_rotations_at_one_time_lose_no_key(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    ensure_keys(path, NOW)
    with ThreadPoolExecutor(4) as pool:
        made = {key.kid for key in pool.map(lambda _: rotate_keys(path, NOW), range(8))}
    assert made < {key.kid for key in read_keys(path)}
    assert len(read_keys(path)) == 9


@pytest.mark.parametrize(
    "content",
    [
        "", "{}", "[]", '{"keys": []}', "no json", '{"keys": [{"kid": "a", "secret": "c2hvcnQ=", "signs_from": 1}]}',
        '{"keys": [{"kid": "a", "secret": "s3cret-marker", "signs_from": 1}]}',
    ],
)  # fmt: skip
def test_what_is_no_file_of_keys_is_named_and_its_content_is_not(tmp_path: Path, content: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(content)
    with pytest.raises(BadKeyFile, match=r"keys\.json: ") as refused:
        ensure_keys(path, NOW)
    assert "s3cret-marker" not in str(refused.value)
    with pytest.raises(BadKeyFile):
        rotate_keys(path, NOW)
    assert path.read_text() == content


def test_a_file_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadKeyFile, match=r"keys\.json: "):
        ensure_keys(tmp_path / "file" / "keys.json", NOW)
