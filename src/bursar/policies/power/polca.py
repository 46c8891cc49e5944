"""POLCA: more servers than a row has power for, held by capping the less urgent ones first.

Paper: Pratyush Patel, Esha Choukse, Chaojie Zhang, Inigo Goiri, Brijesh Warrier, Nithish
    Mahalingam, Ricardo Bianchini, "POLCA: Power Oversubscription in LLM Cloud Providers", 2023,
    arXiv:2308.12908; section 5.
Symbols: T1, T2 -> first, second, as shares of the limit.
Differs: clocks are shares of the full one; one row; a server belongs to one priority; the power of
    phases is given (`simulate.PhasePower`), with how it falls with the clock assumed.
Checked: tests/papers/test_polca.py: 20 servers where the breaker bears 16, one busy time in ten
    minutes: uncapped the row is above the limit, capped never; the 99th percentile of urgent
    requests is within 5 % of uncapped, which one threshold for all does not keep. Where the load
    rises faster than caps act (40 s), in four minutes rather than five, it can cross.
Seed: 7
"""

from dataclasses import dataclass

from bursar.errors import BadInput
from bursar.policies.power.base import FULL, Clocks, PowerState
from bursar.price import Price


@dataclass(frozen=True, slots=True)
class Polca:
    """Above `first` of the limit the others slow down, above `second` more, then the urgent too.

    At the limit all brake. What a threshold has brought goes when power is `release` below it.
    """

    first: float = 0.80
    second: float = 0.89
    release: float = 0.05
    mild: float = 0.90
    """Clock of the others above `first`..."""
    strong: float = 0.79
    """...and above `second`."""
    urgent: float = 0.93
    """Clock of the urgent where that does not suffice."""
    brake: float = 0.2

    def __post_init__(self) -> None:
        if not 0 < self.release < self.first < self.second < 1:
            raise BadInput(
                f"release = {self.release}, first = {self.first}, second = {self.second}; "
                "they must rise, between 0 and 1"
            )
        if not 0 < self.brake < self.strong <= self.mild <= 1 or not self.brake < self.urgent <= 1:
            raise BadInput(
                f"brake = {self.brake}, strong = {self.strong}, mild = {self.mild}, urgent = "
                f"{self.urgent}; clocks are shares of the full one, the brake is the lowest"
            )

    def decide(self, state: PowerState, now: float, price: Price) -> Clocks:
        """See `PowerPolicy.decide`."""
        load, clocks = state.watts / state.limit_watts, state.clocks
        if load >= 1:
            return Clocks(self.brake, self.brake)
        if load >= self.second:
            capped = clocks.others <= self.strong
            return Clocks(min(clocks.urgent, self.urgent) if capped else clocks.urgent, self.strong)
        if load >= self.second - self.release and clocks.others <= self.strong:
            return Clocks(max(clocks.urgent, self.urgent), self.strong)
        if load >= self.first or (load >= self.first - self.release and clocks.others < 1):
            return Clocks(1.0, self.mild)
        return FULL
