"""Whatever is taken for an address can get a mail, and it is the only one that gets it."""

from __future__ import annotations

import email
from datetime import UTC, datetime
from email.policy import SMTP, default
from email.utils import getaddresses
from typing import cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from api.mail.notices import Prepared
from api.mail.sender import MailSender
from connectors.mail.transport import MailTransport
from connectors.mongo.mail_queue import MailQueue, WaitingMail
from marketplace.identity.accounts import Mail
from marketplace.identity.emails import InvalidEmail, checked_email
from marketplace.identity.mails import TEMPLATES
from marketplace.notifications.letters import Links, letter_of
from marketplace.notifications.notices import Template
from tests.kits.notifications import facts

ATOM = st.text("abz09AZ!#$%&'*+/=?^_`{|}~-", min_size=1, max_size=8)
LOCALS = st.lists(st.one_of(ATOM, st.sampled_from(["", "=?utf-8?q?=0abcc=3a?=", "=?utf-8?b?YQ==?="])), max_size=4)
DOMAINS = st.lists(st.text("abz09-", min_size=1, max_size=5), min_size=1, max_size=3)


def sender_of(address: str = "no-reply@shop.example") -> MailSender:
    class Nothing:
        """No queue and no transport."""

    return MailSender(
        cast("MailQueue", Nothing()), cast("MailTransport", Nothing()), address,
        lambda: datetime(2026, 11, 29, tzinfo=UTC),
    )  # fmt: skip


def message(to: str, name: str = "Ann") -> bytes:
    sender = sender_of()
    values = {"name": name, "link": "https://shop.example/x#y", "inviter": name, "store": "shop", "role": "analyst"}
    return sender._message(WaitingMail("1", Mail(to, "reset_password", values), 1)).as_bytes(policy=SMTP)


@given(LOCALS, DOMAINS)
@example(["=?utf-8?q?a?="], ["shop", "example"])
@example(["a", "", "b"], ["shop", "example"])
@example(["a" * 64], ["b" * 60, "b" * 60, "b" * 60])
def test_what_is_taken_for_an_address_is_the_only_one_that_a_mail_goes_to(local: list[str], domain: list[str]) -> None:
    try:
        address = checked_email(f"{'.'.join(local)}@{'.'.join(domain)}")
    except InvalidEmail:
        return
    read = email.message_from_bytes(message(address), policy=default)
    assert [each.addr_spec for each in read["To"].addresses] == [address]
    assert getaddresses([str(read["To"])]) == [("", address)]
    assert set(read) == {
        "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "Content-Type",
        "Content-Transfer-Encoding", "MIME-Version",
    }  # fmt: skip


@pytest.mark.parametrize(
    "name", ["\x85Bcc: eve@shop.example", "é" * 100, "\u202eAnn", "{link}", "=?utf-8?q?=0a?=", "a" * 100]
)
def test_a_name_is_text_of_the_body_and_nothing_else(name: str) -> None:
    read = email.message_from_bytes(message("ann@shop.example", name), policy=default)
    assert read["Bcc"] is None
    assert read["Subject"] == TEMPLATES["reset_password"].subject
    body = read.get_body()
    assert body is not None
    assert f"Hello {name}," in body.get_content()


@pytest.mark.parametrize("host", ["a.example", f"{'shop.' * 40}example"])
def test_what_programs_read_in_the_head_of_a_mail_is_on_one_line_as_it_was_written(host: str) -> None:
    unsubscribe = f"http://{host}/shop/unsubscribe/{'u' * 32}.{'p' * 32}"
    waiting = WaitingMail("m" * 32, Mail("", "", {}), 1, notice="n", user="u")
    letter = letter_of(Template.ORDER_CONFIRMED, facts(), Links("https://shop.example/orders/1", unsubscribe))
    made = sender_of(f"no-reply@{host}")._of_notice(waiting, Prepared(f"ann@{host}", letter, unsubscribe))
    head = made.as_bytes(policy=SMTP).partition(b"\r\n\r\n")[0]
    assert b"=?" not in head
    lines = head.decode("ascii").split("\r\n")
    assert f"List-Unsubscribe: <{unsubscribe}>" in lines
    assert "List-Unsubscribe-Post: List-Unsubscribe=One-Click" in lines
    assert f"Message-ID: <{'m' * 32}@{host}>" in lines
    assert max(map(len, lines)) < 998, "RFC 5322, section 2.1.1"
