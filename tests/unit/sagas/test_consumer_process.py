"""Several consumers in one process: one that fails is begun again and known to be unwell, and the others are not."""

from __future__ import annotations

import threading

from connectors.kafka.client_config import KafkaConnection
from connectors.mongo.client import connect
from marketplace.sagas.declaration import Service
from saga_consumers.consumer import ConsumerSpec, Parts, SagaConsumer
from saga_consumers.process import ConsumerProcess, ProcessSettings
from saga_consumers.records import RecordCounts
from saga_consumers.runner import RunnerCounts
from saga_consumers.sweeper import SweepCounts
from tests.kits.consumer import eventually


def test_a_consumer_that_cannot_begin_is_begun_again_and_again_and_says_why() -> None:
    begun = list[int]()

    def fail(parts: Parts) -> SagaConsumer:
        begun.append(1)
        raise ValueError("no such setting")

    with connect("mongodb://127.0.0.1:1/?directConnection=true", deadline_seconds=0.1) as mongo:
        settings = ProcessSettings(KafkaConnection("127.0.0.1:1"), mongo, "nothing", {})
        process = ConsumerProcess([ConsumerSpec(Service.ORDERS, "fails", fail)], settings)
        assert process.problem() == "orders: it has not begun"
        stop, codes = threading.Event(), list[bool]()
        thread = threading.Thread(target=lambda: codes.append(process.run(stop.wait)))
        thread.start()

        eventually(lambda: len(begun) >= 2, "it is begun again")

        assert process.problem() == "orders: it ended: no such setting"
        assert process.stuck() == ""
        assert process.running[0].restarts >= 1
        stop.set()
        thread.join(10)
    assert codes == [True]


def test_what_starts_of_a_consumer_have_counted_is_added_up() -> None:
    one = RunnerCounts(RecordCounts(handled=3, parked=1), SweepCounts(acted=5))
    other = RunnerCounts(RecordCounts(handled=4, rejected=2), SweepCounts(errors=1))

    assert one + other == RunnerCounts(RecordCounts(handled=7, parked=1, rejected=2), SweepCounts(acted=5, errors=1))
