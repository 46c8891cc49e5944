"""Equal servers that many share, on virtual time: a queueing discipline decides who is next."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bursar.errors import BadInput
from bursar.policies.queueing import Discipline, Flows


@dataclass(frozen=True, slots=True)
class Demand:
    """A request that comes at `arrived_s` and keeps one server for `seconds`."""

    flow: str
    arrived_s: float
    seconds: float
    weight: float = 1.0
    priority: int = 0


def finish_times(
    demands: Sequence[Demand], discipline: Discipline, *, servers: int
) -> NDArray[np.float64]:
    """(n,) seconds at which each demand is done. What it takes is known when it comes.

    Raises `BadInput` without a server.
    """
    if servers < 1:
        raise BadInput(f"servers = {servers}; must be at least 1")
    order = sorted(range(len(demands)), key=lambda i: demands[i].arrived_s)
    flows: Flows[int] = Flows(discipline)
    done = np.empty(len(demands))
    busy: list[float] = []
    """When the servers that are busy become free."""
    place = 0
    while place < len(order) or len(flows):
        now = busy[0] if len(busy) == servers or (busy and place == len(order)) else np.inf
        if place < len(order):
            now = min(now, demands[order[place]].arrived_s)
        while busy and busy[0] <= now:
            heapq.heappop(busy)
        while place < len(order) and demands[order[place]].arrived_s <= now:
            one = demands[order[place]]
            flows.push(
                one.flow,
                order[place],
                cost=one.seconds,
                now=one.arrived_s,
                weight=one.weight,
                priority=one.priority,
            )
            place += 1
        while len(busy) < servers and (entry := flows.pop(now)):
            done[entry.item] = now + entry.cost
            heapq.heappush(busy, now + entry.cost)
    return done
