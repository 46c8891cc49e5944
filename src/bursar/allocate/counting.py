"""A sharper bound: what is counted is whole, so either at most k or at least k + 1.

Where value = cost + a constant per item served, the relaxation serves a fraction of an item, no
whole plan can follow, and the dual bound stays above the optimum by up to one constant. A count of
integers over the options (items that spend beyond their cheapest option) splits all plans in two
halves, count <= k and count >= k + 1. Each half is bounded by pricing the count as well
(Lagrange); the larger of both bounds holds for every plan.
"""

from __future__ import annotations

import numpy as np

from bursar.allocate.base import Floats
from bursar.allocate.dual import Relaxed, bound_at, solve_relaxed

_STEPS = 40
_ROUNDING = 1e-13


def counted_bound(values: Floats, costs: Floats, limit: float, reached: float) -> float:
    """With `reached`, a bound: no plan is worth more than the larger; inf if counting is no help.

    `values`, `costs` (items, options), costs finite; `reached` is the value of a known plan, below
    which a half need not be bounded.
    """
    counts = (
        (costs > costs.min(axis=1, keepdims=True)).astype(np.float64),
        np.argsort(np.argsort(costs, axis=1, kind="stable"), axis=1).astype(np.float64),
    )
    start = solve_relaxed(values, costs, limit)
    bound = np.inf
    for count in counts:
        total = _count(count, start)
        if total == np.floor(total):
            continue
        halves = [
            _half(values, costs, limit, sign * count, sign * whole, reached)
            for sign, whole in ((1.0, np.floor(total)), (-1.0, np.ceil(total)))
        ]
        bound = min(bound, max(halves))
    return bound + _ROUNDING * abs(bound)


def _half(
    values: Floats, costs: Floats, limit: float, count: Floats, at_most: float, reached: float
) -> float:
    """The least bound over prices of the count, for plans whose count is `at_most`.

    The bound is convex and piecewise linear in that price: from a point where it falls and one
    where it rises, try where the two tangents meet.
    """

    def at(price: float) -> tuple[float, float, float]:
        relaxed = solve_relaxed(values - price * count, costs, limit)
        bound = bound_at(values - price * count, costs, limit, relaxed.price) + price * at_most
        return price, bound, at_most - _count(count, relaxed)

    left = at(0.0)
    best, price = left[1], max(left[1] - reached, 1e-12 * abs(reached), 1e-300)
    right = None
    for _ in range(_STEPS):
        point = at(price)
        best = min(best, point[1])
        if best <= reached or point[2] == 0:
            break
        left, right = (point, right) if point[2] < 0 else (left, point)
        if right is None:
            price *= 4
            continue
        price = (right[1] - left[1] + left[2] * left[0] - right[2] * right[0]) / (
            left[2] - right[2]
        )
        if not left[0] < price < right[0]:
            break
    return best


def _count(count: Floats, relaxed: Relaxed) -> float:
    """The count of the relaxation's plan, with the fraction of the item it splits."""
    total = float(np.sum(count[np.arange(len(count)), relaxed.choice]))
    if relaxed.part:
        step = count[relaxed.item, relaxed.option]
        total += relaxed.part * float(step - count[relaxed.item, relaxed.choice[relaxed.item]])
    return total
