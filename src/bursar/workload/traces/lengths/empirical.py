"""Lengths as they were: requests drawn from a trace with replacement, both lengths together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from bursar.errors import BadInput
from bursar.workload.traces.rules import Ints
from bursar.workload.traces.trace import Trace


@dataclass(frozen=True, slots=True, eq=False)
class EmpiricalLengths:
    """The pairs (input, output) to draw from, each column (n,); all are equally likely."""

    input_tokens: Ints
    output_tokens: Ints

    @classmethod
    def fit(cls, trace: Trace) -> Self:
        """The lengths of a trace. Raises `BadInput` when it has no request."""
        if not len(trace):
            raise BadInput("a trace without requests has no lengths; fit one that has some")
        return cls(trace.input_tokens, trace.output_tokens)

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
        """See `Lengths.draw`."""
        rows = rng.integers(len(self.input_tokens), size=count)
        return self.input_tokens[rows], self.output_tokens[rows]
