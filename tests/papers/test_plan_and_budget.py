"""Claim: tokens where they remove most uncertainty buy more correctness per token (E3)."""

from itertools import combinations

import numpy as np
import pytest
from long_chains import run_long
from tiny_arena import SEEDS, accuracy, tokens

from bursar.errors import BadInput, Infeasible
from bursar.reason.split import (
    DECAYS,
    Effort,
    PlanAndBudget,
    Scale,
    SplitAndSolve,
    SubQuestions,
    scheduled,
)
from bursar.value import e3

BUDGET = 90
SURE = 0.02


def drawn(seed: int, count: int = 4) -> SubQuestions:
    """Unequal sub-questions: some nearly known, some that take half of the budget."""
    rng = np.random.default_rng(seed)
    scale = np.exp(rng.uniform(np.log(0.3), np.log(8.0), count))
    return SubQuestions(scale, rng.uniform(1.0, 1.6, count), rng.uniform(0.0, 0.03, count))


def e3_of(questions: SubQuestions, split: np.ndarray) -> float:
    return e3(float(questions.p_right(split)), float(split.sum()))


def exhaustive(questions: SubQuestions, budget: int) -> float:
    """The best E3 of any whole split of the budget."""
    count = len(questions.scale)
    cuts = np.array(list(combinations(range(1, budget), count - 1)))
    edges = np.hstack([np.zeros((len(cuts), 1)), cuts, np.full((len(cuts), 1), budget)])
    return float(np.max(questions.p_right(np.diff(edges)))) ** 2 / budget


def test_beats_uniform_and_unplanned_and_is_near_the_best_split() -> None:
    """Unplanned: each sub-question is thought about until sure, whatever it takes."""
    gains, losses, near, mistaken = [], [], [], []
    for seed in range(20):
        questions = drawn(seed)
        planned = e3_of(questions, questions.split(BUDGET)[0])
        uniform = e3_of(questions, scheduled(np.ones(4), BUDGET))
        unplanned = np.ceil((questions.scale / SURE) ** (1 / questions.exponent))
        gains.append(planned / uniform)
        losses.append(e3_of(questions, unplanned) / planned)
        near.append(planned / exhaustive(questions, BUDGET))
        mistaken.append(e3_of(questions, np.roll(questions.split(BUDGET)[0], 1)) / uniform)
    assert min(gains) >= 1
    assert np.mean(gains) > 1.05
    assert np.mean(losses) < 0.8
    assert min(near) > 0.95
    assert np.mean(mistaken) < 1  # the control: each gets what another one needs


def test_e3_counts_accuracy_twice_and_tokens_once() -> None:
    assert e3(0.8, 100) == pytest.approx(4 * e3(0.4, 100))
    assert e3(0.8, 100) == pytest.approx(2 * e3(0.8, 200))


def test_with_equal_sub_questions_there_is_nothing_to_gain() -> None:
    alike = SubQuestions(np.full(4, 3.0), np.full(4, 1.2), np.zeros(4))
    split, _ = alike.split(88)
    assert split.tolist() == [22, 22, 22, 22]


def test_the_price_is_the_uncertainty_that_one_more_token_removes() -> None:
    questions = drawn(3)
    split, price = questions.split(4_000)
    removed = questions.uncertainty(split) - questions.uncertainty(split + 1)
    assert removed == pytest.approx(price, rel=0.02)


@pytest.mark.parametrize("decay", DECAYS)
def test_a_schedule_spends_the_budget_and_never_gives_later_ones_more(decay: str) -> None:
    split = scheduled(np.ones(5), 101, decay)
    assert split.sum() == 101
    assert np.all(np.diff(split) <= 0)


def test_bad_budgets_are_refused() -> None:
    with pytest.raises(Infeasible, match="too little"):
        drawn(0).split(10, 5.0)
    with pytest.raises(BadInput, match="least"):
        drawn(0).split(10, 0.0)
    with pytest.raises(BadInput, match="decay"):
        scheduled([1.0], 5, "staircase")
    with pytest.raises(BadInput, match="weights"):
        scheduled([0.0], 5)
    with pytest.raises(BadInput, match="accuracy"):
        e3(1.2, 100)


def test_on_chains_a_higher_e3_than_equal_attempts_at_equal_tokens() -> None:
    def runs(effort: Effort) -> tuple[float, float]:
        done = [run_long(SplitAndSolve("plan", effort), count=60, seed=s) for s in SEEDS]
        return accuracy(done), tokens(done) / 60

    right, spent = runs(PlanAndBudget(tokens=740))
    uniform = [runs(Scale(rater="all_hard", hard=k)) for k in (1, 3, 4, 5)]
    equal = np.interp(spent, [s for _, s in uniform], [a for a, _ in uniform])
    assert e3(right, spent) > 1.03 * e3(float(equal), spent)
