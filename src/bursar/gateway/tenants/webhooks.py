"""Webhooks: who is told of crossings, what they are sent, and whose turn it is to send it.

Nothing secret is stored: a webhook's secret is derived from the gateway's own and the webhook's id.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

from sqlalchemy import insert, select, update

from bursar.errors import BadInput
from bursar.gateway.tenants.actor import Actor, not_found
from bursar.gateway.tenants.audit import record
from bursar.gateway.tenants.budgets import check_account
from bursar.gateway.tenants.database import Database, count_change
from bursar.gateway.tenants.schema import DELIVERIES, WEBHOOKS

MOST_ATTEMPTS = 20
"""With waits that double from 5 s up to an hour: about eleven hours."""
_MOST_WEBHOOKS = 20
_LEASE_S = 60.0


@dataclass(frozen=True, slots=True)
class Webhook:
    """Told of crossings at `account` and below."""

    id: str
    organisation: str
    account: str
    url: str
    created_at: float
    removed_at: float | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """What is to be sent where; it has been claimed, so for a minute nobody else sends it."""

    id: int
    webhook: str
    url: str
    body: str
    attempts: int


class Webhooks:
    """Webhooks and their deliveries. `secret` is the gateway's own, the same in every worker.

    `insecure` allows plain http, for a receiver on the same machine or network.
    """

    def __init__(
        self,
        database: Database,
        secret: bytes,
        *,
        insecure: bool = False,
        clock: Callable[[], float] = time.time,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        if len(secret) < 16:
            raise BadInput("the gateway's secret must have at least 16 bytes of random text")
        self._database, self._secret, self._insecure = database, secret, insecure
        self._clock, self._random_bytes = clock, random_bytes

    def create(self, by: Actor, account: str, url: str) -> tuple[Webhook, str]:
        """A new webhook, and the secret with which its requests are signed."""
        by.check("admin", account)
        organisation, now = account.partition("/")[0], self._clock()
        made = Webhook(
            f"hook_{self._random_bytes(10).hex()}", organisation, account, self._url(url), now, None
        )
        with self._database.write() as connection:
            count_change(connection)
            check_account(connection, account)
            its = select(WEBHOOKS.c.id).where(
                WEBHOOKS.c.organisation == organisation, WEBHOOKS.c.removed_at.is_(None)
            )
            if len(connection.execute(its).all()) >= _MOST_WEBHOOKS:
                raise BadInput(
                    f"{organisation} has {_MOST_WEBHOOKS} webhooks already; remove one first"
                )
            connection.execute(insert(WEBHOOKS).values(asdict(made)))
            record(
                connection, by, now, "create webhook", account, None, {"url": url, "id": made.id}
            )
        return made, self.secret_of(made.id)

    def listed(self, by: Actor) -> list[Webhook]:
        """Those that `by` sees, oldest first."""
        by.check("admin", by.root)
        query = select(WEBHOOKS).where(by.rows(WEBHOOKS), WEBHOOKS.c.removed_at.is_(None))
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(WEBHOOKS.c.created_at, WEBHOOKS.c.id))
            return [Webhook(**row) for row in rows.mappings()]

    def remove(self, by: Actor, webhook: str) -> None:
        """End one; what was not delivered will not be."""
        by.check("admin", by.root)
        now = self._clock()
        its = WEBHOOKS.c.id == webhook, by.rows(WEBHOOKS), WEBHOOKS.c.removed_at.is_(None)
        with self._database.write() as connection:
            count_change(connection)
            row = connection.execute(select(WEBHOOKS).where(*its)).mappings().first()
            if row is None:
                raise not_found(webhook)
            connection.execute(update(WEBHOOKS).where(*its).values(removed_at=now))
            open_ones = DELIVERIES.c.webhook == webhook, DELIVERIES.c.done_at.is_(None)
            connection.execute(
                update(DELIVERIES).where(*open_ones).values(done_at=now, said="webhook removed")
            )
            what = {"url": row["url"], "id": webhook}
            record(connection, by, now, "remove webhook", row["account"], what, None)

    def secret_of(self, webhook: str) -> str:
        """The secret of a webhook."""
        mac = hmac.new(self._secret, f"bursar webhook {webhook}".encode(), hashlib.sha256)
        return "whsec_" + mac.hexdigest()

    def signature(self, delivery: Delivery, now: int) -> str:
        """The value of the header `bursar-signature`, over the time and the body."""
        signed = f"{now}.{delivery.body}".encode()
        key = self.secret_of(delivery.webhook).encode()
        return f"t={now},v1={hmac.new(key, signed, hashlib.sha256).hexdigest()}"

    def claim(self, most: int) -> list[Delivery]:
        """Deliveries that are due and now this caller's to make; others may have them in a minute
        unless `done` says how it went."""
        now = self._clock()
        due = DELIVERIES.c.done_at.is_(None), DELIVERIES.c.due_at <= now
        query = (
            select(DELIVERIES, WEBHOOKS.c.url)
            .join(WEBHOOKS, WEBHOOKS.c.id == DELIVERIES.c.webhook)
            .where(*due)
            .order_by(DELIVERIES.c.due_at)
            .limit(most)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).mappings().all()
        if not rows:
            return []
        claimed = []
        with self._database.write() as connection:
            for row in rows:
                mine = update(DELIVERIES).where(DELIVERIES.c.id == row["id"], *due)
                values = {"due_at": now + _LEASE_S, "attempts": row["attempts"] + 1}
                if connection.execute(mine.values(values)).rowcount:
                    claimed.append(row)
        return [
            Delivery(r["id"], r["webhook"], r["url"], r["body"], r["attempts"] + 1) for r in claimed
        ]

    def done(self, delivery: Delivery, delivered: bool, said: str) -> None:
        """How it went; what failed is due again after a while, or given up."""
        now = self._clock()
        over = delivered or delivery.attempts >= MOST_ATTEMPTS
        values = {
            "delivered": delivered,
            "said": said[:300],
            "done_at": now if over else None,
            "due_at": now + min(3600.0, 5.0 * 2 ** (delivery.attempts - 1)),
        }
        its = DELIVERIES.c.id == delivery.id, DELIVERIES.c.done_at.is_(None)
        with self._database.write() as connection:
            connection.execute(update(DELIVERIES).where(*its).values(values))

    def _url(self, url: str) -> str:
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            host, parts = None, urlsplit("")
        schemes = ("https", "http") if self._insecure else ("https",)
        good = url.isascii() and url.isprintable() and " " not in url and len(url) <= 1000
        if not good or not host or parts.scheme not in schemes or "@" in parts.netloc:
            raise BadInput(
                f"{url[:80]!r} can't be a webhook: give an absolute {' or '.join(schemes)} address "
                "without user and password, such as https://example.org/hook"
            )
        return url
