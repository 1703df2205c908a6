"""Texts of mails."""

from __future__ import annotations

import pytest

from marketplace.identity.mails import TEMPLATES, render

TO_UNPROVED_ADDRESSES = ("confirm_address", "already_registered", "no_account", "confirm_new_address", "address_taken")
LINK = "https://shop.example/page#secret"


@pytest.mark.parametrize("template", TO_UNPROVED_ADDRESSES)
def test_a_mail_to_an_address_that_nobody_has_proved_says_nothing_of_whoever_asked_for_it(template: str) -> None:
    subject, body = render(template, {"name": "Win at https://evil.example", "link": LINK})
    assert "evil" not in subject + body


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_mail_has_a_subject_of_one_line_without_values_and_says_what_to_do(template: str) -> None:
    found = TEMPLATES[template]
    assert "{" not in found.subject
    assert len(found.subject.splitlines()) == 1
    assert "{link}" in found.body.splitlines()
    assert "  " not in found.body


def test_braces_in_a_value_mean_nothing() -> None:
    _, body = render("reset_password", {"name": "{link} {0} {name.__class__}", "link": LINK})
    assert body.startswith("Hello {link} {0} {name.__class__},\n")
    assert body.count(LINK) == 1
