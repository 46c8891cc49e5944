"""The market of `auto`: every question, every arm and number of attempts, with what it would be
worth and cost now; kept up to date where something was bought, and divided by price.

All is in arrays over questions, so that deciding costs little beside what it decides about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bursar.allocate.base import Options
from bursar.allocate.dual import at_price, solve_relaxed
from bursar.allocate.hull import HullAllocator
from bursar.answer import Declined
from bursar.errors import BadInput
from bursar.reason.base import Arm, Bought, Pick, Work
from bursar.reason.belief import CostBelief, TaskBelief
from bursar.reason.kinds import Kinds, kinds_of, one_kind
from bursar.reason.profile import Profile, task_entry
from bursar.reason.search_arms import SEARCH_ARMS, with_searches
from bursar.reason.workbench import Workbench
from bursar.value.answer_belief import AnswerLaw

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
LADDER = (1, 2, 4, 8, 16, 32)
"""How many attempts an option may hold: one attempt more may buy nothing where four do."""
LEAST_GAIN = 1e-3
"""A plan's option must promise this much more P(right): less is noise of the belief."""
WASTE = 0.1
"""Most expected successes among checked attempts that are bought at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Intent:
    """What to buy, a row per question that something should be bought for, steepest first.

    `price` is that of the plan: a row's slope, right answers per unit, is no less.
    """

    question: Ints
    arm: Ints
    """Index into the market's arms."""
    at_once: Ints
    """How many of the planned attempts to buy before thinking again."""
    cost: Floats
    """Of one attempt."""
    slope: Floats
    price: float


class Move(NamedTuple):
    """One attempt to buy: its expected cost, and its part of what the plan is to gain."""

    question: int
    arm: Arm
    cost: float
    gain: float


