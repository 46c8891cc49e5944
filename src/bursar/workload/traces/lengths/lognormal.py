"""Lognormal lengths: the logarithms of input and output tokens are jointly normal.

Five numbers that can be stated without a trace. Fitted, it has the trace's medians, 90th
percentiles and rank correlation, not the maximum likelihood: real lengths come in several humps,
the likelihood then follows the many short requests, and puts the long ones, which cost the most,
far too high. `EmpiricalLengths` keeps the humps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Self

import numpy as np
import polars as pl

from bursar.errors import BadInput
from bursar.workload.traces.rules import Floats, Ints, positive
from bursar.workload.traces.trace import Trace

Z_90 = NormalDist().inv_cdf(0.9)
MOST_TOKENS = 2**31
"""Keeps what a far tail gives within a whole number; no context is as long."""


@dataclass(frozen=True, slots=True)
class LognormalLengths:
    """Lengths by their medians in tokens, the standard deviations of their logarithms, and the
    correlation of these logarithms."""

    median_input_tokens: float
    sigma_input: float
    median_output_tokens: float
    sigma_output: float
    correlation: float = 0.0

    def __post_init__(self) -> None:
        positive(self.median_input_tokens, "median_input_tokens")
        positive(self.median_output_tokens, "median_output_tokens")
        if not (0 <= self.sigma_input < np.inf and 0 <= self.sigma_output < np.inf):
            raise BadInput(
                f"sigmas {self.sigma_input} and {self.sigma_output} must be finite, zero or more"
            )
        if not -1 <= self.correlation <= 1:
            raise BadInput(f"correlation is {self.correlation}, must lie between -1 and 1")

    @classmethod
    def fit(cls, trace: Trace) -> Self:
        """The lognormal through both medians and 90th percentiles, with the rank correlation.

        A correlation r of the logarithms gives ranks that correlate as 6 / pi asin(r / 2).
        Raises `BadInput` on fewer than two requests.
        """
        if len(trace) < 2:
            raise BadInput(f"a trace of {len(trace)} requests has no spread; fit two or more")
        lengths = {"input": trace.input_tokens, "output": trace.output_tokens}
        (median_in, median_out), (high_in, high_out) = np.percentile(
            list(lengths.values()), [50, 90], axis=1
        )
        ranked = pl.DataFrame(lengths).select(pl.corr("input", "output", method="spearman")).item()
        return cls(
            float(median_in),
            float(np.log(high_in / median_in) / Z_90),
            float(median_out),
            float(np.log(high_out / median_out) / Z_90),
            2 * math.sin(math.pi / 6 * ranked) if math.isfinite(ranked) else 0.0,
        )

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
        """See `Lengths.draw`. Rounded to whole tokens."""
        first, second = rng.standard_normal((2, count))
        second = self.correlation * first + np.sqrt(1 - self.correlation**2) * second
        return (
            _tokens(self.median_input_tokens * np.exp(self.sigma_input * first)),
            _tokens(self.median_output_tokens * np.exp(self.sigma_output * second)),
        )


def _tokens(lengths: Floats) -> Ints:
    return np.clip(np.rint(lengths), 1, MOST_TOKENS).astype(np.int64)
