"""Every Mongo collection, declared once; ``ops`` provisions them and reports drift."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

OUTBOX_SECONDS: Final = 7 * 24 * 3_600
INBOX_SECONDS: Final = 45 * 24 * 3_600
OUTBOX_PAYLOAD_CHARS: Final = 200_000
"""Of at most four bytes each: with its headers such a record is below the largest that Kafka takes."""


@dataclass(frozen=True)
class Index:
    """The declaration of an index; ``expire_after_seconds`` of 0 expires at the date in the (single) field."""

    name: str
    fields: tuple[tuple[str, int], ...]
    unique: bool = False
    expire_after_seconds: int | None = None


@dataclass(frozen=True)
class Collection:
    """The declaration of a collection.

    Attributes:
        name: Its name.
        indexes: Its indexes.
        schema: What its documents have to be, as a JSON schema that Mongo checks at each write; None for anything.
    """

    name: str
    indexes: tuple[Index, ...] = ()
    schema: Mapping[str, Any] | None = None


STORES: Final = Collection("stores", (Index("by_write_key", (("write_key_hash", 1),), unique=True),))
"""``_id`` is the slug; fields of ``marketplace.stores.Store``."""

VISITOR_SALTS: Final = Collection("visitor_salts", (Index("destroy", (("destroy_at", 1),), expire_after_seconds=0),))
"""``_id`` is ``<store>:<local date>``; 32 random bytes, destroyed 48 hours after they were made."""

STORE_STATS: Final = Collection("store_stats", (Index("by_store", (("store", 1), ("day", -1))),))
"""The hot read model: ``_id`` is ``<store>:<local date>``; absolute numbers with a revision that only grows."""

FLOW_GENERATIONS: Final = Collection("flow_generations")
"""``_id`` is the flow; ``generation`` goes up by one at each start, and writes of older generations are refused."""

TURNED_AWAY: Final = Collection(
    "turned_away",
    (
        Index("by_store", (("store", 1), ("hour", 1))),
        Index("expire", (("changed_at", 1),), expire_after_seconds=90 * 24 * 3_600),
    ),
)
"""``_id`` is ``<store>:<local hour>:<reason>``; requests and events that were answered with 429, kept for 90 days."""

USERS: Final = Collection("users", (Index("by_email", (("email_key", 1),), unique=True),))
"""``_id`` is the user's id; fields of ``marketplace.identity.accounts.User``."""

LINKS: Final = Collection(
    "links",
    (Index("by_subject", (("kind", 1), ("subject", 1))), Index("expire", (("expires_at", 1),), expire_after_seconds=0)),
)
"""One-time links in mails: ``_id`` is the SHA-256 of the secret; whoever deletes the document has used the link.
That of an invitation gets the field ``ended`` instead, and is deleted when it expires."""

MAILS: Final = Collection(
    "mails",
    (
        Index("waiting", (("next_attempt_at", 1),)),
        Index("by_rank", (("rank", 1), ("next_attempt_at", 1))),
        Index("by_order", (("order", 1),)),
        Index("by_user", (("user", 1),)),
        Index("expire", (("expires_at", 1),), expire_after_seconds=0),
    ),
)
"""Mails that wait to be sent: written in the transaction of their cause, deleted when a server has taken them."""

MEMBERSHIPS: Final = Collection("memberships", (Index("by_user", (("user", 1), ("store", 1))),))
"""``_id`` is ``<store>:<user>``, so that members of a store are a range of ids; the role, and since when."""

API_KEYS: Final = Collection("api_keys", (Index("by_store", (("store", 1),)),))
"""Keys of servers: ``_id`` is the part of the key that is no secret; of the other one only the hash is kept."""

PRODUCTS: Final = Collection(
    "products",
    (
        Index("by_slug", (("store", 1), ("slug", 1)), unique=True),
        Index("by_sku", (("store", 1), ("skus", 1)), unique=True),
        Index("by_category", (("store", 1), ("category", 1))),
    ),
)
"""``_id`` is the product's id; fields of ``marketplace.catalog.products.Product``, and ``skus`` of all its variants."""

PRODUCT_SLUGS: Final = Collection("product_slugs", (Index("by_product", (("product", 1),)),))
"""``_id`` is ``<store>:<slug>``; the product that it leads to, which may have another slug by now."""

