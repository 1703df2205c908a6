"""Python's cycle collector in a process that frees what it makes by counts."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_NEW_OBJECTS: Final = 5_000


def rest_collector(new_objects: int = _NEW_OBJECTS) -> None:
    """Look for cycles less often, and never again in what is loaded by now; called once, by an entrypoint.

    The usual every 700 objects makes a request that builds many of them four times as long, however briefly they live.

    Args:
        new_objects: How many more objects may have been made than freed before new ones are looked through.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(new_objects, 10, 10)


@contextmanager
def loading() -> Iterator[None]:
    """Look for no cycles meanwhile: what modules make when they are imported stays, and is looked at over and over.

    It takes a fifth of the time that the imports of the API need.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
