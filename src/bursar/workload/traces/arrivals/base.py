"""What an arrival process is: it says when requests come, and nothing else about them."""

from typing import Protocol, runtime_checkable

import numpy as np

from bursar.workload.traces.rules import Floats


@runtime_checkable
class Arrivals(Protocol):
    """A process of arrivals, already under way when time begins."""

    @property
    def rate_per_s(self) -> float:
        """Expected arrivals per second, over a long time."""
        ...

    def times(self, duration_s: float, rng: np.random.Generator) -> Floats:
        """Arrival times in [0, duration_s), in order; seconds. There may be none.

        Raises `BadInput` unless `duration_s` is finite and above zero.
        """
        ...
