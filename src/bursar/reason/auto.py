"""Auto: spends where the next unit buys the most right answers, across questions and arms.

Round by round: learn from the attempts so far, say for every question what m more attempts by
each arm would be worth and cost, divide what is left of the budget over all of that (hull greedy:
plan, price), buy the first steps of the plan, steepest first, and think again. It stops when the
budget can buy nothing more, or when nothing that it can buy is worth its price. The best answers
so far are at hand at any moment. No knob per task: where a checker may be asked it is asked,
where there is none agreement decides, weighted by how likely each text is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bursar.allocate.base import Options
from bursar.allocate.hull import HullAllocator
from bursar.answer import Answer
from bursar.errors import BadInput
from bursar.reason.as_backend import offering
from bursar.reason.base import Arm, OnRound, Pick, Round, Work, to_answer
from bursar.reason.belief import CostBelief, TaskBelief
from bursar.reason.profile import Profile, task_entry
from bursar.reason.search_arms import SEARCH_ARMS, with_searches
from bursar.reason.workbench import Workbench
from bursar.value.answer_belief import AnswerLaw
from bursar.workload.tasks.base import Question

Floats = NDArray[np.float64]
LADDER = (1, 2, 4, 8, 16, 32)
"""How many attempts an option may hold: one attempt more may buy nothing where four do."""
LEAST_GAIN = 1e-3
"""A plan's option must promise this much more P(right): less is noise of the belief."""
WASTE = 0.1
"""Most expected successes among checked attempts that are bought at once."""


@dataclass(frozen=True, slots=True)
class Auto:
    """The price-led strategy. `worth`: what one right answer is worth, in units of the limited
    resource; then spending also ends when the next unit buys less than that. `profile`: what an
    earlier calibration learned, to start from. `share` of what is
    left is spent in one round, and at least `least_share` of the whole limit."""

    worth: float | None = None
    profile: Profile | None = None
    share: float = 1 / 6
    least_share: float = 1 / 48
    searches: bool = False
    """Whether whole searches may be bought too, where a model can go on from what it said."""
    name: str = "auto"

    async def solve(
        self, questions: Sequence[Question], bench: Workbench, on_round: OnRound | None = None
    ) -> list[Answer]:
        works = [Work(q) for q in questions]
        searches = {
            name: arm.strategy
            for name, arm in SEARCH_ARMS.items()
            if self.searches and any(arm.suits(w, bench) for w in works)
        }
        with offering(searches, works, bench):
            return await self._spend(works, bench, on_round)

    async def _spend(
        self, works: list[Work], bench: Workbench, on_round: OnRound | None
    ) -> list[Answer]:
        market = Market.open(works, bench, self.profile)
        whole = market.left()
        while (left := market.left()) > 0:
            plan = market.plan(left, self.worth)
            moves = market.first_steps(plan, max(self.share * left, self.least_share * whole))
            if not moves:
                break
            refused = await bench.attempt([(w, arm) for w, arm, _ in moves])
            market.learn()
            if on_round:
                bought = moves[: len(moves) - refused]
                predicted = sum(cost for *_, cost in bought)
                picks = tuple(market.picks())
                on_round(Round(bench.purse.spent, plan.price, len(bought), picks, predicted))
            if bench.purse.failure or refused == len(moves):
                break
        for work in works:
            work.stopped = work.stopped or ("verified" if work.verified else "price")
        return [to_answer(w, p) for w, p in zip(works, market.picks(), strict=True)]


@dataclass(frozen=True, slots=True)
class Offer:
    """What to buy now for one question: `count` attempts by `arm` at `cost` each, at this slope."""

    arm: Arm
    count: int
    cost: float
    slope: float


@dataclass(frozen=True, slots=True)
class Intent:
    """A plan in the market's words: an offer or None per question, and the price."""

    offers: tuple[Offer | None, ...]
    price: float


