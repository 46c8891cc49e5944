"""Client-side pacing and waiting: rate limits, backoff with full jitter, `Retry-After`."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from random import Random

from bursar.errors import BadInput

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]


class RateLimit:
    """At most `limit` units in any `period_s` seconds; those who wait are served in order."""

    def __init__(self, limit: float, *, clock: Clock, sleep: Sleep, period_s: float = 60.0) -> None:
        if not limit > 0:
            raise BadInput(f"rate limit {limit!r}: must be above 0 per {period_s:g} s")
        self._limit, self._period_s = limit, period_s
        self._clock, self._sleep = clock, sleep
        self._taken: deque[tuple[float, float]] = deque()
        self._used = 0.0
        self._turn = asyncio.Lock()

    def check(self, amount: float) -> None:
        """Raises `BadInput` for an `amount` that no waiting makes possible."""
        if amount > self._limit:
            raise BadInput(
                f"{amount:g} units in one request, but the rate limit is {self._limit:g} per "
                f"{self._period_s:g} s; ask for fewer tokens or raise the limit"
            )

    async def take(self, amount: float) -> None:
        """Waits until `amount` fits into the last period, and takes it. See `check`."""
        async with self._turn:
            while (wait := self._wait_for(amount)) > 0:
                await self._sleep(wait)
            self._taken.append((self._clock(), amount))
            self._used += amount

    def _wait_for(self, amount: float) -> float:
        now, wait = self._clock(), 0.0
        while self._taken and self._taken[0][0] + self._period_s <= now:
            self._used -= self._taken.popleft()[1]
        excess = self._used + amount - self._limit
        for when, freed in self._taken:
            if excess <= 0:
                break
            excess -= freed
            wait = when + self._period_s - now
        return wait


def full_jitter(attempt: int, *, base_s: float, cap_s: float, rng: Random) -> float:
    """Seconds to wait before try `attempt` + 1: uniform up to the doubled base, capped."""
    return rng.uniform(0.0, min(cap_s, base_s * 2.0**attempt))


def retry_after(headers: Mapping[str, str], *, now: datetime | None = None) -> float | None:
    """Seconds that a `Retry-After` header asks to wait (a number or an HTTP date), or None."""
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        seconds = float(value)
        return max(0.0, seconds) if isfinite(seconds) else None
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - (now or datetime.now(UTC))).total_seconds())
