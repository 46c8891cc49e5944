"""Which of the draws from a draft's distribution the target keeps, so that what is said is its own.

For one draw it is speculative sampling; a draw that is refused leaves the part of the target's
distribution that the draft did not cover, from which the next draw is judged, and the last token
is taken when all are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from bursar.backends.speculative.tree import Doubles


class Verdict(NamedTuple):
    """The token that is said, and the place of the draw it was, None when all were refused."""

    token: int
    place: int | None


Rule = Callable[[Doubles, Doubles, Sequence[int], np.random.Generator], Verdict]
"""(draft's log-probabilities (vocab,), target's probabilities (vocab,), tokens drawn in order)"""


def one_by_one(
    log_p: Doubles, q: Doubles, drawn: Sequence[int], rng: np.random.Generator
) -> Verdict:
    """Independent draws, each judged by what the refused ones before it left (SpecInfer)."""
    p = np.exp(log_p)
    for place, token in enumerate(drawn):
        if rng.random() * p[token] < q[token]:
            return Verdict(token, place)
        q = _rest(q, p)
    return Verdict(draw(q, rng), None)


def without_replacement(
    log_p: Doubles, q: Doubles, drawn: Sequence[int], rng: np.random.Generator
) -> Verdict:
    """Draws without replacement: each is judged by the draft's distribution without those before
    it, and by what they left of the target's (recursive rejection sampling).
    """
    log_p = log_p.copy()
    for place, token in enumerate(drawn):
        p = np.exp(log_p - log_p.max())  # in logs until here: what is left may be tiny
        p /= p.sum()
        if rng.random() * p[token] < q[token]:
            return Verdict(token, place)
        q = _rest(q, p)
        log_p[token] = -np.inf
    return Verdict(draw(q, rng), None)


def k_sequential(
    log_p: Doubles, q: Doubles, drawn: Sequence[int], rng: np.random.Generator
) -> Verdict:
    """Independent draws, all judged against the target's share 1 / rho (SpecTr, K-SEQ)."""
    p, k = np.exp(log_p), len(drawn)
    rho = _least_rho(p, q, k)
    shared = np.minimum(p, q / rho)
    for place, token in enumerate(drawn):
        if rng.random() * p[token] < q[token] / rho:
            return Verdict(token, place)
    accepts = shared.sum()
    covered = (1 - (1 - accepts) ** k) / accepts if accepts > 0 else 0.0
    return Verdict(draw(_rest(q, shared * covered), rng), None)


def draw(weights: Doubles, rng: np.random.Generator) -> int:
    """A token in proportion to its weight."""
    cumulative = np.cumsum(weights)
    return int(np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right"))


def _rest(q: Doubles, p: Doubles) -> Doubles:
    rest = np.maximum(q - p, 0.0)
    total = rest.sum()
    # nothing left: they are equal but for rounding, and a refusal was a rounding too
    return rest / total if total > 0 else q


def _least_rho(p: Doubles, q: Doubles, k: int) -> float:
    """Least rho in [1, k] at which what is accepted does not exceed the target anywhere."""
    low, high = 1.0, float(k)
    for _ in range(40):
        rho = (low + high) / 2
        accepts = np.minimum(p, q / rho).sum()
        if 1 - (1 - accepts) ** k <= rho * accepts:
            high = rho
        else:
            low = rho
    return high
