"""Several upstreams of one model behind the protocol of one.

A call goes to one that has room and whose breaker lets it through; when all are full it waits, in
order of arrival and not beyond the deadline. A failure that another upstream may mend is tried
there, up to the first streamed chunk: always when it was free, else only as often as the caller's
hold covers (`Call.attempts`). Once every upstream has failed a call, the next round begins after a
back-off with full jitter. With `hedge`, a call that takes longer than most is also asked of a
second upstream, when the hold covers two; the slower is cut off, and reported in `others`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from random import Random
from types import TracebackType
from typing import Any, Self, TypeVar

from bursar.backends.pacing import Clock, Sleep, full_jitter
from bursar.errors import BadInput
from bursar.gateway.upstream.base import Attempt, Call, Chunks, Reply, Tokens, UpstreamFailed
from bursar.gateway.upstream.breaker import BreakerSettings
from bursar.gateway.upstream.choice import LeastOutstanding, Rule
from bursar.gateway.upstream.http import NOT_HERE
from bursar.gateway.upstream.places import Member, Place, Places, Seat


@dataclass(frozen=True, slots=True)
class Hedge:
    """Ask a second upstream after as long as `quantile` of the last 200 calls took.

    Never before `least_s`, nor before `least_seen` calls have been seen.
    """

    quantile: float = 0.95
    least_s: float = 0.05
    least_seen: int = 20

    def after_s(self, seen: Sequence[float]) -> float | None:
        """Seconds after which to ask again; None while too little is known."""
        if len(seen) < self.least_seen:
            return None
        return max(self.least_s, sorted(seen)[int(self.quantile * (len(seen) - 1))])


@dataclass(frozen=True, slots=True)
class Retry:
    """Rounds over all upstreams, and the back-off between two; seconds."""

    rounds: int = 3
    backoff_s: float = 0.25
    backoff_cap_s: float = 8.0


class Pool:
    """`members` as one upstream called `name`. Use it from one event loop, and `aclose` it.

    `clock` is that of deadlines, the event loop's when it is not given.
    """

    def __init__(
        self,
        name: str,
        members: Sequence[Member],
        *,
        rule: Rule | None = None,
        most_waiting: int = 256,
        retry: Retry | None = None,
        breaker: BreakerSettings | None = None,
        hedge: Hedge | None = None,
        clock: Clock | None = None,
        sleep: Sleep = asyncio.sleep,
        rng: Random | None = None,
    ) -> None:
        if not members:
            raise BadInput(f"{name}: has no upstreams; name at least one")
        self.name = name
        self._now = clock or (lambda: asyncio.get_running_loop().time())
        self._sleep, self._rng = sleep, rng or Random()
        self._retry, self._hedge = retry or Retry(), hedge
        self._places = Places(
            name,
            members,
            rule or LeastOutstanding(),
            breaker or BreakerSettings(),
            most_waiting,
            self._now,
        )
        self._whole_s: deque[float] = deque(maxlen=200)
        self._begin_s: deque[float] = deque(maxlen=200)
        """Seconds that whole answers took, and streams until their first chunk."""

    @property
    def most_billed(self) -> int:
        """2 with hedging, else 1."""
        return 2 if self._hedge and len(self._places.seats) > 1 else 1

    @property
    def capacity(self) -> int:
        """Calls that can be under way at a time, at the upstreams that take calls now."""
        return self._places.capacity

    async def complete(self, call: Call) -> Reply:
        """See `Upstream.complete`."""
        path = _Path(call)

        async def ask(place: Place) -> Reply:
            began = self._now()
            try:
                reply = await place.seat.member.upstream.complete(call)
            except BaseException as error:
                self._end(place, error)
                raise
            self._end(place, None)
            self._whole_s.append(self._now() - began)
            return reply

        reply = await self._answer(path, ask, self._whole_s)
        return replace(reply, others=(*path.billed, *reply.others)) if path.billed else reply

    def stream(self, call: Call) -> AbstractAsyncContextManager[Chunks]:
        """See `Upstream.stream`."""
        return _Streaming(self, call)

    async def probe(self) -> None:
        """Asks one upstream after the other. Raises the last one's failure when none is there."""
        for seat in self._places.seats:
            try:
                return await seat.member.upstream.probe()
            except UpstreamFailed as failed:
                failure = failed
        raise failure

    async def check_health(self) -> None:
        """Probes every upstream once, all at a time, and tells their breakers."""

        async def check(seat: Seat) -> None:
            try:
                await seat.member.upstream.probe()
            except UpstreamFailed as failed:
                seat.last_error = str(failed)
                seat.breaker.probed(self._now(), well=False)
            else:
                seat.breaker.probed(self._now(), well=True)

        await asyncio.gather(*map(check, self._places.seats))
        self._places.hand_out()

    def snapshot(self) -> dict[str, Any]:
        """How it goes, for a status page."""
        now = self._now()
        return {
            "model": self.name,
            "waiting": self._places.waiting,
            "upstreams": [seat.snapshot(now) for seat in self._places.seats],
        }

    async def aclose(self) -> None:
        await asyncio.gather(*(s.member.upstream.aclose() for s in self._places.seats))

    async def begin_stream(self, call: Call) -> _Open:
        """The first stream that begins."""
        path = _Path(call)

        async def ask(place: Place) -> _Open:
            began = self._now()
            context = place.seat.member.upstream.stream(call)
            try:
                chunks = await context.__aenter__()
            except BaseException as error:
                self._end(place, error)
                raise
            self._begin_s.append(self._now() - began)
            return _Open(self, place, context, chunks)

        opened = await self._answer(path, ask, self._begin_s)
        opened.others = (*path.billed, *opened.chunks.others)
        return opened

    async def _answer(self, path: _Path, ask: Ask[T], seen: Sequence[float]) -> T:
        """The first answer; `path` gets what else may be billed. Raises `UpstreamFailed`."""
        while True:
            try:
                place = await self._places.take(path.tried, path.call.deadline)
            except UpstreamFailed as failed:
                failed.others = tuple(path.billed)
                raise
            path.tried.add(place.seat)
            try:
                return await self._first(path, place, ask, seen)
            except UpstreamFailed as failed:
                wait_s = self._wait_after(path, failed)
            if wait_s:
                await self._sleep(wait_s)

    async def _first(self, path: _Path, place: Place, ask: Ask[T], seen: Sequence[float]) -> T:
        """The answer from `place`, or from a second upstream that is asked when it takes long."""
        after_s = self._hedge.after_s(seen) if self._hedge else None
        if after_s is None or len(path.billed) + 2 > path.call.attempts:
            return await ask(place)
        asked: dict[asyncio.Future[T], str] = {asyncio.ensure_future(ask(place)): place.seat.name}
        try:
            await asyncio.wait(asked, timeout=after_s)
            late = not any(task.done() for task in asked)
            if late and (second := self._places.take_free(path.tried)):
                path.tried.add(second.seat)
                asked[asyncio.ensure_future(ask(second))] = second.seat.name
            while True:
                done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    if len(asked) == 1 or task.exception() is None:
                        del asked[task]
                        return task.result()
                    _note(path, asked.pop(task), task.exception())
        finally:
            await _cut_off(path, asked)

    def _wait_after(self, path: _Path, failed: UpstreamFailed) -> float:
        """Seconds to wait before the call is tried again. Raises `failed` when it is not."""
        others = (*path.billed, *failed.others)
        _note(path, failed.upstream, failed)
        failed.others = others
        path.hope = path.hope or failed.status not in NOT_HERE
        if not failed.repeatable or len(path.billed) >= path.call.attempts:
            raise failed
        if len(path.tried) < len(self._places.seats):
            return 0.0
        path.rounds += 1
        wait_s = full_jitter(
            path.rounds - 1,
            base_s=self._retry.backoff_s,
            cap_s=self._retry.backoff_cap_s,
            rng=self._rng,
        )
        late = self._now() + wait_s >= path.call.deadline
        if late or not path.hope or path.rounds >= self._retry.rounds:
            raise failed
        path.tried.clear()
        path.hope = False
        return wait_s

    def _end(self, place: Place, error: BaseException | None) -> None:
        """Gives a place back, and tells what its call says of the upstream."""
        well = True if error is None else None
        if isinstance(error, UpstreamFailed):
            error.upstream = error.upstream or place.seat.name
            if error.repeatable:
                well = False
            elif error.status:
                well = True  # it works, and refuses what this client wrote
        self._places.give_back(place, error, well=well)


