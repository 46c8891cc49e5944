"""One HTTP server that a model is served from: posts JSON, reads it whole or event by event.

It knows of each call whether it may have been billed; the table is that of `backends.sender`:

| what came back                                  | may be billed | repeatable |
|-------------------------------------------------|---------------|------------|
| no connection; 408, 425, 429, 500, 503, 529     | no            | yes        |
| 401, 402, 403, 404: not here, or not with us    | no            | yes, elsewhere |
| any other 4xx; a redirect                       | no            | no         |
| 502, 504 and other 5xx: a proxy lost the answer | yes           | yes        |
| sent, then a cut or unreadable reply            | yes           | yes        |
| sent, then no answer before the deadline        | yes           | no         |

With `bills_errors` a 500 counts as a lost answer. Redirects are not followed, cookies not kept,
nothing is asked for compressed, and the environment's proxies are used only when told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import aiohttp
import orjson
from aiohttp.abc import AbstractStreamWriter
from yarl import URL

from bursar.backends.openai_wire import read_error
from bursar.backends.pacing import retry_after
from bursar.backends.secret import Secret
from bursar.backends.sender import FREE_AND_PASSING, checked_url
from bursar.gateway.nesting import too_deep
from bursar.gateway.upstream.base import UpstreamFailed
from bursar.gateway.upstream.sse import Events, Garbage

NOT_HERE = frozenset({401, 402, 403, 404})
"""Statuses with which an upstream says that it won't serve us, which another may."""
_MOST_ERROR_BYTES = 1 << 16
_STALE_TRIES = 3
"""Kept connections that may all turn out closed before one is opened anew."""
_KEPT_S = 3.0
"""Less than the usual 5 s of servers: a call on a connection that closes is lost."""
_END_S = 0.05
"""To wait for a stream's last bytes after its last event, so that its connection can be kept."""


class Server:
    """A server at `base_url`, called `name` in errors. Use it from one event loop and close it.

    `headers` go with every request; what `key` is, they carry, and no error shows. `idle_s` bounds
    the silence before and within an answer.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        *,
        key: Secret | None,
        headers: Mapping[str, str],
        connect_s: float = 10.0,
        idle_s: float = 300.0,
        most_reply_bytes: int = 1 << 25,
        most_event_bytes: int = 1 << 22,
        bills_errors: bool = False,
        trust_env: bool = False,
    ) -> None:
        self.name, self.base_url = name, checked_url(base_url)
        self.most_event_bytes = most_event_bytes
        self._key, self._most_reply_bytes = key, most_reply_bytes
        self._passing = FREE_AND_PASSING - ({500} if bills_errors else set())
        self._headers = {
            "Accept-Encoding": "identity",
            "User-Agent": "bursar",
            **headers,
        }
        self._timeout = aiohttp.ClientTimeout(total=None, connect=connect_s, sock_read=idle_s)
        self._trust_env = trust_env
        self._session: aiohttp.ClientSession | None = None
        self._urls: dict[str, URL] = {}

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str, deadline: float) -> None:
        """Raises `UpstreamFailed` unless the answer is 200."""
        sending = _Sending(b"")
        try:
            async with (
                asyncio.timeout_at(deadline),
                self._open().get(self._url(path), allow_redirects=False) as response,
            ):
                await self._check(response)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise self.failure(error, sending) from None

    async def post(
        self, path: str, body: dict[str, Any], deadline: float, headers: Mapping[str, str]
    ) -> dict[str, Any]:
        """The JSON object that came back with status 200. Raises `UpstreamFailed`."""
        sending = _Sending(self._written(body))
        try:
            async with asyncio.timeout_at(deadline):
                async with await self._send(path, sending, headers) as response:
                    await self._check(response)
                    content = await self._whole(response)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise self.failure(error, sending) from None
        return self.read(content)

    async def events(
        self, path: str, body: dict[str, Any], deadline: float, headers: Mapping[str, str]
    ) -> EventStream:
        """The stream that has begun; `close` it. Raises `UpstreamFailed`."""
        sending = _Sending(self._written(body))
        response: aiohttp.ClientResponse | None = None
        try:
            async with asyncio.timeout_at(deadline):
                response = await self._send(path, sending, headers)
                await self._check(response)
                if response.content_type == "application/json":
                    self.read(await self._whole(response))
                    raise self.garbled("a whole answer where a stream was asked for")
        except BaseException as error:
            if response is not None:
                response.close()
            if isinstance(error, TimeoutError | aiohttp.ClientError | OSError):
                raise self.failure(error, sending) from None
            raise
        return EventStream(self, response, sending, deadline)

    def read(self, content: bytes) -> dict[str, Any]:
        """The JSON object of a reply or an event. Raises `UpstreamFailed`, also for an error."""
        try:
            document = orjson.loads(content)
        except orjson.JSONDecodeError:
            raise self.garbled("an answer that is not JSON") from None
        if not isinstance(document, dict):
            raise self.garbled("an answer that is not a JSON object")
        if too_deep(content, document):
            raise self.garbled("an answer nested too deeply")
        if document.get("error"):
            raise self._error_inside(document)
        return document

    def garbled(self, what: str) -> UpstreamFailed:
        """The failure of an answer that came and can't be used."""
        return UpstreamFailed(f"{self.name}: {what}", may_be_billed=True, repeatable=True)

    def failure(self, error: Exception, sending: _Sending) -> UpstreamFailed:
        """What an exception of the transport means for the call."""
        in_time = True
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            why = f"can't connect to {self.base_url} within {self._timeout.connect:g} s"
        elif isinstance(error, aiohttp.SocketTimeoutError):
            why = f"silent for {self._timeout.sock_read:g} s"
        elif isinstance(error, TimeoutError):
            why, in_time = "no whole answer before the request's deadline", False
        elif isinstance(error, aiohttp.ClientConnectorError):
            why = f"can't connect to {self.base_url} ({error}); is the server running?"
        else:
            why = f"{type(error).__name__}: {error}"
        return UpstreamFailed(
            self._redacted(f"{self.name}: {why}"), may_be_billed=sending.sent, repeatable=in_time
        )

    async def _send(
        self, path: str, sending: _Sending, headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        session, url = self._open(), self._url(path)
        for attempt in range(_STALE_TRIES):
            try:
                return await session.post(url, data=sending, headers=headers, allow_redirects=False)
            except aiohttp.ClientConnectorError:
                raise
            except aiohttp.ClientConnectionError as error:
                # a kept connection that the server has closed: nothing has left, so send again
                late = isinstance(error, TimeoutError)
                if sending.sent or late or attempt + 1 == _STALE_TRIES:
                    raise
        raise AssertionError("unreachable")

    async def _check(self, response: aiohttp.ClientResponse) -> None:
        """Raises `UpstreamFailed` unless the status is 200 and the body is as it was asked for."""
        status = response.status
        if status == 200:
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise self.garbled("a compressed answer, though none was asked for")
            return
        content = b""
        with suppress(aiohttp.ClientError, OSError):  # the status is enough
            while len(content) < _MOST_ERROR_BYTES and (more := await response.content.readany()):
                content += more
        document = None
        with suppress(orjson.JSONDecodeError):
            document = orjson.loads(self._redacted(content.decode("utf-8", "replace")))
        free = status in self._passing
        raise UpstreamFailed(
            self._redacted(f"{self.name}: HTTP {status}: {read_error(content)}"),
            status=status,
            may_be_billed=not free and not 300 <= status < 500,
            repeatable=free or status >= 500 or status in NOT_HERE,
            retry_after_s=_retry_after(response.headers),
            document=document if isinstance(document, dict) else None,
        )

    async def _whole(self, response: aiohttp.ClientResponse) -> bytes:
        length = response.content_length
        if length is not None and length <= self._most_reply_bytes:
            return await response.read()
        pieces: list[bytes] = []
        size = 0
        async for piece in response.content.iter_any():
            size += len(piece)
            if size > self._most_reply_bytes:
                raise self.garbled(f"an answer of more than {self._most_reply_bytes} bytes")
            pieces.append(piece)
        return b"".join(pieces)

    def _error_inside(self, document: dict[str, Any]) -> UpstreamFailed:
        """An error that came with status 200, as within a stream: what was made is billed."""
        content = self._redacted(orjson.dumps(document).decode())
        error = document["error"]
        code = error.get("code") if isinstance(error, dict) else None
        return UpstreamFailed(
            f"{self.name}: {read_error(content.encode())}",
            status=code if isinstance(code, int) and 400 <= code < 600 else 0,
            may_be_billed=True,
            repeatable=True,
            document=orjson.loads(content),
        )

    def _written(self, body: dict[str, Any]) -> bytes:
        try:
            return orjson.dumps(body)
        except orjson.JSONEncodeError as error:
            raise UpstreamFailed(
                f"{self.name}: the request can't be written as JSON ({error})",
                status=400,
                may_be_billed=False,
                repeatable=False,
            ) from None

    def _redacted(self, text: str) -> str:
        return self._key.redact(text) if self._key else text

    def _url(self, path: str) -> URL:
        if path not in self._urls:
            self._urls[path] = URL(f"{self.base_url}/{path}")
        return self._urls[path]

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:  # here and not before: it belongs to the running event loop
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEPT_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=self._headers,
                timeout=self._timeout,
                auto_decompress=False,
                trust_env=self._trust_env,
            )
        return self._session


