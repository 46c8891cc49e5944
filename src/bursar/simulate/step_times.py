"""`StepTimes`: how long an engine's step takes, in a form that lets many steps be added at once.

The decoding jobs are described by two lists, one entry a class of context length: how many jobs
there are, and the sum of their contexts. There is one class more than `windows`; class i holds
contexts c with windows[i - 1] <= c < windows[i]. Within a class every model's attention costs the
same for each further token, so that counts and sums are all that a step's time depends on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from bursar.errors import BadInput

Lengths = Sequence[int]
Sums = Sequence[float]
Chunks = Sequence[tuple[int, int]]
"""(new tokens, tokens before them) of each prefill in a step."""


class Line(NamedTuple):
    """Decode steps of a fixed batch: step j = 0, 1, ... takes `seconds` + j `seconds_slope`.

    The same for joules. True for j < `steps`, while no context leaves its class.
    """

    seconds: float
    seconds_slope: float
    joules: float
    joules_slope: float
    steps: float

    def seconds_of(self, steps: int) -> float:
        """What the first so many steps take."""
        return steps * (self.seconds + self.seconds_slope * (steps - 1) / 2)

    def joules_of(self, steps: int) -> float:
        """What the first so many steps use."""
        return steps * (self.joules + self.joules_slope * (steps - 1) / 2)

    def after(self, steps: int) -> Line:
        """The line from its step number `steps` on."""
        return Line(
            self.seconds + steps * self.seconds_slope,
            self.seconds_slope,
            self.joules + steps * self.joules_slope,
            self.joules_slope,
            self.steps - steps,
        )

    def steps_until(self, elapsed: float) -> int:
        """The least n >= 1 with seconds_of(n) >= `elapsed`.

        seconds_of(n) = n a + n (n - 1) b / 2 is solved for n, and rounding put right.
        """
        a, b = self.seconds, self.seconds_slope
        linear = a - b / 2
        root = math.sqrt(max(linear * linear + 2 * b * elapsed, 0.0))
        n = max(1, math.ceil(2 * elapsed / (linear + root)))
        while n > 1 and (n - 1) * (a + b * (n - 2) / 2) >= elapsed:
            n -= 1
        while n * (a + b * (n - 1) / 2) < elapsed:
            n += 1
        return n


class StepTimes(Protocol):
    """Times and energies of the steps of one replica."""

    @property
    def windows(self) -> tuple[int, ...]:
        """Context lengths, rising, beyond which some layer attends to no more tokens."""
        ...

    @property
    def seconds_per_request(self) -> float:
        """From a request's arrival until it can be scheduled."""
        ...

    @property
    def idle_watts(self) -> float | None:
        """Power between steps; None when no energy is known."""
        ...

    def step(self, counts: Lengths, contexts: Sums, chunks: Chunks) -> tuple[float, float]:
        """(seconds, joules) of one step that decodes the batch and runs the chunks."""
        ...

    def line(self, counts: Lengths, contexts: Sums) -> Line:
        """Decode steps of the batch, starting from these contexts."""
        ...


@dataclass(frozen=True, slots=True)
class LinearTimes:
    """seconds = `per_step` + `per_token` * new tokens + `per_context` * contexts. No energy.

    With one job at a time and only `per_step`, a server with service time `per_step` * output.
    Raises `BadInput` unless `per_step` is above zero and the others are not below.
    """

    per_step: float
    per_token: float = 0.0
    per_context: float = 0.0
    windows: tuple[int, ...] = ()
    seconds_per_request: float = 0.0
    idle_watts: float | None = None

    def __post_init__(self) -> None:
        if not (self.per_step > 0 and min(self.per_token, self.per_context) >= 0):
            raise BadInput(
                f"per_step = {self.per_step}, per_token = {self.per_token}, per_context = "
                f"{self.per_context}; the first must be above zero, the others zero or more"
            )

    def step(self, counts: Lengths, contexts: Sums, chunks: Chunks) -> tuple[float, float]:
        """See `StepTimes.step`."""
        tokens = sum(counts) + sum(new for new, _ in chunks)
        before = sum(contexts) + sum(context for _, context in chunks)
        return self.per_step + self.per_token * tokens + self.per_context * before, 0.0

    def line(self, counts: Lengths, contexts: Sums) -> Line:
        """See `StepTimes.line`."""
        seconds, _ = self.step(counts, contexts, ())
        return Line(seconds, self.per_context * sum(counts), 0.0, 0.0, math.inf)
