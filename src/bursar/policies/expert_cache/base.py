"""What a cache of experts knows, and what its policy may ask for.

Layers run one after another, batch after batch. Before a layer runs the policy may fetch what it
expects; once the router has spoken, what the layer needs and is not there is fetched while the
layer waits. An expert's key is `layer * experts + number`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bursar.errors import BadInput
from bursar.price import Price

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class CacheState:
    """The cache before a layer runs, or while it waits; raises `BadInput` for too few slots."""

    slots: int
    """Experts that fit into fast memory, of all layers together."""
    experts: int
    """In each layer; a layer's may all be needed at once."""
    layers: int
    layer: int = 0
    """The layer that runs next, or waits."""
    resident: tuple[int, ...] = ()
    """Keys, the least recently used first."""
    needed: frozenset[int] = frozenset()
    """Keys that the waiting layer needs; empty before the router has spoken."""
    fetches: int = 0
    """How many experts can be fetched without making anybody wait; of no meaning when `needed`."""
    expected: Floats | None = None
    """(layers ahead, experts) tokens expected at each expert, from `layer` on and on into the next
    batch; None when nobody predicts."""

    def __post_init__(self) -> None:
        if self.slots < self.experts:
            raise BadInput(
                f"{self.slots} slots for {self.experts} experts in a layer; a batch may need all "
                "of one layer: give at least as many slots"
            )

    @property
    def missing(self) -> tuple[int, ...]:
        """What the waiting layer needs and is not resident."""
        return tuple(sorted(self.needed - set(self.resident)))

    def after(self, fetch: "Fetch") -> "CacheState":
        """With `fetch` carried out; what was loaded counts as used last."""
        kept = [key for key in self.resident if key not in fetch.evict]
        assert len(kept) + len(fetch.load) <= self.slots, "a policy fetched more than fits"
        return replace(self, resident=(*kept, *fetch.load))

    def used(self, keys: Iterable[int]) -> "CacheState":
        """With `keys` used now."""
        recent = sorted(keys)
        kept = [key for key in self.resident if key not in recent]
        return replace(self, resident=(*kept, *recent))


@dataclass(frozen=True, slots=True)
class Fetch:
    """Experts to load, after those to drop for them."""

    load: tuple[int, ...] = ()
    evict: tuple[int, ...] = ()


class CachePolicy(Protocol):
    """Decides what to load and what to drop for it."""

    def decide(self, state: CacheState, now: float, price: Price) -> Fetch:
        """With `state.needed`: loads all that is missing. Without: at most `state.fetches`."""
        ...
