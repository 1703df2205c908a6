"""A real SMTP server on loopback, which takes, refuses or puts off what it is sent."""

from __future__ import annotations

import email
import socketserver
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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


@contextmanager
def smtp_server_that_says(stage: str, answer: str, pause_seconds: float = 0.0) -> Iterator[int]:
    """A server that answers one stage of a mail in its own way and takes all others; gives its port.

    Args:
        stage: ``greeting``, ``EHLO``, ``MAIL``, ``RCPT``, ``DATA`` or ``text`` (the whole message).
        answer: What it says there.
        pause_seconds: How long it waits before each answer.
    """
    usual = {"greeting": "220 here", "DATA": "354 go on", "QUIT": "221 bye"}

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.say("greeting")
            for line in self.rfile:
                verb = line[:4].decode().upper()
                self.say("EHLO" if verb == "HELO" else verb)
                if verb == "DATA" and stage != "DATA":
                    while self.rfile.readline() not in (b".\r\n", b""):
                        pass
                    self.say("text")
                if verb == "QUIT":
                    return

        def say(self, at: str) -> None:
            time.sleep(pause_seconds)
            text = answer if at == stage else usual.get(at, "250 OK")
            with suppress(OSError):
                self.wfile.write(f"{text}\r\n".encode())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()
