"""A real SMTP server on loopback, which takes, refuses or puts off what it is sent."""

from __future__ import annotations

import email
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from runtime.ports import free_ports

USER, PASSWORD = "marketplace", "correct-horse-battery"


@dataclass
class Inbox:
    """What a server got.

    Attributes:
        port: Where it listens.
        answer: What it says to the next messages, e.g. ``451 try again``.
        messages: Those that it took.
        recipients: Of each of them.
    """

    port: int
    answer: str = "250 OK"
    messages: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.answer.startswith("250"):
            message = email.message_from_bytes(envelope.content, policy=default)
            assert isinstance(message, EmailMessage)
            self.messages.append(message)
            self.recipients.append(envelope.rcpt_tos)
        return self.answer


def _authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: LoginPassword) -> AuthResult:
    # Not handled: the server itself is to answer a refusal.
    return AuthResult(success=(data.login, data.password) == (USER.encode(), PASSWORD.encode()), handled=False)


@contextmanager
def smtp_server(tls: ssl.SSLContext | None = None) -> Iterator[Inbox]:
    """Run one; with TLS it asks for the user above."""
    inbox = Inbox(free_ports(1)[0])
    options: dict[str, Any] = {}
    if tls is not None:
        options = {"tls_context": tls, "require_starttls": True, "auth_required": True, "authenticator": _authenticate}
    controller = Controller(inbox, hostname="127.0.0.1", port=inbox.port, **options)
    controller.start()
    try:
        yield inbox
    finally:
        controller.stop()
