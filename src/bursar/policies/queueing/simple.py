"""Disciplines without a paper: first come, first served, and equal shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bursar.policies.queueing.base import Flow
from bursar.price import Price


@dataclass(frozen=True, slots=True)
class FirstCome:
    """The request that came first among the most urgent."""

    def decide(self, flows: Sequence[Flow], now: float, price: Price) -> int:
        """See `Discipline.decide`."""
        return min(
            range(len(flows)), key=lambda i: (-flows[i].head_priority, flows[i].head_arrived)
        )


@dataclass(frozen=True, slots=True)
class EqualShares:
    """The first request of whoever has been served least for its weight, among the most urgent."""

    def decide(self, flows: Sequence[Flow], now: float, price: Price) -> int:
        """See `Discipline.decide`."""
        return min(
            range(len(flows)), key=lambda i: (-flows[i].head_priority, flows[i].virtual_time)
        )
