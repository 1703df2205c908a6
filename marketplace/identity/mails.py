"""The texts of mails: plain text, each with one link and what to do when it was not asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Template:
    """A text with ``{name}`` where a value goes.

    Attributes:
        subject: One line, without values: nobody else's text gets into a head.
        body: Lines of any length.
    """

    subject: str
    body: str


_IGNORE: Final = "If it was not you, do nothing: without this link nothing happens."

TEMPLATES: Final[Mapping[str, Template]] = {
    "confirm_address": Template(
        "Confirm your address",
        "Hello {name},\n\nyour account is made when you follow this link within a day:\n\n{link}\n\n" + _IGNORE,
    ),
    "already_registered": Template(
        "You have an account already",
        "Hello,\n\nsomebody wanted to make an account with this address, which has one. Sign in here:\n\n{link}\n\n"
        "There you can also choose a new password. If it was not you, do nothing.",
    ),
    "reset_password": Template(
        "Choose a new password",
        "Hello {name},\n\nfollow this link within an hour to choose a new password:\n\n{link}\n\n" + _IGNORE,
    ),
    "no_account": Template(
        "There is no account with this address",
        "Hello,\n\nsomebody wanted to choose a new password for this address, which has no account. "
        "One is made here:\n\n{link}\n\nIf it was not you, do nothing.",
    ),
    # No free text of the inviter: an invitation must be no way to send strangers what one likes.
    "invitation": Template(
        "You are invited to a store",
        "Hello,\n\n{inviter} invites you to the store {store} as {role}. Sign in with this address, or make an "
        "account with it, and follow this link within a week:\n\n{link}\n\n"
        "If you do not know the store, do nothing: without this link nothing happens.",
    ),
}


def render(template: str, values: Mapping[str, str]) -> tuple[str, str]:
    """Subject and body of a mail; values are put in as they are, in one pass: braces in them mean nothing.

    Raises:
        KeyError: There is no such template, or a value is missing.
    """
    found = TEMPLATES[template]
    return found.subject, found.body.format_map(values) + "\n"
