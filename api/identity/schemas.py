"""What the routes of identity take and give, as JSON."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from marketplace.identity.emails import MAX_CHARS as EMAIL_CHARS
from marketplace.identity.emails import InvalidEmail, checked_email
from marketplace.identity.passwords import MAX_CHARS as PASSWORD_CHARS
from marketplace.stores import SLUG
from marketplace.texts import NOT_IN_LINES, NOT_IN_TEXTS


def _email(text: str) -> str:
    try:
        return checked_email(text)
    except InvalidEmail as error:
        raise PydanticCustomError("email", str(error)) from error


Email = Annotated[str, Field(max_length=EMAIL_CHARS, examples=["ann@shop.example"]), AfterValidator(_email)]
Password = Annotated[
    str,
    Field(
        min_length=1,
        max_length=4 * PASSWORD_CHARS,
        examples=["correct horse battery"],
        json_schema_extra={"format": "password"},
    ),
]
Secret = Annotated[
    str,
    Field(
        min_length=16,
        max_length=256,
        pattern=r"^[A-Za-z0-9_.-]+$",
        examples=["q3Zk8n0S5v1J2r7XwT4yLmPbHdFcGaUe6iOoKsVt9xA"],
    ),
]
ONE_LINE: Final = rf"^[^{NOT_IN_LINES}]+$"
"""No end of a line in any reader, no command of a terminal, and nothing that makes the text around it run backwards."""

SEVERAL_LINES: Final = rf"^[^{NOT_IN_TEXTS}]*$"
"""The same with ends of lines and tabs; it may be empty."""

SLUG_FORM: Final = f"^{SLUG.pattern}$"
"""The form of all slugs: of stores, categories and products."""

MAX_NAME_CHARS: Final = 100

Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARS, pattern=ONE_LINE, examples=["Ann"])]


class Input(BaseModel):
    """A body: unknown fields are refused, and nothing is guessed from another type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Registration(Input):
    """Who wants an account."""

    email: Email
    name: Name
    password: Password


class Confirmation(Input):
    """The secret of a link in a mail."""

    token: Secret


class Credentials(Input):
    """An address and its password."""

    email: Email
    password: Password


class RefreshToken(Input):
    """A refresh token."""

    refresh_token: Secret


class PasswordReset(Input):
    """The secret of a link in a mail, and the new password."""

    token: Secret
    password: Password


class PasswordChange(Input):
    """The present password, and the new one."""

    current_password: Password
    password: Password


class EmailChange(Input):
    """A new address, and the account's password."""

    email: Email
    password: Password


class Proof(Input):
    """The account's password."""

    password: Password


class Address(Input):
    """An e-mail address."""

    email: Email


class Tokens(BaseModel):
    """What signing in gives (RFC 6749, section 5.1)."""

    access_token: str
    token_type: str = "Bearer"
    expires_in: int
    refresh_token: str


class AccessTokenView(BaseModel):
    """An access token alone (RFC 6749, section 5.1)."""

    access_token: str
    token_type: str = "Bearer"
    expires_in: int


class Me(BaseModel):
    """An account, as its owner sees it."""

    id: str
    email: str
    name: str
    admin: bool
    tier: str
    created_at: str


class SessionView(BaseModel):
    """A sign-in, as its owner sees it."""

    id: str
    created_at: str
    used_at: str
    client: str
    network: str
    current: bool


class SessionList(BaseModel):
    """All sign-ins of an account that have not ended."""

    sessions: list[SessionView]
