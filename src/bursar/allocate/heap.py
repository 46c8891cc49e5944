"""Knapsack RL: rollouts per prompt by marginal value, from a heap, where value is concave.

Paper: Ziniu Li et al., "Knapsack RL: Unlocking Exploration of LLMs via Optimizing Budget
    Allocation", 2025, arXiv:2509.25849; the knapsack over (prompt, rollouts) and its value.
Symbols: N -> rollouts; p -> success_rate; N_low -> least; N_up -> most; B -> budget.
Differs: a heap on marginal value instead of the dynamic programme: the value is concave in N, so
    both give the same total (tested); prompts never seen get `least` and share what is left over.
Checked: tests/papers/test_knapsack_rl.py: more prompts with a gradient and a higher reward than
    uniform at equal rollouts, gone when the success rates are shuffled; equals the programme.
Seed: 13
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bursar.allocate.base import Floats, Limit, Options
from bursar.allocate.dual import bound_at, cheapest, finite_costs
from bursar.errors import BadInput, Infeasible
from bursar.plan import Plan
from bursar.price import Price


@dataclass(frozen=True, slots=True)
class Greedy:
    """What `heap_allocate` bought: steps per item, what they cost, and the price."""

    steps: NDArray[np.int64]
    spent: float
    price: float
    """Gain per cost of the first step that was not bought; 0 when all were."""


def heap_allocate(
    gain: Callable[[int, int], float],
    cost: Callable[[int, int], float],
    most: NDArray[np.int64],
    budget: float,
) -> Greedy:
    """Buys steps by falling gain per cost until the next one does not fit.

    `gain(item, step)` and `cost(item, step)` of an item's steps 0, 1, ... up to `most[item]`;
    gain per cost must fall with the step (concave values), then with equal costs the result is
    optimal, and else within one step of it. Steps without gain are not bought. Ties go to the
    lower item. O(steps log items).
    """
    steps = np.zeros(len(most), dtype=np.int64)
    heap: list[tuple[float, int, float]] = []

    def offer(item: int) -> None:
        step = int(steps[item])
        if step < most[item] and (more := gain(item, step)) > 0:
            price = cost(item, step)
            heapq.heappush(heap, (-more / price if price > 0 else -math.inf, item, price))

    for item in range(len(most)):
        offer(item)
    spent = 0.0
    while heap:
        rate, item, price = heap[0]
        if spent + price > budget:
            return Greedy(steps, spent, -rate)
        heapq.heappop(heap)
        spent += price
        steps[item] += 1
        offer(item)
    return Greedy(steps, spent, 0.0)


@dataclass(frozen=True, slots=True)
class HeapAllocator:
    """For one resource and values concave in the cost; see `Allocator`.

    Exact when all steps cost the same; else it stops at the first step that does not fit, and the
    gap says what that lost. Raises `BadInput` for an item whose values are not concave.
    """

    def allocate(self, options: Options, limit: Limit) -> Plan:
        """See `Allocator.allocate`."""
        costs = options.one_resource("heap")
        limits = options.limits(limit)
        amount = limits[options.resources[0]]
        order = np.lexsort((options.values, costs), axis=1)
        value = np.take_along_axis(options.values, order, axis=1)
        cost = np.take_along_axis(costs, order, axis=1)
        start = _first_column(cheapest(options.values, finite_costs(costs)), order)
        gain, price = _steps(value, cost)
        spent = float(np.sum(cost[:, 0]))
        most = np.isfinite(value).sum(axis=1) - 1 - start
        found = heap_allocate(
            lambda item, step: float(gain[item, start[item] + step]),
            lambda item, step: float(price[item, start[item] + step]),
            most,
            amount - spent,
        )
        items = np.arange(len(options))
        steps = found.steps
        while float(np.sum(cost[items, start + steps])) > amount:  # the sum was rounded up
            steps[np.flatnonzero(steps)[-1]] -= 1
        choice = order[items, start + steps]
        bound = bound_at(options.values, finite_costs(costs), amount, found.price)
        return options.plan(
            choice, limits, Price({options.resources[0]: found.price}), bound, "heap"
        )


def nonzero_gradient(rollouts: ArrayLike, success_rate: ArrayLike) -> Floats:
    """P(a group of N rollouts holds both a right and a wrong one) = 1 - p^N - (1-p)^N."""
    n, p = np.asarray(rollouts, dtype=np.float64), np.asarray(success_rate, dtype=np.float64)
    return np.where(n > 0, 1 - p**n - (1 - p) ** n, 0.0)


def rollout_value(rollouts: ArrayLike, success_rate: ArrayLike) -> Floats:
    """Value(N, p) = P(non-zero gradient) * p (1-p)^2, the second factor being what it teaches."""
    p = np.asarray(success_rate, dtype=np.float64)
    return nonzero_gradient(rollouts, p) * p * (1 - p) ** 2


def needed_rollouts(success_rate: ArrayLike, confidence: float = 0.9) -> Floats:
    """ln(1 - confidence) / ln(max(p, 1-p)): rollouts until both outcomes are likely seen."""
    p = np.asarray(success_rate, dtype=np.float64)
    needed: Floats = np.log(1 - confidence) / np.log(np.maximum(p, 1 - p))
    return needed


def allocate_rollouts(
    success_rate: ArrayLike, budget: int, *, least: int = 2, most: int = 128
) -> NDArray[np.int64]:
    """Rollouts per prompt, each between `least` and `most`, summing to at most `budget`.

    `success_rate` (prompts,) as seen so far, NaN where a prompt was never tried. Prompts at 0 or 1
    promise no gradient and get `least`. What is beyond the `needed_rollouts` of all others
    together goes evenly to the prompts at 0, then to the never tried and those at 1, and only then
    back to the others.
    Raises `BadInput` for rates outside [0, 1], `Infeasible` when `least` for all is over budget.
    """
    rate = np.asarray(success_rate, dtype=np.float64)
    if ((rate < 0) | (rate > 1)).any():
        raise BadInput("success rates must lie between 0 and 1 (NaN: never tried)")
    if not 1 <= least <= most:  # from 0 to 1 rollout nothing is gained: concave only from 1 on
        raise BadInput(f"least {least} and most {most} rollouts: 1 <= least <= most must hold")
    if least * len(rate) > budget:
        raise Infeasible(
            f"{least} rollouts for each of {len(rate)} prompts need {least * len(rate)}, "
            f"{least * len(rate) - budget} more than the budget of {budget}"
        )
    between = np.flatnonzero((rate > 0) & (rate < 1))
    needed = np.clip(np.ceil(needed_rollouts(rate[between])), least, most)
    spare = budget - least * len(rate)
    wanted = min(spare, int(needed.sum()) - least * len(between))
    rollouts = np.full(len(rate), least, dtype=np.int64)
    rollouts[between] = _by_value(rate[between], wanted + least * len(between), least, most)
    spare -= wanted
    for group in (rate == 0, np.isnan(rate), rate == 1):
        index = np.flatnonzero(group)
        rollouts[index] += _evenly(spare, len(index), most - least)
        spare = budget - int(rollouts.sum())
    rollouts[between] = _by_value(rate[between], int(rollouts[between].sum()) + spare, least, most)
    return rollouts


def _by_value(rate: Floats, budget: int, least: int, most: int) -> NDArray[np.int64]:
    """The knapsack: `budget` rollouts over prompts with rates strictly between 0 and 1."""
    counts = np.arange(least, most + 1)
    gain = np.diff(rollout_value(counts, rate[:, None]), axis=1)
    found = heap_allocate(
        lambda item, step: float(gain[item, step]),
        lambda item, step: 1.0,
        np.full(len(rate), most - least),
        budget - least * len(rate),
    )
    return least + found.steps


def _evenly(amount: int, parts: int, most: int) -> NDArray[np.int64]:
    """`amount` in `parts` whole shares that differ by at most one, each at most `most`."""
    each = np.full(parts, amount // max(parts, 1), dtype=np.int64)
    each[: amount % max(parts, 1)] += 1
    return np.minimum(each, most)


def _first_column(choice: NDArray[np.int64], order: NDArray[np.int64]) -> NDArray[np.int64]:
    """(items,) where each item's cheapest (most valuable) option stands in `order`."""
    first: NDArray[np.int64] = np.argmax(order == choice[:, None], axis=1)
    return first


def _steps(value: Floats, cost: Floats) -> tuple[Floats, Floats]:
    """Gain and cost (items, options - 1) of each step; raises `BadInput` when not concave."""
    real = np.isfinite(value[:, 1:])
    gain = np.subtract(value[:, 1:], value[:, :-1], out=np.zeros(real.shape), where=real)
    price = np.subtract(cost[:, 1:], cost[:, :-1], out=np.zeros(real.shape), where=real)
    ahead, behind = gain[:, 1:] * price[:, :-1], gain[:, :-1] * price[:, 1:]
    slack = 1e-9 * (np.abs(ahead) + np.abs(behind))
    bent = (ahead > behind + slack) & (price[:, :-1] > 0)
    if bent.any():
        item = int(bent.any(axis=1).argmax())
        raise BadInput(f"the values of item {item} are not concave in its costs: use hull")
    return gain, price
