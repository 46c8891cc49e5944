"""What is known while a layer's experts are loaded part by part, and the plain order.

Weights are nested: an expert at 4 bits is its 2-bit part and one more part, at 8 bits these two and
a third. Its parts come in this order, those of different experts in any.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bursar.price import Price

Ints = NDArray[np.int64]

WIDTHS = (2, 4, 8)
"""Bits of an expert after its first, second and third part."""


@dataclass(frozen=True, slots=True, eq=False)
class LoadingState:
    """A layer whose tokens wait for experts."""

    tokens: Ints
    """(experts, widths) tokens that were routed to each expert at each width, all of the batch."""
    first: Ints
    """(experts, widths) the place in the batch of the first of these tokens."""
    loaded: Ints
    """(experts,) how many parts are there."""
    may_load: NDArray[np.bool_]
    """(experts,) whose next part is wanted and fits into memory; at least one is."""


class LoadingOrder(Protocol):
    """Decides which part comes next."""

    def decide(self, state: LoadingState, now: float, price: Price) -> int:
        """The expert whose next part is loaded; one of `state.may_load`."""
        ...


@dataclass(frozen=True, slots=True)
class ArrivalOrder:
    """The part that the earliest token waits for."""

    def decide(self, state: LoadingState, now: float, price: Price) -> int:
        """See `LoadingOrder.decide`."""
        first = np.where(state.tokens > 0, state.first, np.inf)
        # a part is wanted by all tokens of its width or a wider one
        earliest = np.minimum.accumulate(first[:, ::-1], axis=1)[:, ::-1]
        part = np.minimum(state.loaded, earliest.shape[1] - 1)
        following = earliest[np.arange(len(earliest)), part]
        return int(np.where(state.may_load, following, np.inf).argmin())


@dataclass(frozen=True, slots=True)
class ArrivalByExpert:
    """The expert that the earliest token waits for, with all the parts that any token needs."""

    def decide(self, state: LoadingState, now: float, price: Price) -> int:
        """See `LoadingOrder.decide`."""
        first = np.where(state.tokens > 0, state.first, np.inf).min(1)
        return int(np.where(state.may_load, first, np.inf).argmin())
