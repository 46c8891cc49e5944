"""From the relaxed plan to the best whole one: few items need to deviate, find which.

Write lambda for the price, B for the limit. A plan's distance to the dual bound is exactly

    lambda * (B - spent) + sum over items of loss,
    loss = max_k (v_k - lambda c_k) - (v_j - lambda c_j)  of the item's option j,

so once some plan is within G of the bound, an option with loss >= G is in no better plan. What is
left (the core) is searched first for one change, then two, then, with a dynamic programme over
the core, for all. The programme drops states only when they can't win, or when there are too many:
then it remembers the least that a dropped state could have lost, and the bound stays proven.
(Pisinger's core idea for this knapsack, EJOR 83, 1995; the search order and bounds are ours.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bursar.allocate.base import Choice, Floats
from bursar.allocate.dual import Relaxed, bound_at, chunks

_CORE = 100_000  # deviations kept
_WIDTH = 20_000  # states kept
_STEP_WORK = 500  # what one step of the programme costs, in states
_TRIES = 16  # states within rounding of the limit that are summed again, per step
_ROUNDING = 1e-12
_EXACT = 2.0**53  # sums of whole numbers below this are exact


@dataclass(frozen=True, slots=True)
class Deviations:
    """Options other than the relaxed plan's: for each the item, what it loses, costs and gains."""

    item: Choice
    option: Choice
    loss: Floats
    cost: Floats
    """Cost above the relaxed plan's option."""

    def __len__(self) -> int:
        return len(self.item)

    def take(self, index: Choice) -> Deviations:
        """Those at `index`."""
        return Deviations(self.item[index], self.option[index], self.loss[index], self.cost[index])


class Core:
    """The best plan found so far near a relaxed plan, and what is proven about all others."""

    def __init__(self, values: Floats, costs: Floats, limit: float, relaxed: Relaxed) -> None:
        self.values, self.costs = values, costs
        cost_unit = common_unit(costs) if limit < _EXACT else 0.0
        self.limit = limit = limit // cost_unit * cost_unit if cost_unit else limit
        self.value_unit = common_unit(values)
        """Plans differ in value by a multiple of this; 0 when nothing is known."""
        self.margin = 0.0
        """A better plan is nearer than `best` by more than this."""
        self.price, self.start = relaxed.price, relaxed.choice
        self.spent = costs[np.arange(len(values)), self.start]
        self.slack = limit - float(np.sum(self.spent))
        self.best = self.price * self.slack
        """G: the smallest distance to the dual bound of a plan found."""
        self.dropped = np.inf
        """No plan dropped unseen is nearer to the dual bound than this."""
        self.changes = np.empty((0, 2), dtype=np.int64)
        """(changes, 2): the best plan as (item, option) changes to the relaxed one."""
        self.dual = bound_at(values, costs, self.limit, self.price)
        self.nearly = 0.0 if cost_unit else 1e-14 * limit
        """Spends this close to the limit are summed again, in the order of the items."""

    def solve(self, target_gap: float, max_states: int) -> tuple[Choice, float]:
        """The best plan's choice, and a bound on the value of every plan."""
        rounding = _ROUNDING * (abs(self.dual) + self.price * self.limit)
        self.margin = max(rounding, self.value_unit - rounding)
        enough = max(self.margin, target_gap * abs(self.dual - self.best))
        core = self._collect(enough)
        if self.best > enough:
            core = self._pairs(core)
        if self.best > enough:
            self._search(core, enough, max_states)
        else:
            self.dropped = 0.0  # good enough, but nothing is proven beyond the dual bound
        choice = self.start.copy()
        choice[self.changes[:, 0]] = self.changes[:, 1]
        possible = self.best - max(0.0, min(self.best - rounding, self.dropped))
        if possible <= self.margin and self.value_unit:
            possible = 0.0  # less than one unit of value: none
        return choice, self.dual - self.best + possible

    def _collect(self, enough: float) -> Deviations:
        """All deviations that may be in a better plan; takes the best single one on the way."""
        none = np.empty(0, dtype=np.int64)
        found = Deviations(none, none, np.empty(0), np.empty(0))
        for part in chunks(len(self.values)):
            if self.best <= enough:
                break
            net = self.values[part] - self.price * self.costs[part]
            loss = net.max(axis=1, keepdims=True) - net
            start = self.start[part]
            loss[np.arange(len(start)), start] = np.inf
            rows, option = np.nonzero(loss < self.best)
            item = rows + part.start
            cost = self.costs[item, option] - self.spent[item]
            new = Deviations(item, option, loss[rows, option], cost)
            found = Deviations(
                *(np.concatenate([getattr(d, n) for d in (found, new)]) for n in new.__slots__)
            )
            self._single(new)
            if len(found) > 4 * _CORE:
                found = self._reduce(found)
        return self._reduce(found)

    def _reduce(self, core: Deviations) -> Deviations:
        """Without what can't win any more; the least lossy when still too many."""
        core = core.take(np.flatnonzero((core.loss < self.best - self.margin) & (core.cost != 0)))
        if len(core) > _CORE:
            order = np.argpartition(core.loss, _CORE)
            self.dropped = min(self.dropped, float(core.loss[order[_CORE]]))
            core = core.take(np.sort(order[:_CORE]))
        return core

    def _single(self, core: Deviations) -> None:
        fits = np.flatnonzero(core.cost <= self.slack - self.nearly)
        if len(fits):
            left = core.loss[fits] + self.price * (self.slack - core.cost[fits])
            self._take(float(left.min()), core, fits[[left.argmin()]])

    def _pairs(self, core: Deviations) -> Deviations:
        """Takes the best two deviations: for each, its best partner among those that still fit."""
        core = self._reduce(core)
        if len(core):
            core = core.take(np.argsort(core.cost, kind="stable"))
            gain = self.price * core.cost - core.loss
            top = np.maximum.accumulate(gain)
            partner = np.maximum.accumulate(np.where(gain == top, np.arange(len(core)), 0))
            room = self.slack - self.nearly - core.cost
            fits = np.searchsorted(core.cost, room, side="right") - 1
            partner = partner[np.maximum(fits, 0)]
            ok = (fits >= 0) & (core.item[partner] != core.item)
            left = self.price * self.slack - gain - gain[partner]
            if ok.any():
                one = int(np.where(ok, left, np.inf).argmin())
                self._take(float(left[one]), core, np.array([one, partner[one]]))
        return self._reduce(core)

    def _take(self, distance: float, core: Deviations, index: Choice) -> None:
        if distance < self.best:
            self.best = max(0.0, distance)
            self.changes = np.stack([core.item[index], core.option[index]], axis=1)

    def _fits(self, core: Deviations, index: Choice) -> bool:
        spent = self.spent.copy()
        spent[core.item[index]] = self.costs[core.item[index], core.option[index]]
        return float(np.sum(spent)) <= self.limit

    def _search(self, core: Deviations, enough: float, max_states: int) -> None:
        """Dynamic programme over the core's items, those nearest to the price first."""
        if not len(core):
            return
        groups, nearest = _by_item(core)
        left, loss = np.array([self.slack]), np.zeros(1)
        least = loss
        history: list[tuple[Choice, Choice]] = []
        states = 0
        for number, group in enumerate(groups):
            came = np.tile(np.arange(len(left)), len(group) + 1)
            used = np.repeat(np.concatenate([[-1], group]), len(left))
            left = np.concatenate([left, *(left - core.cost[g] for g in group)])
            loss = np.concatenate([loss, *(loss + core.loss[g] for g in group)])
            history.append((came, used))
            states += len(left) + _STEP_WORK
            self._take_best_state(core, left, loss, history)
            # What is still to come moves the spend at a loss of at least `rate` per unit.
            rate = nearest[number + 1] if number + 1 < len(groups) else np.inf
            least = loss + _times(np.maximum(left, 0.0), min(self.price, rate))
            least += _times(np.maximum(-left - self.nearly, 0.0), rate)
            keep = np.flatnonzero(least < self.best - self.margin)
            keep = keep[_undominated(left[keep], loss[keep] + self.price * left[keep])]
            if len(keep) > _WIDTH:
                order = np.argpartition(least[keep], _WIDTH)
                self.dropped = min(self.dropped, float(least[keep[order[_WIDTH]]]))
                keep = keep[order[:_WIDTH]]
            left, loss, least = left[keep], loss[keep], least[keep]
            history[-1] = (came[keep], used[keep])
            if not len(keep) or self.best <= enough or states > max_states:
                break
        if len(left):
            self.dropped = min(self.dropped, float(least.min()))

    def _take_best_state(
        self, core: Deviations, left: Floats, loss: Floats, history: list[tuple[Choice, Choice]]
    ) -> None:
        """The best affordable state becomes the plan, if it is better."""
        distance = loss + self.price * np.maximum(left, 0.0)
        better = np.flatnonzero((left >= -self.nearly) & (distance < self.best))
        for state in better[np.argsort(distance[better], kind="stable")[:_TRIES]]:
            index, at = [], int(state)
            for came, used in reversed(history):
                if used[at] >= 0:
                    index.append(int(used[at]))
                at = int(came[at])
            changes = np.array(index, dtype=np.int64)
            if left[state] > self.nearly or self._fits(core, changes):
                self._take(float(distance[state]), core, changes)
                return


