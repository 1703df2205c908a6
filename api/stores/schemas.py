"""What the routes of stores take and give, as JSON."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

from api.identity.schemas import ONE_LINE, SLUG_FORM, Input
from marketplace.enrichments.store_rules import SourceRule
from marketplace.enrichments.text import MAX_VALUE_CHARS
from marketplace.hosts import MAX_HOST_CHARS
from marketplace.identity.emails import MAX_CHARS as EMAIL_CHARS
from marketplace.store_links import (
    MAX_HOSTS,
    InvalidLinkRule,
    PageCase,
    TrailingSlash,
    checked_hosts,
    checked_source_rule,
)
from marketplace.stores import (
    MAX_DOMAINS,
    MAX_NETWORKS,
    InvalidStore,
    checked_contact,
    checked_domain,
    checked_network,
    checked_zone,
)


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
        return checked_network(text)
    except InvalidStore as error:
        raise PydanticCustomError("network", "give a network, such as 192.0.2.0/24") from error


def _linking_host(text: str) -> str:
    try:
        return checked_hosts("host", [text])[0]
    except InvalidLinkRule as error:
        raise PydanticCustomError("host", "give a host alone, such as pay.example") from error


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
    str, Field(min_length=1, max_length=MAX_HOST_CHARS, json_schema_extra={"format": "host"}), AfterValidator(_domain)
]
NetworkText = Annotated[
    str, Field(min_length=1, max_length=43, json_schema_extra={"format": "ip-network"}), AfterValidator(_network)
]
Domains = Annotated[list[Domain], Field(max_length=MAX_DOMAINS, examples=[["shop.example"]])]
Networks = Annotated[list[NetworkText], Field(max_length=MAX_NETWORKS, examples=[["192.0.2.0/24"]])]
LinkingHost = Annotated[
    str, Field(min_length=1, max_length=MAX_HOST_CHARS, json_schema_extra={"format": "host"}),
    AfterValidator(_linking_host),
]  # fmt: skip
PaymentHosts = Annotated[
    list[LinkingHost],
    Field(
        max_length=MAX_HOSTS,
        description="Further hosts on which buyers pay, with their subdomains: a return from there is no arrival.",
        examples=[["3ds.bank.example"]],
    ),
]
IgnoredReferrers = Annotated[
    list[LinkingHost],
    Field(
        max_length=MAX_HOSTS,
        description="Hosts that count as no referrer, with their subdomains.",
        examples=[["login.example"]],
    ),
]
Slash = Annotated[
    TrailingSlash,
    Field(description="Whether `/shoes/` and `/shoes` are two pages (`keep`) or one (`strip`).", examples=["strip"]),
]
Case = Annotated[
    PageCase,
    Field(description="Whether `/Shoes` and `/shoes` are two pages (`keep`) or one (`lower`).", examples=["lower"]),
]

Contact = Annotated[
    str,
    Field(
        max_length=EMAIL_CHARS,
        description="The mail address that buyers write to; empty for none. Everybody can see it.",
        examples=["hello@shop.example"],
    ),
    AfterValidator(_contact),
]


class SourceRuleEdit(Input):
    """A store's own name for where visits come from."""

    match: Literal["referrer", "utm_source"] = Field(
        description="What is compared: the referrer's host, with its subdomains, or the whole `utm_source`.",
        examples=["referrer"],
    )
    value: str = Field(
        min_length=1, max_length=MAX_HOST_CHARS, description="The host, or the label.", examples=["partner.example"]
    )
    source: str = Field(
        min_length=1,
        max_length=MAX_VALUE_CHARS,
        description="The source that it counts as; what begins with a parenthesis is the system's.",
        examples=["partner"],
    )
    medium: str = Field(
        default="",
        max_length=MAX_VALUE_CHARS,
        description="The medium, unless the link says one; empty for that of the kind of site.",
        examples=["affiliate"],
    )

    @model_validator(mode="after")
    def _can_be_one(self) -> Self:
        self.rule()
        return self

    def rule(self) -> SourceRule:
        """The rule in its one form."""
        try:
            return checked_source_rule(self.match, self.value, self.source, self.medium)
        except InvalidLinkRule as error:
            raise PydanticCustomError("source_rule", "{reason}", {"reason": error.reason}) from error


SourceRules = Annotated[
    list[SourceRuleEdit],
    Field(
        max_length=MAX_HOSTS,
        description="The first that matches counts; one that can never match is refused.",
        examples=[[{"match": "referrer", "value": "partner.example", "source": "partner", "medium": "affiliate"}]],
    ),
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
    payment_hosts: PaymentHosts = Field(default_factory=list)
    ignored_referrers: IgnoredReferrers = Field(default_factory=list)
    source_rules: SourceRules = Field(default_factory=list)
    trailing_slash: Slash = "keep"
    page_case: Case = "keep"

    def settings(self) -> dict[str, Any]:
        """The fields of a store that are to change, each in its one form; a list as long as it was given."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        if "source_rules" in given:
            given["source_rules"] = [each.rule() for each in self.source_rules]
        return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}


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


class SourceRuleBody(BaseModel):
    """A store's own name for where visits come from."""

    match: str
    value: str
    source: str
    medium: str


class WholeStore(StoreBody):
    """A store with what it says of links and pages, which lists of stores leave out."""

    payment_hosts: list[str]
    ignored_referrers: list[str]
    source_rules: list[SourceRuleBody]
    trailing_slash: str
    page_case: str


class MadeStore(WholeStore):
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
