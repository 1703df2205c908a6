"""What the routes of API keys take and give, as JSON."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from api.identity.schemas import Input, Name

Scope = Literal[
    "catalog:edit", "catalog:read", "members:read", "numbers:read", "orders:manage", "orders:read", "stock:edit",
    "stock:read", "store:edit", "store:read",
]  # fmt: skip
"""The values of ``marketplace.identity.roles.API_KEY_SCOPES``; a test compares them."""


class NewApiKey(Input):
    """A key that is to be made."""

    name: Name
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=6, examples=[["numbers:read"]])]


class ApiKeyBody(BaseModel):
    """What is known of a key; its secret is kept nowhere."""

    id: str
    name: str
    scopes: list[str]
    made_by: str = Field(description="The id of the account whose role bounds it.")
    created_at: str
    last_used_at: str | None = Field(description="A minute late at most; null for one that was never used.")


class MadeApiKey(ApiKeyBody):
    """A key that was made, with its text, which is shown this once."""

    key: str


class ApiKeyList(BaseModel):
    """All keys of a store, the oldest first."""

    api_keys: list[ApiKeyBody]
