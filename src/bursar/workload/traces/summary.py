"""What a trace is like in a few numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bursar.workload.traces.rules import Ints
from bursar.workload.traces.trace import Trace


@dataclass(frozen=True, slots=True)
class Spread:
    """How a length is distributed, in tokens."""

    mean: float
    p50: float
    p90: float
    p99: float
    max: int


@dataclass(frozen=True, slots=True)
class Summary:
    """A trace in numbers; None is what too few requests leave unknown.

    duration_s    from the first arrival to the last
    rate_per_s    one over the mean time between arrivals
    burstiness    coefficient of variation of the times between arrivals: 0 is a clock, 1 is
                  Poisson, above 1 comes in bursts
    """

    requests: int
    duration_s: float | None
    rate_per_s: float | None
    burstiness: float | None
    input_tokens: Spread | None
    output_tokens: Spread | None


def summary(trace: Trace) -> Summary:
    """`trace` in numbers. Requests that all arrive at once have no rate and no burstiness."""
    gaps = np.diff(trace.arrival_s)
    duration = float(gaps.sum()) if len(trace) else None
    moves = bool(duration)
    return Summary(
        requests=len(trace),
        duration_s=duration,
        rate_per_s=float(1 / gaps.mean()) if moves else None,
        burstiness=float(gaps.std() / gaps.mean()) if moves else None,
        input_tokens=_spread(trace.input_tokens),
        output_tokens=_spread(trace.output_tokens),
    )


def _spread(tokens: Ints) -> Spread | None:
    if not len(tokens):
        return None
    p50, p90, p99 = (float(p) for p in np.percentile(tokens, [50, 90, 99]))
    return Spread(float(tokens.mean()), p50, p90, p99, int(tokens.max()))
