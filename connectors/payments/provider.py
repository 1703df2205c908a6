"""What a payment provider is to the product: it takes money once for a key, gives it back, and says what it did.

Answers, look-ups and webhooks all become a :class:`marketplace.sagas.provider_calls.Report`. What there is beside an
answer is decided here, once, for every provider:

- :class:`connectors.errors.Unavailable`: no answer (nobody listens, a timeout, a cut connection), an answer that cannot
  be read, a status of 5xx, or 429. **It may have happened**: whoever asked looks it up before asking again.
- a report that says ``DECLINED``: the buyer's card or bank does not want it, or there is no such card. It is no error.
- :class:`connectors.errors.Refused`: any other status of 4xx. No repetition helps, and it is loud: a wrong key of the
  API, a key of an effect that was used for another amount, a request that the provider cannot read.
- :class:`marketplace.sagas.provider_calls.Mismatch`: an answer that speaks of another account, or of play money where
  it is real, or does not say how much it took. An operator decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from marketplace.sagas.provider_calls import Report


class UnreadableWebhook(Exception):
    """What the provider is said to have sent is none of its messages; the message says why."""


@dataclass(frozen=True)
class Charge:
    """Money that is to be taken.

    Attributes:
        key: The same for every attempt of the same effect, and for no other one.
        amount_minor, currency: How much.
        method: What the provider knows the buyer's card as.
        order: For people who look at the provider's own pages.
    """

    key: str
    amount_minor: int
    currency: str
    method: str
    order: str = ""


@dataclass(frozen=True)
class Repayment:
    """Money that is to go back.

    Attributes:
        key: The same for every attempt of the same effect, and for no other one.
        charge_key: Under which it was taken.
        reference: The provider's own id of the charge; empty where it is not known.
        amount_minor, currency: How much; always said, because providers take silence for all of it.
    """

    key: str
    charge_key: str
    reference: str
    amount_minor: int
    currency: str


class PaymentProvider(Protocol):
    """A client of a provider; safe to share between threads."""

    @property
    def name(self) -> str:
        """As in addresses of webhooks and in rows."""

    def charge(self, charge: Charge) -> Report:
        """Take money.

        Raises:
            Unavailable: It gave no answer: it may have happened.
            Refused: It never will.
            Mismatch: It speaks of something else.
        """

    def refund(self, repayment: Repayment) -> Report:
        """Give money back.

        Raises:
            Unavailable: It gave no answer: it may have happened.
            Refused: It never will.
            Mismatch: It speaks of something else.
        """

    def look_up(self, key: str) -> Report:
        """What became of a key, also where it was never asked.

        Raises:
            Unavailable: It gave no answer.
            Refused: It never will.
            Mismatch: It speaks of something else.
        """

    def close(self) -> None:
        """Close its connections."""

    def read_webhook(self, raw: bytes) -> Report:
        """What a webhook says, whose signature was checked.

        Raises:
            UnreadableWebhook: It is none.
            Mismatch: It speaks of another account, or of play money where it is real and the other way round.
        """
