"""Forms about accounts that need nobody to be signed in: to register, to prove an address, to choose a new password.

Links in mails lead to some of them. What a form says is the same whether an address has an account or not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dashboards.web.pages import Field, Page
from marketplace.identity.passwords import MIN_CHARS

EMAIL: Final = Field("email", "E-mail address", "email", "username")
SECRET: Final = Field("token", "The link in the mail, or its part behind #")
_LONG: Final = f"At least {MIN_CHARS} characters. A few words are good, and easy to remember."
_NEW_PASSWORD: Final = Field("password", "New password", "password", "new-password", _LONG)
SIGN_IN: Final = ("Sign in", "/sign-in")
LOST: Final = ("Lost your password?", "/forgot")
REGISTER: Final = ("Make an account", "/register")


@dataclass(frozen=True)
class MailForm:
    """A form whose fields go to one route of the API as they are.

    Attributes:
        route: Of the API, below ``/v1/identity/``.
        page: The page with the form.
        done: The page when the API has accepted it.
    """

    route: str
    page: Page
    done: Page


def secret_in(text: str) -> str:
    """The secret of a link of which somebody gave the whole, or the part behind ``#``."""
    return text.strip().rpartition("#")[2]


def _form(path: str, route: str, title: str, text: str, fields: tuple[Field, ...], button: str, done: Page,
          links: tuple[tuple[str, str], ...] = (SIGN_IN,)) -> tuple[str, MailForm]:  # fmt: skip
    from_link = SECRET in fields
    page = Page(title, (text,), action=path, fields=fields, button=button, links=links, from_link=from_link)
    return path, MailForm(route, page, done)


def _done(title: str, text: str) -> Page:
    return Page(title, (text,), actions=(SIGN_IN,))


def _sent(text: str) -> Page:
    return Page("Look into your mail", (text, _SENT), links=(SIGN_IN,))


_SENT: Final = "If nothing comes within some minutes, look among unwanted mails, or try again."

MAIL_FORMS: Final = dict(
    (
        _form(
            "/forgot", "password-resets", "Lost your password?", "A link to choose a new one is sent to your address.",
            (EMAIL,), "Send the link",
            _sent("The mail is on its way. Its link works for an hour, once."),
        ),
        _form(
            "/reset", "passwords", "Choose a new password", "You are signed out on every device then.",
            (SECRET, _NEW_PASSWORD), "Keep the new password",
            _done("Your password is changed", "Sign in with it. All earlier sign-ins have ended."),
            (("Ask for another link", "/forgot"), SIGN_IN),
        ),
        _form(
            "/register", "registrations", "Make an account", "You get a mail with a link that proves your address.",
            (
                Field("name", "Your name", autocomplete="name"),
                EMAIL,
                Field("password", "Password", "password", "new-password", _LONG),
            ),
            "Make the account",
            _sent("Follow the link in it, then sign in. It works for a day, once."),
        ),
        _form(
            "/confirm", "confirmations", "Confirm your address", "One step more, and your account is there.",
            (SECRET,), "Confirm",
            _done("Your account is ready", "Sign in with your address and your password."),
            (SIGN_IN, REGISTER),
        ),
        _form(
            "/email", "emails", "Confirm your new address", "You are signed out on every device then.",
            (SECRET,), "Confirm",
            _done("Your address is changed", "Sign in with the new one."),
        ),
    )
)  # fmt: skip
"""By their path. The API's mails lead to ``/confirm``, ``/reset``, ``/email`` and ``/register``."""
