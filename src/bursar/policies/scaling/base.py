"""What a scaling policy is: it says how many replicas a fleet should have. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bursar.policies.batching import BatchState
from bursar.price import Price


class ScalingState(Protocol):
    """What a fleet shows to a scaling policy."""

    @property
    def size(self) -> int:
        """Replicas that take requests, those that are still starting among them."""
        ...

    @property
    def replicas(self) -> Sequence[BatchState]:
        """Those that take requests by now."""
        ...

    @property
    def cold_start_seconds(self) -> float:
        """From renting a replica until it takes requests."""
        ...

    @property
    def usd_per_second(self) -> float | None:
        """Rent of a replica."""
        ...

    @property
    def arrivals(self) -> Sequence[float]:
        """When the last requests arrived (seconds), rising; at most `RECENT`."""
        ...

    @property
    def stays(self) -> Sequence[float]:
        """How long the last answers took, from arrival to the last token; at most `RECENT`."""
        ...


RECENT = 1000
"""Requests that a fleet remembers."""


class Scaler(Protocol):
    """Decides how large a fleet should be."""

    def decide(self, state: ScalingState, now: float, price: Price) -> int:
        """How many replicas there should be; the fleet keeps it within its bounds."""
        ...
