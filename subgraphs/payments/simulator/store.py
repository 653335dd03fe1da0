"""The simulator's books: one SQLite file, every change one transaction, so that SIGKILL loses nothing.

Power loss may lose the last of them: the disk is not waited for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from db.driver import sqlite3

IDEMPOTENCY_DAYS = 15

_SCHEMA = """
CREATE TABLE IF NOT EXISTS payment (
  payment_key TEXT PRIMARY KEY, order_id TEXT NOT NULL, status TEXT NOT NULL, body TEXT NOT NULL, card TEXT,
  created_at TEXT NOT NULL);
DROP INDEX IF EXISTS payment_order;
CREATE INDEX IF NOT EXISTS payment_not_executed ON payment (order_id)
  WHERE status IN ('READY', 'IN_PROGRESS', 'ABORTED', 'EXPIRED');
CREATE UNIQUE INDEX IF NOT EXISTS one_executed_payment_an_order ON payment (order_id)
  WHERE status NOT IN ('READY', 'IN_PROGRESS', 'ABORTED', 'EXPIRED');
CREATE TABLE IF NOT EXISTS billing (
  billing_key TEXT PRIMARY KEY, customer_key TEXT NOT NULL, card TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS authorization (
  auth_key TEXT PRIMARY KEY, customer_key TEXT NOT NULL, card TEXT NOT NULL, used INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS journal (
  position INTEGER PRIMARY KEY AUTOINCREMENT, transaction_key TEXT UNIQUE NOT NULL, at TEXT NOT NULL,
  body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS answer (
  key TEXT PRIMARY KEY, status INTEGER NOT NULL, body BLOB NOT NULL, at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS question (key TEXT PRIMARY KEY, digest TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS stripe_object (
  position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, kind TEXT NOT NULL, created INTEGER NOT NULL,
  customer TEXT, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS stripe_object_created ON stripe_object (kind, created);
CREATE TABLE IF NOT EXISTS payout (reference TEXT PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS fault (
  position INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, path TEXT NOT NULL, code TEXT, seconds REAL NOT NULL,
  times INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS webhook (
  position INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
  due_at TEXT NOT NULL, delivered_at TEXT);
CREATE INDEX IF NOT EXISTS webhook_due ON webhook (due_at, position) WHERE delivered_at IS NULL;
"""
_OF_ORDER = "SELECT body FROM payment WHERE order_id = ? AND status"
_EXECUTED = f"{_OF_ORDER} NOT IN ('READY', 'IN_PROGRESS', 'ABORTED', 'EXPIRED')"
_NOT_EXECUTED = f"{_OF_ORDER} IN ('READY', 'IN_PROGRESS', 'ABORTED', 'EXPIRED') ORDER BY rowid DESC LIMIT 1"


class Store:
    """``with store.change():`` groups what must be true together."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._db = sqlite3.connect(path, isolation_level=None, timeout=10, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute("PRAGMA wal_autocheckpoint=8000")  # seldom: who changes something would wait for the disk
        self._db.executescript(_SCHEMA)
        self._faulty = self._one("SELECT 1 FROM fault WHERE times > 0") is not None

    def close(self) -> None:
        self._db.close()

    def tidy(self) -> None:
        """Bring the log into the file, unless somebody is in the way. It waits for the disk: in a thread."""
        with suppress(sqlite3.OperationalError), closing(sqlite3.connect(self._path)) as db:
            db.execute("PRAGMA wal_checkpoint(PASSIVE)")

    @contextmanager
    def change(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _one(self, sql: str, *values: Any) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self._db.execute(sql, values).fetchone()
        return row

    # Payments

    def put_payment(self, payment: dict[str, Any], card: str | None = None) -> None:
        """Raises sqlite3.IntegrityError when the order has another payment that was executed."""
        body = orjson.dumps(payment).decode()
        values = (payment["paymentKey"], payment["orderId"], payment["status"], body, card, now().isoformat())
        self._db.execute(
            "INSERT INTO payment VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (payment_key) DO UPDATE SET "
            "order_id = excluded.order_id, status = excluded.status, body = excluded.body, "
            "card = coalesce(excluded.card, card)",
            values,
        )

    def payment(self, payment_key: str) -> dict[str, Any] | None:
        row = self._one("SELECT body FROM payment WHERE payment_key = ?", payment_key)
        return orjson.loads(row["body"]) if row else None

    def payment_of_order(self, order_id: str) -> dict[str, Any] | None:
        """The order's executed payment or, without one, its latest."""
        row = self._one(_EXECUTED, order_id) or self._one(_NOT_EXECUTED, order_id)
        return orjson.loads(row["body"]) if row else None

    def is_executed(self, order_id: str) -> bool:
        """Whether the order has an executed payment."""
        return self._one(_EXECUTED, order_id) is not None

    def card_of(self, payment_key: str) -> str | None:
        row = self._one("SELECT card FROM payment WHERE payment_key = ?", payment_key)
        return row["card"] if row else None

    # Cards

    def put_authorization(self, auth_key: str, customer_key: str, card: str) -> None:
        self._db.execute("INSERT INTO authorization VALUES (?, ?, ?, 0)", (auth_key, customer_key, card))

    def use_authorization(self, auth_key: str) -> tuple[str, str] | None:
        """Customer key and card of an authorization, once."""
        row = self._one(
            "UPDATE authorization SET used = 1 WHERE auth_key = ? AND used = 0 RETURNING customer_key, card", auth_key
        )
        return (row["customer_key"], row["card"]) if row else None

    def put_billing(self, billing_key: str, customer_key: str, card: str) -> None:
        self._db.execute("INSERT INTO billing VALUES (?, ?, ?)", (billing_key, customer_key, card))

    def billing(self, billing_key: str) -> tuple[str, str] | None:
        """Customer key and card of a billing key."""
        row = self._one("SELECT customer_key, card FROM billing WHERE billing_key = ?", billing_key)
        return (row["customer_key"], row["card"]) if row else None

    # The journal

    def book(self, transaction: dict[str, Any]) -> None:
        body = orjson.dumps(transaction).decode()
        at = _in_utc(transaction["transactionAt"])
        self._db.execute(
            "INSERT INTO journal (transaction_key, at, body) VALUES (?, ?, ?)",
            (transaction["transactionKey"], at, body),
        )

    def journal(
        self, start: datetime, end: datetime, after: str | None, limit: int, *, whole: bool = True
    ) -> list[dict[str, Any]]:
        """``whole``: what Stripe's face has booked, too; its keys have an underscore."""
        rows = self._db.execute(
            "SELECT body FROM journal WHERE at >= ? AND at <= ? AND (? OR instr(transaction_key, '_') = 0) "
            "AND position > coalesce((SELECT position FROM journal WHERE transaction_key = ?), 0) "
            "ORDER BY position LIMIT ?",
            (start.astimezone(UTC).isoformat(), end.astimezone(UTC).isoformat(), whole, after, limit),
        )
        return [orjson.loads(row["body"]) for row in rows]

    # Answers kept for idempotency keys

    def answer(self, key: str) -> tuple[int, bytes] | None:
        row = self._one("SELECT status, body, at FROM answer WHERE key = ?", key)
        if row is None or row["at"] <= (now() - timedelta(days=IDEMPOTENCY_DAYS)).isoformat():
            return None
        return row["status"], row["body"]

    def keep_answer(self, key: str, status: int, body: bytes) -> None:
        self._db.execute("INSERT OR REPLACE INTO answer VALUES (?, ?, ?, ?)", (key, status, body, now().isoformat()))

    def is_another(self, key: str, digest: str) -> bool:
        """Whether the key came before with something else to do."""
        self._db.execute("INSERT OR IGNORE INTO question VALUES (?, ?)", (key, digest))
        row = self._one("SELECT digest FROM question WHERE key = ?", key)
        return row is not None and row["digest"] != digest

    # Objects of the Stripe face

    def put_object(self, made: dict[str, Any]) -> None:
        values = (made["id"], made["object"], made["created"], made.get("customer"), orjson.dumps(made).decode())
        self._db.execute(
            "INSERT INTO stripe_object (id, kind, created, customer, body) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET body = excluded.body",
            values,
        )

    def object(self, id: str) -> dict[str, Any] | None:
        row = self._one("SELECT body FROM stripe_object WHERE id = ?", id)
        return orjson.loads(row["body"]) if row else None

    def objects(
        self, kind: str, since: int = 0, until: int = 10**11, customer: str | None = None, after: str | None = None
    ) -> list[dict[str, Any]]:
        """Those created between two times, the newest first; those that come ``after`` one of them."""
        rows = self._db.execute(
            "SELECT body FROM stripe_object WHERE kind = ? AND created BETWEEN ? AND ? "
            "AND (? IS NULL OR customer = ?) "
            "AND position < coalesce((SELECT position FROM stripe_object WHERE id = ?), 9e18) ORDER BY position DESC",
            (kind, since, until, customer, customer, after),
        )
        return [orjson.loads(row["body"]) for row in rows]

    # Payouts

    def put_payout(self, payout: dict[str, Any]) -> None:
        values = (payout["refPayoutId"], orjson.dumps(payout).decode())
        self._db.execute("INSERT OR REPLACE INTO payout VALUES (?, ?)", values)

    def payout(self, reference: str) -> dict[str, Any] | None:
        row = self._one("SELECT body FROM payout WHERE reference = ?", reference)
        return orjson.loads(row["body"]) if row else None

    def payouts(self) -> list[dict[str, Any]]:
        return [orjson.loads(row["body"]) for row in self._db.execute("SELECT body FROM payout ORDER BY rowid")]

    # Faults

    def add_fault(self, kind: str, path: str, code: str | None, seconds: float, times: int) -> None:
        self._db.execute(
            "INSERT INTO fault (kind, path, code, seconds, times) VALUES (?, ?, ?, ?, ?)",
            (kind, path, code, seconds, times),
        )
        self._faulty = True

    @property
    def is_faulty(self) -> bool:
        """Whether a fault may be scripted."""
        return self._faulty

    def clear_faults(self) -> None:
        self._faulty = False
        self._db.execute("DELETE FROM fault")

    def take_fault(self, path: str, kinds: tuple[str, ...]) -> sqlite3.Row | None:
        """The first fault scripted for a path like this one, used up by one."""
        if not self._faulty:
            return None
        marks = ", ".join("?" * len(kinds))
        row = self._one(
            f"UPDATE fault SET times = times - 1 WHERE position = (SELECT min(position) FROM fault "
            f"WHERE times > 0 AND instr(?, path) > 0 AND kind IN ({marks})) RETURNING *",
            path,
            *kinds,
        )
        return row

    # Webhooks

    def tell(self, bodies: list[dict[str, Any]]) -> None:
        """Have these webhooks sent, or what a scripted fault makes of them."""
        fault = self.take_fault("webhook", ("duplicate_webhook", "late_webhook", "lost_webhook"))
        kind = fault["kind"] if fault else ""
        if kind == "lost_webhook":
            return
        for body in bodies:
            for _ in range(2 if kind == "duplicate_webhook" else 1):
                self.add_webhook(body, fault["seconds"] if fault and kind == "late_webhook" else 0.0)

    def add_webhook(self, body: dict[str, Any], delay: float) -> None:
        due = now() + timedelta(seconds=delay)
        self._db.execute(
            "INSERT INTO webhook (body, due_at) VALUES (?, ?)", (orjson.dumps(body).decode(), due.isoformat())
        )

    def due_webhooks(self, limit: int = 50) -> list[sqlite3.Row]:
        return self._db.execute(
            "SELECT position, body, attempts FROM webhook WHERE delivered_at IS NULL AND due_at <= ? "
            "ORDER BY due_at, position LIMIT ?",
            (now().isoformat(), limit),
        ).fetchall()

    def webhooks_delivered(self, positions: list[int]) -> None:
        self._db.execute(
            "UPDATE webhook SET delivered_at = ? WHERE position IN (SELECT value FROM json_each(?))",
            (now().isoformat(), orjson.dumps(positions).decode()),
        )

    def webhook_failed(self, position: int, retry_after: float | None) -> None:
        """``retry_after`` seconds the next attempt is due; None: no more."""
        due = (now() + timedelta(seconds=retry_after)).isoformat() if retry_after is not None else "9999"
        self._db.execute("UPDATE webhook SET attempts = attempts + 1, due_at = ? WHERE position = ?", (due, position))


def now() -> datetime:
    return datetime.now(UTC)


@lru_cache(maxsize=16)  # many a second, and whole seconds
def _in_utc(stamp: str) -> str:
    return datetime.fromisoformat(stamp).astimezone(UTC).isoformat()
