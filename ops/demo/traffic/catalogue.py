"""The sample shops' products, as a file from which the collector serves its sample pages."""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Final

from ingest.config import SHOPS_FILE
from ingest.samples.shops import SampleProduct, SampleShop, SampleShops, encode_shops
from ops.demo.traffic.shops import DemoStore, Shop

SHOWN: Final = 8
"""How many products a page shows: the most popular ones."""


@dataclass(frozen=True)
class Line:
    """A shop's presentation.

    Attributes:
        tagline: One sentence.
        hue: The hue of its colours, in degrees.
        currency: The text before a price.
        prices: The lowest and the highest price, in whole units of the currency.
    """

    tagline: str
    hue: int
    currency: str
    prices: tuple[int, int]
    motif: str
    description: str


_LINES: Final[dict[str, Line]] = {
    "brooklyn-coffee": Line(
        "Roasted on Tuesday, at your door on Thursday.",
        24,
        "$",
        (14, 32),
        "bag",
        "250 g of whole beans, roasted in small batches. Grind them just before you brew.",
    ),
    "berlin-bikes": Line(
        "Bicycles for people who have somewhere to be.",
        212,
        "€",
        (690, 3_400),
        "wheel",
        "Built in the workshop behind the counter, ridden before it is sold, and repaired for as long as you ride it.",
    ),
    "mumbai-spices": Line(
        "Whole, ground and roasted, from the market to your kitchen.",
        38,
        "₹",
        (120, 900),
        "bowl",
        "Bought by the sack, cleaned by hand and packed the same day, so that it still smells of something.",
    ),
    "kathmandu-wool": Line(
        "Knitted, felted and woven by hand, high up.",
        344,
        "Rs ",
        (650, 9_800),
        "yarn",
        "Spun, dyed and finished in three workshops of the valley. Each piece differs a little from the next.",
    ),
    "lord-howe-surf": Line(
        "Boards shaped where the waves are.",
        178,
        "A$",
        (290, 1_150),
        "board",
        "Shaped and glassed on the island. If a wave breaks it, we want to see it.",
    ),
}


def shops_file(folder: Path) -> Path:
    """The path of a data folder's file of sample shops."""
    return folder / "sample-shops.json"


def sample_shops(folder: Path) -> dict[str, str]:
    """The collector's setting for a data folder's sample shops; empty where there are none."""
    path = shops_file(folder.resolve())
    return {SHOPS_FILE.name: str(path)} if path.exists() else {}


def write_shops(folder: Path, opened: list[DemoStore]) -> None:
    """Write the file, atomically."""
    shown = SampleShops(tuple(_shown(o.shop, o.store.slug, o.write_key) for o in opened))
    path = shops_file(folder)
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    draft.write_bytes(encode_shops(shown))
    draft.replace(path)


def _shown(shop: Shop, slug: str, write_key: str) -> SampleShop:
    line = _LINES.get(shop.name, Line("", 230, "$", (10, 90), "", ""))
    chosen = [name for _, name in shop.products()[:SHOWN]]
    products = tuple(SampleProduct(name, _title(name), _price(line, name), line.description) for name in chosen)
    return SampleShop(shop.name, slug, shop.title, line.tagline, line.hue, write_key, products, line.motif)


def _title(slug: str) -> str:
    return slug.replace("-", " ").title()


def _price(line: Line, slug: str) -> str:
    cheapest, highest = line.prices
    part = int.from_bytes(blake2b(slug.encode(), digest_size=2).digest(), "big") / 65_535
    price = cheapest + (highest - cheapest) * part**2
    if price >= 100:
        price = round(price / 10) * 10
    return f"{line.currency}{price:,.0f}"
