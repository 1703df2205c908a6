"""What every payment provider promises through its client: a further one is a line in ``PROVIDERS``."""

from __future__ import annotations

import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from connectors.errors import Refused, Unavailable
from connectors.payments.provider import Charge, PaymentProvider, Repayment, UnreadableWebhook
from connectors.payments.sandbox import SandboxProvider
from connectors.payments.secrets import KnownSecrets, ProviderSecrets
from marketplace.sagas.provider_calls import Mismatch, Outcome, Report
from ops.sandbox_provider.cards import CARDS
from tests.kits.payments import SHORT_SECONDS, Sandbox, sandbox
from tests.kits.stack import eventually


@dataclass
class Known:
    """A provider that can be made to do all that providers do.

    Attributes:
        provider: Its client.
        method: A card by what it does.
        webhook: The bytes of a webhook about a report.
        with_key: A client with another key of the API.
        net_minor: What it has of a payment's money by its own books, by the keys of the payment.
        at: A client of whatever listens at a URL.
        impatient: A client that waits for no answer for long.
    """

    provider: PaymentProvider
    method: Callable[[str], str]
    webhook: Callable[..., bytes]
    with_key: Callable[[str], PaymentProvider]
    net_minor: Callable[[str], int]
    at: Callable[[str], PaymentProvider]
    impatient: PaymentProvider


def of_sandbox(running: Sandbox, client: SandboxProvider, impatient: SandboxProvider) -> Known:
    def webhook(report: Report, kind: str = "charge", **changed: Any) -> bytes:
        status = {Outcome.SUCCEEDED: "succeeded", Outcome.DECLINED: "declined", Outcome.REVERSED: "failed"}
        data = {
            "id": report.reference, "kind": kind, "key": report.key, "status": status.get(report.outcome, "pending"),
            "amount_minor": report.amount_minor, "currency": report.currency, "reason": report.reason,
            "account": "sandbox", "live": False,
        }  # fmt: skip
        return msgspec.json.encode({"id": "evt_1", "type": "any", "created": 1, "data": {**data, **changed}})

    def with_key(key: str) -> SandboxProvider:
        return SandboxProvider(running.url, KnownSecrets(ProviderSecrets(key, ("s",))), "sandbox")

    def net(payment: str) -> int:
        signs = {"charge": 1, "refund": -1}
        return sum(
            signs[kind] * amount for kind, status, amount in running.operations(payment) if status == "succeeded"
        )

    return Known(client, running.method, webhook, with_key, net, lambda url: running.client(0.3, url), impatient)


PROVIDERS = ("sandbox",)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox(tmp_path_factory.mktemp("sandbox")) as made:
        yield made


@pytest.fixture(scope="module", params=PROVIDERS)
def known(running: Sandbox) -> Iterator[Known]:
    with closing(running.client()) as client, closing(running.client(SHORT_SECONDS)) as impatient:
        yield of_sandbox(running, client, impatient)


def charge_of(known: Known, card: str, amount_minor: int = 2_500) -> Charge:
    return Charge(f"{uuid.uuid4().hex}:charge", amount_minor, "EUR", known.method(card), "o1")


def repayment_of(charge: Charge, name: str, amount_minor: int) -> Repayment:
    return Repayment(f"{payment_of(charge)}:refund:{name}", charge.key, "", amount_minor, charge.currency)


def payment_of(charge: Charge) -> str:
    return charge.key.removesuffix(":charge")


def test_a_charge_that_succeeds_says_how_much_it_took_and_so_does_a_look_up(known: Known) -> None:
    charge = charge_of(known, "success")
    said = known.provider.charge(charge)
    assert (said.key, said.outcome, said.amount_minor, said.currency) == (charge.key, Outcome.SUCCEEDED, 2_500, "EUR")
    assert said.reference
    assert known.provider.look_up(charge.key) == said


