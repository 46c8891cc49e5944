"""Power policies without priorities."""

from dataclasses import dataclass

from bursar.policies.power.base import FULL, Clocks, PowerState
from bursar.price import Price


@dataclass(frozen=True, slots=True)
class Uncapped:
    """Full clocks whatever the power."""

    def decide(self, state: PowerState, now: float, price: Price) -> Clocks:
        """See `PowerPolicy.decide`."""
        return FULL


@dataclass(frozen=True, slots=True)
class AllAtOnce:
    """Above one threshold all servers slow down, until power is `release` below it."""

    threshold: float = 0.89
    release: float = 0.05
    clock: float = 0.79

    def decide(self, state: PowerState, now: float, price: Price) -> Clocks:
        """See `PowerPolicy.decide`."""
        load = state.watts / state.limit_watts
        if load >= self.threshold - (self.release if state.clocks != FULL else 0.0):
            return Clocks(self.clock, self.clock)
        return FULL
