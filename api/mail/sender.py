"""Sends the mails that wait, one after the other, for as long as the process lives."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from email.headerregistry import Address, BaseHeader, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import EmailPolicy, Policy
from typing import Final, Literal

from api.mail.notices import NoticeMails, Prepared
from connectors.errors import Refused, Unavailable
from connectors.mail.transport import MailTransport
from connectors.mongo.mail_queue import MailQueue, WaitingMail
from marketplace.identity.mails import render

_POLL_SECONDS: Final = 0.5
_UNAVAILABLE_SECONDS: Final = 2.0
_log = logging.getLogger(__name__)


class OneLineHeader(UnstructuredHeader, BaseHeader):
    """A header of ASCII letters that programs read: it stays on the line on which it was written.

    Any other one is folded after 78 characters, and an address without spaces is encoded to be broken up (RFC 2047), so
    that no mail program finds it.
    """

    def fold(self, *, policy: Policy) -> str:
        """One line, however long it is."""
        return f"{self.name}: {self}{policy.linesep}"


def _policy() -> EmailPolicy[EmailMessage]:
    known = HeaderRegistry()
    for name in ("list-unsubscribe", "list-unsubscribe-post", "message-id"):
        known.map_to_type(name, OneLineHeader)
    return EmailPolicy(header_factory=known)


_POLICY: Final = _policy()

Reason = Literal["refused", "expired"]
"""Why nobody will get a mail: a server takes it never, or none took it in time."""


class MailSender:
    """Takes mails from the queue and hands them over.

    Args:
        queue: Where they wait.
        transport: Where they go.
        sender: The address that they come from.
        clock: The time.
        given_up: Called with the reason for each mail that nobody will get.
        notices: Writes mails about notifications; without it those wait.
    """

    def __init__(
        self,
        queue: MailQueue,
        transport: MailTransport,
        sender: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        given_up: Callable[[Reason], None] = lambda reason: None,
        notices: NoticeMails | None = None,
    ) -> None:
        self._queue, self._transport, self._sender, self._clock = queue, transport, sender, clock
        self._given_up, self._notices = given_up, notices

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            try:
                sent = await self.send_one()
            except Unavailable as error:
                _log.warning("mails wait: %s", error)
                await asyncio.sleep(_UNAVAILABLE_SECONDS)
            except Exception:
                _log.exception("no mails are sent for a moment")
                await asyncio.sleep(_UNAVAILABLE_SECONDS)
            else:
                if not sent:
                    await asyncio.sleep(_POLL_SECONDS)

    async def send_one(self) -> bool:
        """Send the mail that waits longest; returns whether one waited.

        Raises:
            Unavailable: Mongo does not answer.
        """
        waiting = await self._queue.take(self._clock())
        if waiting is None:
            return False
        try:
            message = await self._prepared(waiting)
            if message is not None:
                await self._transport.send(message)
            else:
                _log.info("a mail is not sent: what it says is not so any more, or its account wants none")
        except Unavailable as error:
            _log.warning("a mail is sent later, after attempt %d: %s", waiting.attempts, error)
            return await self._put_off(waiting)
        except Refused as error:
            _log.error("a mail is given up: %s", error)
            self._given_up("refused")
        except Exception:
            # Whatever is wrong with this one: the others must not wait for it.
            _log.exception("a mail cannot be sent; it is tried again later, after attempt %d", waiting.attempts)
            return await self._put_off(waiting)
        await self._queue.finish(waiting)
        return True

    async def _put_off(self, waiting: WaitingMail) -> bool:
        # One that was superseded meanwhile is not there any more, and nothing is lost with it.
        if not await self._queue.put_off(waiting, self._clock()) and await self._queue.finish(waiting):
            _log.error("a mail is given up after attempt %d: it expires before the next one", waiting.attempts)
            self._given_up("expired")
        return True

    async def _prepared(self, waiting: WaitingMail) -> EmailMessage | None:
        """A mail as it is handed over; None where it is not to be sent any more."""
        if not waiting.notice:
            return self._message(waiting)
        if self._notices is None:
            raise Unavailable("nobody here writes mails about notifications")
        prepared = await self._notices.prepare(waiting.notice, waiting.user)
        return None if prepared is None else self._of_notice(waiting, prepared)

    def _message(self, waiting: WaitingMail) -> EmailMessage:
        subject, body = render(waiting.mail.template, waiting.mail.values)
        return self._headed(waiting, waiting.mail.to, subject, body)

    def _of_notice(self, waiting: WaitingMail, prepared: Prepared) -> EmailMessage:
        letter = prepared.letter
        message = self._headed(waiting, prepared.to, letter.subject, letter.text)
        message.add_alternative(letter.html, subtype="html")
        if letter.reply_to:
            message["Reply-To"] = Address(addr_spec=letter.reply_to)
        # RFC 8058: a mail program ends them with one request, and people by the page that the same link leads to.
        message["List-Unsubscribe"] = f"<{prepared.unsubscribe}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        return message

    def _headed(self, waiting: WaitingMail, to: str, subject: str, body: str) -> EmailMessage:
        message = EmailMessage(_POLICY)
        domain = self._sender.rpartition("@")[2]
        message["From"] = Address("Marketplace", addr_spec=self._sender)
        message["To"] = Address(addr_spec=to)
        message["Subject"] = subject
        message["Date"] = self._clock()
        # The same at every attempt: a mail program shows one that arrived twice once.
        message["Message-ID"] = f"<{waiting.id}@{domain}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(body)
        return message
