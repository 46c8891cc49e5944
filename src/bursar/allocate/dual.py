"""The relaxed knapsack, where an item may be split: its price, its plan, its bound.

At a price every item on its own takes the option with the largest value - price * cost. The total
spent then falls as the price rises, and the price at which it crosses the limit is the dual of the
relaxation; price * limit + sum(value - price * cost) bounds every plan (weak duality), at any
price >= 0. Between two prices only items whose best option differs are still open, so the bracket
is narrowed on a small sample first; hulls are built for what is left open.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bursar.allocate.base import Choice, Floats, Options
from bursar.price import Price

_CHUNK = 16_384  # rows: a block of 8 options in float64 stays in the L2 cache
_SAMPLE = 4_096
_SPREAD = 4.0  # standard deviations of the sampled spend that the bracket leaves on each side
_FEW_OPEN = 20_000


@dataclass(frozen=True, slots=True)
class Relaxed:
    """`choice` is affordable and optimal but for one item's step, whose slope is `price`."""

    price: float
    choice: Choice
    item: int = 0
    option: int = 0
    part: float = 0.0
    """The relaxation also takes this part of the step of `item` to `option`; 0 to 1."""


@dataclass(frozen=True, slots=True)
class Steps:
    """Steps along the items' hulls: per step the row, the option it leads to, and its slope."""

    row: Choice
    option: Choice
    cost: Floats
    slope: Floats


def chunks(count: int) -> Iterator[slice]:
    """Slices that cover range(count), each small enough for the cache."""
    return (slice(start, start + _CHUNK) for start in range(0, count, _CHUNK))


def at_price(values: Floats, costs: Floats, price: float) -> Choice:
    """(items,) the option with the largest value - price * cost."""
    choice = np.empty(len(values), dtype=np.int64)
    for part in chunks(len(values)):
        net = costs[part] * -price
        net += values[part]
        net.argmax(axis=1, out=choice[part])
    return choice


def cheapest(values: Floats, costs: Floats) -> Choice:
    """(items,) the cheapest option, of equals the most valuable: the choice at a price of inf."""
    return _first_by(-costs, values)


def richest(values: Floats, costs: Floats) -> Choice:
    """(items,) the most valuable option, of equals the cheapest: the choice at a price of 0."""
    return _first_by(values, -costs)


def hull_steps(values: Floats, costs: Floats, start: Choice, most: Floats) -> Steps:
    """The steps along the upper concave hull of each row, from `start` up to the cost `most`.

    A row's steps appear in order, with falling slope. All rows walk at once (gift wrapping): the
    next vertex is the one seen under the steepest slope.
    """
    row = np.arange(len(values))
    at = start
    previous = np.full(len(values), np.finfo(np.float64).max)
    found: list[Steps] = []
    while len(row):
        here = np.arange(len(row)), at
        gain = values - values[here][:, None]
        cost = costs - costs[here][:, None]
        slope = np.zeros_like(gain)
        with np.errstate(over="ignore"):
            np.divide(
                gain, cost, out=slope, where=(gain > 0) & (cost > 0) & (costs <= most[:, None])
            )
        to = slope.argmax(axis=1)
        steepest = slope[here[0], to]
        alive = steepest > 0
        steepest = np.minimum(steepest, previous)  # rounding must not put a later step first
        found.append(
            Steps(row[alive], to[alive], cost[here[0], to][alive], steepest[alive]),
        )
        row, at, previous = row[alive], to[alive], steepest[alive]
        values, costs, most = values[alive], costs[alive], most[alive]
    if not found:
        none, zero = np.empty(0, dtype=np.int64), np.empty(0)
        return Steps(none, none, zero, zero)
    return Steps(*(np.concatenate([getattr(f, n) for f in found]) for n in Steps.__slots__))


def solve_relaxed(values: Floats, costs: Floats, limit: float) -> Relaxed:
    """Price and affordable plan of the relaxation.

    `values`, `costs`: (items, options), costs finite, the cheapest options within `limit`.
    """
    low, high = cheapest(values, costs), richest(values, costs)
    every = np.arange(len(values))
    if float(np.sum(costs[every, high])) <= limit:
        return Relaxed(0.0, high)
    low, high = _narrow(values, costs, limit, low, high)
    opened = np.flatnonzero(low != high)
    value, cost = values[opened], costs[opened]
    steps = hull_steps(value, cost, low[opened], costs[opened, high[opened]])
    order = np.argsort(-steps.slope, kind="stable")
    spent = float(np.sum(costs[every, low])) + np.cumsum(steps.cost[order])
    split = int(np.searchsorted(spent, limit, side="right"))
    choice = low.copy()
    for taken in range(split, -1, -1):  # once, unless rounding in the sum passes the limit
        kept = order[:taken]
        choice[opened] = _last_step(low[opened], steps, kept)
        if float(np.sum(costs[every, choice])) <= limit:
            break
    if split == len(order):
        return Relaxed(float(steps.slope[order[-1]]) if split else 0.0, choice)
    step = order[split]
    left = limit - float(np.sum(costs[every, choice]))
    return Relaxed(
        float(steps.slope[step]),
        choice,
        int(opened[steps.row[step]]),
        int(steps.option[step]),
        float(np.clip(left / steps.cost[step], 0.0, 1.0)),
    )


