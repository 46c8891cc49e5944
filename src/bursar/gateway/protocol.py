"""HTTP with limits on what a client may make a worker keep and wait for, before any request is one.

The server's own protocol takes headers of any length at any pace. Here a request's head, trailers
included, has a length and must come within a time, a connection whose answer is out may not go on
sending, and above so many connections a new one is told to come back.
"""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_STILL_SENT = 1 << 20
"""Bytes of a body that may come after its answer: clients read that only once they have sent."""
_SAID = {
    408: ("Request Timeout", "request_timeout", "the request's head had not come in time"),
    431: ("Request Header Fields Too Large", "request_too_large", "the headers are too long"),
    503: ("Service Unavailable", "overloaded", "too many connections; try again"),
}


class GuardedProtocol(HttpToolsProtocol):
    """One connection. `head_bytes` and `head_s` bound a request's head, `most` the connections."""

    def __init__(
        self, *given: Any, head_bytes: int, head_s: float, most: int, **named: Any
    ) -> None:
        super().__init__(*given, **named)
        self._head_bytes, self._head_s, self._most = head_bytes, head_s, most
        self._in_head = True
        self._came = self._piece = 0
        """Bytes of the head, or of a body after its answer; of what is being read just now."""
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._most:
            self._refuse(503)
        else:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._in_head and self._patience is None:
            self._wait()
        self._piece = len(data)
        super().data_received(data)
        if self._in_head:
            self._came += len(data)
            if self._came > self._head_bytes:
                self._refuse(431)
        elif self.cycle is not None and self.cycle.response_complete:
            self._came += len(data)
            if self._came > _STILL_SENT:
                self.transport.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:  # a trailer: nobody reads them
            return
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._came = 0
        self._stop_waiting()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head = True
        self._came = -self._piece  # what ends here is not of the next head
        super().on_message_complete()

    def on_response_complete(self) -> None:
        if not self._in_head:  # of a body that has not ended
            self._wait()
        super().on_response_complete()

    def _wait(self) -> None:
        self._patience = self.loop.call_later(self._head_s, self._too_late)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _too_late(self) -> None:
        self._patience = None
        if self.transport.is_closing():
            return
        if self.cycle is None or (self.cycle.response_complete and self._in_head):
            self._refuse(408)
        elif self.cycle.response_complete:
            self.transport.close()
        else:  # an answer is under way, and what was sent after its question waits
            self._wait()

    def _refuse(self, status: int) -> None:
        """Say why, and close."""
        if self.transport.is_closing():
            return
        reason, code, message = _SAID[status]
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
        content = orjson.dumps({"error": error})
        self.transport.write(
            b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
            b"connection: close\r\n\r\n%b" % (status, reason.encode(), len(content), content)
        )
        self.transport.close()
