"""What can be set where a model reasons on a device: which model, how long, how often, how sparse.

A `Menu` holds value and cost of every setting; methods differ in what cost they put there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bursar.cost import Deployment
from bursar.errors import BadInput, Infeasible
from bursar.value.base import Floats, Ints


@dataclass(frozen=True, slots=True)
class Setting:
    """`samples` answers of at most `tokens` each by `model`; what one question is worth and costs.

    `kept`: cache entries that each token attends to, None = all.
    """

    model: str
    tokens: int
    samples: int
    kept: int | None
    value: float
    cost: float


@dataclass(frozen=True, slots=True)
class Menu:
    """Value and cost (infinite where it does not fit) of each setting, (models, tokens, samples,
    kept)."""

    models: tuple[str, ...]
    tokens: tuple[int, ...]
    samples: tuple[int, ...]
    kept: tuple[int | None, ...]
    value: Floats
    cost: Floats

    def best(self, limit: float) -> Setting:
        """The most valuable setting that costs at most `limit`, among equals the cheapest.

        Raises `Infeasible` when even the cheapest setting costs more.
        """
        afforded = np.flatnonzero(self.cost.ravel() <= limit)
        if not len(afforded):
            least = float(self.cost.min())
            raise Infeasible(
                f"nothing fits in {limit:g}: the cheapest setting takes {least:g}, "
                f"{least - limit:g} more"
            )
        value, cost = self.value.ravel()[afforded], self.cost.ravel()[afforded]
        return self._setting(int(afforded[np.lexsort((cost, -value))[0]]))

    def frontier(self) -> list[Setting]:
        """The settings that no other is both as cheap and as valuable as, cheapest first."""
        value, cost = self.value.ravel(), self.cost.ravel()
        found, best = [], -np.inf
        for index in np.lexsort((-value, cost)):
            if np.isfinite(cost[index]) and value[index] > best:
                best = value[index]
                found.append(self._setting(int(index)))
        return found

    def _setting(self, flat: int) -> Setting:
        m, t, s, k = (int(i) for i in np.unravel_index(flat, self.value.shape))
        worth, cost = float(self.value[m, t, s, k]), float(self.cost[m, t, s, k])
        return Setting(self.models[m], self.tokens[t], self.samples[s], self.kept[k], worth, cost)


def menu(
    deployments: Sequence[Deployment],
    tokens: Sequence[int],
    samples: Sequence[int],
    kept: Sequence[int | None],
    value: ArrayLike,
    cost: Floats,
) -> Menu:
    """A menu of these settings. Raises `BadInput` unless `value` has the shape of `cost`, (models,
    tokens, samples, kept), or lacks only the last axis."""
    worth = np.asarray(value, dtype=float)
    if worth.ndim == cost.ndim - 1:
        worth = np.repeat(worth[..., None], len(kept), axis=-1)
    if worth.shape != cost.shape:
        raise BadInput(f"value has shape {worth.shape}; these settings have {cost.shape}")
    names = tuple(place.model.name for place in deployments)
    return Menu(names, tuple(tokens), tuple(samples), tuple(kept), worth, cost)


def whole(name: str, numbers: Sequence[int]) -> Ints:
    """`numbers` as an array; raises `BadInput` unless all are 1 or more."""
    given: Ints = np.asarray(numbers, dtype=np.int64)
    if given.ndim != 1 or not len(given) or np.any(given < 1):
        raise BadInput(f"{name} must be one or more whole numbers from 1, got {list(numbers)}")
    return given
