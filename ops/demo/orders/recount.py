"""An independent recount: what the topic and the payment provider say of the demo's orders, beside what the API says.

It shares no code with services and reconciler: it folds raw records, and adds up the provider's own list.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Final

from connectors.kafka.client_config import KafkaConnection
from connectors.kafka.reader import PartitionReader
from ops.demo.orders.client import client_of

_TOPIC: Final = "orders.events.v1"
_ROUNDS: Final = 300


@dataclass
class Told:
    """What records say of one order.

    Attributes:
        total_minor: What it cost.
        last: The last word of the service of orders.
        captured_minor, refunded_minor: What the service of payments said of money.
        sold: Pieces that were deducted.
        back: Pieces that came back.
    """

    total_minor: int = 0
    last: str = ""
    captured_minor: int = 0
    refunded_minor: int = 0
    sold: Counter[str] = field(default_factory=Counter)
    back: Counter[str] = field(default_factory=Counter)


@dataclass
class Recount:
    """The comparison.

    Attributes:
        compared: How many numbers and states were.
        differences: Those that differ, a sentence each.
    """

    compared: int = 0
    differences: list[str] = field(default_factory=list)

    def equal(self, what: str, one: object, other: object) -> None:
        """Compare."""
        self.compared += 1
        if one != other:
            self.differences.append(f"{what}: {one} and {other}")


def recount(
    orders: Mapping[str, Mapping[str, Any]],
    told: Mapping[str, Told],
    operations: list[dict[str, Any]],
    counted: Collection[str],
) -> Recount:
    """Compare what three parties say.

    Args:
        orders: As the API shows them, by id.
        told: What the topic says, by id.
        operations: What the provider has done.
        counted: Variants whose stock is counted.
    """
    found = Recount()
    kept: Counter[str] = Counter()
    for each in operations:
        if each["status"] == "succeeded":
            kept[each["order"]] += each["amount_minor"] * (1 if each["kind"] == "charge" else -1)
    for own, order in orders.items():
        said = told.get(own, Told())
        found.equal(f"order {own}: total by API and topic", order["total_minor"], said.total_minor)
        ends = {"ORDER_CONFIRMED": "confirmed", "ORDER_CANCELLED": "cancelled"}.get(said.last, said.last)
        found.equal(f"order {own}: state by API and topic", order["state"], ends)
        net = order["paid_minor"] - order["refunded_minor"]
        found.equal(f"order {own}: money by API and topic", net, said.captured_minor - said.refunded_minor)
        found.equal(f"order {own}: money by API and provider", net, kept[own])
        lines = [line for line in order["lines"] if line["variant"] in counted]
        wanted = {line["variant"]: line["quantity"] - line["returned"] for line in lines}
        has = {variant: said.sold[variant] - said.back[variant] for variant in wanted}
        goods = wanted if order["state"] == "confirmed" else dict.fromkeys(wanted, 0)
        found.equal(f"order {own}: goods by API and topic", goods, has)
    found.equal("orders that only the provider knows", sorted(set(kept) - set(orders) - set(told)), [])
    return found


def read_told(kafka: KafkaConnection | str) -> dict[str, Told]:
    """Fold all records of the topic, each event once.

    Raises:
        Unavailable: Kafka does not answer.
    """
    told: dict[str, Told] = defaultdict(Told)
    seen: set[str] = set()
    with closing(PartitionReader(kafka, _TOPIC, "ops.recount")) as reader:
        ranges = {partition: reader.range_of(partition) for partition in reader.partitions()}
        waiting = {partition: high for partition, (low, high) in ranges.items() if low < high}
        for partition in waiting:
            reader.add(partition, ranges[partition][0])
        for _ in range(_ROUNDS):
            if not waiting:
                break
            for message in reader.consume(5_000, 0.2):
                _fold(told, seen, message)
                if message.offset() + 1 >= ranges[message.partition()][1]:
                    waiting.pop(message.partition(), None)
    return told


def _fold(told: dict[str, Told], seen: set[str], message: Any) -> None:
    headers = dict(message.headers() or ())
    own, kind = (
        (message.key() or b"").decode("utf-8", "replace"),
        headers.get("ce_type", b"").decode("utf-8", "replace"),
    )
    event = headers.get("ce_id", b"").decode("utf-8", "replace")
    if event in seen or not message.value():
        return
    seen.add(event)
    order, says = told[own], json.loads(message.value())
    if kind == "ORDER_CREATED":
        order.total_minor = says["total_minor"]
    elif kind in ("ORDER_CONFIRMED", "ORDER_CANCELLED"):
        order.last = kind
    elif kind == "PAYMENT_COMPLETED":
        order.captured_minor += says["amount_minor"]
    elif kind == "PAYMENT_REFUNDED":
        order.refunded_minor += says["amount_minor"]
    elif kind == "STOCK_COUNT_UPDATED":
        order.sold.update({item["variant"]: item["quantity"] for item in says["items"]})
    elif kind == "ORDER_REFUND_REQUESTED":
        order.back.update({item["variant"]: item["quantity"] for item in says["restocked"]})


def read_operations(provider: str, api_key: str) -> list[dict[str, Any]]:
    """All that the provider has done.

    Raises:
        httpx.HTTPError: It does not answer.
    """
    found: list[dict[str, Any]] = []
    after: int | None = 0
    headers = {"authorization": f"Bearer {api_key}"}
    with client_of(provider) as client:
        while after is not None:
            asked = {"after": after, "limit": 500}
            page = client.get("/v1/operations", params=asked, headers=headers).raise_for_status().json()
            found += page["operations"]
            after = page["next"]
    return found
