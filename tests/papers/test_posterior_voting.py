"""Claim: knowing how the source's answers usually fall saves votes at the same confidence.

What it does not do: beat adaptive consistency where that one is told the best level afterwards. On
simulated questions and on long chains both lie on one curve of agreement by samples.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from tiny_arena import questions, run

from bursar.reason.adaptive_consistency import AdaptiveConsistency
from bursar.reason.base import Arm, Attempt, Work
from bursar.reason.exits.posterior_voting import PosteriorVoting
from bursar.reason.rounds import RoundRobin
from bursar.reason.self_consistency import SelfConsistency
from bursar.usage import Usage
from bursar.value.voting import p_top_beats_second
from bursar.workload.tasks.base import Question

LEVEL = 0.95
RECORDED = Path(__file__).parents[3] / "shared" / "data" / "reason" / "qwen25_math_100x8.jsonl"
Rows = list[list[str]]
Sure = Callable[[list[int]], bool]


def play(rows: Rows, sure: Sure) -> tuple[float, float]:
    """(mean samples, share of questions with the full vote's answer) of a stopping rule."""
    used, same = [], []
    for row in rows:
        votes: Counter[str] = Counter()
        for n, answer in enumerate(row, start=1):
            votes[answer] += 1
            if sure(list(votes.values())):
                break
        used.append(n)
        same.append(votes.most_common(1)[0][0] == Counter(row).most_common(1)[0][0])
    return float(np.mean(used)), float(np.mean(same))


def beta(confidence: float) -> Sure:
    def sure(votes: list[int]) -> bool:
        first, second, *_ = [*sorted(votes, reverse=True), 0, 0]
        return float(p_top_beats_second(first, second)) > confidence

    return sure


def posterior(history: Rows, confidence: float) -> Sure:
    rule = PosteriorVoting.learn([list(Counter(row).values()) for row in history])
    return lambda votes: rule.p_leader(votes) > confidence


def mixed(count: int, seed: int, easy: float = 0.7) -> Rows:
    """Easy questions (one answer nearly always) among split ones; 40 votes on each."""
    rng = np.random.default_rng(seed)
    shapes = ([0.95, 0.05], [0.5, 0.2, 0.15, 0.1, 0.05], [0.4, 0.25, 0.15, 0.1, 0.1])
    kinds = rng.choice(3, count, p=[easy, (1 - easy) / 2, (1 - easy) / 2])
    return [list(map(str, rng.choice(len(shapes[k]), 40, p=shapes[k]))) for k in kinds]


@pytest.mark.parametrize("seed", range(3))
def test_fewer_votes_at_the_same_confidence_which_is_kept(seed: int) -> None:
    rows = mixed(300, seed)
    used, same = play(rows, posterior(mixed(300, seed + 10), LEVEL))
    plain, _ = play(rows, beta(LEVEL))
    assert same >= LEVEL - 3 * np.sqrt(LEVEL * (1 - LEVEL) / 300)
    assert used < 0.9 * plain


@pytest.mark.parametrize("seed", range(3))
def test_shapes_of_another_source_break_the_promise(seed: int) -> None:
    """The control: learnt where one answer nearly always comes, used where answers are split."""
    rows = mixed(300, seed, easy=0.0)
    _, same = play(rows, posterior(mixed(300, seed + 10, easy=1.0), LEVEL))
    assert same < LEVEL - 0.05


def test_fewer_votes_by_the_built_in_model() -> None:
    levels = ("1", "2", "3")

    def tally(rule: SelfConsistency) -> Rows:
        drawn = run(RoundRobin("v", rule), "chain", levels, tokens=None, model="tiny-0.3m", seed=1)
        return [[a.text or ""] for a in drawn.answers]

    assert len(tally(SelfConsistency(1))) == len(questions("chain", levels, 40, 1))
    history = [[5], [4, 1], [5], [4, 1], [3, 1, 1], [5], [5], [4, 1]]
    learnt = PosteriorVoting.learn(history, max_samples=16)
    runs = {
        name: [
            run(RoundRobin(name, rule), "chain", levels, tokens=None, seed=s, model="tiny-0.3m")
            for s in range(3)
        ]
        for name, rule in {
            "posterior": learnt,
            "beta": AdaptiveConsistency(max_samples=16),
        }.items()
    }
    spent = {n: sum(r.spent.tokens or 0.0 for r in rs) for n, rs in runs.items()}
    right = {n: np.mean([r.accuracy or 0.0 for r in rs]) for n, rs in runs.items()}
    assert spent["posterior"] < 0.9 * spent["beta"]
    assert right["posterior"] > right["beta"] - 0.03