@pytest.mark.parametrize(
    ("card", "reason"),
    [("no_funds", "insufficient_funds"), ("expired", "expired_card"), ("lost", "lost_card")],
)
def test_a_card_that_is_declined_is_no_error_and_says_why(known: Known, card: str, reason: str) -> None:
    charge = charge_of(known, card)
    for said in (known.provider.charge(charge), known.provider.charge(charge), known.provider.look_up(charge.key)):
        assert (said.outcome, said.reason) == (Outcome.DECLINED, reason)
    assert known.net_minor(payment_of(charge)) == 0


def test_a_card_that_nobody_knows_is_declined(known: Known) -> None:
    said = known.provider.charge(Charge("p:charge", 100, "EUR", "pm_of_nobody"))
    assert (said.outcome, said.reason) == (Outcome.DECLINED, "unknown_method")


def test_what_was_never_asked_is_not_found(known: Known) -> None:
    assert known.provider.look_up("never:charge") == Report("never:charge", Outcome.NOT_FOUND)


def test_one_key_takes_and_gives_back_once_however_often_and_at_one_time_it_is_asked(known: Known) -> None:
    charge = charge_of(known, "success")
    with ThreadPoolExecutor(8) as pool:
        charged = list(pool.map(lambda _: known.provider.charge(charge), range(8)))
        back = list(pool.map(lambda _: known.provider.refund(repayment_of(charge, "r1", 1_000)), range(8)))
    assert len(set(charged)) == len(set(back)) == 1
    assert (back[0].outcome, back[0].amount_minor) == (Outcome.SUCCEEDED, 1_000)
    assert known.net_minor(payment_of(charge)) == 1_500


def test_a_key_that_is_used_for_another_amount_is_refused(known: Known) -> None:
    charge = charge_of(known, "success")
    known.provider.charge(charge)
    with pytest.raises(Refused):
        known.provider.charge(replace(charge, amount_minor=2_501))
    assert known.net_minor(payment_of(charge)) == 2_500


def test_refunds_give_back_what_they_say_and_never_more_than_was_taken(known: Known) -> None:
    charge = charge_of(known, "success")
    known.provider.charge(charge)
    assert known.provider.refund(repayment_of(charge, "r1", 600)).amount_minor == 600
    with pytest.raises(Refused):
        known.provider.refund(repayment_of(charge, "r2", 1_901))
    assert known.provider.look_up(repayment_of(charge, "r2", 1_901).key).outcome is Outcome.NOT_FOUND
    assert known.provider.refund(repayment_of(charge, "r3", 1_900)).outcome is Outcome.SUCCEEDED
    assert known.net_minor(payment_of(charge)) == 0


def test_a_refund_that_is_refused_may_be_asked_for_again_with_the_same_key(known: Known) -> None:
    charge = charge_of(known, "refund_refused")
    known.provider.charge(charge)
    repayment = repayment_of(charge, "r1", 2_500)
    assert [known.provider.refund(repayment).outcome for _ in range(4)] == [
        Outcome.DECLINED, Outcome.DECLINED, Outcome.SUCCEEDED, Outcome.SUCCEEDED,
    ]  # fmt: skip
    assert known.net_minor(payment_of(charge)) == 0


def test_a_refund_that_comes_back_says_so_for_ever_under_its_key_and_another_key_is_another_refund(
    known: Known,
) -> None:
    charge = charge_of(known, "refund_reversed")
    known.provider.charge(charge)
    repayment = repayment_of(charge, "r1", 2_500)
    assert known.provider.refund(repayment).outcome is Outcome.SUCCEEDED
    assert eventually(lambda: known.provider.look_up(repayment.key).outcome is Outcome.REVERSED)
    assert known.provider.refund(repayment).outcome is Outcome.REVERSED
    assert known.net_minor(payment_of(charge)) == 2_500
    assert known.provider.refund(repayment_of(charge, "r1:1", 2_500)).outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize(
    ("card", "happened"),
    [
        ("error_once", False),
        ("hang_once", False),
        ("cut_once", False),
        ("answer_lost", True),
        ("answer_cut", True),
    ],
)
def test_a_question_without_an_answer_may_have_happened_and_a_look_up_knows(
    known: Known, card: str, happened: bool
) -> None:
    charge = charge_of(known, card)
    began = time.monotonic()
    with pytest.raises(Unavailable):
        known.impatient.charge(charge)
    assert time.monotonic() - began < 5
    found = known.provider.look_up(charge.key).outcome
    assert found is (Outcome.SUCCEEDED if happened else Outcome.NOT_FOUND)
    assert known.provider.charge(charge).outcome is Outcome.SUCCEEDED
    assert known.net_minor(payment_of(charge)) == 2_500


