"""Auto on a stream: questions come one by one, and each is finished before the next is seen.

The price stands for the questions to come: it starts at what `auto` would pay on as many unknown
questions, at least at `FIRST_GAIN` right answers for a question's even share of the budget, and
the ledger moves it (`PacedPrice`), up when spending runs ahead of the stream, down when it lags. A
question buys attempts while they are worth their price and what is left allows.
Beliefs about the task are carried from question to question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bursar.allocate.streamed import best_option
from bursar.answer import Answer
from bursar.price import PacedPrice
from bursar.reason.base import OnRound, Pick, Round, Work, to_answer
from bursar.reason.market import Market
from bursar.reason.profile import Profile
from bursar.reason.workbench import Workbench
from bursar.workload.tasks.base import Question

WINDOW = 48
"""How many earlier questions are kept in mind beside what was learned from all of them."""
FIRST_GAIN = 0.1
"""Where the limit would not bind on first answers alone, a question's even share must buy this."""


@dataclass(frozen=True, slots=True)
class AutoStreamed:
    """`auto` for a stream whose length is known or expected: that of `questions`.

    `rate`: how hard the price answers a lead or lag of spending; see `PacedPrice`.
    """

    profile: Profile | None = None
    rate: float = 6.0
    name: str = "auto_streamed"

    async def solve(
        self, questions: Sequence[Question], bench: Workbench, on_round: OnRound | None = None
    ) -> list[Answer]:
        first = Market.open([Work(q) for q in questions], bench, self.profile)
        whole = first.left()
        if whole <= 0:
            return [to_answer(Work(q), Pick(None, None)) for q in questions]
        start = max(first.plan(whole, None).price, FIRST_GAIN * len(questions) / whole)
        paced = PacedPrice(first.resources[0], whole, start, self.rate)
        done: list[Work] = []
        picks: list[Pick] = []
        profile = self.profile
        for i, question in enumerate(questions):
            work = Work(question)
            recent = [w for w in done if w.question.task == question.task][-WINDOW:]
            market = Market.open([*recent, work], bench, profile)
            market.learn()
            bought = await self._answer(market, work, paced)
            profile = market.learned(profile)
            done.append(work)
            picks.append(market.picks()[-1])
            paced = paced.after(whole - market.left(), (i + 1) / len(questions))
            if on_round:
                waiting = [Pick(None, None)] * (len(questions) - len(picks))
                on_round(Round(bench.purse.spent, paced.per_unit, bought, (*picks, *waiting)))
            if bench.purse.failure:
                break
        left_out = [Work(q, stopped="upstream") for q in questions[len(done) :]]
        picks += [Pick(None, None)] * len(left_out)
        return [to_answer(w, p) for w, p in zip([*done, *left_out], picks, strict=True)]

    async def _answer(self, market: Market, work: Work, paced: PacedPrice) -> int:
        """Buy attempts at the last question of `market` while they are worth the price."""
        bench, bought, spent = market.bench, 0, paced.spent
        while (left := market.left()) > 0:
            values, costs = market.offers(left)
            price = paced.after(spent, paced.progress).per_unit
            option = best_option(values[-1], costs[-1], price, left)
            if not option:
                work.stopped = "verified" if work.verified else "price"
                break
            index, count = market.ladder[option - 1]
            arm = market.arms[index]
            refused = await bench.attempt([(work, arm)] * max(1, count // 4))
            bought += max(1, count // 4) - refused
            spent += left - market.left()
            market.learn()
            if refused or bench.purse.failure:
                break
        return bought
