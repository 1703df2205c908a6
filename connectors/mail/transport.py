"""Hands mails to a server, or writes them to a folder where there is none."""

from __future__ import annotations

import asyncio
import os
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Final, Protocol

import aiosmtplib

from connectors.errors import Refused, Unavailable

SEND_SECONDS: Final = 45.0
"""For a whole mail: less than :data:`connectors.mongo.mail_queue.TAKEN_SECONDS`, after which somebody else sends it."""

_STEP_SECONDS: Final = 10.0
_PERMANENT: Final = 500


class MailTransport(Protocol):
    """Where mails go."""

    async def send(self, message: EmailMessage) -> None:
        """Hand over one mail; it may arrive twice where the answer is lost.

        Raises:
            Unavailable: Not now: try again.
            Refused: Never: the address or the message is not accepted.
        """


@dataclass(frozen=True)
class SmtpServer:
    """A server.

    Attributes:
        host: Its name.
        port: Its port; 465 is encrypted from the first byte, others once both have said so.
        username: For servers that ask for one.
        password: For servers that ask for one.
        encrypted: Whether a connection that cannot be encrypted is refused.
    """

    host: str
    port: int
    username: str = ""
    password: str = ""
    encrypted: bool = True

    def __repr__(self) -> str:
        return f"SmtpServer({self.host}:{self.port})"


class SmtpTransport:
    """Sends by SMTP, each mail on a connection of its own.

    Args:
        server: The server.
        tls: Whose certificates are trusted; by default those of the system.
        send_seconds: For a whole mail.
    """

    def __init__(
        self, server: SmtpServer, tls: ssl.SSLContext | None = None, send_seconds: float = SEND_SECONDS
    ) -> None:
        self._server, self._tls, self._send_seconds = server, tls or ssl.create_default_context(), send_seconds

    async def send(self, message: EmailMessage) -> None:
        """See :class:`MailTransport`."""
        try:
            async with asyncio.timeout(self._send_seconds):
                await self._send(message)
        except aiosmtplib.SMTPRecipientsRefused as error:
            _raise(max((each.code for each in error.recipients), default=0), error)
        except aiosmtplib.SMTPDataError as error:
            _raise(error.code, error)
        # What a server says before it knows address and message is about us. It is for the operator to put right, and
        # no reason to give up a mail: all wait until then.
        except aiosmtplib.SMTPAuthenticationError as error:
            raise Unavailable(f"the mail server does not take the password: {error.code}") from error
        except aiosmtplib.SMTPResponseException as error:
            raise Unavailable(f"the mail server takes no mail of ours: {error.code}") from error
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            raise Unavailable(f"the mail server does not answer: {type(error).__name__}") from error

    async def _send(self, message: EmailMessage) -> None:
        server = self._server
        at_once = server.encrypted and server.port == 465
        await aiosmtplib.send(
            message,
            hostname=server.host,
            port=server.port,
            username=server.username or None,
            password=server.password or None,
            use_tls=at_once,
            start_tls=server.encrypted and not at_once,
            tls_context=self._tls if server.encrypted else None,
            timeout=_STEP_SECONDS,
        )


class FolderTransport:
    """Writes each mail into a folder, as a file that mail programs open.

    Args:
        folder: Made where it is missing; only its owner may look into it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def send(self, message: EmailMessage) -> None:
        """See :class:`MailTransport`."""
        try:
            await asyncio.to_thread(self._write, message)
        except OSError as error:
            raise Unavailable(f"mails cannot be written to {self._folder}: {error.strerror}") from error

    def _write(self, message: EmailMessage) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = str(message["message-id"]).strip("<>").partition("@")[0]
        part = self._folder / f".{name}.part"
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(message.as_bytes(policy=SMTP))
        part.replace(self._folder / f"{name}.eml")


def _raise(code: int, error: Exception) -> None:
    """RFC 5321, section 4.2.1: 5yz is for good, 4yz for now."""
    if code >= _PERMANENT:
        raise Refused(f"the mail server refuses it: {code}") from error
    raise Unavailable(f"the mail server does not take it now: {code}") from error
