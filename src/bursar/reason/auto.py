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

from bursar.answer import Answer
from bursar.reason.as_backend import offering
from bursar.reason.base import OnRound, Round, Work, to_answer
from bursar.reason.market import Market
from bursar.reason.profile import Profile
from bursar.reason.search_arms import SEARCH_ARMS
from bursar.reason.workbench import Workbench
from bursar.workload.tasks.base import Question


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
        whole, price = market.left(), 0.0
        while (left := market.left()) > 0:
            plan = market.plan(left, self.worth)
            price = plan.price
            moves = market.first_steps(plan, max(self.share * left, self.least_share * whole))
            if not moves:
                break
            refused = await bench.attempt([(works[m.question], m.arm) for m in moves])
            market.learn()
            if on_round:
                bought = moves[: len(moves) - refused]
                predicted, picks = sum(m.cost for m in bought), tuple(market.picks())
                spent, by_arm = bench.purse.spent, market.by_arm(bought)
                on_round(Round(spent, price, len(bought), picks, predicted, by_arm))
            if bench.purse.failure or refused == len(moves):
                break
        told = list(zip(works, market.picks(), market.declined(price), strict=True))
        for work, _, left_out in told:
            worth_it = left_out and left_out.gain > 1.001 * left_out.asked * left_out.cost
            unbought = "budget" if worth_it else "price"
            work.stopped = work.stopped or ("verified" if work.verified else unbought)
        return [to_answer(work, pick, left_out) for work, pick, left_out in told]