class EventStream:
    """The events of an answer, as they come. `close` it, wherever it is."""

    def __init__(
        self,
        server: Server,
        response: aiohttp.ClientResponse,
        sending: _Sending,
        deadline: float,
    ) -> None:
        self._server, self._response, self._sending = server, response, sending
        self._deadline = deadline
        self._events = Events(server.most_event_bytes)

    async def next(self) -> list[bytes] | None:
        """The data of the events that came next, perhaps of none; None at the end of the stream.

        Raises `UpstreamFailed` for what is cut, late or no event.
        """
        try:
            async with asyncio.timeout_at(self._deadline):
                piece = await self._response.content.readany()
            found = self._events.feed(piece)
            return found if piece else None
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise self._server.failure(error, self._sending) from None
        except Garbage as garbage:
            raise self._server.garbled(f"in its stream, {garbage}") from None

    async def finish(self) -> None:
        """After the last event: wait a moment for the end, to keep the connection for others."""
        with suppress(TimeoutError, aiohttp.ClientError, OSError):
            async with asyncio.timeout(_END_S):
                while await self._response.content.readany():
                    pass

    def close(self) -> None:
        """Stops the server, unless its answer has come whole."""
        self._response.close()


class _Sending(aiohttp.payload.Payload):
    """A body that knows whether it has left: until then a server can't have billed anything."""

    _autoclose = True
    _value: bytes

    def __init__(self, value: bytes) -> None:
        super().__init__(value, content_type="application/json")
        self._size = len(value)
        self.sent = False

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self._value.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        # the head goes with the body's first bytes, so that this is where a request leaves
        transport = writer.transport
        self.sent = self.sent or not (transport is None or transport.is_closing())
        await writer.write(self._value)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """In seconds; hosted APIs also give milliseconds, which are finer."""
    try:
        return max(0.0, float(headers["retry-after-ms"]) / 1e3)
    except (KeyError, ValueError):
        return retry_after(headers)
