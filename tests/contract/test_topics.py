"""A topic that was made is there for whoever asks next."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor

from connectors.kafka.topics import TopicAdmin
from ops.stack import Stack

ROUNDS = 30


def test_a_topic_is_known_when_its_making_returns_also_where_another_process_made_it_at_that_moment(
    stack: Stack,
) -> None:
    admins = [TopicAdmin(stack.urls.kafka) for _ in range(2)]

    def make_and_ask(admin: TopicAdmin, name: str) -> bool:
        admin.create(name, 4, 1, {})
        return admin.identity(name) is not None and set(admin.describe([name])) == {name}

    with ThreadPoolExecutor(len(admins)) as together:
        for _ in range(ROUNDS):
            name = f"made-{uuid.uuid4().hex}"
            assert all(together.map(lambda admin, name=name: make_and_ask(admin, name), admins))
