"""The one table of consumers: a line here is all that a further one needs to run, to be listed and to be measured."""

from __future__ import annotations

from typing import Final

from connectors.errors import Refused
from marketplace.sagas.declaration import Service
from saga_consumers.consumer import ConsumerSpec
from saga_consumers.inventory import store as inventory
from saga_consumers.orders import store as orders
from saga_consumers.payments import consumer as payments

CONSUMERS: Final[tuple[ConsumerSpec, ...]] = (
    ConsumerSpec(Service.ORDERS, "pays, confirms and cancels orders; ends those that nobody pays", orders.consumer),
    ConsumerSpec(Service.PAYMENTS, "charges and refunds by the provider, applies what it says", payments.consumer),
    ConsumerSpec(Service.INVENTORY, "deducts stock, takes it back, releases reservations", inventory.consumer),
)  # fmt: skip


def consumer_named(name: str) -> ConsumerSpec:
    """The consumer of a name.

    Raises:
        Refused: There is none; the message names those that there are.
    """
    found = next((spec for spec in CONSUMERS if spec.service.value == name), None)
    if found is None:
        known = ", ".join(spec.service.value for spec in CONSUMERS)
        raise Refused(f"there is no consumer {name!r}: choose from {known}")
    return found
