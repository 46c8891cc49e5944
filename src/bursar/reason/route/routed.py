"""Routed: sends each question to one of the bench's models, or up through them, at a price.

The price follows the purse: it is the lowest at which what the router wants to buy next is
expected to fit what is left. A router that looks at answers (a cascade) is asked again after each,
at the price of that moment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bursar.answer import Answer
from bursar.errors import BadInput
from bursar.reason.base import Arm, Attempt, OnRound, Pick, Round, Work, to_answer
from bursar.reason.route.base import STOP, Router
from bursar.reason.route.compute_optimal import ease
from bursar.reason.self_consistency import vote
from bursar.reason.workbench import Workbench
from bursar.value.base import Floats, Ints
from bursar.value.outcomes import Outcomes
from bursar.workload.tasks.base import Question

HALVINGS = 60


@dataclass(frozen=True, slots=True)
class Way:
    """`votes` attempts by `backend`; their commonest answer counts. One attempt is greedy where
    the backend can be."""

    backend: str
    votes: int = 1

    def arm(self, bench: Workbench) -> Arm:
        greedy = self.votes == 1 and self.backend in bench.greedy
        return Arm(self.backend, 0.0 if greedy else bench.temperature)


@dataclass(frozen=True, slots=True)
class Routed:
    """Strategy: `router`, not fitted yet, learns from `seen`; its ways are the names in `ways`.

    `seen.cost` is in the first resource that the purse limits: a way is expected to cost its mean.
    """

    router: Router
    seen: Outcomes
    ways: Mapping[str, Way]
    name: str = "routed"

    async def solve(
        self, questions: Sequence[Question], bench: Workbench, on_round: OnRound | None = None
    ) -> list[Answer]:
        """Anytime, never over. Raises `BadInput` when the purse has no limit, or a way no model."""
        ways = self._ways(bench)
        router = self.router.fit(self.seen)
        belief = router.estimate([q.prompt for q in questions])
        cost = np.tile(self.seen.cost.mean(axis=0), (len(questions), 1))
        works = [Work(q) for q in questions]
        picks = [Pick(None, None)] * len(works)
        last, sign = np.full(len(works), STOP), np.full(len(works), np.nan)
        while (left := bench.purse.left(bench.purse.limited[0])) > 0:
            price, chosen = _affordable(router, belief, cost, last, sign, left)
            # where every way failed the cost of the best is infinite, too: nothing is left to buy
            buying = [i for i in np.flatnonzero(chosen != STOP) if np.isfinite(cost[i, chosen[i]])]
            if not buying:
                break
            had = [len(w.attempts) for w in works]
            bought = [(works[i], ways[chosen[i]]) for i in buying]
            moves = [(work, way.arm(bench)) for work, way in bought for _ in range(way.votes)]
            refused = await bench.attempt(moves)
            for i in buying:
                cost[i, chosen[i]] = np.inf
                if new := works[i].attempts[had[i] :]:
                    last[i], sign[i] = chosen[i], ease(new)
                    picks[i] = _pick(works[i], new)
                if works[i].verified is not None:
                    cost[i] = np.inf
            if on_round:
                on_round(Round(bench.purse.spent, price, len(moves) - refused, tuple(picks)))
            if refused or bench.purse.failure:
                break
        for work, way in zip(works, last, strict=True):
            work.stopped = "verified" if work.verified else "" if way == STOP else "price"
        return [to_answer(w, p) for w, p in zip(works, picks, strict=True)]

    def _ways(self, bench: Workbench) -> list[Way]:
        if not bench.purse.limited:
            raise BadInput('routing needs a limit to find its price: give "2 USD", say')
        missing = [n for n in self.seen.ways if n not in self.ways]
        if missing:
            raise BadInput(f"no way is given for {', '.join(missing)}, which outcomes name")
        ways = [self.ways[n] for n in self.seen.ways]
        strange = {w.backend for w in ways} - set(bench.backends)
        if strange:
            raise BadInput(
                f"ways use {', '.join(sorted(strange))}; the models at hand are "
                + ", ".join(bench.backends)
            )
        return ways


def _affordable(
    router: Router, belief: Floats, cost: Floats, last: Ints, sign: Floats, left: float
) -> tuple[float, Ints]:
    """The lowest price at which all that the router wants next fits `left`, and what that is.

    Where even the cheapest ways do not fit, the highest price: the purse ends it.
    """

    def wanted_at(price: float) -> tuple[Ints, float]:
        chosen = router.next_way(belief, cost, last, sign, price)
        rows = np.flatnonzero(chosen != STOP)
        wanted = cost[rows, chosen[rows]]
        return chosen, float(wanted[np.isfinite(wanted)].sum())

    chosen, spend = wanted_at(0.0)
    if spend <= left:
        return 0.0, chosen
    low, high = 0.0, 1e6 / max(float(cost[np.isfinite(cost)].mean()), 1e-12)
    for _ in range(HALVINGS):
        middle = (low + high) / 2 if low else high / 1e3
        low, high = (low, middle) if wanted_at(middle)[1] <= left else (middle, high)
    return high, wanted_at(high)[0]


def _pick(work: Work, new: Sequence[Attempt]) -> Pick:
    """What was verified, else the vote of the way bought last, with its estimated ease."""
    if work.verified is not None:
        return Pick(work.verified, 1.0)
    return Pick(vote(new, [1.0] * len(new)).answer, ease(new))