T = TypeVar("T", bound="Reply | _Open")
Ask = Callable[[Place], Awaitable[T]]


@dataclass(slots=True)
class _Path:
    """What a call has been through."""

    call: Call
    tried: set[Seat] = field(default_factory=set)
    """In this round."""
    billed: list[Attempt] = field(default_factory=list)
    """Attempts that have failed and may be billed."""
    rounds: int = 0
    hope: bool = False
    """Whether another round may do better."""


@dataclass(slots=True)
class _Open:
    """A stream that has begun at a place of a pool. `close` it."""

    pool: Pool
    place: Place
    context: AbstractAsyncContextManager[Chunks]
    chunks: Chunks
    others: tuple[Attempt, ...] = ()

    async def close(self, error: BaseException | None) -> None:
        try:
            await self.context.__aexit__(None, None, None)
        finally:
            self.pool._end(self.place, error)


class _Streaming:
    """`Chunks` of whichever upstream of a pool begins."""

    def __init__(self, pool: Pool, call: Call) -> None:
        self._pool, self._call = pool, call
        self._failure: UpstreamFailed | None = None

    async def __aenter__(self) -> Self:
        self._open = await self._pool.begin_stream(self._call)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._open.close(self._failure)

    @property
    def upstream(self) -> str:
        return self._open.chunks.upstream

    @property
    def tokens(self) -> Tokens | None:
        return self._open.chunks.tokens

    @property
    def others(self) -> tuple[Attempt, ...]:
        return self._open.others

    def __aiter__(self) -> Self:
        self._chunks = aiter(self._open.chunks)
        return self

    async def __anext__(self) -> dict[str, Any]:
        try:
            return await anext(self._chunks)
        except UpstreamFailed as failed:
            self._failure = failed
            raise


def _note(path: _Path, upstream: str, error: BaseException | None) -> None:
    if isinstance(error, UpstreamFailed):
        path.billed += error.others
        if error.may_be_billed:
            path.billed.append(Attempt(upstream))


async def _cut_off(path: _Path, asked: dict[asyncio.Future[T], str]) -> None:
    """Stops those that have not answered first; what they may be billed for goes to `path`."""
    if not asked:
        return
    for task in asked:
        task.cancel()
    await asyncio.wait(asked)
    for task, upstream in asked.items():
        if task.cancelled():
            path.billed.append(Attempt(upstream))
        elif (error := task.exception()) is not None:
            _note(path, upstream, error)
        else:
            late = task.result()
            tokens = late.tokens if isinstance(late, Reply) else late.chunks.tokens
            path.billed += [*late.others, Attempt(upstream, tokens)]
            if isinstance(late, _Open):
                await late.close(None)
