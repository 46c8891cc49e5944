"""Claim: weighing votes by the probability of their text beats counting them.

The control: the same weights shuffled among a question's votes.
"""

from dataclasses import dataclass, replace

import numpy as np
from tiny_arena import SEEDS, accuracy, run

from bursar.reason.base import Arm, Pick, Work
from bursar.reason.rounds import RoundRobin
from bursar.reason.self_consistency import SelfConsistency
from bursar.reason.weighted_vote import WeightedVote
from bursar.reason.workbench import Workbench

LONG = ("7", "8")
SAMPLES, MODEL = 4, "tiny-0.3m"


def test_weights_beat_counts_on_long_chains_at_equal_samples() -> None:
    def voted(rule: SelfConsistency | WeightedVote | Shuffled) -> float:
        how = RoundRobin("vote", rule)
        return accuracy([run(how, "chain", LONG, tokens=None, seed=s, model=MODEL) for s in SEEDS])

    weighted = voted(WeightedVote(SAMPLES))
    assert weighted > voted(SelfConsistency(SAMPLES)) + 0.01
    assert voted(Shuffled(WeightedVote(SAMPLES))) < weighted - 0.02


@dataclass(frozen=True)
class Shuffled:
    """The control: the same weights, dealt out anew among a question's attempts."""

    rule: WeightedVote

    def next_arm(self, work: Work, bench: Workbench) -> Arm | None:
        return self.rule.next_arm(work, bench)

    def pick(self, work: Work) -> Pick:
        order = np.random.default_rng(len(work.attempts)).permutation(len(work.attempts))
        dealt = [
            replace(a, logprob=work.attempts[i].logprob)
            for a, i in zip(work.attempts, order, strict=True)
        ]
        return self.rule.pick(Work(work.question, dealt))
