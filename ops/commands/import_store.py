"""Whose log it is: a store that exists, or a new one unless its name looks like a slip of the pen."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from difflib import get_close_matches

from connectors.mongo.stores import StoreRepository
from marketplace.stores import InvalidStore, Store, checked_domain, hash_write_key

_ALIKE = 0.8
_NUMBER = re.compile(r"-?\d+")


def new_store(slug: str, timezone: str, domains: Sequence[str]) -> Store:
    """A store for an import.

    Nobody knows its write key: it takes imports, and events only after it was given a key of its own.

    Raises:
        InvalidStore: The slug, the zone or a domain does not hold.
    """
    return Store(
        slug=slug,
        title=slug,
        timezone=timezone,
        domains=tuple(map(checked_domain, domains)),
        write_key_hash=hash_write_key(secrets.token_urlsafe(16)),
        visitor_secret=secrets.token_hex(32),
    )


def find_or_create(stores: StoreRepository, wanted: Store, create: bool | None) -> tuple[Store, bool]:
    """The store of that slug, and whether it was made just now.

    Args:
        stores: Where stores are kept.
        wanted: How it is made.
        create: True makes it where there is none, False never; None makes it unless another has a name much like it.

    Raises:
        InvalidStore: There is none and it must not be made; the message says what to do.
    """
    found = stores.get(wanted.slug)
    if found is not None:
        return found, False
    known = [store.slug for store in stores.list_stores()] if not create else []
    if create is False:
        raise InvalidStore(
            f"no store {wanted.slug} (stores: {', '.join(known) or 'none'}); --create-store creates it, "
            "--timezone says in which zone"
        )
    meant = similar_slug(wanted.slug, known)
    if meant is not None:
        raise InvalidStore(f"no store {wanted.slug}; did you mean {meant}? --create-store makes a new one")
    if stores.create_store(wanted):
        return wanted, True
    # Another import created it in between; its secret is the one that counts.
    return stores.get(wanted.slug) or wanted, False


def similar_slug(slug: str, known: Sequence[str]) -> str | None:
    """The known slug that was probably meant; names that differ in their numbers only are different on purpose."""
    words = _NUMBER.sub("", slug)
    others = [other for other in known if _NUMBER.sub("", other) != words]
    return next(iter(get_close_matches(slug, others, 1, _ALIKE)), None)