@dataclass(slots=True)
class Market:
    """All questions, what is believed of them, and what more attempts cost and promise."""

    works: list[Work]
    bench: Workbench
    resources: tuple[str, ...]
    groups: list[tuple[list[int], TaskBelief]]

    @classmethod
    def open(cls, works: list[Work], bench: Workbench, profile: Profile | None) -> Market:
        resources = bench.purse.limited
        if not resources:
            raise BadInput('auto needs a limit to plan with: give a budget such as "20k tokens"')
        groups = []
        for task in dict.fromkeys(w.question.task for w in works):
            rows = [i for i, w in enumerate(works) if w.question.task == task]
            mine = [works[i] for i in rows]
            checked = bench.checker_at_hand(mine[0])
            models = tuple(b for b in bench.backends if b not in SEARCH_ARMS)
            known = profile.law(task, models) if profile else None
            start = with_searches(known or AnswerLaw.guess([0.0] * len(models)), bench.backends)
            groups.append((rows, TaskBelief(mine, bench.backends, checked, start)))
        return cls(works, bench, resources, groups)

    def left(self) -> float:
        """What is left of the first limited resource; 0 when any of them has run out."""
        amounts = [self.bench.purse.left(r) for r in self.resources]
        return amounts[0] if min(amounts) > 0 else 0.0

    def learn(self) -> None:
        """Take in the attempts bought since."""
        for _, belief in self.groups:
            belief.update()

    def learned(self, before: Profile | None) -> Profile:
        """What is known of the tasks now, on top of what was known `before`."""
        tasks = dict(before.tasks) if before else {}
        for _, belief in self.groups:
            law = belief.answers.law()
            tasks[belief.works[0].question.task] = task_entry(law, self.bench.backends)
        return Profile(tasks)

    def picks(self) -> list[Pick]:
        """The answer to each question that would be given now."""
        out: list[Pick] = [Pick(None, None)] * len(self.works)
        for rows, belief in self.groups:
            for row, pick in zip(rows, belief.picks(), strict=True):
                out[row] = pick
        return out

    def offers(self, left: float) -> tuple[Floats, Floats, list[tuple[Arm, int]]]:
        """Every option of every question: (questions, 1 + options) P(right) and cost, and which
        arm and number of attempts the options stand for. Option 0: buy nothing.
        """
        ladder = [(arm, m) for arm in self.bench.arms() for m in self._ladder(arm)]
        values = np.full((len(self.works), 1 + len(ladder)), -np.inf)
        costs = np.zeros_like(values)
        for rows, belief in self.groups:
            base = np.array([p.p_right or 0.0 for p in belief.picks()])
            values[rows, 0] = base
            for arm in self.bench.arms():
                columns = [1 + i for i, (a, _) in enumerate(ladder) if a == arm]
                counts = self._ladder(arm)
                gained = belief.after(arm, counts)
                open_ = np.array([self._open(w, arm) for w in belief.works])
                gained[~open_ | (gained[:, -1] - base < LEAST_GAIN)] = -np.inf
                values[np.ix_(rows, columns)] = gained
                each = self._cost(belief.works, arm, left)
                costs[np.ix_(rows, columns)] = each[:, None] * np.array(counts)
        return values, costs, ladder

    def plan(self, left: float, worth: float | None) -> Intent:
        """Divide `left` over all questions, arms and numbers of attempts."""
        values, costs, ladder = self.offers(left)
        plan = HullAllocator(target_gap=1e-4).allocate(
            Options(values, costs, self.resources[:1]), left
        )
        price = plan.price.of(self.resources[0])
        floor = max(price, 1.0 / worth) if worth else price
        offers: list[Offer | None] = []
        for i, option in enumerate(plan.choice):
            gain, cost = values[i, option] - values[i, 0], costs[i, option]
            if option == 0 or cost <= 0 or gain / cost < 0.999 * floor:
                offers.append(None)
            else:
                arm, count = ladder[option - 1]
                first = 1 + ladder.index((arm, 1))
                at_once = self._at_once(i, count, values[i, first] - values[i, 0])
                offers.append(Offer(arm, at_once, cost / count, gain / cost))
        return Intent(tuple(offers), floor)

    def _at_once(self, i: int, count: int, first_gain: float) -> int:
        """How many of `count` planned attempts to buy before thinking again: a quarter, and where
        a checker ends the question at the first success, few enough to rarely buy beyond it."""
        quarter = max(1, count // 4)
        if not self.bench.checker_at_hand(self.works[i]) or first_gain <= 0:
            return quarter
        return max(1, min(quarter, int(WASTE / first_gain)))

    def first_steps(self, intent: Intent, amount: float) -> list[tuple[Work, Arm, float]]:
        """The steepest offers' first attempts and their expected cost, about `amount` in all.

        While nothing is known, costs are guesses: then a few single attempts, to learn them.
        """
        known = any(w.attempts for w in self.works)
        order = sorted(
            (i for i, o in enumerate(intent.offers) if o), key=lambda i: -_slope(intent.offers[i])
        )
        moves: list[tuple[Work, Arm, float]] = []
        spent = 0.0
        for i in order:
            offer = intent.offers[i]
            assert offer is not None
            if (spent >= amount and moves) or (not known and len(moves) >= len(self.works) / 8):
                break
            count = offer.count if known else 1
            moves += [(self.works[i], offer.arm, offer.cost)] * count
            spent += count * offer.cost
        return moves

    def _cost(self, works: Sequence[Work], arm: Arm, left: float) -> Floats:
        """Cost of one attempt in the first limited resource; with several limits, in the one of
        which it takes the largest share of what is left, converted."""
        shares = [
            CostBelief(self.bench, r).of(works, arm) / max(self.bench.purse.left(r), 1e-12)
            for r in self.resources
        ]
        return np.asarray(np.max(shares, axis=0) * left)

    def _ladder(self, arm: Arm) -> tuple[int, ...]:
        return LADDER[:1] if arm.temperature == 0 else LADDER

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


def _slope(offer: Offer | None) -> float:
    return offer.slope if offer else 0.0
