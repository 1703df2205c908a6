"""Mails are sent once a server takes them, whatever happened before, and to nobody else."""

from __future__ import annotations

import asyncio
import email
import ssl
import stat
import subprocess
import uuid
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest

from api.mail.sender import MailSender, Reason
from connectors.errors import Refused, Unavailable
from connectors.mail.transport import SEND_SECONDS, FolderTransport, MailTransport, SmtpServer, SmtpTransport
from connectors.mongo.accounts import Accounts
from connectors.mongo.async_client import connect_async
from connectors.mongo.client import connect
from connectors.mongo.mail_queue import TAKEN_SECONDS, MailQueue
from marketplace.identity.accounts import Mail
from marketplace.identity.mails import TEMPLATES, render
from ops.stack import Stack
from runtime.ports import free_ports
from tests.kits.smtp_server import PASSWORD, USER, Inbox, smtp_server, smtp_server_that_says
from tests.kits.stack import leftovers_collected, polled

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
LINK = "https://shop.example/confirm#sEcReT_-1"
SENDER = "no-reply@shop.example"


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with smtp_server() as running:
        yield running


@pytest.fixture
def database(stack: Stack) -> Iterator[str]:
    name = f"mails_{uuid.uuid4().hex}"
    yield name
    client = connect(stack.urls.mongo)
    client.drop_database(name)
    client.close()


def plain(inbox: Inbox) -> SmtpTransport:
    return SmtpTransport(SmtpServer("127.0.0.1", inbox.port, encrypted=False))


def message() -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"], made["Message-ID"] = SENDER, "ann@shop.example", "Hi", "<1@shop.example>"
    made.set_content("Zürich")
    return made


