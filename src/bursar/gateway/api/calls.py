"""OpenAI's POST endpoints: read, ask the desk, answer in the endpoint's shape."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.types import Receive, Scope, Send

from bursar.errors import BursarError
from bursar.gateway.api.http import (
    ClientLeft,
    Events,
    bearer,
    header,
    read_content,
    send_failure,
    send_json,
    until_left,
)
from bursar.gateway.ask import BUDGET_HEADER, Ask, read_ask, read_body
from bursar.gateway.bill import Bill
from bursar.gateway.counter import Counter, Visit
from bursar.gateway.desk import Desk
from bursar.gateway.errors import failure_of
from bursar.gateway.idempotency import Stored, Tape
from bursar.gateway.pieces import as_asked
from bursar.gateway.upstream.base import Path

_BUDGET = BUDGET_HEADER.encode()
Event = tuple[str, dict[str, Any]]
"""The name of a server-sent event, empty for none, and its data."""


class Dialect(Protocol):
    """How one endpoint puts what an upstream's endpoint (`path`) says."""

    @property
    def endpoint(self) -> str: ...

    @property
    def path(self) -> Path: ...

    @property
    def end(self) -> bytes:
        """What ends a stream."""
        ...

    def read(self, body: dict[str, Any]) -> dict[str, Any]:
        """The upstream's body. Raises `BadInput`."""
        ...

    def whole(self, body: dict[str, Any], document: dict[str, Any], bill: Bill) -> dict[str, Any]:
        """The reply, but for its bill. `body` is the client's."""
        ...

    def events(
        self, body: dict[str, Any], ask: Ask, chunks: AsyncIterator[dict[str, Any]], bill: Bill
    ) -> AsyncIterator[Event]:
        """The stream; its last event has the bill, which is final once `chunks` has ended."""
        ...

    def cut(self, failure: dict[str, Any]) -> Event:
        """The last event of a stream that broke off, made of the error's document."""
        ...


@dataclass(frozen=True, slots=True)
class Plain:
    """The three endpoints that upstreams speak themselves."""

    path: Path
    end: bytes = b"data: [DONE]\n\n"

    @property
    def endpoint(self) -> str:
        return self.path

    def read(self, body: dict[str, Any]) -> dict[str, Any]:
        return body

    def whole(self, body: dict[str, Any], document: dict[str, Any], bill: Bill) -> dict[str, Any]:
        return document

    async def events(
        self, body: dict[str, Any], ask: Ask, chunks: AsyncIterator[dict[str, Any]], bill: Bill
    ) -> AsyncIterator[Event]:
        async for chunk in as_asked(chunks, bill, wants_usage=ask.wants_usage):
            yield "", chunk

    def cut(self, failure: dict[str, Any]) -> Event:
        return "", failure


@dataclass(slots=True)
class Calls:
    """One endpoint, as an ASGI application."""

    dialect: Dialect

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        counter: Counter = scope["app"].state.gateway.counter
        visit = counter.visit(self.dialect.endpoint, scope)
        events = Events(send, {"x-request-id": visit.request_id})
        try:
            visit.principal = counter.directory.find(bearer(scope))
            server = counter.config.server
            content = await read_content(scope, receive, server.request_bytes, server.read_s)
            body = read_body(content)
            budget = header(scope, _BUDGET)
            visit.ask = ask = read_ask(
                self.dialect.path,
                self.dialect.read(body),
                budget,
                request_id=visit.request_id,
                principal=visit.principal,
                began=visit.began,
                default_budget=counter.config.requests.budget,
                trace=visit.trace,
            )
            key = header(scope, b"idempotency-key")
            if key is None:
                serving = self._serve(counter.desk, visit, body, ask, send, events)
                await until_left(receive, serving)
            else:
                asked = b"\0".join((self.dialect.endpoint.encode(), repr(budget).encode(), content))
                await self._serve_once(counter, visit, body, ask, key, asked, send, events)
        except ClientLeft:
            visit.left()
        except Exception as error:
            if not isinstance(error, BursarError):
                counter.log_bug(visit.request_id, error)
            failure = failure_of(error)
            visit.failed(failure)
            bill = visit.ask.bill if visit.ask else None
            document = failure.document | ({"bursar": bill.to_dict()} if bill else {})
            if not events.begun:
                await send_failure(send, failure, visit.request_id, document)
            else:  # what went out can't be taken back: say so in the stream
                name, said = self.dialect.cut(document)
                await events.event(said, name)
                await events.end()
        finally:
            visit.end()

    async def _serve_once(
        self,
        counter: Counter,
        visit: Visit,
        body: dict[str, Any],
        ask: Ask,
        key: str,
        asked: bytes,
        send: Send,
        events: Events,
    ) -> None:
        """With an idempotency key: the answer that was given before or, once, a new one.

        It is made also when its client leaves, for it will ask again.
        """
        account = ask.principal.account
        found = await counter.answers.claim(account, key, asked, visit.request_id)
        if isinstance(found, Stored):
            await found.send(send, visit.request_id)
            return
        tape = Tape(send)
        events.redirect(tape.send)
        try:
            await self._serve(counter.desk, visit, body, ask, tape.send, events)
        finally:
            await found.keep(tape)

    async def _serve(
        self, desk: Desk, visit: Visit, body: dict[str, Any], ask: Ask, send: Send, events: Events
    ) -> None:
        dialect = self.dialect
        if not ask.streamed or ask.path == "embeddings":
            answer = await desk.whole(ask)
            document = dialect.whole(body, answer.document, answer.bill)
            shown = {**document, "bursar": answer.bill.to_dict()}
            await send_json(send, 200, shown, answer.bill.headers())
            return
        async with desk.stream(ask) as streaming:
            visit.begun()
            events.headers["x-bursar-entry"] = str(streaming.bill.hold)
            async for name, said in dialect.events(body, ask, streaming.chunks, streaming.bill):
                await events.event(said, name)
            await events.end(dialect.end)
