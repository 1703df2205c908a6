"""Sample shops that a collector shows in a demo: what stands in the file that it is given."""

from __future__ import annotations

import msgspec


class SampleProduct(msgspec.Struct, frozen=True):
    """A product on the page; ``price`` is ready to be shown, ``words`` say something about it."""

    slug: str
    title: str
    price: str
    words: str = ""


class SampleShop(msgspec.Struct, frozen=True):
    """A shop.

    Attributes:
        name: What it is called where it was made.
        slug: Its store.
        title, tagline: For people.
        hue: Of its colours, in degrees from 0 to 359.
        write_key: The store's, which is public by nature.
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
    """The whole file."""

    shops: tuple[SampleShop, ...] = ()

    def find(self, slug: str) -> SampleShop | None:
        """The shop of a store."""
        return next((shop for shop in self.shops if shop.slug == slug), None)


_decoder = msgspec.json.Decoder(SampleShops)
_encoder = msgspec.json.Encoder()


def decode_shops(content: bytes) -> SampleShops:
    """Read a file's content.

    Raises:
        msgspec.MsgspecError: It is not of this form.
    """
    return _decoder.decode(content)


def encode_shops(shops: SampleShops) -> bytes:
    """The content of a file: UTF-8 JSON, readable by people."""
    return msgspec.json.format(_encoder.encode(shops)) + b"\n"
