"""The payments service: events of orders, questions to the provider that are due, and what it says by itself."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Final

from connectors.errors import Unavailable
from connectors.mongo.sagas.payments import WaitingWebhook, WebhookState
from connectors.payments.provider import PaymentProvider, UnreadableWebhook
from connectors.payments.registry import provider_of
from marketplace.sagas.declaration import Service
from marketplace.sagas.events import Event
from marketplace.sagas.provider_calls import Mismatch
from runtime.sections import PAYMENTS_URL, PaymentSettings
from runtime.settings import load
from saga_consumers.consumer import Parts, SagaConsumer
from saga_consumers.payments.calls import QUEUED, Calls
from saga_consumers.payments.counts import PaymentCounts
from saga_consumers.payments.store import PaymentStore
from saga_consumers.sweeps import each_due, in_turn

SWEEP_SECONDS: Final = 0.25
"""Webhooks are found by sweeps alone; what an event makes due is asked at once."""

_WEBHOOKS: Final = 100
_CLOSE_SECONDS: Final = 16.0
"""A question that hangs ends within it."""

_log = logging.getLogger(__name__)


class PaymentsService:
    """Handles events and what is due. Safe to share between threads.

    Args:
        store: Payments.
        providers: Those that read webhooks, by their names.
        counts: Counts what is done.
        calls: Asks the provider; None where none is named, as in a command that only handles events.
    """

    def __init__(
        self, store: PaymentStore, providers: Mapping[str, PaymentProvider], counts: PaymentCounts, calls: Calls | None
    ) -> None:
        self._store, self._providers, self._calls = store, providers, calls
        self._counts = counts
        if calls is not None:
            counts.is_asked = lambda: calls.provider_asked

    def handle(self, event: Event, now: datetime, trace_parent: str = "") -> bool:
        """See :data:`saga_consumers.consumer.Handle`; what it makes due is asked at once, on another thread."""
        handled, due = self._store.react(event, now, trace_parent)
        if due and self._calls is not None:
            # Where it is not taken, a sweep finds it.
            self._calls.begin(due, now)
        return handled

    def sweep(self, now: datetime) -> int:
        """See :data:`saga_consumers.consumer.Sweep`; what is due is asked on other threads."""
        if self._calls is None:
            raise Unavailable(f"no payment provider is named: set {PAYMENTS_URL.name}")
        calls = self._calls
        return in_turn(lambda: self._apply_webhooks(now), lambda: self._ask(calls, now))

    def oldest_due_ms(self) -> int | None:
        """See :class:`saga_consumers.consumer.SagaConsumer`."""
        return self._store.rows.oldest_due_ms()

    def wait(self, seconds: float) -> bool:
        """Wait until no question is under way; returns whether that is so."""
        return self._calls is None or self._calls.wait(seconds)

    def close(self) -> None:
        """Wait for questions that are under way; what they would have said is looked up later."""
        if self._calls is not None and not self._calls.close(_CLOSE_SECONDS):
            _log.warning("a question to the payment provider is under way still")

    def _ask(self, calls: Calls, now: datetime) -> int:
        if not calls.provider_asked:
            return 0
        # Those that cannot be asked about stay due, and are not to keep others from being found.
        due = self._store.rows.due(now, QUEUED + calls.resting())
        return sum(calls.begin(payment.id, now) for payment in due)

    def _apply_webhooks(self, now: datetime) -> int:
        return each_due(
            "webhook",
            lambda after: self._store.rows.waiting_webhooks(now, _WEBHOOKS, after),
            lambda webhook: self._apply_webhook(webhook, now),
            _WEBHOOKS,
        )

    def _apply_webhook(self, webhook: WaitingWebhook, now: datetime) -> bool:
        provider = self._providers.get(webhook.provider)
        try:
            if provider is None:
                raise UnreadableWebhook(f"no provider {webhook.provider!r} is known here")
            report = provider.read_webhook(webhook.raw)
        except UnreadableWebhook as error:
            self._counts.applied("unreadable")
            _log.error("webhook %s cannot be read: %s", webhook.id, error)
            self._store.rows.end_webhook(webhook.id, WebhookState.PARKED, now, str(error))
            return True
        except Mismatch as error:
            self._store.note_mismatch("", str(error), now, webhook)
            return True
        self._store.apply(report, now, webhook)
        return True


def consumer(parts: Parts) -> SagaConsumer:
    """The consumer of the payments service."""
    settings = load(parts.environment, lambda env: PaymentSettings.read(env, asks=False))
    counts = PaymentCounts()
    store = PaymentStore(parts.mongo, parts.database, counts)
    provider = provider_of(
        settings.provider, settings.url, settings.account, settings.known_secrets(), live=settings.live
    )
    calls = Calls(store, provider, counts) if settings.url else None
    service = PaymentsService(store, {provider.name: provider}, counts, calls)

    def close() -> None:
        with suppress(Exception):
            service.close()
        provider.close()

    return SagaConsumer(
        Service.PAYMENTS,
        service.handle,
        service.sweep,
        SWEEP_SECONDS,
        oldest_due_ms=service.oldest_due_ms,
        close=close,
        metrics=counts.collect,
    )
