"""Slugs that stores get: which are never given out, and one made of a title."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from marketplace.stores import SLUG

RESERVED: Final = frozenset(
    {
        "about", "account", "accounts", "admin", "administrator", "api", "app", "assets", "auth", "billing", "blog",
        "cart", "carts", "categories", "category", "cdn", "checkout", "collect", "collector", "confirm", "contact",
        "dashboard", "dev", "docs", "download", "forgot", "ftp", "health", "help", "identity", "import", "imports",
        "invitation", "invitations", "invite", "legal", "livez", "login", "logout", "mail", "marketplace", "me",
        "metrics", "new", "notifications", "null", "oauth", "official", "order", "orders", "picture", "pictures",
        "pricing", "privacy", "problems", "product", "products", "readyz", "register", "reset", "review", "reviews",
        "root", "search", "security", "settings", "shops", "sign-in", "sign-out", "sign-up", "signin", "signout",
        "signup", "smtp", "static", "status", "store", "stores", "suggest", "support", "system", "test", "undefined",
        "unsubscribe", "user", "users", "v1", "v2", "webmail", "well-known", "www",
    }
)  # fmt: skip
"""Names of pages and hosts of the platform: a store that had one could be taken for the platform."""

_MAX_CHARS: Final = 40
_OTHER: Final = re.compile(r"[^a-z0-9]+")
_FALLBACK: Final = "shop"


def is_reserved(slug: str) -> bool:
    """Whether nobody can have it."""
    return slug in RESERVED


def slug_of_title(title: str, suffix: str) -> str:
    """A slug for a title: what of it are Latin letters and digits, and a suffix that keeps equal titles apart.

    Args:
        title: In any script; where nothing of it is Latin the slug begins with a word of ours.
        suffix: 1 to 20 of a-z and 0-9.
    """
    latin = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    words = _OTHER.sub("-", latin).strip("-")[:_MAX_CHARS].strip("-") or _FALLBACK
    made = f"{words}-{suffix}"
    if not SLUG.fullmatch(made):
        raise ValueError("the suffix has other characters than a-z and 0-9")
    return made
