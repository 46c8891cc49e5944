"""The purse: the only door from a strategy to a model. Reserve, spend, settle.

Every call is reserved at its upper bound before it starts and settled with what it measured, so
the limit holds however many calls are under way, and also when a call fails or is cancelled.
It buys from any `Source`; `Purse` is the one for text.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from bursar.backends.base import Asked, Completion, Got, Request, Source, spent_by
from bursar.budget import Budget, Hold
from bursar.errors import BackendError, BursarError, Exhausted
from bursar.usage import Usage

AskedT = TypeVar("AskedT", bound=Asked)
GotT = TypeVar("GotT", bound=Got)

Outcome = Completion | BackendError | None
"""What became of a call: done, failed (or its recording ran out), or not afforded (None)."""


TIME_MARGIN = 0.1
"""Seconds kept back from a wall-time limit, for what comes after the last token."""


@dataclass(frozen=True)  # no slots: frozen ones can't be made through an alias in Python 3.11
class CallOf(Generic[AskedT]):
    """One request to one backend."""

    backend: str
    request: AskedT


@dataclass(slots=True)
class PurseOf(Generic[AskedT, GotT]):
    """Spends `budget` on `backends`. Every call is booked with the question it is for."""

    budget: Budget
    backends: Mapping[str, Source[AskedT, GotT]]
    clock: Callable[[], float] = time.monotonic
    failure: BackendError | None = None
    """Set when every call of a wave failed: whoever spends should stop."""
    failures: list[BackendError] = field(default_factory=list)
    """Why calls failed, each of them; a recording or the time that ran out is no failure."""
    began: float = field(init=False)
    """When the time not charged yet began."""

    def __post_init__(self) -> None:
        self.began = self.clock()

    @property
    def spent(self) -> Usage:
        return self.budget.spent

    @property
    def limited(self) -> tuple[str, ...]:
        """Resources that a limit of this budget binds."""
        return tuple(self.budget.limits)

    def left(self, resource: str) -> float:
        """What may still be spent of a limited resource."""
        return max(0.0, self.budget.remaining(resource) or 0.0)

    async def complete(self, calls: Sequence[CallOf[AskedT]]) -> list[GotT | BackendError | None]:
        """One outcome per call, in order; calls that the budget can't cover are None.

        Upper bounds are larger than what is used, so calls go in waves: as many as fit at their
        bound are run and settled, then what they did not use pays for the next wave.
        """
        outcomes: list[GotT | BackendError | None] = []
        while len(outcomes) < len(calls) and self.failure is None:
            with self._time() as seconds:
                if seconds is not None and seconds <= 0:
                    break
                wave = [_within(call, seconds) for call in calls[len(outcomes) :]]
                holds = self._reserve(wave)
                if not holds:
                    break
                results = await self._run_wave(wave[: len(holds)], holds)
            outcomes += results
            failed = [r for r in results if isinstance(r, BackendError)]
            self.failures += [f for f in failed if not isinstance(f, Exhausted)]
            self.failure = _all_failed(results)
        return outcomes + [None] * (len(calls) - len(outcomes))

    async def _run_wave(
        self, wave: Sequence[CallOf[AskedT]], holds: Sequence[Hold]
    ) -> list[GotT | BackendError]:
        """Run reserved calls together and settle each with what it used."""
        running = [asyncio.ensure_future(self._run(call)) for call in wave]
        try:
            return await asyncio.gather(*running)
        except BaseException:  # cancelled, or a bug: let every call end and say what it spent
            await asyncio.gather(*running, return_exceptions=True)
            raise
        finally:
            self.budget.settle_many(holds, [self._measured(call) for call in running])

    @contextmanager
    def _time(self) -> Iterator[float | None]:
        """A limit in seconds is wall time, not a sum over calls that run side by side.

        Holds all that is left of it, gives how much of that a wave may take, and charges what
        passed since the last charge: the waves, and the strategy's thinking between them.
        """
        left = self.budget.remaining("seconds")
        if left is None:
            yield None
            return
        thought = self.clock() - self.began
        if thought >= left:
            yield 0.0
            return
        hold = self.budget.reserve(replace(Usage.zero(), seconds=left), what="time")
        try:
            yield max(0.0, 0.95 * (left - thought) - TIME_MARGIN)
        finally:
            now = self.clock()
            hold.settle(replace(Usage.zero(), seconds=now - self.began))
            self.began = now

    def upper_bound(self, call: CallOf[AskedT]) -> Usage:
        """The most that `call` can use; one request, where the backend does not say more."""
        return _requested(self.backends[call.backend].upper_bound(call.request))

    def fits(self, upper: Usage, most: int) -> int:
        """How many spends of `upper`, at most `most`, are covered now, wall time aside."""
        return self.budget.fits(self._booked(upper), most)

    def _reserve(self, calls: Sequence[CallOf[AskedT]]) -> list[Hold]:
        uppers = [self._booked(self.upper_bound(call)) for call in calls]
        whats = [f"{call.backend} {call.request.question_id}" for call in calls]
        return self.budget.reserve_many(uppers, whats)

    async def _run(self, call: CallOf[AskedT]) -> GotT | BackendError:
        limit = call.request.seconds
        asked = self.backends[call.backend].complete([call.request])
        try:  # a backend ends by itself in time; if it does not, it is cancelled
            (done,) = await asyncio.wait_for(asked, None if limit is None else limit + TIME_MARGIN)
        except BackendError as failed:
            return failed
        except TimeoutError as ended:
            spent = spent_by(ended.__cause__ or ended)
            # the limit did its work: like a recording that ran out, no failure of the source
            return Exhausted(f"{call.backend}: out of time", usage=spent, estimated=True)
        except asyncio.CancelledError as ended:
            spent = spent_by(ended)
            if spent is None:
                raise
            return BackendError("cancelled", usage=spent, estimated=True)
        except BursarError:
            raise
        except Exception as bug:  # a model's own, out of memory say; what it used nobody knows
            return BackendError(f"{call.backend}: {type(bug).__name__}: {bug}")
        return done

    def _measured(self, call: asyncio.Future[GotT | BackendError]) -> Usage | None:
        """What a finished call used; None, the whole hold, where nobody knows."""
        if call.cancelled() or call.exception() is not None:
            return None
        usage: Usage | None = call.result().usage
        return None if usage is None else self._booked(usage)

    def _booked(self, usage: Usage) -> Usage:
        """A call's usage as it is booked: where wall time is limited it is booked by the wave."""
        counted = _requested(usage)
        return replace(counted, seconds=0.0) if self._timed else counted

    @property
    def _timed(self) -> bool:
        return self.budget.remaining("seconds") is not None


Call = CallOf[Request]
"""One request for text."""
Purse = PurseOf[Request, Completion]
"""Spends on text."""


def _requested(usage: Usage) -> Usage:
    """A call is one request, or as many as a source made that runs others."""
    return replace(usage, requests=max(1.0, usage.requests or 0.0))


def _within(call: CallOf[AskedT], seconds: float | None) -> CallOf[AskedT]:
    if seconds is None:
        return call
    return replace(call, request=replace(call.request, seconds=seconds))


def _all_failed(results: Sequence[Got | BackendError]) -> BackendError | None:
    failures = [r for r in results if isinstance(r, BackendError)]
    real = [f for f in failures if not isinstance(f, Exhausted)]
    return real[0] if real and len(failures) == len(results) else None
