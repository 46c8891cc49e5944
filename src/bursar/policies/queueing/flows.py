"""The queues that a discipline chooses from, and their virtual time; no clock of its own.

A flow's virtual time grows by cost / weight with each of its requests that is served. A flow that
had nothing waiting starts where the one served last stood, so that nobody saves up a claim.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass
from typing import Generic, TypeVar

from bursar.errors import BadInput
from bursar.policies.queueing.base import Discipline
from bursar.price import Price

T = TypeVar("T")
_FREE = Price()
_MOST_KEPT = 1024
"""Flows that are remembered before some without a request are forgotten."""


@dataclass(frozen=True, slots=True, eq=False)
class Entry(Generic[T]):
    """A request that waits. `worth` is per unit of cost; see `Flows.least_worth`."""

    flow: str
    item: T
    cost: float
    priority: int
    worth: float
    arrived: float
    number: int


class _Flow(Generic[T]):
    """A flow: see `Flow`. Those waiting stand by priority, then as they came."""

    def __init__(self, name: str) -> None:
        self.name, self.weight, self.virtual_time = name, 1.0, 0.0
        self.waiting: list[Entry[T]] = []
        self.waiting_cost = 0.0

    @property
    def head_cost(self) -> float:
        return self.waiting[0].cost

    @property
    def head_priority(self) -> int:
        return self.waiting[0].priority

    @property
    def head_arrived(self) -> float:
        return self.waiting[0].arrived


class Flows(Generic[T]):
    """Requests of many flows; `discipline` says which leaves next."""

    def __init__(self, discipline: Discipline) -> None:
        self._discipline = discipline
        self._flows: dict[str, _Flow[T]] = {}
        self._backlogged: dict[str, _Flow[T]] = {}
        self._served_to = 0.0
        """Virtual time at which the request served last began."""
        self._number = 0

    def __len__(self) -> int:
        return sum(len(flow.waiting) for flow in self._backlogged.values())

    def push(
        self,
        flow: str,
        item: T,
        *,
        cost: float,
        now: float,
        weight: float = 1.0,
        priority: int = 0,
        worth: float = 0.0,
    ) -> Entry[T]:
        """A request comes. `cost` is what it is expected to take, `weight` its flow's share."""
        if not cost > 0 or not weight > 0:
            raise BadInput(f"{flow}: cost = {cost} and weight = {weight} must be above 0")
        found = self._flow(flow)
        found.weight = weight
        if not found.waiting:
            found.virtual_time = max(found.virtual_time, self._served_to)
            self._backlogged[flow] = found
        self._number += 1
        entry = Entry(flow, item, cost, priority, worth, now, self._number)
        insort(found.waiting, entry, key=lambda e: (-e.priority, e.number))
        found.waiting_cost += cost
        return entry

    def pop(self, now: float) -> Entry[T] | None:
        """The next request leaves to be served; None when there is none."""
        if not self._backlogged:
            return None
        flows = list(self._backlogged.values())
        place = 0 if len(flows) == 1 else self._discipline.decide(flows, now, _FREE)
        flow = flows[place]
        entry = flow.waiting[0]
        self.remove(entry)
        self._served_to = max(self._served_to, flow.virtual_time)
        flow.virtual_time += entry.cost / flow.weight
        return entry

    def remove(self, entry: Entry[T]) -> None:
        """A request that waits leaves without being served."""
        flow = self._backlogged[entry.flow]
        flow.waiting.remove(entry)
        flow.waiting_cost -= entry.cost
        if not flow.waiting:
            flow.waiting_cost = 0.0
            del self._backlogged[entry.flow]

    def settle(self, entry: Entry[T], cost: float) -> None:
        """A request that was served has cost `cost` instead of what was expected."""
        if (flow := self._flows.get(entry.flow)) is not None:
            flow.virtual_time += (cost - entry.cost) / flow.weight

    def heaviest(self, newcomer: str = "", cost: float = 0.0, weight: float = 1.0) -> str | None:
        """The flow with the most cost waiting for its weight, with what a newcomer would add."""
        waits = {name: f.waiting_cost / f.weight for name, f in self._backlogged.items()}
        if newcomer:
            waits[newcomer] = waits.get(newcomer, 0.0) + cost / weight
        return max(waits, key=waits.__getitem__, default=None)

    def least_worth(self, flow: str) -> Entry[T] | None:
        """Of a flow's waiting requests the least urgent, and of these the one worth least."""
        found = self._backlogged.get(flow)
        if found is None:
            return None
        return min(found.waiting, key=lambda e: (e.priority, e.worth, -e.number))

    def ahead(self, flow: str, cost: float, weight: float, priority: int) -> float:
        """About how many of those waiting would be served before a newcomer of `flow`."""
        mine = self._flows.get(flow)
        start = max(self._served_to, mine.virtual_time if mine else 0.0)
        own = self._backlogged.get(flow)
        ahead = 0.0
        if own is not None:
            before = [e for e in own.waiting if e.priority >= priority]
            ahead += len(before)
            start += sum(e.cost for e in before) / weight
        finish = start + cost / weight
        for other in self._backlogged.values():
            if other is not own and other.head_priority >= priority:
                waits = max(other.waiting_cost, other.head_cost)  # rounding may have eaten the sum
                reach = (finish - other.virtual_time) * other.weight / waits
                ahead += len(other.waiting) * min(1.0, max(0.0, reach))
        return ahead

    def _flow(self, name: str) -> _Flow[T]:
        found = self._flows.get(name)
        if found is None:
            if len(self._flows) - len(self._backlogged) >= _MOST_KEPT:
                self._forget()
            found = self._flows[name] = _Flow(name)
        return found

    def _forget(self) -> None:
        """Drops the half of the idle flows that owes least."""
        idle = sorted((f for f in self._flows.values() if not f.waiting), key=_owed)
        for flow in idle[: len(idle) // 2]:
            del self._flows[flow.name]


def _owed(flow: _Flow[T]) -> float:
    return flow.virtual_time
