"""A stream of chunks from a server of events; what an event means, its reader says."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol, Self

from bursar.gateway.upstream.base import Attempt, Tokens, UpstreamFailed
from bursar.gateway.upstream.http import EventStream, Server


class Reader(Protocol):
    """Reads the events of one stream. Both methods raise `UpstreamFailed`."""

    done: bool
    """Whether the last event has been read."""
    tokens: Tokens | None
    """What the whole answer used; None until that was reported."""

    def read(self, data: bytes) -> list[dict[str, Any]]:
        """The chunks that an event's data makes, perhaps none."""
        ...

    def end(self) -> None:
        """The stream has ended without a last event: may it?"""
        ...


class Streaming:
    """`Chunks`, from their begin (`async with`) to their end."""

    def __init__(
        self,
        server: Server,
        reader: Reader,
        path: str,
        body: dict[str, Any],
        deadline: float,
        headers: Mapping[str, str],
    ) -> None:
        self.upstream = server.name
        self.others: tuple[Attempt, ...] = ()
        self._server, self._reader = server, reader
        self._request = path, body, deadline, headers
        self._events: EventStream | None = None
        self._ready: deque[dict[str, Any]] = deque()
        self._failure: UpstreamFailed | None = None

    @property
    def tokens(self) -> Tokens | None:
        return self._reader.tokens

    async def __aenter__(self) -> Self:
        self._events = await self._server.events(*self._request)
        try:
            # until something came: a server that fails at once has not begun
            while not self._ready and not self._reader.done:
                await self._read(self._events)
        except BaseException:
            self._events.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._events is not None:
            self._events.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> dict[str, Any]:
        assert self._events is not None
        while not self._ready:
            if self._failure:
                raise self._failure
            if self._reader.done:
                await self._events.finish()
                raise StopAsyncIteration
            await self._read(self._events)
        return self._ready.popleft()

    async def _read(self, events: EventStream) -> None:
        found = await events.next()
        try:
            if found is None:
                self._reader.end()
            for data in found or ():
                if self._reader.done:
                    return
                self._ready += self._reader.read(data)
        except UpstreamFailed as failure:
            if not self._ready:
                raise
            self._failure = failure  # what came before it is handed out first
