"""What the routes of stores take and give, as JSON."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field
from pydantic_core import PydanticCustomError

from api.identity.schemas import ONE_LINE, SLUG_FORM, Input
from marketplace.identity.emails import MAX_CHARS as EMAIL_CHARS
from marketplace.stores import InvalidStore, checked_contact, checked_domain, checked_zone


def _zone(name: str) -> str:
    try:
        return checked_zone(name)
    except InvalidStore as error:
        raise PydanticCustomError("timezone", "give an IANA zone, such as Europe/Zurich") from error


def _domain(text: str) -> str:
    try:
        return checked_domain(text)
    except InvalidStore as error:
        raise PydanticCustomError("domain", "give a host alone, such as shop.example") from error


def _network(text: str) -> str:
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        raise PydanticCustomError("network", "give a network, such as 192.0.2.0/24") from error
    return text


def _contact(text: str) -> str:
    try:
        return checked_contact(text)
    except InvalidStore as error:
        raise PydanticCustomError("email", "give an e-mail address, such as name@shop.example, or nothing") from error


Title = Annotated[str, Field(min_length=1, max_length=100, pattern=ONE_LINE, examples=["Ann's shop"])]
Slug = Annotated[str, Field(min_length=1, max_length=63, pattern=SLUG_FORM, examples=["anns-shop"])]
Zone = Annotated[
    str,
    Field(min_length=1, max_length=64, examples=["Europe/Zurich"], json_schema_extra={"format": "iana-time-zone"}),
    AfterValidator(_zone),
]
Domain = Annotated[
    str, Field(min_length=1, max_length=253, json_schema_extra={"format": "host"}), AfterValidator(_domain)
]
NetworkText = Annotated[
    str, Field(min_length=1, max_length=43, json_schema_extra={"format": "ip-network"}), AfterValidator(_network)
]
Domains = Annotated[list[Domain], Field(max_length=50, examples=[["shop.example"]])]
Networks = Annotated[list[NetworkText], Field(max_length=100, examples=[["192.0.2.0/24"]])]

Contact = Annotated[
    str,
    Field(
        max_length=EMAIL_CHARS,
        description="The mail address that buyers write to; empty for none. Everybody can see it.",
        examples=["hello@shop.example"],
    ),
    AfterValidator(_contact),
]


class NewStoreBody(Input):
    """A store that is to be made."""

    title: Title
    slug: Slug = Field(default_factory=str, description="Where it is left out, one is made of the title.")
    timezone: Zone = "UTC"
    domains: Domains = Field(default_factory=list)
    blocked_networks: Networks = Field(default_factory=list)
    honour_opt_out: bool = Field(default=True, examples=[True])
    contact: Contact = ""


class StoreEdit(Input):
    """What is to change; what is left out stays, and nothing can be null."""

    title: Title = Field(default_factory=str)
    timezone: Zone = Field(default_factory=str)
    domains: Domains = Field(default_factory=list)
    blocked_networks: Networks = Field(default_factory=list)
    honour_opt_out: bool = Field(default_factory=bool, examples=[True])
    contact: Contact = Field(default_factory=str)


class StoreBody(BaseModel):
    """A store. It is as its owners' plans include it: a frozen one is counted and can be read, and not be changed."""

    slug: str
    title: str
    timezone: str
    domains: list[str]
    blocked_networks: list[str]
    honour_opt_out: bool
    contact: str = Field(description="The mail address that buyers write to; empty for none.")
    role: str | None = Field(description="The caller's; null for an API key.")
    tier: str
    frozen: bool
    created_at: str


class MadeStore(StoreBody):
    """A store that was made, with its write key, which is shown this once."""

    write_key: str


class StorePage(BaseModel):
    """Stores, and where the next ones begin."""

    stores: list[StoreBody]
    next: str | None = Field(description="The cursor of the next page; null where there is none.")


class WriteKey(BaseModel):
    """A write key, which is shown this once."""

    write_key: str


class ImportKey(BaseModel):
    """An import key, which is shown this once."""

    import_key: str


class Keys(BaseModel):
    """What is known of a store's keys: their texts are kept nowhere."""

    write_key: bool
    import_key: bool


class TurnedAwayRow(BaseModel):
    """What was turned away in one of the store's own hours for one reason."""

    hour: str
    reason: str
    requests: int
    events: int = Field(description="At least so many.")


class TurnedAwayPage(BaseModel):
    """What the collector turned away because the store sent too much."""

    days: int
    rows: list[TurnedAwayRow]
