"""The purse: the only door from a strategy to a model. Reserve, spend, settle.

Every call is reserved at its upper bound before it starts and settled with what it measured, so
the limit holds however many calls are under way, and also when a call fails or is cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bursar.backends.base import Backend, Completion, Request, spent_by
from bursar.budget import Budget, Hold
from bursar.errors import BackendError, Exhausted
from bursar.usage import Usage

Outcome = Completion | BackendError | None
"""What became of a call: done, failed (or its recording ran out), or not afforded (None)."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request to one backend."""

    backend: str
    request: Request


@dataclass(slots=True)
class Purse:
    """Spends `budget` on `backends`. Every call is booked with the question it is for."""

    budget: Budget
    backends: Mapping[str, Backend]
    failure: BackendError | None = None
    """Set when every call of a wave failed: whoever spends should stop."""

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

    async def complete(self, calls: Sequence[Call]) -> list[Outcome]:
        """One outcome per call, in order; calls that the budget can't cover are None.

        Upper bounds are larger than what is used, so calls go in waves: as many as fit at their
        bound are run and settled, then what they did not use pays for the next wave.
        """
        outcomes: list[Outcome] = []
        while len(outcomes) < len(calls) and self.failure is None:
            wave = calls[len(outcomes) :]
            holds = self._reserve(wave)
            if not holds:
                break
            running = [asyncio.ensure_future(self._run(c)) for c in wave[: len(holds)]]
            try:
                results = await asyncio.gather(*running)
            except BaseException:  # cancelled, or a bug: let every call say what it had spent
                for call in running:
                    call.cancel()
                await asyncio.gather(*running, return_exceptions=True)
                raise
            finally:
                measured = [_measured(r, h) for r, h in zip(running, holds, strict=True)]
                self.budget.settle_many(holds, measured)
            outcomes += results
            self.failure = _all_failed(results)
        return outcomes + [None] * (len(calls) - len(outcomes))

    def upper_bound(self, call: Call) -> Usage:
        """The most that `call` can use."""
        return self.backends[call.backend].upper_bound(call.request)

    def _reserve(self, calls: Sequence[Call]) -> list[Hold]:
        uppers = [self.upper_bound(call) for call in calls]
        whats = [f"{call.backend} {call.request.question_id}" for call in calls]
        return self.budget.reserve_many(uppers, whats)

    async def _run(self, call: Call) -> Completion | BackendError:
        try:
            (done,) = await self.backends[call.backend].complete([call.request])
        except BackendError as failed:
            return failed
        except asyncio.CancelledError as ended:
            spent = spent_by(ended)
            if spent is None:
                raise
            return BackendError("cancelled", usage=spent, estimated=True)
        return done


def _measured(running: asyncio.Future[Completion | BackendError], hold: Hold) -> Usage:
    if running.done() and not running.cancelled() and running.exception() is None:
        usage: Usage | None = running.result().usage
        return hold.upper if usage is None else usage
    return hold.upper  # nobody knows what was spent, so it is taken to be the most it could be


def _all_failed(results: Sequence[Completion | BackendError]) -> BackendError | None:
    failures = [r for r in results if isinstance(r, BackendError)]
    real = [f for f in failures if not isinstance(f, Exhausted)]
    return real[0] if real and len(failures) == len(results) else None
