"""Stretches of traffic to simulate: long against a request, and as typical as the whole."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bursar.workload.traces import Trace

Rows = NDArray[np.int64]


def typical(trace: Trace, count: int) -> Rows:
    """The rows of `count` requests in a row that take the median time to arrive."""
    count = min(count, len(trace))
    lasts = trace.arrival_s[count - 1 :] - trace.arrival_s[: len(trace) - count + 1]
    first = int(np.argsort(lasts, kind="stable")[len(lasts) // 2])
    return np.arange(first, first + count)


def lasting(
    trace: Trace, rows: Rows, speed: float, seconds: float, rng: np.random.Generator
) -> tuple[Trace, Rows]:
    """The requests of `rows`, `speed` times as fast, for at least so many seconds.

    When they are over sooner, the arrivals are repeated, each time with the requests in another
    order: the rate, its bursts and the mix of lengths stay, and no two repetitions are alike.
    Returns the traffic, and which request of `trace` each of its requests is. Prefixes are left
    out: a repetition would share all of them.
    """
    arrival = (trace.arrival_s[rows] - trace.arrival_s[rows[0]]) / speed
    span = float(arrival[-1]) * len(rows) / max(len(rows) - 1, 1) or 1.0
    times = max(1, int(np.ceil(seconds / span)))
    order = np.concatenate([rows, *(rng.permutation(rows) for _ in range(times - 1))])
    priority = trace.priority
    return Trace(
        (span * np.arange(times)[:, None] + arrival).ravel(),
        trace.input_tokens[order],
        trace.output_tokens[order],
        priority=None if priority is None else priority[order],
    ), order
