"""What codes stand for. Results that have the same codebook can be joined before their rows are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flows.clicks.encoding.enrichment_encoder import EncodedAnswers
from flows.clicks.encoding.store_days import Calendar


@dataclass(frozen=True, eq=False)
class Codebook:
    """The meaning of codes until something is forgotten or looked up again; then there is another one.

    Attributes:
        answers: Of each encoder.
        bot_version: Identity of the rules by which bots are recognised.
        store_days: Numbers of stores.
        zones: The time zone of each store.
    """

    answers: tuple[EncodedAnswers, ...]
    bot_version: str
    store_days: Calendar
    zones: Sequence[str]

    def day_of(self, store: int, quarter: int) -> int:
        """A store's own date, in days since 1970, of a UTC quarter since 1970."""
        return self.store_days.day(self.zones[store], quarter)
