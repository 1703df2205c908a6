"""What the sandbox provider remembers, in SQLite: a commit comes before every answer, so that a kill loses nothing."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS methods (token TEXT PRIMARY KEY, card TEXT NOT NULL, last4 TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS operations (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, id TEXT NOT NULL, kind TEXT NOT NULL,
    fingerprint TEXT NOT NULL, status TEXT NOT NULL, amount_minor INTEGER NOT NULL, currency TEXT NOT NULL,
    reason TEXT NOT NULL, card TEXT NOT NULL, charge_key TEXT NOT NULL, about TEXT NOT NULL,
    created_ms INTEGER NOT NULL, settles_ms INTEGER, settles_to TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS settling ON operations (settles_ms) WHERE settles_ms IS NOT NULL;
CREATE INDEX IF NOT EXISTS by_charge ON operations (charge_key);
CREATE TABLE IF NOT EXISTS attempts (key TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS webhooks (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL, card TEXT NOT NULL, attempts INTEGER NOT NULL,
    due_ms INTEGER
);
CREATE INDEX IF NOT EXISTS due ON webhooks (due_ms) WHERE due_ms IS NOT NULL;
"""
_NEVER_BACK: Final = ("failed", "declined")


class KeyReused(Exception):
    """The key was used for another request."""


class TooMuch(Exception):
    """More is to go back than is left of the charge."""


@dataclass(frozen=True)
class Operation:
    """A charge or a refund.

    Attributes:
        key: Its idempotency key.
        id: The provider's own.
        kind: ``charge`` or ``refund``.
        status: ``pending``, ``succeeded``, ``declined`` or ``failed``.
        amount_minor, currency: How much.
        reason: Why it was declined.
        card: The name of the card.
        charge_key: Of the charge that is given back; empty for a charge.
        about: What the merchant says that it is about.
        created_ms: When.
        settles_ms: When its status changes by itself; None where it does not.
        settles_to: What it is then.
    """

    key: str
    id: str
    kind: str
    status: str
    amount_minor: int
    currency: str
    reason: str
    card: str
    charge_key: str
    about: str
    created_ms: int
    settles_ms: int | None = None
    settles_to: str = ""


@dataclass(frozen=True)
class Webhook:
    """A message that waits to be taken: its bytes, the name of the card, and how often it was sent."""

    seq: int
    body: bytes
    card: str
    attempts: int


_COLUMNS: Final = (
    "key, id, kind, status, amount_minor, currency, reason, card, charge_key, about, created_ms, settles_ms, settles_to"
)


