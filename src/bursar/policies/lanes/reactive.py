"""Reactive partition: units move to whichever phase the last step was too slow or too fast for.

What servers without a latency model do: a feedback loop on the measured time between tokens.
"""

from dataclasses import dataclass

from bursar.errors import BadInput
from bursar.policies.lanes.base import LaneDecision, LaneState, shortest_first
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
    max_tokens: int = 2048
    max_jobs: int = 256
    aging: float = 15.0

    def __post_init__(self) -> None:
        if not 0 < self.step < 0.5 or self.goal_seconds <= 0:
            raise BadInput(
                f"step = {self.step}, goal_seconds = {self.goal_seconds}; "
                "the first must be in (0, 0.5), the second above 0"
            )

    def decide(self, state: LaneState, now: float, price: Price) -> LaneDecision:
        """One step along the units, or none."""
        chunks = (
            shortest_first(
                state, now, max_tokens=self.max_tokens, max_jobs=self.max_jobs, aging=self.aging
            )
            if state.prefill_is_free
            else ()
        )
        took, units = state.decode_seconds, state.prefill_units
        if took is None or now - state.units_since < self.every_seconds:
            return LaneDecision(units, chunks)
        if took > self.goal_seconds:
            units -= self.step
        elif took < self.relaxed * self.goal_seconds:
            units += self.step
        return LaneDecision(min(max(units, self.step), 1.0 - self.step), chunks)
