"""Nexus: divides one GPU between prompts and decodes by what its latency models say.

Paper: Xiaoxiang Shi, Colin Cai, Junjia Du, Zhihao Jia, "Nexus: Proactive Intra-GPU Disaggregation
    of Prefill and Decode in LLM Serving", 2025, arXiv:2507.06608; section 4 (latency model with
    diminishing returns and contention, greedy search for the partition, phase schedulers).
Symbols: r_p, r_d -> prefill_units, 1 - prefill_units; KV threshold -> crowded; the slack of the
    phase that comes second -> slack; delta (hysteresis) -> hysteresis; gamma (age) -> order.aging.
Differs: operators are those of the step cost model, whose amounts are taken as known rather than
    profiled; bandwidth is shared max-min fair between the two phases' mean demands; a goal for
    the time between tokens may loosen the slack.
Checked: tests/papers/test_nexus.py: 8 billion parameters on an A100, bursts, five seeds: with 0.95
    of chunked prefill's time between tokens as its goal, the mean 95th percentile of the time to
    the first token is below chunked prefill's at three budgets; in first come first served order
    it is even, so it is without queues, and it is above if reading at full speed takes 0.7 of the
    units. Step times are predicted to a tenth. Against feedback at the same goal first tokens are
    even, and the 99th percentile between tokens is no higher.
Seed: 143
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from bursar.cost.shared_device import SharedDevice, fair_parts
from bursar.errors import BadInput
from bursar.policies.partitioning.base import LaneDecision, LaneState, ShortestFirst, Work
from bursar.price import Price

_ROUNDING = 1e-9


class Predicted(NamedTuple):
    """Seconds of a step of each lane while both run."""

    prefill: float
    decode: float


@dataclass(frozen=True, slots=True)
class Nexus:
    """`slack`: how much longer than alone a step of the second phase may take.

    Decodes are second until `crowded` of the cache is held, then prompts are. A decode step may
    always take `goal_seconds`. Units move only by `hysteresis` or more. Raises `BadInput` for a
    grid that has no partition.
    """

    device: SharedDevice
    slack: float = 1.2
    goal_seconds: float = 0.05
    crowded: float = 0.9
    grid: float = 0.05
    hysteresis: float = 0.05
    order: ShortestFirst = field(default_factory=ShortestFirst)

    def __post_init__(self) -> None:
        if not 0 < self.grid <= 0.5 or self.slack < 1:
            raise BadInput(
                f"grid = {self.grid}, slack = {self.slack}; "
                "the first must be in (0, 0.5], the second 1 or more"
            )

    def decide(self, state: LaneState, now: float, price: Price) -> LaneDecision:
        """Prompts by length, and the units that the models prefer."""
        chunks = self.order.chunks(state, now)
        prefill, decode = state.prefill_work(chunks), state.decode_work
        if not prefill or not decode:
            return LaneDecision(state.prefill_units, chunks)
        crowded = 1.0 - state.spare_blocks / state.blocks > self.crowded
        units = self._units(prefill, decode, state.prefill_units, crowded)
        if abs(units - state.prefill_units) < self.hysteresis - _ROUNDING:
            units = state.prefill_units
        return LaneDecision(units, chunks)

    def predict(self, prefill: Work, decode: Work, prefill_units: float) -> Predicted:
        """Both lanes at their units: alone first, then with the bandwidth that is left to each."""
        units = (prefill_units, 1.0 - prefill_units)
        whole = self.device.bytes_per_second
        alone = [self._seconds(*x, whole) for x in zip((prefill, decode), units, strict=True)]
        wanted = [
            sum(x.bytes for x in y) / t for y, t in zip((prefill, decode), alone, strict=True)
        ]
        left = whole * (1.0 - self.device.interference)
        parts = fair_parts(wanted, left)
        spare = max(0.0, left - sum(parts))
        return Predicted(
            *(
                self._seconds(work, own, part + spare)
                for work, own, part in zip((prefill, decode), units, parts, strict=True)
            )
        )

    def _seconds(self, work: Work, units: float, bandwidth: float) -> float:
        """Operators one after the other; each as its arithmetic or its memory allows."""
        reached = min(1.0, units / self.device.memory_units) * self.device.bytes_per_second
        return sum(
            x.latency_seconds
            + max(
                x.flops / (units * self.device.flops_per_second),
                x.bytes / min(reached, bandwidth),
            )
            for x in work
        )

    def _units(self, prefill: Work, decode: Work, now: float, crowded: bool) -> float:
        """As much for the first phase as leaves the second its slack, walking from `now`.

        More units make a phase faster and the other slower, so the walk ends at the best.
        """
        second, towards = (0, -self.grid) if crowded else (1, self.grid)
        alone = self._seconds((prefill, decode)[second], 1.0, self.device.bytes_per_second)
        limit = max(self.slack * alone, 0.0 if crowded else self.goal_seconds)

        def kept(units: float) -> bool:
            return self.predict(prefill, decode, units)[second] <= limit

        units = now
        if not kept(units):
            towards = -towards
            while self._inside(units + towards):
                units += towards
                if kept(units):
                    break
            return units
        while self._inside(units + towards) and kept(units + towards):
            units += towards
        return units

    def _inside(self, units: float) -> bool:
        return self.grid / 2 < units < 1.0 - self.grid / 2
