"""Which of the declared topics have dead letters."""

from __future__ import annotations

from datetime import timedelta

import pytest

from marketplace.flows import DEAD_LETTERS_FLOW, FLOWS, FlowSpec
from marketplace.topics import DEAD_LETTER_TOPICS, TOPICS, Topic, dead_letter_topics


def test_a_declared_topic_that_ends_in_dlq_is_one_of_dead_letters() -> None:
    source = Topic("payments.events.v1", partitions=4, retention=timedelta(days=30))
    dead = Topic("payments.events.v1.dlq", partitions=1, retention=timedelta(days=90))
    assert dead_letter_topics([*TOPICS, source, dead]) == (*DEAD_LETTER_TOPICS, dead)


def test_the_flow_of_dead_letters_reads_all_their_topics() -> None:
    assert DEAD_LETTERS_FLOW.reads == tuple(topic for topic in TOPICS if topic.name.endswith(".dlq"))


@pytest.mark.parametrize("flow", [flow for flow in FLOWS if flow.dead_topic], ids=lambda flow: flow.name)
def test_what_a_flow_cannot_process_goes_to_a_topic_of_dead_letters(flow: FlowSpec) -> None:
    assert flow.dead_topic in DEAD_LETTER_TOPICS
