"""The file of signing keys: made where it is missing, read again when it has changed, rotated by a command.

Every process of the API reads the same file, from a shared folder or a mounted secret.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import logging
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from api.identity.access_tokens import SigningKey, new_secret
from marketplace.identity.claims import ACCESS_SECONDS, LEEWAY_SECONDS

_log = logging.getLogger(__name__)

SIGNS_AFTER_SECONDS: Final = 60.0
"""A new key is published for so long before it signs: by then every process and every client has it."""


class BadKeyFile(ValueError):
    """The file holds no keys that can be used; the message names it and says why, and nothing of its content."""


class _StoredKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    kid: str
    secret: str
    signs_from: float
    retired_at: float | None = None


class _Stored(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    keys: tuple[_StoredKey, ...]


def read_keys(path: Path) -> tuple[SigningKey, ...]:
    """The keys of a file.

    Raises:
        BadKeyFile: It cannot be read, or holds no keys.
    """
    try:
        stored = msgspec.json.decode(path.read_bytes(), type=_Stored)
        keys = tuple(
            SigningKey(each.kid, base64.b64decode(each.secret, validate=True), each.signs_from, each.retired_at)
            for each in stored.keys
        )
        for key in keys:
            _ = key.private
    except OSError as error:
        raise BadKeyFile(f"{path}: {error.strerror}") from error
    except (msgspec.MsgspecError, binascii.Error, ValueError) as error:
        raise BadKeyFile(f"{path}: this is no file of signing keys") from error
    if not keys or len({key.kid for key in keys}) < len(keys):
        raise BadKeyFile(f"{path}: no key, or one twice")
    return keys


def ensure_keys(path: Path, now: float) -> tuple[SigningKey, ...]:
    """The keys of a file; where there is none, it is made with one key. Of several that make it at once, one does.

    Raises:
        BadKeyFile: It cannot be read or made.
    """
    if not path.exists():
        first = SigningKey(_kid(), new_secret(), now)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            part = _write_part(path, [first])
            # Fails where another process was faster; its key is the one.
            with suppress(FileExistsError):
                os.link(part, path)
                # A setting may name the wrong file: then those who are signed in notice it first.
                _log.warning("there were no signing keys in %s: one was made", path)
            part.unlink()
        except OSError as error:
            raise BadKeyFile(f"{path}: {error.strerror}") from error
    return read_keys(path)


def first_keys(now: float) -> str:
    """What such a file holds at its beginning: one key, which signs from now on."""
    return _text([SigningKey(_kid(), new_secret(), now)])


def retires_at(successor_signs_from: float) -> float:
    """From when on no token of a key is valid, given the moment from which its successor signs."""
    return successor_signs_from + ACCESS_SECONDS + LEEWAY_SECONDS


def rotate_keys(
    path: Path, now: float, *, at_once: bool = False, after_seconds: float = SIGNS_AFTER_SECONDS
) -> SigningKey:
    """Add a key that signs from a minute on; the one before is taken until its last token has expired.

    Keys that are retired by now are removed. Of several rotations at once each adds its key.

    Args:
        path: The file.
        now: Seconds since 1970.
        at_once: The key signs now and the keys before it are removed, as others may know them.
        after_seconds: As long as the file takes to reach every process; until then the key does not sign.

    Returns:
        The new key.

    Raises:
        BadKeyFile: The file cannot be read or written.
    """
    made = SigningKey(_kid(), new_secret(), now if at_once else now + after_seconds)
    retired_at = retires_at(made.signs_from)
    try:
        with Path(f"{path}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            kept = [
                SigningKey(key.kid, key.secret, key.signs_from, key.retired_at or retired_at)
                for key in read_keys(path)
                if not at_once and (key.retired_at is None or now < key.retired_at)
            ]
            _write_part(path, [*kept, made]).replace(path)
    except OSError as error:
        raise BadKeyFile(f"{path}: {error.strerror}") from error
    return made


def _text(keys: Sequence[SigningKey]) -> str:
    stored = _Stored(
        tuple(
            _StoredKey(key.kid, base64.b64encode(key.secret).decode(), key.signs_from, key.retired_at) for key in keys
        )
    )
    return msgspec.json.format(msgspec.json.encode(stored), indent=1).decode()


def _write_part(path: Path, keys: Sequence[SigningKey]) -> Path:
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(_text(keys))
        file.flush()
        os.fsync(file.fileno())
    return part


def _kid() -> str:
    return secrets.token_hex(8)
