"""Direct: one way per question, the one whose value less its cost at the price is largest.

bursar's own rule, and the only one here: what estimator it is given makes it a similarity router, a
classifier router, a random one or the oracle. The price says what a right answer is worth; it is
found on known outcomes (`frontier.price_for_cost`) or moved while spending (`routed.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bursar.reason.route.base import STOP, Estimator, net_value
from bursar.value.base import Floats, Ints
from bursar.value.outcomes import Outcomes


@dataclass(frozen=True, slots=True)
class Direct:
    """Routes by `estimator`, before any answer."""

    estimator: Estimator

    def fit(self, seen: Outcomes) -> Direct:
        return Direct(self.estimator.fit(seen))

    def estimate(self, prompts: Sequence[str]) -> Floats:
        return self.estimator.estimate(prompts)

    def next_way(
        self, belief: Floats, cost: Floats, asked: Ints, sign: Floats, price: float
    ) -> Ints:
        """The best way where nothing was bought yet, else `STOP`."""
        best = np.argmax(net_value(belief, cost, price), axis=1)
        return np.where(asked == STOP, best, STOP)
