"""What a power policy is: it says how fast the processors of a row of servers may run. Pure."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from bursar.price import Price


class Clocks(NamedTuple):
    """Highest clock of a group of servers, as a share of the full clock."""

    urgent: float = 1.0
    """Of servers for requests of priority 0."""
    others: float = 1.0


FULL = Clocks()


class PowerState(Protocol):
    """What a row of servers shows to a power policy."""

    @property
    def watts(self) -> float:
        """Power of the row, by the last reading."""
        ...

    @property
    def limit_watts(self) -> float:
        """What the breaker of the row bears."""
        ...

    @property
    def clocks(self) -> Clocks:
        """Those ordered last; they may not be in force yet."""
        ...


class PowerPolicy(Protocol):
    """Decides the clocks."""

    def decide(self, state: PowerState, now: float, price: Price) -> Clocks:
        """The clocks to order now."""
        ...
