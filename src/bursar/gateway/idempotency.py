"""Idempotency keys: a request that is sent again is answered as before, and billed once.

`Idempotency-Key` belongs to the account of the key that it came with. The first request with it is
asked, and goes on even when its client leaves; one that comes meanwhile waits a while, and then is
told 409; one that comes later gets the stored answer, a stream as a stream. Answers are kept for a
day. Failures are not: whoever asks again after one, or after the worker that was at it has died,
asks anew. The table is beside the ledger's, so that all workers see it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Executable, delete, insert, select, update
from sqlalchemy.engine import Row
from sqlalchemy.exc import IntegrityError
from starlette.types import Message, Send

from bursar.errors import BadInput
from bursar.gateway.errors import Refused
from bursar.gateway.janitor import is_dead, worker_name
from bursar.gateway.tenants.database import Database
from bursar.gateway.tenants.schema import ANSWERS

KEPT_S = 86_400.0
MOST_STORED_BYTES = 8_000_000
"""A larger answer is not kept."""
_WAIT_S = 20.0
"""A second request waits so long for the first."""
_LOOK_S = 0.1
_CLEAN_S = 60.0
_KEPT_HEADERS = frozenset({b"content-type", b"x-bursar-spent", b"x-bursar-entry"})


@dataclass(frozen=True, slots=True)
class Stored:
    """An answer that was given before."""

    headers: list[tuple[bytes, bytes]]
    content: bytes

    async def send(self, send: Send, request_id: str) -> None:
        """Give it again, marked."""
        mark = [
            (b"x-request-id", request_id.encode()),
            (b"x-bursar-replayed", b"true"),
            (b"content-length", str(len(self.content)).encode()),
        ]
        head = [*self.headers, *mark]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": self.content})


@dataclass(slots=True)
class Claim:
    """The right to answer the request with one key; `keep` or `give_up` ends it."""

    answers: Answers
    number: str
    owner: str

    async def keep(self, tape: Tape) -> None:
        """Store what was sent, if it is a whole answer."""
        if not tape.whole:
            await self.give_up()
            return
        pairs = [(k.decode("latin-1"), v.decode("latin-1")) for k, v in tape.headers]
        stored = {"headers": json.dumps(pairs), "content": b"".join(tape.pieces)}
        await self._change(update(ANSWERS).where(*self._mine()).values(stored))

    async def give_up(self) -> None:
        """Whoever asks again asks anew."""
        await self._change(delete(ANSWERS).where(*self._mine()))

    def _mine(self) -> tuple[ColumnElement[bool], ...]:
        return ANSWERS.c.id == self.number, ANSWERS.c.owner == self.owner

    async def _change(self, statement: Executable) -> None:
        def run() -> None:
            with self.answers.database.write() as connection:
                connection.execute(statement)

        await asyncio.shield(asyncio.to_thread(run))


@dataclass(slots=True)
class Answers:
    """Stored answers. `lease_s` is how long a request may take, with some to spare."""

    database: Database
    lease_s: float
    wait_s: float = _WAIT_S
    clock: Callable[[], float] = time.time
    worker: str = field(default_factory=worker_name)
    _cleaned_at: float = 0.0

    async def claim(self, account: str, key: str, request: bytes, owner: str) -> Claim | Stored:
        """The right to answer, or the answer.

        `request` is all that says what is asked, `owner` the id of who asks now. Raises `Refused`:
        422 when the key came with another request, 409 when that one is still under way.
        """
        if not key.isprintable() or not 0 < len(key) <= 255:
            raise BadInput("Idempotency-Key must be 1 to 255 printable characters")
        number = hashlib.sha256(f"{account}\0{key}".encode()).hexdigest()
        asked = hashlib.sha256(request).hexdigest()
        until = time.monotonic() + self.wait_s
        while True:
            found = await asyncio.to_thread(self._claim, number, asked, owner)
            if found is not None:
                return found
            if time.monotonic() >= until:
                raise Refused(
                    "the request with this Idempotency-Key is still under way; ask again",
                    status=409,
                    code="idempotency_key_in_use",
                    retry_after_s=2.0,
                )
            await asyncio.sleep(_LOOK_S)

    def _claim(self, number: str, asked: str, owner: str) -> Claim | Stored | None:
        now = self.clock()
        with self.database.read() as connection:
            row = connection.execute(select(ANSWERS).where(ANSWERS.c.id == number)).first()
        if row is not None and not self._over(row, now):
            if row.request != asked:
                raise Refused(
                    "this Idempotency-Key came with another request before; use a new key for a "
                    "new request",
                    status=422,
                    code="idempotency_key_reused",
                )
            if row.headers is None:
                return None
            pairs = json.loads(row.headers)
            headers = [(k.encode("latin-1"), v.encode("latin-1")) for k, v in pairs]
            return Stored(headers, row.content)
        mine = {
            "id": number,
            "request": asked,
            "owner": owner,
            "worker": self.worker,
            "began_at": now,
            "until": now + self.lease_s,
            "headers": None,
            "content": None,
        }
        with self.database.write() as connection:
            if now > self._cleaned_at + _CLEAN_S:
                self._cleaned_at = now
                connection.execute(delete(ANSWERS).where(ANSWERS.c.began_at < now - KEPT_S))
            if row is not None:
                old = ANSWERS.c.id == number, ANSWERS.c.owner == row.owner
                connection.execute(delete(ANSWERS).where(*old))
            taken = select(ANSWERS.c.id).where(ANSWERS.c.id == number)
            if connection.execute(taken).first() is not None:
                return None
            try:
                with connection.begin_nested():
                    connection.execute(insert(ANSWERS).values(mine))
            except IntegrityError:  # another worker was faster
                return None
        return Claim(self, number, owner)

    def _over(self, row: Row[Any], now: float) -> bool:
        """Whether the key may be used anew."""
        if row.began_at < now - KEPT_S:
            return True
        if row.headers is not None:
            return False
        return row.until < now or is_dead(row.worker)


@dataclass(slots=True)
class Tape:
    """Passes an answer on, and notes it; goes on noting when the client has left."""

    to: Send
    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    pieces: list[bytes] = field(default_factory=list)
    size: int = 0
    ended: bool = False
    spoilt: bool = False
    """Whether it is not to be kept: it broke off, or is too long."""
    left: bool = False

    @property
    def whole(self) -> bool:
        return self.ended and self.status == 200 and not self.spoilt

    async def send(self, message: Message) -> None:
        """As ASGI's `send`."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = [(k, v) for k, v in message["headers"] if k in _KEPT_HEADERS]
        else:
            self.size += len(message.get("body", b""))
            if self.size > MOST_STORED_BYTES:
                self.spoilt = True
                self.pieces.clear()
            else:
                self.pieces.append(message.get("body", b""))
            self.ended = not message.get("more_body")
        if not self.left:
            try:
                async with asyncio.timeout(_WAIT_S):
                    await self.to(message)
            except (TimeoutError, OSError):
                self.left = True
