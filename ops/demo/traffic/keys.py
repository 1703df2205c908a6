"""The file from which live traffic of its own process knows the shops' public write keys."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ops.demo.traffic.shops import DemoStore


class ShopKey(msgspec.Struct, frozen=True):
    """A shop of the demo: its name there, the slug of its store, and its public keys, the storefront's among them."""

    name: str
    slug: str
    write_key: str
    storefront_key: str = ""


def keys_file(folder: Path) -> Path:
    """The path of a data folder's file."""
    return folder / "demo-shops.json"


def write_keys(folder: Path, opened: Sequence[DemoStore]) -> None:
    """Write the file, atomically."""
    keys = [ShopKey(each.shop.name, each.store.slug, each.write_key, each.store.storefront_key) for each in opened]
    path = keys_file(folder)
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(keys)) + b"\n")
    draft.replace(path)


def read_keys(folder: Path) -> list[ShopKey]:
    """The shops of a data folder.

    Raises:
        OSError: There is no such file.
        msgspec.MsgspecError: It is none of shops.
    """
    return msgspec.json.decode(keys_file(folder).read_bytes(), type=list[ShopKey])
