"""Claim: picking with a verifier beats voting at equal cost; what it picks by is what matters.

On Countdown the model disowns most of its wrong attempts itself, so what is left for the exact
checker is to say when to stop.
"""

from dataclasses import dataclass, replace

import numpy as np
from tiny_arena import SEEDS, accuracy, run

from bursar.reason import strategy
from bursar.reason.base import Arm, Pick, Work
from bursar.reason.best_of_n import BestOfN
from bursar.reason.rounds import RoundRobin
from bursar.reason.self_consistency import SelfConsistency
from bursar.reason.workbench import Workbench

HARD = ("4", "5")
LONG = ("6", "7", "8")
TOKENS = 22_000


def test_with_the_exact_checker_it_beats_voting_on_countdown_at_equal_tokens() -> None:
    runs = {
        (name, check): accuracy(
            [run(strategy(name), "countdown", HARD, tokens=TOKENS, seed=s, check=check)
             for s in SEEDS]
        )
        for name, check in (("best_of_n", True), ("self_consistency", False))
    }  # fmt: skip
    assert runs["best_of_n", True] > runs["self_consistency", False] + 0.03


def test_picking_by_likelihood_beats_voting_on_long_chains_and_shuffled_scores_do_not() -> None:
    def picked(rule: BestOfN | SelfConsistency | Shuffled) -> float:
        how = RoundRobin("best", rule)
        return accuracy(
            [run(how, "chain", LONG, tokens=None, seed=s, model="tiny-0.3m") for s in SEEDS]
        )

    best = picked(BestOfN(4))
    assert best > picked(SelfConsistency(4)) + 0.05
    assert picked(Shuffled(BestOfN(4))) < best - 0.05


@dataclass(frozen=True)
class Shuffled:
    """The control: the same scores, dealt out anew among a question's attempts."""

    rule: BestOfN

    def next_arm(self, work: Work, bench: Workbench) -> Arm | None:
        return self.rule.next_arm(work, bench)

    def pick(self, work: Work) -> Pick:
        rng = np.random.default_rng(len(work.attempts))
        order = rng.permutation(len(work.attempts))
        dealt = [
            replace(a, score=work.attempts[i].score, logprob=work.attempts[i].logprob)
            for a, i in zip(work.attempts, order, strict=True)
        ]
        return self.rule.pick(Work(work.question, dealt))
