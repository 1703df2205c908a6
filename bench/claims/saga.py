"""``python -m bench.claims.saga``: how long an order takes from its acceptance to its end, and how many are borne.

Carts become orders by the service that the API runs, at given rates and whether or not the ones before have ended; the
consumers, Connect, Kafka, Mongo and the payment provider are those of ``marketplace up``. An order is accepted when its
transaction is answered, and has ended when a consumer has written its last state. A rate is held where the orders of
its last third end as fast as those of its first. How busy each process was says which one is the ceiling.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import httpx

from bench.claims.numbers import Row, quantile, report, say
from bench.claims.orders import BUYERS, Bench, prepared
from bench.meter import cpu_seconds_of
from connectors.mongo.async_client import connect_async
from marketplace.collections import ORDERS
from marketplace.orders.refusals import EmptyCart
from marketplace.sagas.order_state import OrderState
from ops.provision import ensure_provisioned
from ops.resources import Resources
from ops.stack import Stack
from ops.stack.registry import REGISTRY
from runtime.sections import DATABASE_NAME, Settings

TARGET_RATE: Final = 10
TARGET_P50_SECONDS: Final = 0.5
TARGET_P99_SECONDS: Final = 1.5
_RATES: Final = (10, 20, 30, 40, 60)
_GOODS: Final = 64
_WAIT_SECONDS: Final = 120.0
_CARD: Final = {"number": "4242424242424242", "exp": "12/30", "cvc": "123"}
_ENDED: Final = (OrderState.CONFIRMED.value, OrderState.CANCELLED.value)


@dataclass(frozen=True)
class Level:
    """What one rate gave.

    Attributes:
        rate: Orders asked for in a second.
        reached: Orders accepted in a second.
        p50, p99: Seconds from the acceptance to the end.
        early_p50, late_p50: Those of the first and of the last third.
        placing_p95: Seconds until an order is accepted.
        busy: Shares of a processor, by process.
    """

    rate: float
    reached: float
    p50: float
    p99: float
    early_p50: float
    late_p50: float
    placing_p95: float
    busy: Mapping[str, float]

    @property
    def held(self) -> bool:
        """Whether the orders do not pile up."""
        return self.reached > 0.95 * self.rate and self.late_p50 < max(2 * self.early_p50, TARGET_P50_SECONDS)


async def _level(bench: Bench, stack: Stack, rate: float, seconds: float) -> Level:
    """Place orders at a rate for a while, and wait for their ends."""
    free = asyncio.Queue[str]()
    for at in range(BUYERS):
        free.put_nowait(f"buyer-{at}")
    placing: list[float] = []
    accepted: dict[str, float] = {}

    async def one(number: int) -> None:
        buyer = await free.get()
        # An answer that was lost leaves an empty cart behind, and an order that nobody times.
        with suppress(EmptyCart):
            version = await bench.fill(buyer, [bench.goods[number % len(bench.goods)]])
            took, order = await bench.placed(buyer, version)
            accepted[order] = time.time()
            placing.append(took)
        free.put_nowait(buyer)

    before, began = _cpu(stack), time.perf_counter()
    tasks = []
    for number in range(int(rate * seconds)):
        await asyncio.sleep(began + number / rate - time.perf_counter())
        tasks.append(asyncio.create_task(one(number)))
    await asyncio.gather(*tasks)
    took = time.perf_counter() - began
    after = _cpu(stack)
    ended = await _ends(bench, list(accepted))
    delays = [max(0.0, ended[order] - at) for order, at in accepted.items()]
    third = max(1, len(delays) // 3)
    return Level(
        rate,
        len(delays) / took,
        quantile(delays, 0.5),
        quantile(delays, 0.99),
        quantile(delays[:third], 0.5),
        quantile(delays[-third:], 0.5),
        quantile(placing, 0.95),
        {name: (after[name] - cpu) / took for name, cpu in before.items()},
    )


async def _ends(bench: Bench, orders: list[str]) -> dict[str, float]:
    """When each order ended, in epoch seconds.

    Raises:
        TimeoutError: One does not end.
    """
    collection = bench.mongo[bench.database][ORDERS.name]
    deadline, found = time.monotonic() + _WAIT_SECONDS, dict[str, float]()
    while len(found) < len(orders):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(orders) - len(found)} orders do not end")
        missing = [order for order in orders if order not in found]
        for at in range(0, len(missing), 100):
            wanted = {"_id": {"$in": missing[at : at + 100]}, "state": {"$in": list(_ENDED)}}
            for each in await collection.find(wanted, {"state_since_ms": 1}).to_list():
                found[each["_id"]] = each["state_since_ms"] / 1000
        await asyncio.sleep(0.5)
    return found


def _cpu(stack: Stack) -> dict[str, float]:
    found = {each.name: cpu_seconds_of(each.pid) for each in stack.state().processes if each.pid is not None}
    found["who orders"] = cpu_seconds_of(os.getpid())
    return found


async def _measured(stack: Stack, method: str, rates: tuple[int, ...], seconds: float) -> list[Level]:
    """A level of each rate, up to the first that is not held."""
    mongo = connect_async(stack.urls.mongo)
    try:
        bench = await prepared(mongo, stack.pid("mongo"), _GOODS, DATABASE_NAME.default, method)
        await _level(bench, stack, 5, 3)
        levels = []
        for rate in rates:
            levels.append(await _level(bench, stack, rate, seconds))
            say(_said(levels[-1]))
            if not levels[-1].held:
                break
        return levels
    finally:
        await mongo.close()


def _said(level: Level) -> str:
    busiest = sorted(level.busy.items(), key=lambda item: -item[1])[:4]
    busy = ", ".join(f"{name} {share:.0%}" for name, share in busiest)
    verdict = "held" if level.held else "not held"
    return (
        f"{level.rate:g} orders/s ({level.reached:.1f} reached, {verdict}): accepted to ended"
        f" p50 {1000 * level.p50:.0f} ms, p99 {1000 * level.p99:.0f} ms; placing p95 {1000 * level.placing_p95:.0f} ms;"
        f" of a processor {busy}"
    )


def _rows(levels: list[Level]) -> list[Row]:
    rows = []
    for level in levels:
        note = _said(level).partition("; ")[2]
        asked = level.rate == TARGET_RATE
        target = f"<= {1000 * TARGET_P50_SECONDS:.0f} / {1000 * TARGET_P99_SECONDS:.0f} ms" if asked else ""
        met = level.p50 <= TARGET_P50_SECONDS and level.p99 <= TARGET_P99_SECONDS if asked else None
        value = f"{1000 * level.p50:.0f} / {1000 * level.p99:.0f} ms"
        rows.append(Row(f"accepted to ended at {level.rate:g}/s, p50 / p99", value, target, met, note))
    held = [level for level in levels if level.held]
    if held:
        name, share = max(levels[-1].busy.items(), key=lambda item: item[1])
        note = f"at {levels[-1].rate:g}/s {name} is the busiest, {share:.0%} of a processor of {os.cpu_count()}"
        rows.append(Row("the highest rate that is held", f"{held[-1].rate:g} orders/s", note=note))
    return rows


def main() -> int:
    """Run the claim; print and write its table."""
    parser = argparse.ArgumentParser(prog="python -m bench.claims.saga", description=__doc__)
    parser.add_argument("--rates", type=int, nargs="*", default=list(_RATES), help="orders per second %(default)s")
    parser.add_argument("--seconds", type=float, default=20, help="of each rate [%(default)s]")
    parser.add_argument("--json", type=Path, help="where to write everything")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="marketplace-bench-") as name,
        Stack(f"{name}/stack", ports="auto", parts=REGISTRY.needed_by({"consumers"}), external={}) as stack,
    ):
        collections = REGISTRY.service("api").resources.collections
        ensure_provisioned(Settings(stack.urls, PurePosixPath(name)), resources=Resources(collections=collections))
        provider = stack.process("payments").url
        method = httpx.post(f"{provider}/v1/methods", json=_CARD, timeout=20).raise_for_status().json()["token"]
        levels = asyncio.run(_measured(stack, method, tuple(options.rates), options.seconds))
    return report(_rows(levels), {"levels": [asdict(level) for level in levels]}, options.json)


if __name__ == "__main__":
    sys.exit(main())
