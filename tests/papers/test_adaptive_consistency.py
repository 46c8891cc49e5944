"""Claim: stopping where the leader is safely ahead keeps the accuracy for half the samples."""

from tiny_arena import SEEDS, accuracy, run, tokens

from bursar.reason.adaptive_consistency import AdaptiveConsistency
from bursar.reason.rounds import RoundRobin
from bursar.reason.self_consistency import SelfConsistency

MIXED = ("3", "5", "7")


def test_it_reaches_the_fixed_votes_accuracy_with_at_most_half_its_tokens() -> None:
    fixed = [
        run(RoundRobin("fixed", SelfConsistency(16)), "chain", MIXED, tokens=None, seed=s)
        for s in SEEDS
    ]
    adaptive = [
        run(
            RoundRobin("adaptive", AdaptiveConsistency(max_samples=16)),
            "chain",
            MIXED,
            tokens=None,
            seed=s,
        )
        for s in SEEDS
    ]
    assert accuracy(adaptive) >= accuracy(fixed) - 0.01
    assert tokens(adaptive) <= 0.5 * tokens(fixed)
