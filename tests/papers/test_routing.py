"""Claim: routers of every kind beat a random choice at equal mean cost; none passes the oracle.

On questions of four kinds made up here, and on recorded answers of nine models (`shared`). The
random choice is the most random one at its mean cost. A stronger baseline is beside it: the best
mixture of fixed ways, which needs no router at all.
"""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from bursar.backends.recorded_outcomes import read_llmrouter
from bursar.reason.route import ROUTERS, Direct, Frontier, Oracle, frontier, prices
from bursar.value.outcomes import Outcomes
from reason.route.mixed_questions import mixed

SEEDS = range(3)
RECORDED = Path(__file__).parents[3] / "shared" / "data" / "reason" / "llmrouter"
READERS = ("similarity", "classifier", "blend")
CASCADES = ("cascade", "cascade_similarity")


def curves(record: Outcomes, names: tuple[str, ...], seed: int) -> dict[str, Frontier]:
    """Frontiers on the held-out half, the oracle's too."""
    seen, held_out = record.split(np.random.default_rng(seed))
    at = prices(seen.cost, 40)
    made = {
        name: frontier(ROUTERS[name]().fit(seen), held_out, held_out.cost, at) for name in names
    }
    made["oracle"] = frontier(Direct(Oracle(held_out)), held_out, held_out.cost, at)
    return made


def lead(mine: Frontier, other: Frontier, record: Outcomes) -> float:
    """Mean lead in accuracy over mean costs between the cheapest and the dearest way's."""
    means = record.cost.mean(axis=0)
    costs = np.linspace(means.min() * 1.2, means.max(), 9)
    return float(np.mean([mine.accuracy_at(c) - other.accuracy_at(c) for c in costs]))


@cache
def made_up(seed: int) -> dict[str, Frontier]:
    return curves(mixed(800, seed), tuple(ROUTERS), seed)


@pytest.mark.parametrize("name", [*READERS, *CASCADES])
def test_it_beats_a_random_choice_and_the_fixed_ways_at_equal_mean_cost(name: str) -> None:
    record = mixed(800, 0)
    for seed in SEEDS:
        assert lead(made_up(seed)[name], made_up(seed)["random"], record) > 0.1
        assert lead(made_up(seed)[name], made_up(seed)["best_single"], record) > 0.03


@pytest.mark.parametrize("name", list(ROUTERS))
def test_none_is_more_accurate_than_the_oracle_at_its_cost(name: str) -> None:
    for seed in SEEDS:
        check_never_above(made_up(seed)[name], made_up(seed)["oracle"])


def check_never_above(curve: Frontier, oracle: Frontier) -> None:
    for cost, accuracy in zip(curve.cost, curve.accuracy, strict=True):
        assert accuracy <= oracle.accuracy_at(max(cost, oracle.cost.min())) + 1e-9


def test_a_cascade_lives_on_the_signs_and_reading_on_the_words() -> None:
    for seed in SEEDS:
        record = mixed(800, seed)
        rng = np.random.default_rng(seed)
        dealt = replace(record, sign=rng.permuted(record.sign, axis=0))
        blind = curves(dealt, ("cascade", "best_single"), seed)
        assert lead(blind["cascade"], blind["best_single"], record) < 0.01
        words = tuple(rng.permutation(np.array(record.prompts)))
        mute = curves(replace(record, prompts=words), (*READERS, "best_single"), seed)
        for name in READERS:
            assert lead(mute[name], mute["best_single"], record) < 0.01


def test_reading_and_looking_together_beat_either() -> None:
    record = mixed(800, 0)
    for alone in ("similarity", "cascade"):
        leads = [
            lead(made_up(seed)["cascade_similarity"], made_up(seed)[alone], record)
            for seed in SEEDS
        ]
        assert np.mean(leads) > 0.01


@pytest.mark.shared
@pytest.mark.skipif(not RECORDED.is_dir(), reason="no recorded llmrouter")
@pytest.mark.parametrize("seed", SEEDS)
def test_on_nine_recorded_models_two_thirds_of_the_best_ones_cost_are_as_accurate(
    seed: int,
) -> None:
    whole = read_llmrouter(RECORDED)
    record = whole.rows(np.random.default_rng(seed).permutation(len(whole.prompts))[:4000])
    found = curves(record, ("random", "best_single", *READERS), seed)
    _, held_out = record.split(np.random.default_rng(seed))
    best = int(held_out.right.mean(axis=0).argmax())
    goal, dollars = float(held_out.right[:, best].mean()), float(held_out.cost[:, best].mean())
    for name in READERS:
        assert lead(found[name], found["random"], record) > 0.04
        check_never_above(found[name], found["oracle"])
    for name in ("similarity", "blend"):
        assert (found[name].cost_at(goal) or np.inf) <= 2 / 3 * dollars
