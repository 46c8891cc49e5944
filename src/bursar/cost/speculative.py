"""Speculative decoding's price law: what a drafted token costs, what it buys, when it pays.

Paper: Yaniv Leviathan, Matan Kalman, Yossi Matias, "Fast Inference from Transformers via
    Speculative Decoding", 2022, arXiv:2211.17192; eq. (1) (tokens per target call), theorem 3.8
    (improvement in wall time), section 3.5 (choosing gamma). The sampling rule itself is in
    `backends.speculative.verify` (also Chen et al., 2023, arXiv:2302.01318).
Symbols: alpha -> acceptance; gamma -> length; c -> cost_ratio.
Differs: with two deployments a target pass costs what the cost model says of so many tokens and
    sequences, not what one token costs, so that large batches stop paying; any priced resource may
    be what is saved; a length of 0, no drafting, is among the choices.
Checked: tests/papers/test_speculative_decoding.py: texts pass a chi-square test against the
    target's exact probabilities and greedy ones are its own; tokens per call follow the law at the
    measured acceptance; the length it picks is the best of those measured; gains end as batches
    grow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bursar.cost.deployment import Deployment
from bursar.cost.step import step_arrays, usage_of
from bursar.cost.work import Array
from bursar.errors import BadInput
from bursar.price import Price
from bursar.usage import Usage

LONGEST = 16
"""Longest draft that is considered."""


def tokens_per_call(acceptance: float, length: ArrayLike) -> Array:
    """Expected tokens a round gives, (1 - a^(g+1)) / (1 - a), if each draft is kept with chance a.

    Raises `BadInput` for an acceptance outside [0, 1].
    """
    if not 0 <= acceptance <= 1:
        raise BadInput(f"acceptance is {acceptance}; it is a share, from 0 to 1")
    drafts = np.asarray(length, dtype=np.float64)
    if acceptance == 1:
        return drafts + 1
    return np.asarray((1 - acceptance ** (drafts + 1)) / (1 - acceptance))


def improvement(acceptance: float, length: ArrayLike, cost_ratio: float) -> Array:
    """Theorem 3.8: times faster than plain decoding, if a target pass costs the same however many
    tokens it judges and a draft pass `cost_ratio` of it.
    """
    return tokens_per_call(acceptance, length) / (np.asarray(length) * cost_ratio + 1)


def best_length(
    acceptance: float, round_usage: Callable[[int], Usage], price: Price, longest: int = LONGEST
) -> int:
    """Drafted tokens per target call, 0 to `longest`, at which a token is cheapest.

    `round_usage(length)` is what a round of so many drafts and one target pass uses.
    """
    costs = [price.cost_of(round_usage(n)) for n in range(longest + 1)]
    return int(np.argmin(np.array(costs) / tokens_per_call(acceptance, np.arange(longest + 1))))


@dataclass(frozen=True, slots=True)
class Speculation:
    """`draft` proposes to `target` on the same devices, one after the other; `acceptance` is the
    chance that a proposed token is kept.
    """

    target: Deployment
    draft: Deployment
    acceptance: float

    def seconds_per_token(self, length: ArrayLike, context: float, batch: float) -> Array:
        """Of each of `batch` sequences at `context` tokens, by length of the draft; 0 is plain."""
        drafts = np.asarray(length, dtype=np.float64)
        judged = step_arrays(self.target, drafts[..., None] + 1, context, batch).seconds
        drafted = drafts * step_arrays(self.draft, 1, context, batch).seconds
        return (drafted + judged) / tokens_per_call(self.acceptance, drafts)

    def round(self, length: int, context: float, batch: float) -> Usage:
        """What one round of all `batch` sequences uses: `length` draft steps and a target pass."""
        said = batch * float(tokens_per_call(self.acceptance, length))
        judged = step_arrays(self.target, length + 1, context, batch)
        drafted = step_arrays(self.draft, 1, context, batch)
        plain = usage_of(self.target, judged, tokens_in=0, tokens_out=said)
        return plain + length * usage_of(self.draft, drafted, tokens_in=0, tokens_out=0)

    def speedup(self, length: ArrayLike, context: float, batch: float) -> Array:
        """Times faster than the target alone."""
        alone = self.seconds_per_token(0, context, batch)
        return np.asarray(alone / self.seconds_per_token(length, context, batch))

    def fastest_length(self, context: float, batch: float, longest: int = LONGEST) -> int:
        """The fastest length of a draft, 0 where no speculation is faster."""
        lengths = np.arange(longest + 1)
        return int(np.argmin(self.seconds_per_token(lengths, context, batch)))