def bound_at(values: Floats, costs: Floats, limit: float, price: float) -> float:
    """price * limit + sum of max(value - price * cost): no plan within the limit is worth more."""
    best = np.empty(len(values))
    for part in chunks(len(values)):
        net = costs[part] * -price
        net += values[part]
        net.max(axis=1, out=best[part])
    return price * limit + float(np.sum(best))


def finite_costs(costs: Floats) -> Floats:
    """Padding at a finite cost, so that price * cost is a number; its value rules it out anyway."""
    finite = np.isfinite(costs)
    return costs if finite.all() else np.where(finite, costs, costs[finite].max(initial=0.0))


def _narrow(
    values: Floats, costs: Floats, limit: float, low: Choice, high: Choice
) -> tuple[Choice, Choice]:
    """Choices at two prices, one affordable and one not, that differ for few items."""
    rng = np.random.default_rng(0)  # a fixed seed: the same options give the same plan
    every = np.arange(len(values))
    opened = np.flatnonzero(low != high)
    while len(opened) > _FEW_OPEN:
        settled = float(np.sum(costs[every, low])) - float(np.sum(costs[opened, low[opened]]))
        sample = opened[rng.integers(0, len(opened), _SAMPLE)]
        prices = _sample_bracket(
            values[sample],
            costs[sample],
            low[sample],
            costs[sample, high[sample]],
            (limit - settled) * (_SAMPLE / len(opened)),
        )
        value, cost = (
            (values, costs) if len(opened) == len(every) else (values[opened], costs[opened])
        )
        rows = np.arange(len(opened))
        for price in prices:
            choice = at_price(value, cost, price)
            spent = settled + float(np.sum(cost[rows, choice]))
            (low if spent <= limit else high)[opened] = choice
        still = np.flatnonzero(low != high)
        if len(still) > 0.7 * len(opened):
            break
        opened = still
    return low, high


def _sample_bracket(
    values: Floats, costs: Floats, start: Choice, most: Floats, limit: float
) -> list[float]:
    """Prices at which the sample spends a little less and a little more than its `limit`."""
    steps = hull_steps(values, costs, start, most)
    order = np.argsort(-steps.slope, kind="stable")
    first = costs[np.arange(len(start)), start]
    spent = float(np.sum(first)) + np.cumsum(steps.cost[order])
    split = int(np.searchsorted(spent, limit))
    bought = _last_step(start, steps, order[:split])
    noise = _SPREAD * float(np.std(costs[np.arange(len(start)), bought])) * np.sqrt(len(start))
    ends = np.searchsorted(spent, [limit - noise, limit + noise])
    return [float(steps.slope[order[end]]) for end in ends if 0 < end < len(order)]


def _last_step(start: Choice, steps: Steps, kept: NDArray[np.int64]) -> Choice:
    """Where each row ends after the steps `kept`, which hold a row's steps in order."""
    choice = start.copy()
    choice[steps.row[kept]] = steps.option[kept]  # numpy keeps the last of repeated indices
    return choice


def _first_by(major: Floats, minor: Floats) -> Choice:
    """(items,) the option with the largest `major`, of equals the largest `minor`."""
    choice = np.empty(len(major), dtype=np.int64)
    for part in chunks(len(major)):
        best = major[part].max(axis=1, keepdims=True, initial=-np.inf)
        np.where(major[part] == best, minor[part], -np.inf).argmax(axis=1, out=choice[part])
    return choice


def tightest(options: Options, limits: Mapping[str, float]) -> tuple[Price, float]:
    """The dual of the limit that binds hardest when it is alone, and its bound on every plan.

    With one resource this is the relaxation's price; with several, dropping all limits but one
    can only help, so the bound holds, though it is not the best one.
    """
    best = Price(), np.inf
    for costs, name in zip(options.costs, options.resources, strict=True):
        finite = finite_costs(costs)
        price = solve_relaxed(options.values, finite, limits[name]).price
        bound = bound_at(options.values, finite, limits[name], price)
        if bound < best[1]:
            best = Price({name: price}), bound
    return best