PRODUCT_CHANGES: Final = Collection("product_changes")
"""``_id`` is ``<product>:<version>``; who changed which fields, and when."""

CATEGORIES: Final = Collection("categories")
"""``_id`` is the store: all its categories in one document, so that a change of the tree is one write."""

PRODUCT_IMPORTS: Final = Collection(
    "product_imports",
    (
        Index("by_store", (("store", 1), ("created_at", -1))),
        Index("expire", (("expires_at", 1),), expire_after_seconds=0),
    ),
)
"""Imports of CSV files and how far they are."""

REVIEWS: Final = Collection(
    "reviews",
    (
        Index("by_id", (("id", 1),), unique=True),
        Index("by_help", (("product", 1), ("state", 1), ("helpful", -1), ("id", 1))),
        Index("by_time", (("product", 1), ("state", 1), ("written_at", -1), ("id", 1))),
        Index("by_user", (("user", 1), ("written_at", -1), ("id", 1))),
        Index("by_store", (("store", 1), ("written_at", -1), ("id", 1))),
        Index("waiting", (("queued_at", 1), ("id", 1))),
    ),
)
"""``_id`` is ``<product>:<user>``, so that nobody writes two about one product; ``id`` is what others call it."""

REVIEW_VOTES: Final = Collection("review_votes", (Index("by_user", (("user", 1),)),))
"""``_id`` is ``<review>:<user>``: who found a review helpful."""

REVIEW_REPORTS: Final = Collection("review_reports", (Index("by_review", (("review", 1),)),))
"""``_id`` is ``<review>:<user>``: who reported a review, and why."""

CARTS: Final = Collection("carts", (Index("expire", (("expires_at", 1),), expire_after_seconds=0),))
"""``_id`` is ``user:<id>``, or ``guest:<SHA-256 of the secret>``; those of guests expire."""

ORDERS: Final = Collection(
    "orders",
    (
        Index("by_buyer", (("buyer", 1), ("placed_at_ms", -1), ("_id", 1))),
        Index("by_store", (("store", 1), ("placed_at_ms", -1), ("_id", 1))),
        Index("by_store_state", (("store", 1), ("state", 1), ("placed_at_ms", -1), ("_id", 1))),
        Index("by_checkout", (("checkout", 1),)),
        Index("by_fulfilment", (("fulfilment.changed_at_ms", 1), ("_id", 1))),
        Index("due", (("due_ms", 1),)),
        Index("by_state", (("state", 1), ("state_since_ms", 1))),
    ),
)
"""``_id`` is the order's id; fields of ``marketplace.sagas.order_state.Order``, where it goes, and its history."""

PAYMENTS: Final = Collection(
    "payments",
    (
        Index("by_order", (("order", 1),), unique=True),
        Index("due", (("due_ms", 1),)),
        Index("by_state", (("state", 1), ("state_since_ms", 1))),
        Index("by_refund", (("refunds.state", 1),)),
    ),
)
"""``_id`` is the payment's id; fields of ``marketplace.sagas.payment_state.Payment``."""

LEDGER_ENTRIES: Final = Collection("ledger_entries", (Index("by_payment", (("payment", 1),)),))
"""``_id`` is the entry's id; all entries of one movement of money add up to zero."""

PAYMENT_WEBHOOKS: Final = Collection(
    "payment_webhooks",
    (
        Index("waiting", (("due_ms", 1),)),
        Index("by_state", (("state", 1), ("received_at", 1))),
        Index("expire", (("received_at", 1),), expire_after_seconds=90 * 24 * 3_600),
    ),
)
"""``_id`` is the provider's id of it: what the provider said by itself, with its exact bytes, until it was applied."""

STOCK: Final = Collection(
    "stock", (Index("by_store", (("store", 1), ("_id", 1))), Index("by_change", (("changed_at_ms", 1), ("_id", 1))))
)
"""``_id`` is the variant's id; ``on_hand`` is the sum of its movements, ``reserved`` that of its reservations.

A variant without a document is not counted: its seller says by hand how much there is."""

