"""Claim: with one protocol at equal tokens, best-of-N does better at a temperature tuned on other
questions, and the ranking of six methods changes as the verifier gets noisier.

The long version is benchmarks/bag_of_tricks.py.
"""

import asyncio
from collections.abc import Sequence

import pytest
from silent import Silent
from tiny_arena import bench, questions

from bursar.errors import BadInput
from bursar.reason.compose import TRICKS, BagOfTricks
from bursar.reason.verify import Likelihood
from bursar.reason.workbench import Workbench
from bursar.workload.tasks import TASKS
from bursar.workload.tasks.base import Question

MODEL, TOKENS, COUNT, DEFAULT = "tiny-0.3m", 6_000, 20, 0.7
LEVELS = ("6", "7")


def at_hand(temperature: float, seed: int) -> Workbench:
    tasks = {"chain": Silent(TASKS["chain"])}
    made = bench(MODEL, tokens=TOKENS, seed=seed, check=False, tasks=tasks)
    made.temperature = temperature
    return made


def asked(seed: int) -> Sequence[Question]:
    return questions("chain", LEVELS, COUNT, seed)


BAG = BagOfTricks(at_hand, free=Likelihood())


def test_a_tuned_temperature_beats_the_default_for_best_of_n() -> None:
    async def both() -> tuple[float, float, float]:
        tuned = await BAG.tuned("best_of_n", lambda seed: asked(seed + 50), (0.4, DEFAULT, 1.0))
        return (
            tuned,
            await BAG.accuracy("best_of_n", asked, temperature=tuned),
            await BAG.accuracy("best_of_n", asked, temperature=DEFAULT),
        )

    tuned, warm, usual = asyncio.run(both())
    assert tuned != DEFAULT
    assert warm > usual + 0.03


def test_the_ranking_changes_as_the_verifier_gets_noisier() -> None:
    clean = asyncio.run(BAG.ranking(asked, 0.0))
    noisy = asyncio.run(BAG.ranking(asked, 0.3))
    assert set(clean) == set(noisy) == set(TRICKS)
    assert clean["best_of_n"] > clean["self_consistency"] + 0.02
    assert noisy["best_of_n"] < noisy["self_consistency"]
    assert [clean[t] for t in ("self_consistency", "revision")] == [
        noisy[t] for t in ("self_consistency", "revision")
    ]


def test_results_reproduce_by_seed_and_unknown_methods_are_named() -> None:
    first, again = (asyncio.run(BAG.accuracy("verified_vote", asked, flips=0.2)) for _ in range(2))
    assert first == again
    with pytest.raises(BadInput, match="unknown method 'luck'"):
        asyncio.run(BAG.accuracy("luck", asked))
