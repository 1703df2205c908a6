"""The file of sample shops that a collector shows in a demo."""

from __future__ import annotations

import msgspec


class SampleProduct(msgspec.Struct, frozen=True):
    """A product; ``price`` is formatted text, ``description`` a sentence or two."""

    slug: str
    title: str
    price: str
    description: str = ""


class SampleShop(msgspec.Struct, frozen=True):
    """A shop.

    Attributes:
        name: Its name in the demo's catalogue.
        slug: The store's slug.
        title, tagline: For people.
        hue: The hue of its colours, in degrees from 0 to 359.
        write_key: The store's public write key.
        products: In the order in which they are shown.
        motif: What the pictures of its products show.
    """

    name: str
    slug: str
    title: str
    tagline: str
    hue: int
    write_key: str
    products: tuple[SampleProduct, ...]
    motif: str = ""


class SampleShops(msgspec.Struct, frozen=True):
    """The content of the file."""

    shops: tuple[SampleShop, ...] = ()

    def find(self, slug: str) -> SampleShop | None:
        """The shop with this slug, or None."""
        return next((shop for shop in self.shops if shop.slug == slug), None)


_decoder = msgspec.json.Decoder(SampleShops)
_encoder = msgspec.json.Encoder()


def decode_shops(content: bytes) -> SampleShops:
    """Read a file's content.

    Raises:
        msgspec.MsgspecError: It is not a valid file of shops.
    """
    return _decoder.decode(content)


def encode_shops(shops: SampleShops) -> bytes:
    """The content of a file: UTF-8 JSON, readable by people."""
    return msgspec.json.format(_encoder.encode(shops)) + b"\n"
