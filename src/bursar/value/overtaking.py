"""What more attempts would do to a vote: the chance that the right answer comes to lead it.

Given the rate p at which an arm finds the right answer, the lead over the strongest rival is a walk
of +1 with probability p and -1 with (1 - p) times the rival's share of wrong answers: exact up to
`EXACT` attempts, by a normal law beyond. All rows at once; of a row's rate only its law on the grid
is needed, so that the exact part is one product of matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import comb

import numpy as np
from scipy.special import ndtr

from bursar.value.arm_difficulty import RATES
from bursar.value.base import Floats, Ints

EXACT = 4


def overtake(rate: Floats, lead: Floats, share: Floats, counts: Sequence[int]) -> Floats:
    """(rows, len(counts)): P(lead + X - Y > 0), a tie counting half, where of m more attempts X
    fall on the right answer and Y on the rival.

    `rate` (rows, grid of `RATES`) is the law of p; `share` (rows,) the rival's of wrong answers.
    """
    few = tuple(m for m in counts if m <= EXACT)
    many = np.array([m for m in counts if m > EXACT], dtype=np.float64)
    out = np.empty((len(lead), len(counts)))
    if few:
        out[:, [m <= EXACT for m in counts]] = _exact(rate, lead, share, few)
    if len(many):
        step = RATES - (1 - RATES) * share[:, None]
        variance = np.maximum(RATES + (1 - RATES) * share[:, None] - step**2, 1e-4)
        mean = lead[:, None, None] + many[:, None] * step[:, None, :]
        z = mean / np.sqrt(many[:, None] * variance[:, None, :] + 0.05)
        out[:, [m > EXACT for m in counts]] = np.einsum("rg,rmg->rm", rate, ndtr(z))
    return out


@dataclass(frozen=True, slots=True, eq=False)
class _Ways:
    """Every (attempts m, X = x, Y = y), one term each; the powers of p are in `of_rate`."""

    of_rate: Floats
    """(grid, splits): P(x of m right), one column per (m, x)."""
    split: Ints
    y: Ints
    rest: Ints
    step: Ints
    """x - y."""
    into: Floats
    """(terms, counts): ways to choose the y, in the column of m."""


@cache
def _ways(counts: tuple[int, ...]) -> _Ways:
    splits = [(m, x) for m in counts for x in range(m + 1)]
    terms = [(s, m, x, y) for s, (m, x) in enumerate(splits) for y in range(m - x + 1)]
    into = np.zeros((len(terms), len(counts)))
    for t, (_, m, x, y) in enumerate(terms):
        into[t, counts.index(m)] = comb(m - x, y)
    return _Ways(
        np.stack([comb(m, x) * RATES**x * (1 - RATES) ** (m - x) for m, x in splits], axis=1),
        np.array([s for s, *_ in terms]),
        np.array([y for *_, y in terms]),
        np.array([m - x - y for _, m, x, y in terms]),
        np.array([x - y for *_, x, y in terms]),
        into,
    )


def _exact(rate: Floats, lead: Floats, share: Floats, counts: tuple[int, ...]) -> Floats:
    ways = _ways(counts)
    powers = np.arange(max(counts) + 1)
    to_rival, elsewhere = share[:, None] ** powers, (1 - share)[:, None] ** powers
    # part of a vote counts in part
    ahead = np.clip(2 * (lead[:, None] + ways.step) + 0.5, 0.0, 1.0)
    chance = (rate @ ways.of_rate)[:, ways.split] * to_rival[:, ways.y] * elsewhere[:, ways.rest]
    return np.asarray((chance * ahead) @ ways.into)
