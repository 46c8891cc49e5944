"""Bodies in, JSON and events out, with limits on size and patience."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

import orjson
from starlette.types import Message, Receive, Scope, Send

from bursar.gateway.errors import Failure, Refused

T = TypeVar("T")
JSON = b"application/json"
EVENTS = b"text/event-stream; charset=utf-8"
SEND_S = 60.0
"""A client that takes nothing for so long has left."""


class ClientLeft(Exception):
    """Nobody waits for the answer any more."""


def header(scope: Scope, name: bytes) -> str | None:
    """The value of one header; None when it is not there."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return None


def bearer(scope: Scope) -> str | None:
    """The key that a request presents, in either of the two usual headers."""
    given = header(scope, b"authorization")
    if given is not None:
        kind, _, key = given.partition(" ")
        return key.strip() if kind.lower() == "bearer" else given
    return header(scope, b"x-api-key") or header(scope, b"api-key")


async def read_content(scope: Scope, receive: Receive, most_bytes: int, within_s: float) -> bytes:
    """The whole body. Raises `Refused` (413, 408), and `ClientLeft`."""
    length = header(scope, b"content-length")
    if length is not None and length.isdigit() and int(length) > most_bytes:
        raise _too_large(most_bytes)
    message = await _next(receive, within_s)
    content: bytes = message.get("body", b"")
    if not message.get("more_body"):  # nearly always: one piece
        if len(content) > most_bytes:
            raise _too_large(most_bytes)
        return content
    pieces, size = [content], len(content)
    try:
        async with asyncio.timeout(within_s):
            while message.get("more_body"):
                message = await _next(receive, None)
                pieces.append(message.get("body", b""))
                size += len(pieces[-1])
                if size > most_bytes:
                    raise _too_large(most_bytes)
    except TimeoutError:
        raise _too_slow(within_s) from None
    return b"".join(pieces)


async def until_left(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Do `work`, but cancel it and raise `ClientLeft` when the client goes away."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientLeft
    finally:
        leaving.cancel()
        if not working.done():
            working.cancel()
            await asyncio.wait((working,))  # it settles what was spent before it ends
            if not working.cancelled():
                working.exception()  # nobody is left to be told


async def send_json(
    send: Send, status: int, document: Any, headers: Mapping[str, str] | None = None
) -> None:
    """A whole answer."""
    content = orjson.dumps(document)
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", JSON),
                (b"content-length", str(len(content)).encode()),
                *_encoded(headers or {}),
            ],
        }
    )
    await send({"type": "http.response.body", "body": content})


async def send_failure(
    send: Send, failure: Failure, request_id: str, document: dict[str, Any] | None = None
) -> None:
    """An error, as OpenAI's clients read it; `document` in place of the failure's own."""
    headers = {"x-request-id": request_id, **failure.headers}
    await send_json(send, failure.status, document or failure.document, headers)


class Events:
    """A stream of server-sent events; its head goes out with the first of them."""

    def __init__(self, send: Send, headers: Mapping[str, str]) -> None:
        self._send, self.headers = send, dict(headers)
        self.begun = False

    def redirect(self, send: Send) -> None:
        """Events go there instead."""
        self._send = send

    async def event(self, document: Any, name: str = "") -> None:
        """One object."""
        head = f"event: {name}\n".encode() if name else b""
        await self._put(head + b"data: " + orjson.dumps(document) + b"\n\n", more=True)

    async def end(self, last: bytes = b"") -> None:
        """No more."""
        await self._put(last, more=False)

    async def _put(self, content: bytes, *, more: bool) -> None:
        if not self.begun:
            self.begun = True
            headers = [
                (b"content-type", EVENTS),
                (b"cache-control", b"no-cache"),
                (b"x-accel-buffering", b"no"),
                *_encoded(self.headers),
            ]
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        try:
            async with asyncio.timeout(SEND_S):
                await self._send({"type": "http.response.body", "body": content, "more_body": more})
        except TimeoutError:
            raise ClientLeft from None


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(k.encode("latin-1"), v.encode("latin-1", "replace")) for k, v in headers.items()]


async def _next(receive: Receive, within_s: float | None) -> Message:
    try:
        message = await asyncio.wait_for(receive(), within_s)
    except TimeoutError:
        raise _too_slow(within_s or 0.0) from None
    if message["type"] == "http.disconnect":
        raise ClientLeft
    return message


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _too_large(most: int) -> Refused:
    return Refused(
        f"the body is larger than {most} bytes; send less, or raise server.request_bytes",
        status=413,
        code="request_too_large",
    )


def _too_slow(within_s: float) -> Refused:
    return Refused(
        f"the request had not come within {within_s:g} s; send it faster",
        status=408,
        code="request_timeout",
    )