def common_unit(amounts: Floats) -> float:
    """The largest whole number that divides all (finite) `amounts`; 0 when some are fractions."""
    amounts = amounts.ravel()
    unit = 0
    for end in (1_000, len(amounts)):  # most often the first thousand tell
        some = amounts[:end]
        some = some[np.isfinite(some)]
        if (np.abs(some) > _EXACT).any() or (some != np.rint(some)).any():
            return 0.0
        unit = int(np.gcd.reduce(some.astype(np.int64)))
    return float(unit)


def _by_item(core: Deviations) -> tuple[list[Choice], list[float]]:
    """Deviations grouped by item, and each item's smallest loss per unit of cost, ascending."""
    rate = core.loss / np.abs(core.cost)
    order = np.argsort(core.item, kind="stable")
    starts = np.flatnonzero(np.diff(core.item[order], prepend=-1))
    nearest = np.minimum.reduceat(rate[order], starts)
    groups = np.split(order, starts[1:])
    ranked = np.argsort(nearest, kind="stable")
    return [groups[r] for r in ranked], nearest[ranked].tolist()


def _undominated(left: Floats, worse: Floats) -> Choice:
    """Indices of states such that no other has as much left and is at least as good."""
    order = np.lexsort((worse, -left))
    ahead = np.minimum.accumulate(np.concatenate([[np.inf], worse[order][:-1]]))
    return order[worse[order] < ahead]


def _times(amount: Floats, rate: float) -> Floats:
    """amount * rate, where nothing at an infinite rate is nothing."""
    return (
        np.where(amount > 0, amount, 0.0) * rate
        if rate < np.inf
        else np.where(amount > 0, rate, 0.0)
    )
