"""The store of an import: an existing one, or a new one unless its name looks like a typing error."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from difflib import get_close_matches

from connectors.mongo.stores import StoreRepository
from marketplace.stores import InvalidStore, Store, checked_domains, checked_zone, hash_write_key

_ALIKE = 0.8
_NUMBER = re.compile(r"-?\d+")


def new_store(slug: str, timezone: str, domains: Sequence[str]) -> Store:
    """A store for an import.

    Its write key is random and not shown: it takes imports at once, and live events after ``stores key``.

    Raises:
        InvalidStore: The slug, the zone or a domain is not valid.
    """
    return Store(
        slug=slug,
        title=slug,
        timezone=checked_zone(timezone),
        domains=checked_domains(domains),
        write_key_hash=hash_write_key(secrets.token_urlsafe(16)),
        visitor_secret=secrets.token_hex(32),
    )


def find(stores: StoreRepository, slug: str, create: bool | None) -> Store | None:
    """The store of an import; None where there is none and it may be created.

    Args:
        stores: The repository of stores.
        slug: The store's.
        create: True creates a missing store, False never does; None creates it unless another store's name is similar.

    Raises:
        InvalidStore: It was deleted, or there is none and it must not be created; the message says what to do.
    """
    found = stores.get(slug)
    if found is not None:
        return _alive(found)
    known = [store.slug for store in stores.list_stores() if not store.deleted] if not create else []
    if create is False:
        raise InvalidStore(
            f"no store {slug} (stores: {', '.join(known) or 'none'}); --create-store creates it, "
            "--timezone says in which zone"
        )
    meant = similar_slug(slug, known)
    if meant is not None:
        raise InvalidStore(f"no store {slug}; did you mean {meant}? --create-store makes a new one")
    return None


def create(stores: StoreRepository, wanted: Store) -> tuple[Store, bool]:
    """Create a store that :func:`find` has not found.

    Returns:
        The store, and whether it was created by this call.

    Raises:
        InvalidStore: There was one meanwhile, and it was deleted.
    """
    if stores.create_store(wanted):
        return wanted, True
    # If another import has created it in the meantime, its secret is the valid one.
    return _alive(stores.get(wanted.slug) or wanted), False


def _alive(store: Store) -> Store:
    if store.deleted:
        raise InvalidStore(
            f"store {store.slug} was deleted: nothing is imported into it, and no other gets its slug; nothing was sent"
        )
    return store


def similar_slug(slug: str, known: Sequence[str]) -> str | None:
    """The known slug that was probably meant; names that differ only in numbers are different on purpose."""
    words = _NUMBER.sub("", slug)
    others = [other for other in known if _NUMBER.sub("", other) != words]
    return next(iter(get_close_matches(slug, others, 1, _ALIKE)), None)
