"""chat/completions, completions and embeddings: the three that upstreams speak themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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
from bursar.gateway.counter import Counter
from bursar.gateway.desk import Desk
from bursar.gateway.errors import failure_of
from bursar.gateway.upstream.base import Path

_BUDGET = BUDGET_HEADER.encode()


@dataclass(slots=True)
class Calls:
    """One endpoint, as an ASGI application."""

    path: Path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        counter: Counter = scope["app"].state.gateway.counter
        visit = counter.visit(self.path, scope)
        try:
            server = counter.config.server
            content = await read_content(scope, receive, server.request_bytes, server.read_s)
            visit.principal = counter.directory.find(bearer(scope))
            ask = read_ask(
                self.path,
                read_body(content),
                header(scope, _BUDGET),
                request_id=visit.request_id,
                principal=visit.principal,
                began=visit.began,
                default_budget=counter.config.requests.budget,
                trace=visit.trace,
            )
            visit.ask = ask
            if ask.streamed and self.path != "embeddings":
                streaming = _stream(counter.desk, ask, visit.note, Events(send, {}))
                await until_left(receive, streaming)
            else:
                answer = await until_left(receive, counter.desk.whole(ask))
                visit.bill = answer.bill
                document = {**answer.document, "bursar": answer.bill.to_dict()}
                await send_json(send, 200, document, answer.bill.headers())
        except ClientLeft:
            visit.left()
        except BursarError as error:
            failure = failure_of(error)
            visit.failed(failure)
            await send_failure(send, failure, visit.request_id)
        except Exception as bug:
            counter.log_bug(visit.request_id, bug)
            failure = failure_of(bug)
            visit.failed(failure)
            await send_failure(send, failure, visit.request_id)
        finally:
            visit.end()


async def _stream(desk: Desk, ask: Ask, note: Callable[[Bill], None], events: Events) -> None:
    """Pass chunks on. The last ones wait for the bill, which goes out with the very last."""
    bill: Bill | None = None
    last: list[dict[str, Any]] = []
    try:
        async with desk.stream(ask) as streaming:
            bill = streaming.bill
            note(bill)
            async for chunk in streaming.chunks:
                if not ask.wants_usage and "usage" in chunk:
                    chunk = {key: value for key, value in chunk.items() if key != "usage"}
                    if not chunk.get("choices"):
                        continue
                if not _is_end(chunk):
                    for held in last:
                        await events.event(held)
                    last = []
                    await events.event(chunk)
                else:
                    last.append(chunk)
            for held in last[:-1]:
                await events.event(held)
            final = last[-1] if last else {"object": "chat.completion.chunk", "choices": []}
            await events.event({**final, "bursar": bill.to_dict()})
            await events.end(b"data: [DONE]\n\n")
    except BursarError as cut:
        if bill is None or not events.begun:
            raise
        # what went out can't be taken back: say so in the stream, with the bill, settled by now
        document = failure_of(cut).document
        await events.event({**document, "bursar": bill.to_dict()})
        await events.end()


def _is_end(chunk: dict[str, Any]) -> bool:
    choices = chunk.get("choices")
    return not choices or all(choice.get("finish_reason") for choice in choices)