def test_a_refund_whose_answer_is_lost_was_made_once(known: Known) -> None:
    charge = charge_of(known, "refund_answer_lost")
    known.provider.charge(charge)
    repayment = repayment_of(charge, "r1", 2_500)
    with pytest.raises(Unavailable):
        known.impatient.refund(repayment)
    assert known.provider.refund(repayment).outcome is Outcome.SUCCEEDED
    assert known.net_minor(payment_of(charge)) == 0


@pytest.mark.parametrize(
    ("card", "outcome"), [("pending_success", Outcome.SUCCEEDED), ("pending_decline", Outcome.DECLINED)]
)
def test_what_is_pending_is_no_success_and_is_decided_later(known: Known, card: str, outcome: Outcome) -> None:
    charge = charge_of(known, card)
    assert known.provider.charge(charge).outcome is Outcome.PENDING
    assert known.net_minor(payment_of(charge)) == 0
    with pytest.raises(Refused):
        known.provider.refund(repayment_of(charge, "early", 100))
    assert eventually(lambda: known.provider.look_up(charge.key).outcome is outcome)


def test_a_wrong_key_of_the_api_is_refused_and_loud(known: Known) -> None:
    with closing(known.with_key("wrong")) as stranger:
        with pytest.raises(Refused):
            stranger.charge(charge_of(known, "success"))
        with pytest.raises(Refused):
            stranger.look_up("p:charge")
        with pytest.raises(Refused):
            stranger.refund(Repayment("p:refund:r1", "p:charge", "", 1, "EUR"))


def test_what_cannot_be_charged_is_refused_and_loud(known: Known) -> None:
    for amount, currency in ((0, "EUR"), (-1, "EUR"), (100, "euro")):
        with pytest.raises(Refused):
            known.provider.charge(Charge(f"{uuid.uuid4().hex}:charge", amount, currency, known.method("success")))


@pytest.mark.parametrize("outcome", [Outcome.SUCCEEDED, Outcome.DECLINED, Outcome.PENDING])
def test_a_webhook_says_the_same_as_an_answer(known: Known, outcome: Outcome) -> None:
    report = Report("p1:charge", outcome, 2_500, "EUR", "ch_1", "lost_card" if outcome is Outcome.DECLINED else "")
    assert known.provider.read_webhook(known.webhook(report)) == report


def test_a_webhook_says_that_a_refund_came_back(known: Known) -> None:
    report = Report("p1:refund:r1", Outcome.REVERSED, 2_500, "EUR", "re_1")
    assert known.provider.read_webhook(known.webhook(report, "refund")) == report


@pytest.mark.parametrize("changed", [{"account": "other"}, {"live": True}, {"amount_minor": None}, {"currency": None}])
def test_a_webhook_about_other_money_is_no_report(known: Known, changed: dict[str, Any]) -> None:
    report = Report("p1:charge", Outcome.SUCCEEDED, 2_500, "EUR", "ch_1")
    with pytest.raises(Mismatch):
        known.provider.read_webhook(known.webhook(report, **changed))


_DEEP = b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"


@pytest.mark.parametrize(
    "raw", [b"", b"{}", b"[]", b"\xff", b'"x"', b'{"id": "evt_1", "type": "x", "data": {}}', b"[" * 5_000, _DEEP]
)
def test_what_is_no_webhook_cannot_be_read(known: Known, raw: bytes) -> None:
    with pytest.raises(UnreadableWebhook):
        known.provider.read_webhook(raw)


