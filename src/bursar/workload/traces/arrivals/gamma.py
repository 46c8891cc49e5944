"""Bursty arrivals: the times between them are independent and Gamma distributed.

Shape 1 / cv^2 and scale cv^2 / rate give mean 1 / rate and the CV that is asked for. The process
has been running for ever when time begins: the first gap is what is left of one that began
earlier, a length-biased gap (Gamma with shape + 1) times a uniform number. So the expected number
of arrivals is rate x duration for every duration, also where the CV is large (Cox, "Renewal
Theory", 1962, sections 2.2 and 5.2).

A CV far above 1 puts whole bursts into one moment, since half the gaps are then next to nothing;
`OnOff` keeps a finite rate within a burst.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from bursar.errors import BadInput
from bursar.workload.traces.rules import Floats, positive
from bursar.workload.traces.summary import summary
from bursar.workload.traces.trace import Trace

MOST_CV = 100.0


@dataclass(frozen=True, slots=True)
class Gamma:
    """`rate_per_s` requests per second; `cv` above 1 comes in bursts, below 1 is regular.

    At most `MOST_CV`: beyond it nearly all requests come at one moment.
    """

    rate_per_s: float
    cv: float

    def __post_init__(self) -> None:
        positive(self.rate_per_s, "rate_per_s")
        if not 0 < self.cv <= MOST_CV:
            raise BadInput(f"cv is {self.cv}, must be above 0 and at most {MOST_CV:g}")

    @classmethod
    def fit(cls, trace: Trace) -> Self:
        """The process with the trace's rate and CV.

        Raises `BadInput` when the trace has neither: fewer than three requests, or gaps that are
        all the same.
        """
        seen = summary(trace)
        if seen.rate_per_s is None or not seen.burstiness:
            raise BadInput(
                f"{seen.requests} requests over {seen.duration_s} s have no rate and burstiness; "
                "fit a trace of at least three requests at irregular times"
            )
        return cls(seen.rate_per_s, seen.burstiness)

    def times(self, duration_s: float, rng: np.random.Generator) -> Floats:
        """See `Arrivals.times`."""
        expected = self.rate_per_s * positive(duration_s, "duration_s")
        shape, scale = self.cv**-2, self.cv**2 / self.rate_per_s
        times = rng.random(1) * rng.gamma(shape + 1, scale, 1)
        while times[-1] < duration_s:
            gaps = rng.gamma(shape, scale, int(expected) + 16)
            times = np.concatenate([times, times[-1] + np.cumsum(gaps)])
        return times[: np.searchsorted(times, duration_s)]
