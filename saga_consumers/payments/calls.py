"""Asks the provider about payments: on a few threads, each payment by one of them, and outside of any transaction.

1. What is asked is written down (``PaymentStore.begin``). Where another process has written it first, nothing is asked.
2. The provider is asked.
3. What it says is applied. Where that is lost, or the provider gives no answer, the payment is due again after a pause,
   and what became of it is looked up before anything is asked again.

A question that hangs takes one thread until its timeout. Where the provider gave no answer several times in a row it is
left alone for some time, and then asked about one payment: payments stay due meanwhile, and nothing is written.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Final

from connectors.errors import Refused, Unavailable
from connectors.payments.provider import Charge, PaymentProvider, Repayment
from marketplace.sagas.payment_state import Payment
from marketplace.sagas.provider_calls import Call, CallKind, Mismatch, Outcome, Report
from runtime.breaker import CircuitBreaker
from saga_consumers.payments.counts import PaymentCounts
from saga_consumers.payments.store import Asking, PaymentStore

THREADS: Final = 8
QUEUED: Final = 64
"""Payments that wait for a thread; others stay due, and are found again."""

FAILURES_IN_A_ROW: Final = 5
"""So many questions without an answer, of whatever payments, and the provider is left alone: one card's trouble is not
the provider's."""

REST_SECONDS: Final = 60.0
"""A payment that cannot be asked about, for a reason that nobody foresaw, is left alone for so long."""

_MOST_RESTING: Final = 1_000

_log = logging.getLogger(__name__)


class Calls:
    """Asks about payments on threads of its own. Safe to share between threads.

    Args:
        store: Where payments are.
        provider: Whom to ask.
        counts: Counts what becomes of it.
        threads: At one time.
        monotonic: Seconds, for pauses and for how long an answer took.
    """

    def __init__(
        self,
        store: PaymentStore,
        provider: PaymentProvider,
        counts: PaymentCounts,
        threads: int = THREADS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._provider, self._counts, self._monotonic = store, provider, counts, monotonic
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="payments")
        self._changed = threading.Condition()
        self._under_way: set[str] = set()
        self._resting: dict[str, float] = {}
        self._breaker, self._in_a_row, self._closed = CircuitBreaker(), 0, False

    @property
    def provider_asked(self) -> bool:
        """Whether the provider is asked; otherwise it is left alone for some time."""
        return self._breaker.retry_after(self._monotonic()) <= 0

    def begin(self, payment: str, now: datetime) -> bool:
        """Ask about a payment as soon as a thread is there; returns at once.

        Args:
            payment: Its id.
            now: The time.

        Returns:
            Whether it will be asked about: not where it is under way or left alone, or too many wait, or the provider
            is left alone.
        """
        with self._changed:
            full = len(self._under_way) >= QUEUED
            rests = self._resting.get(payment, float("-inf")) > self._monotonic()
            if self._closed or full or rests or payment in self._under_way or not self.provider_asked:
                return False
            self._under_way.add(payment)
        self._pool.submit(self._ask_about, payment, now, self._monotonic())
        return True

    def resting(self) -> int:
        """How many payments are left alone, because they could not be asked about."""
        now = self._monotonic()
        with self._changed:
            self._resting = {payment: until for payment, until in self._resting.items() if until > now}
            return len(self._resting)

    def wait(self, seconds: float) -> bool:
        """Wait until nothing is under way; returns whether that is so."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._under_way, seconds)

    def close(self, seconds: float) -> bool:
        """Begin nothing more, and wait for what is under way; returns whether all of it has ended in time."""
        with self._changed:
            self._closed = True
        ended = self.wait(seconds)
        self._pool.shutdown(wait=False, cancel_futures=True)
        return ended

    def _ask_about(self, payment: str, now: datetime, since: float) -> None:
        try:
            ticket = self._breaker.admit(self._monotonic())
            if ticket and not self._closed:
                self._rounds(payment, now, since, ticket)
        except Unavailable as error:
            # It is due still, or again after its pause.
            _log.warning("payment %s: %s", payment, error)
        except Exception:
            # A thread of a pool would keep it for itself. It may be due still: its pause is written by the same code.
            self._counts.failed()
            self._rest(payment)
            _log.exception("payment %s", payment)
        finally:
            with self._changed:
                self._under_way.discard(payment)
                self._changed.notify_all()

    def _rest(self, payment: str) -> None:
        with self._changed:
            if len(self._resting) >= _MOST_RESTING:
                self._resting.pop(next(iter(self._resting)))
            self._resting[payment] = self._monotonic() + REST_SECONDS

    def _rounds(self, payment: str, now: datetime, since: float, ticket: int) -> None:
        """Ask what is due; a look-up that finds nothing makes the next question due at once."""
        again = True
        while again:
            again = False
            for asked in self._store.begin(payment, self._time(now, since)):
                report = self._ask(asked, ticket, now, since)
                if report is not None:
                    self._store.apply(report, self._time(now, since))
                    again = again or report.outcome is Outcome.NOT_FOUND

    def _ask(self, asking: Asking, ticket: int, now: datetime, since: float) -> Report | None:
        """What the provider says; None where that is nothing that can be applied."""
        payment, call = asking.payment, asking.call
        try:
            said = self._put(payment, call)
        except Unavailable as error:
            self._counts.unanswered()
            self._no_answer(ticket)
            _log.warning("payment %s: %s: %s", payment.id, call.kind, error)
            return None
        except Refused as error:
            self._answered()
            self._counts.refused()
            _log.error("payment %s: %s: %s: an operator has to look at it", payment.id, call.kind, error)
            self._store.note_problem(payment.id, str(error), self._time(now, since))
            return None
        except Mismatch as error:
            self._answered()
            self._store.note_mismatch(payment.id, str(error), self._time(now, since))
            return None
        self._answered()
        return said

    def _put(self, payment: Payment, call: Call) -> Report:
        if call.kind is CallKind.CHARGE:
            charge = Charge(call.key, call.amount_minor, call.currency, payment.method, payment.order)
            return self._provider.charge(charge)
        if call.kind is CallKind.REFUND:
            return self._provider.refund(
                Repayment(call.key, payment.charge_key, payment.reference, call.amount_minor, call.currency)
            )
        return self._provider.look_up(call.key)

    def _no_answer(self, ticket: int) -> None:
        with self._changed:
            self._in_a_row += 1
            several = self._in_a_row >= FAILURES_IN_A_ROW
        if several:
            self._breaker.failed(self._monotonic(), ticket)

    def _answered(self) -> None:
        with self._changed:
            self._in_a_row = 0
        self._breaker.succeeded()

    def _time(self, now: datetime, since: float) -> datetime:
        return now + timedelta(seconds=self._monotonic() - since)
