"""What an order of requests is, and the plain one."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bursar.workload.traces import Trace


class Order(Protocol):
    """Orders requests by what is known before they run."""

    def places(self, trace: Trace) -> NDArray[np.int64]:
        """(n,) the place of each request in the order, from 0; answers' lengths are not read."""
        ...


@dataclass(frozen=True, slots=True)
class ArrivalOrder:
    """First come first served."""

    def places(self, trace: Trace) -> NDArray[np.int64]:
        """See `Order.places`."""
        return np.arange(len(trace))
