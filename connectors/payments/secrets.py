"""What the product and its payment provider know of each other: the key of the provider's API, and secrets of webhooks.

They come from settings or from a file, as a mounted secret or the data folder has it. The file is read again when it
has changed, so that a secret is replaced while everything runs: add the new one, let the provider sign with it, remove
the old one.
"""

from __future__ import annotations

import os
import secrets
import threading
from contextlib import suppress
from pathlib import Path

import msgspec


class BadSecrets(ValueError):
    """The file holds no secrets that can be used; the message names it and says nothing of its content."""


class ProviderSecrets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is secret between us and a provider.

    Attributes:
        api_key: What it knows us by.
        webhook_secrets: Those with which a webhook may be signed.
    """

    api_key: str
    webhook_secrets: tuple[str, ...]

    def __repr__(self) -> str:
        return f"ProviderSecrets({len(self.webhook_secrets)} of webhooks)"


NO_SECRETS = ProviderSecrets("", ())
"""Nothing is signed well with these."""


def read_secrets(path: Path) -> ProviderSecrets:
    """The secrets of a file.

    Raises:
        BadSecrets: It cannot be read, or has none.
    """
    try:
        found = msgspec.json.decode(path.read_bytes(), type=ProviderSecrets)
    except OSError as error:
        raise BadSecrets(f"{path}: {error.strerror}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadSecrets(f"{path}: this is no file of a provider's secrets") from error
    if not found.api_key or not found.webhook_secrets or not all(found.webhook_secrets):
        raise BadSecrets(f"{path}: it has an empty secret, or none")
    return found


def ensure_secrets(path: Path) -> ProviderSecrets:
    """The secrets of a file; where there is none, it is made. Of several that make it at once, one does.

    Raises:
        BadSecrets: It cannot be read or made.
    """
    if not path.exists():
        made = ProviderSecrets(secrets.token_urlsafe(24), (f"whsec_{secrets.token_urlsafe(32)}",))
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            part = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(made), indent=1))
            with suppress(FileExistsError):
                os.link(part, path)
            part.unlink()
        except OSError as error:
            raise BadSecrets(f"{path}: {error.strerror}") from error
    return read_secrets(path)


class KnownSecrets:
    """The secrets that are good now; safe to share between threads.

    Args:
        given: From settings; they never change.
        path: The file, where settings give none. It need not be there yet: until it is, there are no secrets.
    """

    def __init__(self, given: ProviderSecrets | None, path: Path | None = None) -> None:
        self._known, self._path = given or NO_SECRETS, None if given else path
        self._lock, self._seen = threading.Lock(), (0, 0, 0)

    def now(self) -> ProviderSecrets:
        """What is good now. A file that cannot be used leaves what it had before."""
        if self._path is None:
            return self._known
        with self._lock, suppress(OSError, BadSecrets):
            found = self._path.stat()
            seen = (found.st_ino, found.st_mtime_ns, found.st_size)
            if seen != self._seen:
                self._known, self._seen = read_secrets(self._path), seen
        return self._known
