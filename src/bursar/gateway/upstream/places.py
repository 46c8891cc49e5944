"""Places at the upstreams of a pool: how many calls each takes, and who waits for one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from bursar.errors import BadInput
from bursar.gateway.upstream.base import Upstream, UpstreamFailed
from bursar.gateway.upstream.breaker import Breaker, BreakerSettings
from bursar.gateway.upstream.choice import PoolState, Rule
from bursar.price import Price

_FREE = Price()


@dataclass(frozen=True, slots=True)
class Member:
    """One upstream of a pool: its share, how many calls it takes at a time, and its price."""

    upstream: Upstream
    weight: float = 1.0
    most_calls: int = 64
    usd_per_mtok: float = 0.0

    def __post_init__(self) -> None:
        if not self.weight > 0 or self.most_calls < 1:
            raise BadInput(
                f"{self.upstream.name}: weight = {self.weight} must be above 0 and most_calls = "
                f"{self.most_calls} at least 1"
            )


@dataclass(slots=True, eq=False)
class Seat:
    """A member, and how it goes."""

    member: Member
    breaker: Breaker
    jobs: int = 0
    sent: int = 0
    failed: int = 0
    last_error: str = ""

    @property
    def name(self) -> str:
        return self.member.upstream.name

    def snapshot(self, now: float) -> dict[str, Any]:
        """For a status page."""
        return {
            "upstream": self.name,
            "state": self.breaker.state(now),
            "open_s": self.breaker.open_s(now),
            "calls": self.jobs,
            "most_calls": self.member.most_calls,
            "sent": self.sent,
            "failed": self.failed,
            "last_error": self.last_error,
            "weight": self.member.weight,
            "usd_per_mtok": self.member.usd_per_mtok,
        }


@dataclass(frozen=True, slots=True)
class Place:
    """A call's place at an upstream. `decides`: its breaker waits for how this call ends."""

    seat: Seat
    decides: bool


@dataclass(slots=True, eq=False)
class _Waiter:
    tried: Collection[Seat]
    given: asyncio.Future[Place]


class Places:
    """Of one pool. A place that becomes free goes to whoever has waited longest and can use it."""

    def __init__(
        self,
        name: str,
        members: Sequence[Member],
        rule: Rule,
        breaker: BreakerSettings,
        most_waiting: int,
        now: Callable[[], float],
    ) -> None:
        self.seats = [Seat(member, Breaker(breaker)) for member in members]
        self._name, self._rule, self._most_waiting, self._now = name, rule, most_waiting, now
        self._waiters: deque[_Waiter] = deque()
        self._sent = 0

    @property
    def waiting(self) -> int:
        """Calls that wait."""
        return len(self._waiters)

    @property
    def capacity(self) -> int:
        """Calls that can be under way at a time, at the upstreams that take calls now."""
        now = self._now()
        return sum(s.member.most_calls for s in self.seats if s.breaker.state(now) == "closed")

    def take_free(self, tried: Collection[Seat]) -> Place | None:
        """A place at an upstream that is not in `tried`, if one is free."""
        now = self._now()
        free = [
            seat
            for seat in self.seats
            if seat.jobs < seat.member.most_calls
            and seat not in tried
            and seat.breaker.lets_through(now)
        ]
        if not free:
            return None
        seat = free[0] if len(free) == 1 else free[self._rule.decide(self._state(free), now, _FREE)]
        seat.jobs += 1
        seat.sent += 1
        self._sent += 1
        return Place(seat, seat.breaker.began(now))

    async def take(self, tried: Collection[Seat], deadline: float) -> Place:
        """Waits for a place. Raises `UpstreamFailed` when none can come before `deadline`."""
        if (place := self.take_free(tried)) is not None:
            return place
        if len(self._waiters) >= self._most_waiting:
            raise self._refused(f"all its upstreams are busy and {self.waiting} calls wait", 1.0)
        waiter = _Waiter(tried, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        try:
            while not waiter.given.done():
                now, opens_s = self._now(), self._opens_s(tried)
                if now >= deadline:
                    raise self._refused("no upstream became free before the deadline", None)
                if now + opens_s >= deadline:
                    raise self._refused("none of its upstreams takes calls", opens_s)
                left_s = deadline - now
                await asyncio.wait(
                    {waiter.given}, timeout=min(left_s, opens_s) if opens_s else left_s
                )
                self.hand_out()
            return waiter.given.result()
        except BaseException:
            if waiter.given.done():
                self.give_back(waiter.given.result(), None, well=None)
            raise
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def give_back(self, place: Place, error: BaseException | None, *, well: bool | None) -> None:
        """The call has ended; `well` says what that tells of the upstream, see `Breaker.ended`."""
        seat = place.seat
        seat.jobs -= 1
        asked_s = None
        if well is False:
            seat.failed += 1
            seat.last_error = str(error)
            asked_s = error.retry_after_s if isinstance(error, UpstreamFailed) else None
        seat.breaker.ended(self._now(), well=well, decides=place.decides, asked_s=asked_s)
        if self._waiters:
            self.hand_out()
            if opens_s := seat.breaker.open_s(self._now()):  # nobody else will wake them then
                asyncio.get_running_loop().call_later(opens_s, self.hand_out)

    def hand_out(self) -> None:
        """Gives free places to those who wait."""
        for waiter in list(self._waiters):
            if waiter.given.done():  # its task has not woken up yet
                continue
            if (place := self.take_free(waiter.tried)) is not None:
                waiter.given.set_result(place)
            elif all(seat.jobs >= seat.member.most_calls for seat in self.seats):
                return

    def _opens_s(self, tried: Collection[Seat]) -> float:
        """Seconds until the first of the upstreams not in `tried` takes calls; 0: one does."""
        now = self._now()
        return min(seat.breaker.open_s(now) for seat in self.seats if seat not in tried)

    def _state(self, free: Sequence[Seat]) -> PoolState:
        return PoolState(
            routed=self._sent,
            jobs=[seat.jobs for seat in free],
            sent=[seat.sent for seat in free],
            weights=[seat.member.weight for seat in free],
            prices=[seat.member.usd_per_mtok for seat in free],
        )

    def _refused(self, why: str, retry_after_s: float | None) -> UpstreamFailed:
        last = next((seat.last_error for seat in self.seats if seat.last_error), "")
        return UpstreamFailed(
            f"{self._name}: {why}" + (f"; the last error was: {last}" if last else ""),
            status=503,
            may_be_billed=False,
            repeatable=True,
            retry_after_s=retry_after_s,
        )
