"""D2MoE: experts at 2, 4 or 8 bits as each token needs, those with the most tokens loaded first.

Paper: Haodong Wang, Qihua Zhou, Zicong Hong, Song Guo, "D^2MoE: Dual Routing and Dynamic Scheduling
    for Efficient On-Device MoE-based LLM Serving", 2025, arXiv:2504.15299; matryoshka weight
    quantization, dual routing and the hottest-expert-bit-first principle.
Symbols: none shared; MWQ -> backends.moe.NestedExpert; dual routing -> BitRouter; HEBF ->
    HottestExpertBitFirst.
Differs: a token's width at an expert follows from its gate share by two thresholds, fitted by
    search, where the paper trains a second router; widths are cut from the 8-bit code, without
    scales of their own; the pipeline is one layer's: later layers' routes are not known. All parts
    of the hottest expert come before those of the next; going by the tokens that wait for each part
    instead begins many experts at once, which fills memory and idles more than order of arrival.
Checked: tests/papers/test_d2moe.py: one buffer is exactly the 2-, 4- and 8-bit expert; on held-out
    routes of the built-in mixture of experts the computing unit idles 0.75 times as long as with
    loading in order of arrival in memory for two experts, 0.95 times in memory for four or eight,
    and as long where all experts are equally hot; in the tightest memory it is not the heat that
    gains, but finishing one expert before the next. Accuracy within one point of 8 bits at 6.5 bits
    or fewer in the mean.
Seed: 136
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bursar.errors import BadInput, Infeasible
from bursar.policies.expert_loading.base import Ints, LoadingState
from bursar.price import Price

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class HottestExpertBitFirst:
    """The expert with the most tokens, and of it the lowest bits that are not there yet."""

    def decide(self, state: LoadingState, now: float, price: Price) -> int:
        """See `LoadingOrder.decide`."""
        return int(np.where(state.may_load, state.tokens.sum(1), -1).argmax())


@dataclass(frozen=True, slots=True)
class BitRouter:
    """Widths by a token's share of an expert: a small share bears a coarse expert."""

    at_4: float
    """The least share that is computed with at least 4 bits."""
    at_8: float
    """The least share that is computed with 8 bits."""

    def __post_init__(self) -> None:
        if not 0 <= self.at_4 <= self.at_8:
            raise BadInput(
                f"thresholds {self.at_4:g} for 4 bits and {self.at_8:g} for 8; the first is at "
                "least 0 and no larger than the second"
            )

    def widths(self, shares: Floats) -> Ints:
        """The bits for each share, in the same shape."""
        return np.where(shares >= self.at_8, 8, np.where(shares >= self.at_4, 4, 2))

    @classmethod
    def fit(
        cls,
        shares: Floats,
        accuracy: Callable[["BitRouter"], float],
        *,
        at_least: float,
        thresholds: Sequence[float] = (0.0, 0.2, 0.35, 0.5, 0.65, 2.0),
    ) -> "BitRouter":
        """The pair of `thresholds` with the fewest mean bits on `shares` and enough `accuracy`.

        Raises `Infeasible` when not even 8 bits everywhere reach `at_least`.
        """
        pairs = [cls(low, high) for low in thresholds for high in thresholds if low <= high]
        for router in sorted(pairs, key=lambda r: float(r.widths(shares).mean())):
            if accuracy(router) >= at_least:
                return router
        raise Infeasible(f"no width reaches an accuracy of {at_least:g}; ask for less")
