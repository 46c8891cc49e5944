"""Step times with the power of each phase, and how both change with the clock."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bursar.cost import Deployment
from bursar.errors import BadInput
from bursar.simulate.step_times import Chunks, Lengths, Line, StepTimes, Sums


@dataclass(frozen=True, slots=True)
class PhasePower:
    """Watts of a server at full clock while it runs prompts, while it decodes, and idle.

    What is above idle falls with the clock to the power `exponent`; of decoding's, only the share
    `decode_core`, since memory keeps its clock. Prompts take as much longer as the clock is lower;
    decode steps only where the clock is below the share `decode_core` of theirs that computes.
    """

    prompt_watts: float
    decode_watts: float
    idle_watts: float
    exponent: float = 1.5
    decode_core: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.idle_watts <= min(self.prompt_watts, self.decode_watts):
            raise BadInput(
                f"prompt_watts = {self.prompt_watts}, decode_watts = {self.decode_watts}, "
                f"idle_watts = {self.idle_watts}; the last must be the least, and not below 0"
            )

    def prompt(self, clock: float) -> float:
        """Watts while a prompt runs."""
        return self.idle_watts + (self.prompt_watts - self.idle_watts) * self._core(clock)

    def decode(self, clock: float) -> float:
        """Watts while jobs decode."""
        share = 1.0 - self.decode_core + self.decode_core * self._core(clock)
        return self.idle_watts + (self.decode_watts - self.idle_watts) * share

    def _core(self, clock: float) -> float:
        return math.pow(clock, self.exponent)


_PROMPT, _DECODE = 1.0, 0.45
"""Shares of the TDP: Llama-2-70b's measured ones on A100s, peak and mean (Splitwise,
arXiv:2311.18677, published data)."""


def phase_power_of(deployment: Deployment) -> PhasePower:
    """The devices of a replica, without what else is in its computers.

    Raises `BadInput` when their power is not known.
    """
    limit, idle = deployment.device.tdp_watts, deployment.device.idle_watts
    if limit is None or idle is None:
        raise BadInput(f"{deployment.device.name} has no known power; choose another device")
    devices = deployment.devices
    return PhasePower(
        prompt_watts=devices * _PROMPT * limit,
        decode_watts=devices * max(_DECODE * limit, idle),
        idle_watts=devices * idle,
    )


class PhasedTimes:
    """Other step times with this power, at a clock (share of the full one, above 0 up to 1).

    In a step with both, what it takes longer than its decodes alone is the prompts' part.
    """

    def __init__(self, times: StepTimes, power: PhasePower, clock: float = 1.0) -> None:
        self.times, self.power, self.clock = times, power, clock
        self.windows, self.seconds_per_request = times.windows, times.seconds_per_request
        self.idle_watts = power.idle_watts
        self._prompt_watts, self._decode_watts = power.prompt(clock), power.decode(clock)
        self._slower = max(1.0, power.decode_core / clock)

    def at(self, clock: float) -> PhasedTimes:
        """The same at another clock."""
        return PhasedTimes(self.times, self.power, clock)

    def step(self, counts: Lengths, contexts: Sums, chunks: Chunks) -> tuple[float, float]:
        """See `StepTimes.step`."""
        seconds, _ = self.times.step(counts, contexts, chunks)
        decode = self.times.step(counts, contexts, ())[0] if any(counts) else 0.0
        prompt = max(seconds - decode, 0.0) / self.clock
        decode *= self._slower
        return decode + prompt, decode * self._decode_watts + prompt * self._prompt_watts

    def line(self, counts: Lengths, contexts: Sums) -> Line:
        """See `StepTimes.line`."""
        line = self.times.line(counts, contexts)
        seconds, slope = line.seconds * self._slower, line.seconds_slope * self._slower
        watts = self._decode_watts
        return Line(seconds, slope, seconds * watts, slope * watts, line.steps)