@dataclass(slots=True)
class Market:
    """All questions, what is believed of them, and what more attempts cost and promise.

    Option 0 of a question is to buy nothing; then come every arm's numbers of attempts.
    """

    works: list[Work]
    bench: Workbench
    resources: tuple[str, ...]
    groups: list[Group]
    arms: tuple[Arm, ...]
    ladder: list[tuple[int, int]]
    """Of options 1, 2, ...: index of the arm, number of attempts."""
    values: Floats
    """(questions, options) P(right)."""
    each: Floats
    """(resources, questions, options) cost."""
    checked: Bools
    kind: Ints
    """(questions, 2): its group, and its kind there."""

    @classmethod
    def open(cls, works: list[Work], bench: Workbench, profile: Profile | None) -> Market:
        resources = bench.purse.limited
        if not resources:
            raise BadInput('auto needs a limit to plan with: give a budget such as "20k tokens"')
        groups, arms = [], bench.arms()
        for task in dict.fromkeys(w.question.task for w in works):
            rows = np.array([i for i, w in enumerate(works) if w.question.task == task])
            mine = [works[i] for i in rows]
            checked = bench.checker_at_hand(mine[0])
            models = tuple(b for b in bench.backends if b not in SEARCH_ARMS)
            known = profile.law(task, models) if profile else None
            start = with_searches(known or AnswerLaw.guess([0.0] * len(models)), bench.backends)
            sort = kinds_of if len(bench.backends) > 1 else one_kind
            kinds = sort([w.question for w in mine])
            belief = TaskBelief(mine, bench.backends, checked, start, kinds)
            can = np.ones((len(mine), len(arms)), dtype=np.bool_)
            groups.append(Group(rows, kinds, belief, CostBelief(mine, bench, resources), can))
        ladder = [(a, m) for a, arm in enumerate(arms) for m in _counts(arm)]
        shape = len(works), 1 + len(ladder)
        by_checker = np.zeros(len(works), dtype=np.bool_)
        kind = np.zeros((len(works), 2), dtype=np.int64)
        for g, group in enumerate(groups):
            by_checker[group.rows] = group.belief.checked
            kind[group.rows, 0], kind[group.rows, 1] = g, group.kinds.of
        market = cls(
            works, bench, resources, groups, arms, ladder,
            np.zeros(shape), np.zeros((len(resources), *shape)), by_checker, kind,
        )  # fmt: skip
        for group in groups:
            market._look(group, range(len(group.rows)), True)
        return market

    def any_known(self) -> bool:
        """Whether anything was tried yet: until then all costs are guesses, and no reason to buy
        nothing."""
        return any(w.attempts for w in self.works)

    def left(self) -> float:
        """What is left of the first limited resource; 0 when any of them has run out."""
        amounts = [self.bench.purse.left(r) for r in self.resources]
        return amounts[0] if min(amounts) > 0 else 0.0

    def learn(self) -> None:
        """Take in the attempts bought since."""
        for group in self.groups:
            fresh, relearned = group.belief.update()
            if fresh or relearned:
                group.cost.update(fresh)
                self._look(group, fresh, relearned)

    def learned(self, before: Profile | None) -> Profile:
        """What is known of the tasks now, on top of what was known `before`."""
        tasks = dict(before.tasks) if before else {}
        for group in self.groups:
            belief = group.belief
            law = belief.answers.law()
            tasks[belief.works[0].question.task] = task_entry(law, self.bench.backends)
        return Profile(tasks)

    def picks(self) -> list[Pick]:
        """The answer to each question that would be given now."""
        out: list[Pick] = [Pick(None, None)] * len(self.works)
        for group in self.groups:
            for row, pick in zip(group.rows.tolist(), group.belief.picks(), strict=True):
                out[row] = pick
        return out

    def offers(self, left: float) -> tuple[Floats, Floats]:
        """(questions, options): P(right), and cost in the first limited resource; with several
        limits, in the one of which it takes the largest share of what is left, converted."""
        if len(self.resources) == 1:
            return self.values, self.each[0]
        lefts = np.array([max(self.bench.purse.left(r), 1e-12) for r in self.resources])
        return self.values, np.max(self.each / lefts[:, None, None], axis=0) * left

    def plan(self, left: float, worth: float | None) -> Intent:
        """Divide `left` over all questions, arms and numbers of attempts."""
        values, costs = self.offers(left)
        rows = np.flatnonzero(values[:, 1:].max(axis=1) > -np.inf)
        option, price = _divided(values[rows], costs[rows], left)
        floor = price
        if worth and self.any_known() and 1 / worth > price:
            floor = 1 / worth
            option = at_price(values[rows], costs[rows], floor)
        gain, cost = values[rows, option] - values[rows, 0], costs[rows, option]
        slope = np.divide(gain, cost, out=np.zeros_like(gain), where=(option > 0) & (cost > 0))
        bought = np.flatnonzero((slope > 0) & (slope >= 0.999 * floor))
        bought = bought[np.argsort(-slope[bought], kind="stable")]
        arm, count = np.array([(0, 0), *self.ladder])[option[bought]].T
        question = rows[bought]
        at_once = self._at_once(question, arm, count)
        return Intent(question, arm, at_once, cost[bought] / count, slope[bought], floor)

    def _at_once(self, question: Ints, arm: Ints, count: Ints) -> Ints:
        """How many of `count` planned attempts to buy before thinking again: a quarter, and where
        a checker ends the question at the first success, few enough to rarely buy beyond it."""
        first = np.array([1 + self.ladder.index((a, 1)) for a in range(len(self.arms))])[arm]
        gain = np.maximum(self.values[question, first] - self.values[question, 0], 1e-9)
        few = np.where(self.checked[question], WASTE / gain, np.inf)
        return np.maximum(1, np.minimum(count // 4, few)).astype(np.int64)

    def first_steps(self, intent: Intent, amount: float) -> list[Move]:
        """The steepest offers' first attempts, about `amount` in all.

        While nothing is known, costs are guesses: then a few single attempts, to learn them.
        """
        if self.any_known():
            counts = intent.at_once
            enough = int(np.searchsorted(np.cumsum(counts * intent.cost), amount)) + 1
        else:
            counts = np.ones_like(intent.at_once)
            enough = -(-len(self.works) // 8)
        rows = (intent.question, intent.arm, counts, intent.cost, intent.cost * intent.slope)
        return [
            move
            for i, arm, count, *told in islice(
                zip(*(r.tolist() for r in rows), strict=True), enough
            )
            for move in [Move(i, self.arms[arm], *told)] * count
        ]

    def by_arm(self, moves: Sequence[Move]) -> tuple[Bought, ...]:
        """The moves added up by kind of question and arm."""
        sums: dict[tuple[int, int, Arm], list[Move]] = {}
        for move in moves:
            group, kind = self.kind[move.question].tolist()
            sums.setdefault((group, kind, move.arm), []).append(move)
        return tuple(
            Bought(
                self.groups[group].kinds.names[kind],
                arm.name,
                len(some),
                sum(m.cost for m in some),
                sum(m.gain for m in some),
                self.groups[group].belief.chance(arm, kind),
            )
            for (group, kind, arm), some in sums.items()
        )

    def declined(self, price: float) -> list[Declined | None]:
        """Per question the best that is left to buy; None where nothing is, or nothing tried."""
        costs = self.each[0]
        gain = self.values[:, 1:] - self.values[:, :1]
        slope = np.where(gain > 0, gain / np.maximum(costs[:, 1:], 1e-12), 0.0)
        best = slope.argmax(axis=1)
        out: list[Declined | None] = [None] * len(self.works)
        for i in np.flatnonzero(slope.max(axis=1) > 0).tolist():
            arm, count = self.ladder[best[i]]
            more, cost = float(gain[i, best[i]]), float(costs[i, 1 + best[i]])
            out[i] = Declined(self.arms[arm].name, count, more, cost, price)
        return out

    def _look(self, group: Group, fresh: Sequence[int], relearned: bool) -> None:
        """Options of a group anew, where there are `fresh` attempts or, relearned, of all."""
        belief = group.belief
        for i in fresh:
            group.open[i] = [self._open(belief.works[i], arm) for arm in self.arms]
        some = np.arange(len(group.rows)) if relearned else np.array(fresh)
        rows = group.rows[some]
        base = self.values[rows, 0] = belief.answers.p_right[some]
        for a, arm in enumerate(self.arms):
            first = 1 + self.ladder.index((a, 1))
            counts = _counts(arm)
            columns = slice(first, first + len(counts))
            gained = belief.after(arm, counts)[some]
            gained[~group.open[some, a] | (gained[:, -1] - base < LEAST_GAIN)] = -np.inf
            self.values[rows, columns] = gained
            for k, resource in enumerate(self.resources):
                each = group.cost.of(arm, resource)
                self.each[k, group.rows, columns] = each[:, None] * counts

    def _open(self, work: Work, arm: Arm) -> bool:
        if arm in work.closed or work.verified is not None:
            return False
        if arm.backend in SEARCH_ARMS and not SEARCH_ARMS[arm.backend].suits(work, self.bench):
            return False
        likeliest = Arm(arm.backend, 0.0)
        tried = any(a.arm == likeliest for a in work.attempts)
        if arm == likeliest:
            return not tried  # the same text again would tell nothing
        return tried or likeliest in work.closed or arm.backend not in self.bench.greedy


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """The questions of one task: their rows in the market, and what is believed of them."""

    rows: Ints
    kinds: Kinds
    belief: TaskBelief
    cost: CostBelief
    open: Bools
    """(questions, arms): whether an attempt may be bought."""


def _divided(values: Floats, costs: Floats, left: float) -> tuple[Ints, float]:
    """(questions,) the option planned for each, and the price: the relaxed plan, of which only the
    first steps are bought before the next. It is filled where it would buy nothing at all."""
    relaxed = solve_relaxed(values, costs, left)
    if relaxed.choice.any():
        return relaxed.choice, relaxed.price
    plan = HullAllocator(target_gap=1e-4).allocate(Options(values, costs), left)
    return plan.choice, plan.price.of("tokens")


def _counts(arm: Arm) -> tuple[int, ...]:
    return LADDER[:1] if arm.temperature == 0 else LADDER
