"""The texts of mails: plain text, each with one link and what to do when it was not asked for.

A mail to an address that nobody has proved to have holds no text of whoever asked for it, not even a name: else anybody
could send strangers what they like, from our address.
"""

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
        "Hello,\n\nan account with this address is made when you follow this link within a day:\n\n{link}\n\n"
        + _IGNORE,
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
    "password_changed": Template(
        "Your password was changed",
        "Hello {name},\n\nthe password of your account was changed, and its other sessions have ended. "
        "If it was not you, choose a new one at once:\n\n{link}\n",
    ),
    "confirm_new_address": Template(
        "Confirm your new address",
        "Hello,\n\nan account gets this address when you follow this link within a day:\n\n{link}\n\n"
        "All its sessions end then: sign in with the new address. " + _IGNORE,
    ),
    "address_taken": Template(
        "This address has an account already",
        "Hello,\n\nsomebody wanted to use this address for another account, but it has one. Sign in here:\n\n{link}\n\n"
        "If it was not you, do nothing.",
    ),
    "address_change_asked": Template(
        "Your account is to get another address",
        "Hello {name},\n\nsomebody who knows your password asked for another address of your account. Nothing changes "
        "until the link in the mail to that address is followed. If it was not you, choose a new password, "
        "which ends that link:\n\n{link}\n",
    ),
    "address_changed": Template(
        "Your account has another address",
        "Hello {name},\n\nyour account has another address now, and mails about it go there. If it was not you, write "
        "to those who run the marketplace:\n\n{link}\n",
    ),
    "account_deleted": Template(
        "Your account is deleted",
        "Hello {name},\n\nyour account was deleted, as you asked for. "
        "A new one with this address is made here:\n\n{link}\n",
    ),
    # No free text of the inviter: an invitation must be no way to send strangers what one likes.
    "invitation": Template(
        "You are invited to a store",
        "Hello,\n\n{inviter} invites you to the store {store} as {role}. Follow this link within a week and accept. "
        "You sign in with this address, or make an account with it, on the way:\n\n{link}\n\n"
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
