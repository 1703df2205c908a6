"""One step of a consumer as one transaction: what it has handled, what it changed, and what it says of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from pymongo.client_session import ClientSession
from pymongo.errors import DuplicateKeyError, PyMongoError

from connectors.mongo.client import Client, unavailable
from connectors.mongo.sagas.documents import inbox_document, inbox_id, outbox_document
from connectors.mongo.transactions import in_transaction
from marketplace.collections import INBOX, OUTBOX
from marketplace.sagas.events import Event

Session = ClientSession
"""Of a transaction; for repositories, which alone know what to do with it."""

Work = Callable[[Session], tuple[Event, ...]]
"""Reads and writes in the session that it is given, and nothing else; returns what is to be said. It may run several
times."""


class SagaSteps:
    """The transactions of one consumer; safe to share between threads.

    Args:
        client: A connected client; the caller closes it.
        database: The database's name.
        consumer: The name of the consumer, for its inbox.
    """

    def __init__(self, client: Client, database: str, consumer: str) -> None:
        self._client, self._consumer = client, consumer
        self._inbox, self._outbox = client[database][INBOX.name], client[database][OUTBOX.name]

    def react(self, event: Event, now: datetime, work: Work, trace_parent: str = "") -> bool:
        """Handle an event, unless this consumer has handled it before.

        Args:
            event: What happened.
            now: The time.
            work: What it changes. What it raises goes through, and nothing is written.
            trace_parent: The trace of the event, which goes on in what is said.

        Returns:
            Whether it was handled now.

        Raises:
            Unavailable: Mongo does not answer; it may have been handled.
        """

        def step(session: ClientSession) -> bool:
            if self._inbox.find_one({"_id": inbox_id(self._consumer, event.id)}, session=session) is not None:
                return False
            self._say(work(session), now, trace_parent, session)
            self._inbox.insert_one(inbox_document(self._consumer, event, now), session=session)
            return True

        try:
            return in_transaction(self._client, step)
        except DuplicateKeyError:
            # Another process of this consumer has handled it at this moment.
            if not self._has_handled(event):
                raise
            return False

    def act(self, now: datetime, work: Work, trace_parent: str = "") -> tuple[Event, ...]:
        """Change something without an event: a deadline has passed, or the provider has said something.

        Args:
            now: The time.
            work: What it changes; it looks whether that is still to be done, because another process may have done it.
            trace_parent: The trace that it belongs to.

        Returns:
            What was said.

        Raises:
            Unavailable: Mongo does not answer; it may have happened.
        """

        def step(session: ClientSession) -> tuple[Event, ...]:
            said = work(session)
            self._say(said, now, trace_parent, session)
            return said

        return in_transaction(self._client, step)

    def _has_handled(self, event: Event) -> bool:
        try:
            return self._inbox.find_one({"_id": inbox_id(self._consumer, event.id)}) is not None
        except PyMongoError as error:
            raise unavailable(error) from error

    def _say(self, said: tuple[Event, ...], now: datetime, trace_parent: str, session: ClientSession) -> None:
        if said:
            rows = [outbox_document(event, self._consumer, now, trace_parent) for event in said]
            self._outbox.insert_many(rows, session=session)
