"""Voting on recorded real models: what holds on MATH and GSM8K at equal tokens.

All figures: benchmarks/recorded_reason.py.
"""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from bursar.backends.recorded_outcomes import read_gsm8k_systems
from bursar.backends.recordings import Recording, gsm8k_answer, read_gsm8k_solutions
from bursar.backends.recordings import read_qwen25_math as read_math
from bursar.budget import Budget
from bursar.reason import RoundRobin
from bursar.reason.adaptive_consistency import AdaptiveConsistency
from bursar.reason.best_of_n import BestOfN
from bursar.reason.purse import Purse
from bursar.reason.rounds import Rule
from bursar.reason.route import ROUTERS, frontier, prices
from bursar.reason.self_consistency import SelfConsistency
from bursar.reason.solve import solve
from bursar.reason.verifiers import RewardScorer
from bursar.reason.weighted_vote import WeightedVote
from bursar.reason.workbench import Workbench

DATA = Path(__file__).parents[3] / "shared" / "data" / "reason"
MATH, GSM8K = DATA / "qwen25_math_100x8.jsonl", DATA / "gsm8k_model_solutions.jsonl"
TOKENS = 200_000.0
"""About four and a half of the eight samples of each MATH question."""


def played(record: Recording, rule: Rule, tokens: float, seeds: int) -> tuple[float, float]:
    """Mean accuracy and tokens."""
    found = []
    for seed in range(seeds):
        purse = Purse(Budget({"tokens": tokens}), record.backends)
        (arm,) = record.backends
        bench = Workbench(
            purse, {record.task.name: record.task}, seed=seed, scorers={arm: RewardScorer()}
        )
        done = asyncio.run(solve(RoundRobin("rule", rule), record.questions, bench))
        assert (purse.spent.tokens or 0) <= tokens
        found.append((done.accuracy or 0.0, purse.spent.tokens or 0.0))
    accuracy, spent = np.mean(found, axis=0)
    return float(accuracy), float(spent)


@pytest.mark.shared
@pytest.mark.skipif(not MATH.is_file(), reason="no recorded MATH")
def test_on_math_recorded_rewards_beat_plain_votes_and_stopping_early_saves_tokens() -> None:
    record = read_math(MATH)
    vote, _ = played(record, SelfConsistency(), TOKENS, 6)
    weighted, _ = played(record, WeightedVote(), TOKENS, 6)
    best, _ = played(record, BestOfN(), TOKENS, 6)
    early, few = played(record, AdaptiveConsistency(0.9), 1e6, 6)
    everything, many = played(record, SelfConsistency(), 1e6, 6)
    assert min(weighted, best) > vote
    assert early >= everything - 0.01
    assert few <= 0.5 * many


@pytest.mark.shared
@pytest.mark.skipif(not GSM8K.is_file(), reason="no recorded GSM8K")
def test_on_gsm8k_a_panel_of_four_systems_votes_better_than_one_of_them() -> None:
    record = read_gsm8k_solutions(GSM8K)
    one, _ = played(record, SelfConsistency(1), 1e7, 1)
    four, _ = played(record, SelfConsistency(), 1e7, 1)
    assert four > one + 0.05


@pytest.mark.shared
@pytest.mark.skipif(not GSM8K.is_file(), reason="no recorded GSM8K")
def test_on_gsm8k_a_cascade_goes_up_where_two_small_answers_differ() -> None:
    record, leads = read_gsm8k_systems(GSM8K), []
    for seed in range(3):
        seen, held_out = record.split(np.random.default_rng(seed))
        at = prices(seen.cost, 40)
        curves = [
            frontier(ROUTERS[name]().fit(seen), held_out, held_out.cost, at)
            for name in ("cascade", "best_single")
        ]
        costs = np.linspace(3_000, 16_000, 6)
        leads.append(np.mean([curves[0].accuracy_at(c) - curves[1].accuracy_at(c) for c in costs]))
    assert min(leads) > 0.005


def test_an_answer_is_what_follows_the_mark() -> None:
    assert gsm8k_answer("2 + 2 = 4\nA: 1,004 ") == "1004"
    assert gsm8k_answer("no idea") is None
