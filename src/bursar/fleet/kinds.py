"""Kinds of request: the lengths of a trace in boxes, each with its rate, as the planner wants."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bursar.errors import BadInput
from bursar.workload.traces import Trace

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Kinds:
    """Boxes of similar lengths. All arrays are (kinds,); lengths are the mean of the box."""

    tokens_in: Array
    tokens_out: Array
    requests_per_second: Array
    of: NDArray[np.int64]
    """(requests,): the kind of each request of the trace."""


def kinds(trace: Trace, *, window_s: float = 300.0, per_doubling: float = 1.0) -> Kinds:
    """The kinds in a trace, at the rate of its busiest `window_s`.

    A box spans 1 / `per_doubling` doublings of both lengths; requests per second of a kind are its
    share of all requests times the rate in the busiest window, since that is what a fleet that
    stays the same must carry. Raises `BadInput` on an empty trace.
    """
    if not len(trace):
        raise BadInput("the trace holds no request: there is nothing to plan for")
    lengths = np.stack([trace.input_tokens, trace.output_tokens], axis=1).astype(np.float64)
    boxes = np.floor(np.log2(lengths) * per_doubling)
    _, of, count = np.unique(boxes, axis=0, return_inverse=True, return_counts=True)
    of = of.reshape(-1)
    mean = [np.bincount(of, lengths[:, i]) / count for i in (0, 1)]
    rate = busiest_rate(trace.arrival_s, window_s)
    return Kinds(mean[0], mean[1], rate * count / len(trace), of)


def busiest_rate(arrival_s: Array, window_s: float) -> float:
    """Requests per second in the busiest stretch of `window_s`, or of the whole trace if shorter.

    A single request counts as one per window.
    """
    last = np.arange(1, len(arrival_s) + 1)
    first = np.searchsorted(arrival_s, arrival_s - window_s, side="right")
    length = min(window_s, float(arrival_s[-1] - arrival_s[0])) or window_s
    return float(np.max(last - first)) / length
