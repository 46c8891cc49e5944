"""What a queueing discipline is: it says which flow's first request goes next. Pure.

A flow is the requests that share one claim on the servers: those of a user, a team, or a job.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bursar.price import Price


class Flow(Protocol):
    """A flow with requests waiting."""

    @property
    def virtual_time(self) -> float:
        """Cost that it has been served, per weight, counted from where the others were when it
        came: the less, the longer it has waited for its share."""
        ...

    @property
    def weight(self) -> float: ...

    @property
    def head_cost(self) -> float:
        """Expected cost of its first request, in any one unit."""
        ...

    @property
    def head_priority(self) -> int:
        """Of its first request; the higher is the more urgent."""
        ...

    @property
    def head_arrived(self) -> float:
        """When its first request came, in seconds."""
        ...


class Discipline(Protocol):
    """Says who is next."""

    def decide(self, flows: Sequence[Flow], now: float, price: Price) -> int:
        """The place in `flows`, of which there is at least one, whose first request goes next."""
        ...