def test_a_webhook_of_an_unknown_kind_cannot_be_read(known: Known) -> None:
    report = Report("p1:charge", Outcome.SUCCEEDED, 2_500, "EUR", "ch_1")
    for changed in ({"kind": "dispute"}, {"status": "won"}):
        with pytest.raises(UnreadableWebhook):
            known.provider.read_webhook(known.webhook(report, **changed))


@contextmanager
def server(answer: bytes, *, pause_seconds: float = 0.0) -> Iterator[str]:
    """Answers every request with these bytes, one after the other with a pause between them where there is one."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    try:
                        connection.recv(65_536)
                        pieces = [answer[i : i + 1] for i in range(len(answer))] if pause_seconds else [answer]
                        for piece in pieces:
                            connection.sendall(piece)
                            time.sleep(pause_seconds)
                    except OSError:
                        continue

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


OK = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", Unavailable),
        (b"not http\r\n\r\n", Unavailable),
        (OK + b"<html>maintenance</html>", Unavailable),
        (OK + b'{"kind": "charge"}', Unavailable),
        (OK + b"x" * 100_000, Unavailable),
        (b"HTTP/1.1 503 Down\r\ncontent-length: 0\r\n\r\n", Unavailable),
        (b"HTTP/1.1 429 Slow\r\ncontent-length: 0\r\n\r\n", Unavailable),
        (b"HTTP/1.1 404 No\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", Refused),
        (b"HTTP/1.1 403 No\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", Refused),
        (b"HTTP/1.1 301 Gone\r\nconnection: close\r\nlocation: http://x\r\ncontent-length: 0\r\n\r\n", Refused),
    ],
)
def test_an_answer_that_is_none_is_never_taken_for_a_decline_or_for_never_asked(
    known: Known, answer: bytes, error: type[Exception]
) -> None:
    with server(answer) as url, closing(known.at(url)) as client:
        with pytest.raises(error):
            client.charge(Charge("p:charge", 100, "EUR", "pm"))
        with pytest.raises(error):
            client.look_up("p:charge")


def test_an_answer_that_drips_in_is_given_up_as_a_whole(known: Known) -> None:
    began = time.monotonic()
    dripping = server(OK + b" " * 400, pause_seconds=0.02)
    with dripping as url, closing(known.at(url)) as client, pytest.raises(Unavailable):
        client.charge(Charge("p:charge", 100, "EUR", "pm"))
    assert time.monotonic() - began < 5


def test_where_nobody_listens_there_is_no_answer(known: Known) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with closing(known.at(f"http://127.0.0.1:{port}")) as client, pytest.raises(Unavailable):
        client.charge(Charge("p:charge", 100, "EUR", "pm"))


def test_a_provider_that_is_killed_after_its_answer_remembers_what_it_did(tmp_path: Path) -> None:
    with sandbox(tmp_path) as running, closing(running.client()) as client:
        charges = [Charge(f"p{n}:charge", 100 + n, "EUR", running.method("success")) for n in range(20)]
        for charge in charges:
            client.charge(charge)
        running.kill()
        with pytest.raises(Unavailable):
            client.look_up(charges[0].key)
        running.start()
        assert [client.look_up(charge.key).amount_minor for charge in charges] == [
            each.amount_minor for each in charges
        ]
        assert running.net() == sum(each.amount_minor for each in charges)


def test_the_sandbox_keeps_no_number_of_a_card(running: Sandbox) -> None:
    token = running.method("success")
    kept = b"".join(file.read_bytes() for file in running.folder.glob("provider.sqlite*"))
    assert token.encode() in kept
    assert b"4242424242424242" not in kept
    assert b"4242" in kept
    number = {"number": "4111111111111111", "exp": "12/30", "cvc": "1"}
    assert httpx.post(f"{running.url}/v1/methods", json=number, trust_env=False).status_code == 422
    assert len({card.number for card in CARDS}) == len({card.name for card in CARDS}) == len(CARDS)