STOCK_MOVEMENTS: Final = Collection(
    "stock_movements",
    (
        Index("by_variant", (("variant", 1), ("at_ms", -1), ("_id", 1))),
        Index("by_store", (("store", 1), ("at_ms", -1), ("_id", 1))),
        Index("by_cause", (("cause", 1),)),
    ),
)
"""``_id`` is the movement's id; the ledger of stock, to which lines are only added."""

RESERVATIONS: Final = Collection(
    "reservations", (Index("due", (("due_ms", 1),)), Index("by_variant", (("items.variant", 1), ("due_ms", 1))))
)
"""``_id`` is the order's id; fields of ``marketplace.sagas.inventory.Reservation``."""

_NOT_EMPTY: Final = {"bsonType": "string", "minLength": 1}

OUTBOX: Final = Collection(
    "outbox",
    (
        Index("by_order", (("aggregateid", 1),)),
        Index("expire", (("created_at", 1),), expire_after_seconds=OUTBOX_SECONDS),
    ),
    # One row that cannot be sent stops the sending of all later ones, so it cannot be written.
    schema={
        "bsonType": "object",
        "required": ["_id", "aggregatetype", "aggregateid", "type", "payload", "created_at"],
        "properties": {
            "_id": _NOT_EMPTY,
            "aggregatetype": {"enum": ["orders", "relay"]},
            "aggregateid": _NOT_EMPTY,
            "type": _NOT_EMPTY,
            "payload": {"bsonType": "string", "minLength": 2, "maxLength": OUTBOX_PAYLOAD_CHARS},
            "created_at": {"bsonType": "date"},
        },
    },
)
"""``_id`` is the event's id; written in the transaction of its cause and never changed: a connector sends the inserts.

Rows are kept for longer than the longest outage of the connector that is promised."""

INBOX: Final = Collection(
    "inbox",
    (Index("by_order", (("order", 1),)), Index("expire", (("handled_at", 1),), expire_after_seconds=INBOX_SECONDS)),
)
"""``_id`` is ``<consumer>:<event id>``: who has handled what, for longer than the topic keeps it."""

PARKED_EVENTS: Final = Collection(
    "parked_events", (Index("by_key", (("consumer", 1), ("key", 1), ("partition", 1), ("offset", 1))),)
)
"""``_id`` is ``<consumer>:<topic>:<partition>:<offset>:<time>``: events that a consumer rejected, and the later ones of
the same key, with their exact bytes, until an operator lets them be handled or discards them."""

IDEMPOTENCY_KEYS: Final = Collection(
    "idempotency_keys", (Index("expire", (("expires_at", 1),), expire_after_seconds=0),)
)
"""``_id`` is made of the caller and the key: what was asked, who is at it, and what was answered."""

NOTIFICATIONS: Final = Collection(
    "notifications",
    (
        Index("by_recipient", (("recipient", 1), ("at_ms", -1), ("_id", 1))),
        Index("by_unread", (("recipient", 1), ("unread", 1))),
        Index("by_order", (("order", 1),)),
    ),
)
"""``_id`` is made of recipient, template and event, so that nobody ever hears of one thing twice: they never expire."""

NOTIFICATION_PREFERENCES: Final = Collection("notification_preferences")
"""``_id`` is the id of an account: what it wants by mail, and the secret of the links that change it."""

COLLECTIONS: Final[tuple[Collection, ...]] = (
    STORES,
    VISITOR_SALTS,
    STORE_STATS,
    FLOW_GENERATIONS,
    TURNED_AWAY,
    USERS,
    LINKS,
    MAILS,
    MEMBERSHIPS,
    API_KEYS,
    PRODUCTS,
    PRODUCT_SLUGS,
    PRODUCT_CHANGES,
    CATEGORIES,
    PRODUCT_IMPORTS,
    REVIEWS,
    REVIEW_VOTES,
    REVIEW_REPORTS,
    CARTS,
    ORDERS,
    PAYMENTS,
    LEDGER_ENTRIES,
    PAYMENT_WEBHOOKS,
    STOCK,
    STOCK_MOVEMENTS,
    RESERVATIONS,
    OUTBOX,
    INBOX,
    PARKED_EVENTS,
    IDEMPOTENCY_KEYS,
    NOTIFICATIONS,
    NOTIFICATION_PREFERENCES,
)
