"""Comparison rows: means, paired leads and intervals from trials."""

import numpy as np
import pytest

from bursar.reason.compare import Trial, rows


def trial(name: str, right: list[bool], seed: int = 0, budget: float = 100.0) -> Trial:
    tasks = tuple("ab"[i % 2] for i in range(len(right)))
    return Trial(name, budget, seed, tasks, tuple(right), 90.0, tuple([1.0] * len(right)))


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
