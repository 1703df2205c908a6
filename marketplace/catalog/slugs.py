"""Slugs of products and categories: made of titles in any script, and never one that a page of the shop has."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

from marketplace.catalog.refusals import Fault, InvalidCatalog
from marketplace.identity.tenancy import SlugReserved
from marketplace.stores import SLUG

MAX_CHARS: Final = 63

RESERVED: Final = frozenset(
    {
        "about", "account", "admin", "all", "api", "basket", "cart", "carts", "categories", "category", "checkout",
        "compare", "contact", "edit", "export", "exports", "favicon", "feed", "help", "import", "imports", "index",
        "legal", "login", "logout", "me", "new", "null", "order", "orders", "picture", "pictures", "privacy",
        "product", "products", "register", "review", "reviews", "robots", "sale", "search", "shop", "shops", "sign-in",
        "sign-out", "sign-up", "sitemap", "static", "store", "stores", "suggest", "suggestions", "terms", "undefined",
        "wishlist",
    }
)  # fmt: skip
"""Names that pages of a shop have, or may get."""

_TITLE_CHARS: Final = 48
_HASH_CHARS: Final = 8
_OTHER: Final = re.compile(r"[^a-z0-9]+")
_OTHER_SCRIPTS: Final = (
    "аa бb вv гg дd еe ёe жzh зz иi йy кk лl мm нn оo пp рr сs тt уu фf хkh цts чch шsh щshch ъ ыy ь эe юyu яya іi їyi "  # noqa: RUF001  # these letters are what it is about
    "єye ґg αa βv γg δd εe ζz ηi θth ιi κk λl μm νn ξx οo πp ρr σs ςs τt υy φf χch ψps ωo"  # noqa: RUF001  # these letters are what it is about
)
"""Letters of Cyrillic and Greek, each with what it is written as."""

_LATIN: Final = {
    "ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d",
    "þ": "th", "\N{LATIN SMALL LETTER DOTLESS I}": "i", "ħ": "h", "ŋ": "n",
}  # fmt: skip
_LETTERS: Final[Mapping[int, str]] = {
    **{ord(each[0]): each[1:] for each in _OTHER_SCRIPTS.split()},
    **{ord(letter): written for letter, written in _LATIN.items()},
}
"""Letters that no normal form writes in ASCII, and the umlauts, which Germans write so."""


def is_reserved(slug: str) -> bool:
    """Whether no product and no category can have it."""
    return slug in RESERVED


def is_slug(text: str) -> bool:
    """Whether it has the form of a slug."""
    return SLUG.fullmatch(text) is not None


def checked_slug(slug: str) -> str:
    """A slug that somebody has chosen for a product or a category.

    Raises:
        InvalidCatalog: It has not the form of one.
        SlugReserved: No product and no category can have it.
    """
    if not is_slug(slug):
        raise InvalidCatalog([Fault("/slug", "text", "give 1 to 63 of a-z, 0-9 and inner hyphens")])
    if is_reserved(slug):
        raise SlugReserved("a page of the shop has that name: take another one")
    return slug


def slug_of_title(title: str, kind: str = "product") -> str:
    """The slug that a title has where no other one has it: the same for the same title, and never a reserved one.

    Args:
        title: In any script. Where nothing of it can be written in ASCII, a hash of it keeps titles apart.
        kind: The first word of such slugs.
    """
    text = unicodedata.normalize("NFC", unicodedata.normalize("NFKC", title).casefold())
    written = unicodedata.normalize("NFKD", text.translate(_LETTERS)).translate(_LETTERS)
    words = _OTHER.sub("-", written.encode("ascii", "ignore").decode())[:_TITLE_CHARS].strip("-")
    if words and not is_reserved(words):
        return words
    return f"{words or kind}-{blake2b(text.encode(), digest_size=_HASH_CHARS // 2).hexdigest()}"


def with_suffix(slug: str, suffix: str) -> str:
    """A slug beside one that is taken.

    Args:
        slug: The one that is taken.
        suffix: 1 to 32 of a-z and 0-9.
    """
    return f"{slug[: MAX_CHARS - len(suffix) - 1].rstrip('-')}-{suffix}"
