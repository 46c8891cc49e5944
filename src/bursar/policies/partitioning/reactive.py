"""Reactive partition: units move to whichever phase the last step was too slow or too fast for.

What servers without a latency model do: a feedback loop on the measured time between tokens.
"""

from dataclasses import dataclass, field

from bursar.errors import BadInput
from bursar.policies.partitioning.base import LaneDecision, LaneState, ShortestFirst
from bursar.price import Price


@dataclass(frozen=True, slots=True)
class Reactive:
    """Decodes get `step` more of the units after a step above `goal_seconds`.

    They lose as much after one below `relaxed` of it; at most once in `every_seconds`, in which
    the loop looks at what its last change did. Raises `BadInput` for a step that is none.
    """

    goal_seconds: float = 0.05
    relaxed: float = 0.8
    step: float = 0.05
    every_seconds: float = 0.0
    order: ShortestFirst = field(default_factory=ShortestFirst)

    def __post_init__(self) -> None:
        if not 0 < self.step < 0.5 or self.goal_seconds <= 0:
            raise BadInput(
                f"step = {self.step}, goal_seconds = {self.goal_seconds}; "
                "the first must be in (0, 0.5), the second above 0"
            )

    def decide(self, state: LaneState, now: float, price: Price) -> LaneDecision:
        """One step along the units, or none."""
        chunks = self.order.chunks(state, now)
        took, units = state.decode_seconds, state.prefill_units
        if took is None or now - state.units_since < self.every_seconds:
            return LaneDecision(units, chunks)
        if took > self.goal_seconds:
            units -= self.step
        elif took < self.relaxed * self.goal_seconds:
            units += self.step
        return LaneDecision(min(max(units, self.step), 1.0 - self.step), chunks)
