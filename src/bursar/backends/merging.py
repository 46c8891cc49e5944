"""Merges the calls that wait on one event loop into one run of a backend that works in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from bursar.backends.base import Completion, Request
from bursar.errors import BackendError
from bursar.usage import Usage

Run = Callable[[list[Request]], Awaitable[list[Completion]]]


@dataclass(slots=True)
class _Call:
    requests: tuple[Request, ...]
    answer: asyncio.Future[list[Completion]]


class Merged:
    """`complete` for a backend called `name` whose `run` takes requests together, one run at a
    time.
    """

    def __init__(self, name: str, run: Run) -> None:
        self._name, self._run_together = name, run
        self.unclaimed = Usage.zero()
        """What was generated for calls that were cancelled during their run."""
        self._queue: list[_Call] = []
        self._flushing: asyncio.Task[None] | None = None

    async def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """One completion per request, in order; runs together with the other calls waiting."""
        loop = asyncio.get_running_loop()
        call = _Call(tuple(requests), loop.create_future())
        self._queue.append(call)
        if self._flushing is None:
            self._flushing = loop.create_task(self._flush())
        return await call.answer

    async def _flush(self) -> None:
        calls: list[_Call] = []
        try:
            while self._queue:
                await self._settled()
                calls, self._queue = self._queue, []
                calls = [call for call in calls if not call.answer.done()]
                await self._run(calls)
        except BaseException as error:
            for call in calls + self._queue:
                if call.answer.done():
                    continue
                if isinstance(error, Exception):
                    call.answer.set_exception(_failure(self._name, error))
                else:
                    call.answer.cancel()
            self._queue = []
            if not isinstance(error, Exception):
                raise
        finally:
            self._flushing = None

    async def _settled(self) -> None:
        """Until two turns of the event loop have brought no new call."""
        seen = -1
        while seen != len(self._queue):
            seen = len(self._queue)
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    async def _run(self, calls: Sequence[_Call]) -> None:
        requests = [request for call in calls for request in call.requests]
        completions = iter(await self._run_together(requests))
        for call in calls:
            answer = [next(completions) for _ in call.requests]
            if call.answer.done():
                self.unclaimed += Usage.total(c.usage for c in answer)
            else:
                call.answer.set_result(answer)


def _failure(name: str, error: Exception) -> BackendError:
    failure = BackendError(f"{name} failed: {type(error).__name__}: {error}")
    failure.__cause__ = error
    return failure
