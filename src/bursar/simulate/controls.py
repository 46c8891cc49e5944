"""Controls: what acts on a fleet at times of its own, beside its arrivals and its plans.

A control is a frozen record of settings; `begin` makes what runs it through one simulation.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Protocol

from bursar.policies.batching import Job
from bursar.simulate.replicas import Replicas


class Acting(Protocol):
    """A control at work. It reads the clock from the fleet."""

    @property
    def due(self) -> float:
        """When it wants to act next (seconds)."""
        ...

    @property
    def working(self) -> bool:
        """Whether something it has begun will still change what waiting requests meet."""
        ...

    def act(self) -> None:
        """It is `due`."""
        ...


class Control(Protocol):
    """Settings of something that acts on a fleet."""

    def begin(self, fleet: Replicas) -> Acting:
        """Act on this fleet, whose clock stands at 0 and which has no requests yet."""
        ...


def play(fleet: Replicas, jobs: Iterable[Job], controls: Sequence[Control]) -> None:
    """Requests arrive in order of time, and all that fit are served.

    At the same time arrivals come first, then controls in their order, then plans. Raises
    `Infeasible` when the batching policy never runs some of them.
    """
    acting = [control.begin(fleet) for control in controls]
    for job in jobs:
        while _next(fleet, acting) < job.arrived:
            _step(fleet, acting)
        fleet.arrivals.append(job.arrived)
        fleet.submit(job)
    while len(fleet.outcomes.done) < fleet.routed:
        if fleet.next_end() == math.inf and not any(one.working for one in acting):
            fleet.require_done()
        _step(fleet, acting)


def _next(fleet: Replicas, acting: Sequence[Acting]) -> float:
    return min(fleet.next_end(), *(one.due for one in acting))


def _step(fleet: Replicas, acting: Sequence[Acting]) -> None:
    first = min(acting, key=lambda one: one.due)
    if first.due <= fleet.next_end():
        fleet.now = first.due
        first.act()
    else:
        fleet.advance()
