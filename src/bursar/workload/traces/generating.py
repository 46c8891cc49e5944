"""A trace made up from an arrival process and a distribution of lengths."""

import numpy as np

from bursar.errors import BadInput
from bursar.workload.traces.arrivals.base import Arrivals
from bursar.workload.traces.lengths.base import Lengths
from bursar.workload.traces.trace import Trace

MOST_REQUESTS = 1e9
"""Beyond this the columns do not fit in memory."""


def generated(
    arrivals: Arrivals, lengths: Lengths, duration_s: float, rng: np.random.Generator
) -> Trace:
    """Requests of `duration_s` seconds; lengths do not depend on when a request comes.

    Second 0 is where the process begins, so the first request may come later, and there may be
    none. Raises `BadInput` unless `duration_s` is finite and above zero, and when more requests are
    to be expected than fit in memory.
    """
    expected = arrivals.rate_per_s * duration_s
    if expected > MOST_REQUESTS:
        raise BadInput(
            f"{arrivals.rate_per_s:g} requests per second for {duration_s:g} s are {expected:g}, "
            f"must be at most {MOST_REQUESTS:g}; make a shorter trace"
        )
    times = arrivals.times(duration_s, rng)
    return Trace(times, *lengths.draw(len(times), rng))
