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

from api.mail.sender import MailSender
from connectors.mail.transport import MailTransport
from connectors.mongo.mail_queue import MailQueue, WaitingMail
from marketplace.identity.accounts import Mail
from marketplace.identity.emails import InvalidEmail, checked_email
from marketplace.identity.mails import TEMPLATES

ATOM = st.text("abz09AZ!#$%&'*+/=?^_`{|}~-", min_size=1, max_size=8)
LOCALS = st.lists(st.one_of(ATOM, st.sampled_from(["", "=?utf-8?q?=0abcc=3a?=", "=?utf-8?b?YQ==?="])), max_size=4)
DOMAINS = st.lists(st.text("abz09-", min_size=1, max_size=5), min_size=1, max_size=3)


def message(to: str, name: str = "Ann") -> bytes:
    class Nothing:
        """No queue and no transport."""

    sender = MailSender(
        cast("MailQueue", Nothing()), cast("MailTransport", Nothing()), "no-reply@shop.example",
        lambda: datetime(2026, 11, 29, tzinfo=UTC),
    )  # fmt: skip
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
