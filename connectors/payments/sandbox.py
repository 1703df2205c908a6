"""The client of the sandbox provider: see docs/reference/payments-sandbox.md for its cards."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

import httpx
import msgspec

from connectors.errors import Refused, Unavailable
from connectors.payments.provider import Charge, Repayment, UnreadableWebhook
from connectors.payments.secrets import KnownSecrets
from marketplace.sagas.provider_calls import Mismatch, Outcome, Report

NAME: Final = "sandbox"
TIMEOUT_SECONDS: Final = 5.0
"""For each step of a question: to connect, to send, and between two pieces of an answer."""

_ANSWER_TIMEOUTS: Final = 3
"""A whole question takes no longer than so many of them."""

_MAX_BYTES: Final = 64 << 10
_MAX_CONNECTIONS: Final = 32
_CHARS: Final = 200
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_OUTCOMES: Final = {
    "charge": {
        "succeeded": Outcome.SUCCEEDED,
        "pending": Outcome.PENDING,
        "declined": Outcome.DECLINED,
    },
    "refund": {"succeeded": Outcome.SUCCEEDED, "pending": Outcome.PENDING, "failed": Outcome.REVERSED},
}


class _Operation(msgspec.Struct, frozen=True):
    """What the provider says of an effect."""

    kind: str
    key: str
    status: str
    account: str
    live: bool
    id: str = ""
    amount_minor: int | None = None
    currency: str | None = None
    reason: str = ""


class _Webhook(msgspec.Struct, frozen=True):
    id: str
    type: str
    data: _Operation


class _Error(msgspec.Struct, frozen=True):
    error: str = ""


@dataclass(frozen=True)
class _Answer:
    status: int
    content: bytes

    @property
    def error(self) -> str:
        """Its code, where it has one."""
        try:
            return msgspec.json.decode(self.content, type=_Error).error[:_CHARS]
        except _UNREADABLE:
            return ""


class SandboxProvider:
    """A client with connections of its own; safe to share between threads.

    Args:
        url: Where the provider is.
        secrets: What it knows us by, which may change at any time.
        account: Whose money it is; what it says of another account is refused.
        live: Whether it is real money.
        timeout_seconds: For each step of a question.
    """

    def __init__(
        self,
        url: str,
        secrets: KnownSecrets,
        account: str,
        *,
        live: bool = False,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self._account, self._live, self._timeout_seconds = account, live, timeout_seconds
        self._secrets = secrets
        self._client = httpx.Client(
            base_url=url,
            timeout=timeout_seconds,
            limits=httpx.Limits(max_connections=_MAX_CONNECTIONS),
            # The environment's proxies are for other servers.
            trust_env=False,
        )

    @property
    def name(self) -> str:
        """See :class:`PaymentProvider`."""
        return NAME

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def charge(self, charge: Charge) -> Report:
        """See :class:`PaymentProvider`."""
        body = {
            "amount_minor": charge.amount_minor,
            "currency": charge.currency,
            "method": charge.method,
            "order": charge.order,
        }
        return self._report(self._ask("POST", "/v1/charges", charge.key, body), charge.key)

    def refund(self, repayment: Repayment) -> Report:
        """See :class:`PaymentProvider`."""
        body = {
            "charge_key": repayment.charge_key,
            "amount_minor": repayment.amount_minor,
            "currency": repayment.currency,
        }
        return self._report(self._ask("POST", "/v1/refunds", repayment.key, body), repayment.key)

    def look_up(self, key: str) -> Report:
        """See :class:`PaymentProvider`."""
        answer = self._ask("GET", "/v1/operations", key)
        if answer.status == 404 and answer.error == "not_found":
            return Report(key, Outcome.NOT_FOUND)
        return self._report(answer, key)

    def read_webhook(self, raw: bytes) -> Report:
        """See :class:`PaymentProvider`."""
        try:
            return self._report_of(msgspec.json.decode(raw, type=_Webhook).data)
        except (*_UNREADABLE, Unavailable) as error:
            raise UnreadableWebhook(" ".join(str(error).split())[:_CHARS]) from error

    def _ask(self, method: str, path: str, key: str, body: dict[str, Any] | None = None) -> _Answer:
        deadline = time.monotonic() + _ANSWER_TIMEOUTS * self._timeout_seconds
        headers = {"idempotency-key": key, "authorization": f"Bearer {self._secrets.now().api_key}"}
        try:
            with self._client.stream(method, path, headers=headers, json=body) as answer:
                content = b""
                for part in answer.iter_bytes():
                    content += part
                    # Each piece has its own timeout, and there may be many of them.
                    if len(content) > _MAX_BYTES or time.monotonic() > deadline:
                        raise Unavailable("the provider's answer is too long, or takes too long")
                return _Answer(answer.status_code, content)
        except httpx.HTTPError as error:
            raise Unavailable(f"the provider gave no answer: {type(error).__name__}") from error

    def _report(self, answer: _Answer, key: str) -> Report:
        if answer.status >= 500 or answer.status == 429:
            raise Unavailable(f"the provider gave no answer: HTTP {answer.status}")
        if answer.status == 402:
            return Report(key, Outcome.DECLINED, reason=answer.error or "declined")
        if answer.status == 404 and answer.error == "unknown_method":
            # No repetition makes the card known. Another 404 may be one of a server that is no provider at all.
            return Report(key, Outcome.DECLINED, reason=answer.error)
        if answer.status != 200:
            raise Refused(f"the provider refuses it: HTTP {answer.status} {answer.error}".rstrip())
        try:
            said = msgspec.json.decode(answer.content, type=_Operation)
        except _UNREADABLE as error:
            raise Unavailable("the provider's answer cannot be read") from error
        if said.key != key:
            raise Refused("the provider answers for another key")
        return self._report_of(said)

    def _report_of(self, said: _Operation) -> Report:
        outcome = _OUTCOMES.get(said.kind, {}).get(said.status)
        if outcome is None:
            raise Unavailable(f"the provider says {said.kind[:20]!r} {said.status[:20]!r}, which is not known here")
        if (said.account, said.live) != (self._account, self._live):
            raise Mismatch(
                f"the provider speaks of {'live' if said.live else 'test'} money of {said.account[:40]!r}, "
                f"and it is {'live' if self._live else 'test'} money of {self._account!r}"
            )
        if outcome is Outcome.SUCCEEDED and (said.amount_minor is None or said.currency is None):
            raise Mismatch("the provider says that it succeeded, and not with how much of which money")
        return Report(said.key, outcome, said.amount_minor, said.currency, said.id, said.reason)
