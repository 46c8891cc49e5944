"""Comparison rows: means, paired leads and intervals from trials."""

import numpy as np
import pytest

from bursar.reason.compare import Trial, rows, standings


def trial(name: str, right: list[bool], seed: int = 0, budget: float = 100.0) -> Trial:
    tasks = tuple("ab"[i % 2] for i in range(len(right)))
    return Trial("m", name, budget, seed, tasks, tuple(right), 90.0, tuple([1.0] * len(right)))


def test_accuracy_spend_and_seeds_by_task_and_for_all() -> None:
    trials = [trial("x", [True, False] * 20, s) for s in range(3)]
    by_task = {r.task: r for r in rows(trials, "x")}
    assert set(by_task) == {"all", "a", "b"}
    assert (by_task["a"].accuracy, by_task["b"].accuracy, by_task["all"].accuracy) == (
        1.0,
        0.0,
        0.5,
    )
    assert by_task["all"].seeds == 3
    assert by_task["a"].spent == 20.0


def test_the_lead_is_paired_question_by_question() -> None:
    rng = np.random.default_rng(0)
    base = list(rng.random(400) < 0.5)
    better = [b or i % 10 == 0 for i, b in enumerate(base)]
    table = rows([trial("good", better), trial("plain", base)], "good")
    (plain,) = [r for r in table if r.task == "all" and r.strategy == "plain"]
    assert plain.lead == pytest.approx(np.mean(better) - np.mean(base))
    assert 0 < plain.lead_low < plain.lead < plain.lead_high
    assert plain.lead_high - plain.lead_low < 0.06  # an unpaired interval would be about 0.14
    (good,) = [r for r in table if r.task == "all" and r.strategy == "good"]
    assert (good.lead, good.lead_low, good.lead_high) == (0.0, 0.0, 0.0)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(60):
        (row,) = (
            r for r in rows([trial("x", list(rng.random(200) < 0.7))], "x") if r.task == "all"
        )
        covered += row.low <= 0.7 <= row.high
    assert covered >= 52


def test_the_leaderboard_is_the_mean_over_the_logarithm_of_the_budget() -> None:
    half, most = [True, False] * 50, [True] * 90 + [False] * 10
    trials = [
        *(trial("flat", half, budget=b) for b in (100, 200, 400)),
        *(trial("late", right, budget=b) for b, right in ((100, half), (200, half), (400, most))),
        trial("once", most, budget=400),
    ]
    board = [p for p in standings(trials) if p.task == "all"]
    assert [p.strategy for p in board] == ["late", "flat"], "not tried at every budget: not listed"
    assert board[0].area == pytest.approx(0.25 * 0.5 + 0.5 * 0.5 + 0.25 * 0.9)
    assert board[0].low < board[0].area < board[0].high
    assert board[0].first == 1.0


def test_what_is_beaten_for_less_is_not_on_the_front_and_a_tie_is_half_there() -> None:
    rng = np.random.default_rng(1)
    good, other = (list(rng.random(300) < p) for p in (0.8, 0.8))
    bad = list(rng.random(300) < 0.3)
    table = {
        (r.strategy, r.budget): r.front
        for r in rows([trial("good", good), trial("other", other), trial("bad", bad)], "good")
        if r.task == "all"
    }
    assert table["bad", 100.0] == 0.0
    assert 0.05 < table["good", 100.0] < 0.95
    assert table["good", 100.0] + table["other", 100.0] >= 1.0
