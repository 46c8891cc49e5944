"""Bag of tricks: one fixed protocol that compares ways to spend inference compute.

Paper: Fan Liu, Wenshuo Chao, Naiqiang Tan, Hao Liu, "Bag of Tricks for Inference-time Computation
  of LLM Reasoning", 2025, arXiv:2502.07191; section 3 (proposer), section 4 (reward, benchmark).
Symbols: temperature T -> temperature; reward model -> verifier; N -> as the budget allows.
Differs: the six methods are those at hand (no tree search); equal tokens instead of equal N; reward
  types are studied as one verifier whose verdicts are flipped more and more often.
Checked: tests/papers/test_bag_of_tricks.py: a temperature tuned on other questions beats the
  default for best-of-N, and which method is best depends on the verifier's noise.
Seed: 220
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from bursar.errors import BadInput
from bursar.reason.adaptive_consistency import AdaptiveConsistency
from bursar.reason.base import Strategy
from bursar.reason.counted import Counted, check_books
from bursar.reason.revision import Revision
from bursar.reason.rounds import RoundRobin
from bursar.reason.self_consistency import SelfConsistency
from bursar.reason.solve import solve
from bursar.reason.verify import GenRM, Noisy, ProcessReward, SelfEvaluation, Verifier
from bursar.reason.workbench import Workbench
from bursar.workload.tasks.base import Question

TRICKS: dict[str, Callable[[Verifier, Verifier], Strategy]] = {
    "self_consistency": lambda free, bought: RoundRobin("vote", SelfConsistency()),
    "adaptive_consistency": lambda free, bought: RoundRobin("adaptive", AdaptiveConsistency()),
    "revision": lambda free, bought: RoundRobin("revision", Revision(None)),
    "best_of_n": lambda free, bought: GenRM(1, verifier=free, best=True),
    "verified_vote": lambda free, bought: GenRM(1, verifier=free),
    "genrm": lambda free, bought: GenRM(1, verifier=bought),
}
"""Name -> the method, given a verifier that costs nothing and one whose verdicts are bought."""


@dataclass(frozen=True, slots=True)
class BagOfTricks:
    """`bench(temperature, seed)` makes a workbench with the budget that every method gets.

    Backends that are `Counted` are checked against the purse. `free` and `bought` are the verifiers
    before noise.
    """

    bench: Callable[[float, int], Workbench]
    seeds: Sequence[int] = (0, 1, 2)
    free: Verifier = field(default_factory=ProcessReward)
    bought: Verifier = field(default_factory=lambda: SelfEvaluation(temperature=1.0))

    async def accuracy(
        self,
        trick: str,
        questions: Callable[[int], Sequence[Question]],
        *,
        temperature: float = 0.7,
        flips: float = 0.0,
    ) -> float:
        """Share of right answers over all seeds; `questions(seed)` are asked with each.

        Raises `BadInput` on an unknown method, or questions that nobody can grade.
        """
        if trick not in TRICKS:
            raise BadInput(f"unknown method {trick!r}; choose one of {', '.join(TRICKS)}")
        shares = []
        for seed in self.seeds:
            bench = self.bench(temperature, seed)
            free, bought = (Noisy(v, flips, seed=seed) for v in (self.free, self.bought))
            solution = await solve(TRICKS[trick](free, bought), questions(seed), bench)
            counted = [b for b in bench.purse.backends.values() if isinstance(b, Counted)]
            check_books(bench.purse, counted, trick)
            if solution.accuracy is None:
                raise BadInput("some questions can't be graded; ask ones with known answers")
            shares.append(solution.accuracy)
        return float(np.mean(shares))

    async def tuned(
        self,
        trick: str,
        questions: Callable[[int], Sequence[Question]],
        temperatures: Sequence[float],
    ) -> float:
        """The temperature with the highest accuracy on `questions`; of equals the first."""
        scores = [await self.accuracy(trick, questions, temperature=t) for t in temperatures]
        return temperatures[int(np.argmax(scores))]

    async def ranking(
        self, questions: Callable[[int], Sequence[Question]], flips: float
    ) -> dict[str, float]:
        """Every method's accuracy when `flips` of all verdicts are wrong, the best one first."""
        scores = {trick: await self.accuracy(trick, questions, flips=flips) for trick in TRICKS}
        return dict(sorted(scores.items(), key=lambda item: -item[1]))