class Clock:
    """A time that stands until it is moved."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


Work = Callable[[Accounts, MailSender, Clock], Awaitable[None]]


def run(
    stack: Stack,
    database: str,
    transport: MailTransport,
    work: Work,
    given_up: Callable[[Reason], None] = lambda reason: None,
) -> None:
    async def whole() -> None:
        client, clock = connect_async(polled(stack.urls.mongo)), Clock()
        try:
            sender = MailSender(MailQueue(client, database), transport, SENDER, clock, given_up)
            await work(Accounts(client, database), sender, clock)
        finally:
            await client.close()

    asyncio.run(whole())


def test_a_mail_is_sent_once_with_its_link_whole_and_to_its_address_alone(
    stack: Stack, database: str, inbox: Inbox
) -> None:
    async def work(accounts: Accounts, sender: MailSender, _: Clock) -> None:
        await accounts.send(Mail("ann@shop.example", "reset_password", {"name": "Ann {link} %s", "link": LINK}), NOW)
        assert await sender.send_one()
        assert not await sender.send_one()

    run(stack, database, plain(inbox), work)
    assert inbox.recipients == [["ann@shop.example"]]
    sent = inbox.messages[0]
    assert (sent["From"], sent["To"]) == (f"Marketplace <{SENDER}>", "ann@shop.example")
    text = sent.get_content()
    assert f"\n{LINK}\n" in text.replace("\r\n", "\n")
    assert "Hello Ann {link} %s," in text


@pytest.mark.parametrize("answer", ["451 try again", "421 closing", "452 no room"])
def test_a_mail_that_is_put_off_is_sent_later_with_the_same_id(
    stack: Stack, database: str, inbox: Inbox, answer: str
) -> None:
    async def work(accounts: Accounts, sender: MailSender, clock: Clock) -> None:
        await accounts.send(Mail("ann@shop.example", "reset_password", {"name": "Ann", "link": LINK}), NOW)
        inbox.answer = answer
        assert await sender.send_one()
        assert not await sender.send_one(), "it is not tried again at once"
        inbox.answer = "250 OK"
        clock.now += timedelta(hours=1)
        assert await sender.send_one()
        assert not await sender.send_one()

    run(stack, database, plain(inbox), work)
    assert len(inbox.messages) == 1


def test_a_mail_that_a_server_refuses_for_good_keeps_no_other_from_being_sent(
    stack: Stack, database: str, inbox: Inbox
) -> None:
    async def work(accounts: Accounts, sender: MailSender, clock: Clock) -> None:
        for name in ("first", "second"):
            await accounts.send(Mail(f"{name}@shop.example", "no_account", {"link": LINK}), clock.now)
            clock.now += timedelta(seconds=1)
        inbox.answer = "550 no such user"
        assert await sender.send_one()
        inbox.answer = "250 OK"
        assert await sender.send_one()
        clock.now += timedelta(days=1)
        assert not await sender.send_one()

    run(stack, database, plain(inbox), work)
    assert inbox.recipients == [["second@shop.example"]]


def test_a_mail_that_nobody_will_get_is_counted_with_the_reason(stack: Stack, database: str, inbox: Inbox) -> None:
    reasons: list[Reason] = []

    async def work(accounts: Accounts, sender: MailSender, clock: Clock) -> None:
        for answer in ("550 no such user", "450 later"):
            await accounts.send(Mail("ann@shop.example", "no_account", {"link": LINK}), clock.now)
            inbox.answer = answer
            assert await sender.send_one()
        assert reasons == ["refused"]
        clock.now += timedelta(days=3) - timedelta(seconds=1)
        assert await sender.send_one()
        clock.now += timedelta(days=1)
        assert not await sender.send_one()

    run(stack, database, plain(inbox), work, reasons.append)
    assert reasons == ["refused", "expired"]
    assert inbox.messages == []


@pytest.mark.parametrize(
    "mail",
    [
        Mail("ann..b@shop.example", "no_account", {"link": LINK}),
        Mail("=?utf-8?q?ann?=@shop.example", "no_account", {"link": LINK}),
        Mail("ann@shop.example", "no_such_template", {"link": LINK}),
        Mail("ann@shop.example", "reset_password", {"link": LINK}),
    ],
    ids=["two dots", "an encoded word", "no such template", "a value is missing"],
)
def test_a_mail_that_no_message_can_be_made_of_keeps_no_other_from_being_sent_and_is_tried_less_and_less(
    stack: Stack, database: str, inbox: Inbox, mail: Mail
) -> None:
    async def work(accounts: Accounts, sender: MailSender, clock: Clock) -> None:
        await accounts.send(mail, clock.now - timedelta(seconds=1))
        await accounts.send(Mail("bob@shop.example", "no_account", {"link": LINK}), clock.now)
        assert await sender.send_one()
        assert await sender.send_one()
        for attempt in range(1, 8):
            clock.now += timedelta(seconds=2**attempt - 1)
            assert not await sender.send_one()
            clock.now += timedelta(seconds=1)
            assert await sender.send_one()

    run(stack, database, plain(inbox), work)
    assert inbox.recipients == [["bob@shop.example"]]


class Broken:
    """A transport with a bug that shows with one mail."""

    def __init__(self, behind: MailTransport, to: str) -> None:
        self._behind, self._to = behind, to

    async def send(self, message: EmailMessage) -> None:
        if message["To"] == self._to:
            raise ValueError("a bug")
        await self._behind.send(message)


def test_a_mail_that_a_bug_keeps_from_being_sent_keeps_no_other_waiting(
    stack: Stack, database: str, inbox: Inbox
) -> None:
    async def work(accounts: Accounts, sender: MailSender, clock: Clock) -> None:
        for number in range(5):
            await accounts.send(Mail("ann@shop.example", "no_account", {"link": LINK}), clock.now)
            clock.now += timedelta(seconds=number)
        await accounts.send(Mail("bob@shop.example", "no_account", {"link": LINK}), clock.now)
        assert [await sender.send_one() for _ in range(7)] == [True] * 6 + [False]

    run(stack, database, Broken(plain(inbox), "ann@shop.example"), work)
    assert inbox.recipients == [["bob@shop.example"]]


def test_a_mail_whose_sender_died_is_sent_by_another_one(stack: Stack, database: str, inbox: Inbox) -> None:
    async def work(accounts: Accounts, sender: MailSender, clock: Clock) -> None:
        await accounts.send(Mail("ann@shop.example", "no_account", {"link": LINK}), NOW)
        assert await sender._queue.take(clock.now) is not None
        assert not await sender.send_one()
        clock.now += timedelta(seconds=TAKEN_SECONDS)
        assert await sender.send_one()

    run(stack, database, plain(inbox), work)
    assert len(inbox.messages) == 1


def test_many_senders_send_each_mail_once(stack: Stack, database: str, inbox: Inbox) -> None:
    async def work(accounts: Accounts, sender: MailSender, _: Clock) -> None:
        for number in range(20):
            await accounts.send(Mail(f"user{number}@shop.example", "no_account", {"link": LINK}), NOW)
        while any(await asyncio.gather(*(sender.send_one() for _ in range(5)))):
            pass

    run(stack, database, plain(inbox), work)
    assert sorted(inbox.recipients) == sorted([f"user{number}@shop.example"] for number in range(20))


def test_a_server_that_is_gone_is_unavailable() -> None:
    transport = SmtpTransport(SmtpServer("127.0.0.1", free_ports(1)[0], encrypted=False))
    with pytest.raises(Unavailable, match="does not answer"):
        asyncio.run(transport.send(message()))


@pytest.mark.parametrize(("answer", "error"), [("450 later", Unavailable), ("554 spam", Refused)])
def test_what_a_server_answers_says_whether_to_try_again(inbox: Inbox, answer: str, error: type[Exception]) -> None:
    inbox.answer = answer
    with pytest.raises(error, match=answer[:3]):
        asyncio.run(plain(inbox).send(message()))


@pytest.mark.parametrize(
    ("stage", "answer", "error"),
    [
        ("greeting", "554 no service here", Unavailable),
        ("greeting", "421 too many", Unavailable),
        ("EHLO", "550 who are you", Unavailable),
        ("MAIL", "530 sign in first", Unavailable),
        ("MAIL", "553 not your address", Unavailable),
        ("MAIL", "451 later", Unavailable),
        ("RCPT", "550 no such user", Refused),
        ("RCPT", "450 later", Unavailable),
        ("DATA", "554 nobody takes it", Refused),
        ("text", "554 spam", Refused),
        ("text", "452 no room", Unavailable),
    ],
)
def test_a_mail_is_given_up_only_for_its_address_or_its_text(stage: str, answer: str, error: type[Exception]) -> None:
    with smtp_server_that_says(stage, answer) as port, pytest.raises(error, match=answer[:3]):
        asyncio.run(SmtpTransport(SmtpServer("127.0.0.1", port, encrypted=False)).send(message()))


def test_a_server_that_is_slow_at_every_step_is_given_up_before_somebody_else_sends_the_mail() -> None:
    assert SEND_SECONDS < TAKEN_SECONDS
    with smtp_server_that_says("text", "250 OK", pause_seconds=0.2) as port:
        transport = SmtpTransport(SmtpServer("127.0.0.1", port, encrypted=False), send_seconds=0.5)
        with pytest.raises(Unavailable, match="TimeoutError"):
            asyncio.run(transport.send(message()))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("tls") / "server.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    subprocess.run(
        [*command, "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", file, "-out", f"{file}.crt"],
        check=True, capture_output=True,
    )  # fmt: skip
    file.write_text(file.read_text() + Path(f"{file}.crt").read_text())
    return file


def test_a_server_that_asks_for_a_user_gets_it_over_tls_only(certificate: Path) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    trusted = ssl.create_default_context(cafile=f"{certificate}.crt")
    with leftovers_collected(), smtp_server(tls) as inbox:
        server = SmtpServer("127.0.0.1", inbox.port, USER, PASSWORD)
        asyncio.run(SmtpTransport(server, trusted).send(message()))
        assert len(inbox.messages) == 1
        wrong = SmtpServer("127.0.0.1", inbox.port, USER, "a-wrong-password")
        with pytest.raises(Unavailable, match="does not take the password") as refused:
            asyncio.run(SmtpTransport(wrong, trusted).send(message()))
        assert "a-wrong-password" not in str(refused.value)
        with pytest.raises(Unavailable):
            asyncio.run(SmtpTransport(server).send(message()))
        assert PASSWORD not in repr(server)


def test_a_server_that_offers_no_encryption_gets_no_mail(inbox: Inbox) -> None:
    with pytest.raises(Unavailable):
        asyncio.run(SmtpTransport(SmtpServer("127.0.0.1", inbox.port)).send(message()))
    assert inbox.messages == []


def test_a_folder_has_each_mail_as_a_file_that_nobody_else_reads(tmp_path: Path) -> None:
    folder = tmp_path / "mails"
    transport = FolderTransport(folder)
    asyncio.run(transport.send(message()))
    asyncio.run(transport.send(message()))
    files = list(folder.iterdir())
    assert [file.name for file in files] == ["1.eml"]
    assert (stat.S_IMODE(folder.stat().st_mode), stat.S_IMODE(files[0].stat().st_mode)) == (0o700, 0o600)
    read: Any = email.message_from_bytes(files[0].read_bytes(), policy=default)
    assert (read["To"], read.get_content().strip()) == ("ann@shop.example", "Zürich")


def test_a_folder_that_cannot_be_written_to_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "mails").write_text("a file")
    with pytest.raises(Unavailable, match="cannot be written"):
        asyncio.run(FolderTransport(tmp_path / "mails").send(message()))


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_every_text_has_its_link_on_a_line_of_its_own_and_no_placeholder_left(name: str) -> None:
    values = {"name": "Ann", "inviter": "bob@shop.example", "store": "shop", "role": "analyst", "link": LINK}
    subject, body = render(name, values)
    assert body.splitlines().count(LINK) == 1
    assert "{" not in subject + body
    assert body.isprintable() or "\n" in body
