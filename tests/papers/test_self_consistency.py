"""Claim: voting over many samples beats one sample; the gain is in the samples' diversity."""

from dataclasses import dataclass, replace

from tiny_arena import SEEDS, accuracy, run

from bursar.reason.base import Arm, Pick, Work
from bursar.reason.rounds import RoundRobin
from bursar.reason.self_consistency import SelfConsistency
from bursar.reason.workbench import Workbench

LONG = ("6", "7", "8")


def test_voting_over_16_beats_a_single_sample_on_long_chains() -> None:
    def voted(samples: int) -> float:
        rule = RoundRobin("vote", SelfConsistency(samples))
        return accuracy([run(rule, "chain", LONG, tokens=None, seed=s) for s in SEEDS])

    assert voted(16) > voted(1) + 0.1


def test_equal_samples_have_nothing_to_vote_on() -> None:
    """The control: the greedy answer sixteen times is the greedy answer once."""
    once, often = (
        run(RoundRobin("vote", Greedy(SelfConsistency(n))), "chain", LONG, tokens=None, count=20)
        for n in (1, 8)
    )
    assert once.correct == often.correct


@dataclass(frozen=True)
class Greedy:
    """Votes over the greedy answer, asked for again and again."""

    rule: SelfConsistency

    def next_arm(self, work: Work, bench: Workbench) -> Arm | None:
        arm = self.rule.next_arm(work, bench)
        return arm and replace(arm, temperature=0.0)

    def pick(self, work: Work) -> Pick:
        return self.rule.pick(work)