class Store:
    """The provider's memory, for one thread.

    Args:
        path: The file.
        account: Whose money it is.
    """

    def __init__(self, path: Path, account: str) -> None:
        self._account = account
        self._db = sqlite3.connect(path, isolation_level=None, timeout=10.0)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def add_method(self, card: str, last4: str) -> str:
        """Remember a card; returns what the merchant knows it as."""
        token = f"pm_{secrets.token_hex(12)}"
        self._db.execute("INSERT INTO methods VALUES (?, ?, ?)", (token, card, last4))
        return token

    def card_of(self, token: str) -> str | None:
        """The name of a card; None for one that is not known."""
        found = self._db.execute("SELECT card FROM methods WHERE token = ?", (token,)).fetchone()
        return None if found is None else str(found[0])

    def attempt(self, key: str) -> int:
        """Count a question for an effect that has not happened; returns how many there were, this one included."""
        found = self._db.execute(
            "INSERT INTO attempts VALUES (?, 1) ON CONFLICT (key) DO UPDATE SET count = count + 1 RETURNING count",
            (key,),
        ).fetchone()
        return int(found[0])

    def get(self, key: str, fingerprint: str | None = None) -> Operation | None:
        """What happened under a key.

        Raises:
            KeyReused: Another request was made with it.
        """
        found = self._db.execute(f"SELECT {_COLUMNS}, fingerprint FROM operations WHERE key = ?", (key,)).fetchone()
        if found is None:
            return None
        *columns, was = found
        if fingerprint not in (None, was):
            raise KeyReused(key)
        return Operation(*columns)

    def add(self, made: Operation, fingerprint: str, events: list[str]) -> Operation:
        """Let something happen, with the messages that say so, unless it has happened before.

        Raises:
            KeyReused: Another request was made with its key.
            TooMuch: More is to go back than is left.
        """
        with self._transaction():
            known = self.get(made.key, fingerprint)
            if known is not None:
                return known
            if made.kind == "refund":
                self._check_left(made)
            marks = ", ".join("?" * 14)
            self._db.execute(
                f"INSERT INTO operations ({_COLUMNS}, fingerprint) VALUES ({marks})",
                (
                    *(made.key, made.id, made.kind, made.status, made.amount_minor, made.currency, made.reason),
                    *(made.card, made.charge_key, made.about, made.created_ms, made.settles_ms, made.settles_to),
                    fingerprint,
                ),
            )
            for status in events:
                self._say(made, status, made.created_ms)
        return made

    def settle(self, now_ms: int) -> int:
        """Change the status of what is due; returns how many there were."""
        rows = self._db.execute(f"SELECT {_COLUMNS} FROM operations WHERE settles_ms <= ?", (now_ms,)).fetchall()
        for row in rows:
            settled = Operation(*row)
            with self._transaction():
                self._db.execute(
                    "UPDATE operations SET status = settles_to, settles_ms = NULL WHERE key = ?", (settled.key,)
                )
                self._say(settled, settled.settles_to, now_ms)
        return len(rows)

    def due(self, now_ms: int, limit: int) -> list[Webhook]:
        """Messages that are to be sent now, in order."""
        rows = self._db.execute(
            "SELECT seq, body, card, attempts FROM webhooks WHERE due_ms <= ? ORDER BY seq LIMIT ?", (now_ms, limit)
        ).fetchall()
        return [Webhook(*row) for row in rows]

    def waiting(self) -> int:
        """How many messages nobody has taken yet."""
        return int(self._db.execute("SELECT count(*) FROM webhooks WHERE due_ms IS NOT NULL").fetchone()[0])

    def sent(self, seq: int, again_ms: int | None) -> None:
        """A message was sent; it is sent again at a time, or never where it was taken."""
        self._db.execute("UPDATE webhooks SET attempts = attempts + 1, due_ms = ? WHERE seq = ?", (again_ms, seq))

    def operations(self, after: int, limit: int) -> list[tuple[int, Operation]]:
        """What happened, in order, for whoever counts it again."""
        rows = self._db.execute(
            f"SELECT seq, {_COLUMNS} FROM operations WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit)
        ).fetchall()
        return [(row[0], Operation(*row[1:])) for row in rows]

    def balance(self) -> dict[str, int]:
        """What it has of the merchant's money, by currency."""
        rows = self._db.execute(
            "SELECT currency, sum(CASE kind WHEN 'charge' THEN amount_minor ELSE -amount_minor END) FROM operations "
            "WHERE status = 'succeeded' GROUP BY currency ORDER BY currency"
        ).fetchall()
        return {str(currency): int(amount) for currency, amount in rows}

    def shown(self, operation: Operation, status: str = "") -> dict[str, Any]:
        """An operation as the merchant sees it."""
        return {
            "id": operation.id, "kind": operation.kind, "key": operation.key, "status": status or operation.status,
            "amount_minor": operation.amount_minor, "currency": operation.currency, "reason": operation.reason,
            "charge_key": operation.charge_key, "order": operation.about, "account": self._account, "live": False,
        }  # fmt: skip

    def left_of(self, charge: Operation) -> int:
        """What of a charge has not gone back."""
        back = self._db.execute(
            "SELECT coalesce(sum(amount_minor), 0) FROM operations WHERE charge_key = ? AND status NOT IN (?, ?)",
            (charge.key, *_NEVER_BACK),
        ).fetchone()[0]
        return charge.amount_minor - int(back) if charge.status == "succeeded" else 0

    def _check_left(self, made: Operation) -> None:
        charge = self.get(made.charge_key)
        if charge is None or made.currency != charge.currency or made.amount_minor > self.left_of(charge):
            raise TooMuch(made.key)

    def _say(self, operation: Operation, status: str, now_ms: int) -> None:
        said = {
            "id": f"evt_{secrets.token_hex(12)}",
            "type": f"{operation.kind}.{status}",
            "created": now_ms // 1_000,
            "data": self.shown(operation, status),
        }
        self._db.execute(
            "INSERT INTO webhooks (body, card, attempts, due_ms) VALUES (?, ?, 0, ?)",
            (json.dumps(said).encode(), operation.card, now_ms),
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
