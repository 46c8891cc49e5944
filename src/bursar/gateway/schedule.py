"""Who goes next when a model's upstreams are busy: fair between tenants, bounded, and at a price.

A request that finds a free place goes at once. Otherwise it waits, and the discipline of
`policies.queueing` that the simulator also plays says whose turn it is; with `UWFQ` a tenant gets
its share of the served cost, into however many keys, users or requests it splits its work.

The queue is bounded. When it is full, the tenant with the most cost waiting for its weight gives
way: its least urgent request, of these the one worth least, whether that has just come or waits.
So only who asks for more than a share pays for the crowd, and what it pays is the price: the worth
per unit of cost that just gets in (`price_now`), 0 while there is room.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from bursar.backends.pacing import Clock
from bursar.errors import BursarError
from bursar.policies.queueing import UWFQ, Discipline, Entry, Flows

_FIRST_GUESS_S = 1.0
"""What a request is taken to last, until some have been seen."""
_SMOOTHING = 0.05


class Saturated(BursarError):
    """A request was not let in, or had to give way; nothing of it was sent or spent.

    `retry_after_s` is when there should be room; `price` the worth per unit of cost that would have
    been let in.
    """

    def __init__(self, message: str, *, retry_after_s: float, price: float) -> None:
        super().__init__(message)
        self.retry_after_s, self.price = retry_after_s, price


@dataclass(frozen=True, slots=True)
class Asking:
    """A request that wants its turn.

    `cost` is what it is expected to take, in one unit for all (dollars, or tokens); `worth` what a
    unit of it is worth to who asks. `deadline` is on the event loop's clock.
    """

    tenant: str
    cost: float
    deadline: float
    weight: float = 1.0
    priority: int = 0
    worth: float = 0.0


class Schedule:
    """Of one model. `capacity` says how many requests may be served at a time, now."""

    def __init__(
        self,
        model: str,
        capacity: Callable[[], int],
        *,
        discipline: Discipline | None = None,
        most_waiting: int = 1000,
        clock: Clock | None = None,
    ) -> None:
        self.model = model
        self._capacity, self._most_waiting = capacity, most_waiting
        self.now = clock or (lambda: asyncio.get_running_loop().time())
        self._flows: Flows[Turn] = Flows(discipline or UWFQ())
        self._waiting = self._serving = 0
        self._served_s = _FIRST_GUESS_S
        """Mean of what requests last, the last ones most."""

    def turn(self, asking: Asking) -> Turn:
        """`async with` it: inside, it is the request's turn. Entering raises `Saturated`."""
        return Turn(self, asking)

    def price_now(self, tenant: str = "") -> float:
        """The worth per unit of cost above which a request of `tenant` is let in.

        Without one, of whoever asks for the most.
        """
        heaviest = self._flows.heaviest()
        if self._waiting < self._most_waiting or heaviest is None or tenant not in ("", heaviest):
            return 0.0
        least = self._flows.least_worth(heaviest)
        return least.worth if least else 0.0

    def snapshot(self) -> dict[str, float | str]:
        """How it goes, for a status page."""
        return {
            "model": self.model,
            "serving": self._serving,
            "waiting": self._waiting,
            "price": self.price_now(),
            "wait_s": self._waiting * self._served_s / self._places(),
        }

    def enter(self, turn: Turn) -> None:
        """Serves, queues or refuses `turn`. Raises `Saturated`."""
        asking, now = turn.asking, self.now()
        if self._waiting or self._serving >= self._places():
            self._check_wait(asking, now)
            if self._waiting >= self._most_waiting:
                self._make_room(asking)
        turn.entry = self._flows.push(
            asking.tenant,
            turn,
            cost=asking.cost,
            now=now,
            weight=asking.weight,
            priority=asking.priority,
            worth=asking.worth,
        )
        self._waiting += 1
        self._serve()

    def leave(self, turn: Turn, cost: float | None, seconds: float | None) -> None:
        """A turn is over. `cost` and `seconds` are what it really took, None where that is not
        known.
        """
        self._serving -= 1
        if seconds is not None:
            self._served_s += _SMOOTHING * (seconds - self._served_s)
        if cost is not None and turn.entry is not None:
            self._flows.settle(turn.entry, cost)
        self._serve()

    def give_up(self, turn: Turn) -> None:
        """Who waits goes away."""
        if turn.entry is not None:
            self._flows.remove(turn.entry)
            self._waiting -= 1

    def refused(self, why: str) -> Saturated:
        """An error that says when to come back."""
        return Saturated(
            f"{self.model}: busy: {why}",
            retry_after_s=max(1.0, math.ceil(self._waiting * self._served_s / self._places())),
            price=self.price_now(),
        )

    def _serve(self) -> None:
        while self._waiting and self._serving < self._places():
            entry = self._flows.pop(self.now())
            assert entry is not None
            self._waiting -= 1
            self._serving += 1
            entry.item.begin()

    def _places(self) -> int:
        # one at least: who finds no upstream at all is to hear that from them
        return max(1, self._capacity())

    def _check_wait(self, asking: Asking, now: float) -> None:
        ahead = self._flows.ahead(asking.tenant, asking.cost, asking.weight, asking.priority)
        wait_s = (ahead + 1) * self._served_s / self._places()
        if now + wait_s > asking.deadline:
            raise self.refused(f"about {wait_s:.1f} s to wait, past the request's deadline")

    def _make_room(self, asking: Asking) -> None:
        heaviest = self._flows.heaviest(asking.tenant, asking.cost, asking.weight)
        least = self._flows.least_worth(heaviest or asking.tenant)
        mine = heaviest == asking.tenant
        if least is None or (
            mine and (asking.priority, asking.worth) <= (least.priority, least.worth)
        ):
            raise self.refused(f"{self._waiting} requests wait, most of them of this tenant")
        self._flows.remove(least)
        self._waiting -= 1
        least.item.refuse(self.refused("had to give way, as its tenant has the most waiting"))


class Turn:
    """A request's turn: `async with` it. Say what it took by `cost` before it ends."""

    def __init__(self, schedule: Schedule, asking: Asking) -> None:
        self.asking = asking
        self.queued_s = 0.0
        self.cost: float | None = None
        """What the request really took, in the unit of `Asking.cost`."""
        self.entry: Entry[Turn] | None = None
        self._schedule = schedule
        self._begun: asyncio.Future[None] | None = None
        self._began_at: float | None = None

    def begin(self) -> None:
        """Its turn has come."""
        self._began_at = self._schedule.now()
        if self._begun is not None and not self._begun.done():
            self._begun.set_result(None)

    def refuse(self, why: Saturated) -> None:
        """It has to give way, and waits no more."""
        self.entry = None
        if self._begun is not None and not self._begun.done():
            self._begun.set_exception(why)

    async def __aenter__(self) -> Self:
        schedule = self._schedule
        schedule.enter(self)
        if self._began_at is None:
            await self._wait(schedule.now())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._began_at is not None
        self._schedule.leave(self, self.cost, self._schedule.now() - self._began_at)

    async def _wait(self, since: float) -> None:
        schedule = self._schedule
        self._begun = begun = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self.asking.deadline - since):
                await begun
        except Saturated:
            raise
        except BaseException as error:
            if begun.done() and not begun.cancelled():
                begun.exception()  # seen: it is no one's any more
            if self._began_at is None:
                schedule.give_up(self)
            else:  # its turn came while it was going away
                schedule.leave(self, 0.0, None)
            if isinstance(error, TimeoutError):
                raise schedule.refused("no turn before the deadline") from None
            raise
        self.queued_s = schedule.now() - since
