"""Claim: a model can tell by its own verdicts which of its attempts are right; where it learnt to.

Measured by the area under ROC: the chance that a right attempt has the higher score.
"""

import asyncio

import numpy as np
import pytest
from scipy.stats import mannwhitneyu
from silent import Silent
from tiny_arena import questions, remembered

from bursar.backends.tiny.tokenizer import REVISE_MARKER
from bursar.budget import Budget
from bursar.errors import BadInput
from bursar.reason.base import Arm, Work
from bursar.reason.purse import Purse
from bursar.reason.verify import Noisy, SelfEvaluation, Verifier, judge, mean_scores
from bursar.reason.workbench import Workbench
from bursar.workload.tasks import TASKS
from bursar.workload.tasks.verdicts import without_verdict

MODEL = "tiny-0.3m"
LEVELS = {"countdown": ("3", "4"), "chain": ("6",), "sudoku4": ("8",)}


def judged(task: str, verifier: Verifier) -> tuple[list[float], list[bool]]:
    """Scores of four attempts at each of 40 questions, and whether they are right."""
    tasks = {task: Silent(TASKS[task])}
    bench = Workbench(
        Purse(Budget(), {MODEL: remembered(MODEL)}),
        tasks,
        check=False,
        stop={MODEL: (REVISE_MARKER,)},
        judge={MODEL: without_verdict},
    )
    works = [Work(q) for q in questions(task, LEVELS[task], 40, 0)]

    async def ask() -> None:
        await bench.attempt([(w, Arm(MODEL)) for w in works for _ in range(4)])
        await judge(verifier, [(w, i) for w in works for i in range(4)], bench)

    asyncio.run(ask())
    spent = sum((w.usage().tokens or 0) for w in works)
    assert spent == bench.purse.spent.tokens
    scores = [s for w in works for s in mean_scores(w)]
    right = [tasks[task].check(w.question, a.answer) for w in works for a in w.attempts]
    stated = [a.answer is not None for w in works for a in w.attempts]
    kept = [i for i, s in enumerate(scores) if stated[i] and s is not None]
    return [scores[i] or 0.0 for i in kept], [right[i] for i in kept]


def area(task: str, verifier: Verifier) -> float:
    scores, right = judged(task, verifier)
    yes = np.array(scores)[right]
    no = np.array(scores)[~np.array(right)]
    return float(mannwhitneyu(yes, no).statistic / (len(yes) * len(no)))


def test_verdicts_tell_right_from_wrong_on_countdown() -> None:
    assert area("countdown", SelfEvaluation()) > 0.95
    assert area("countdown", SelfEvaluation(temperature=1.0)) > 0.95


@pytest.mark.parametrize("task", ["chain", "sudoku4"])
def test_and_not_on_the_tasks_where_the_model_was_never_wrong_in_training(task: str) -> None:
    assert area(task, SelfEvaluation()) == pytest.approx(0.5, abs=0.12)


def test_noise_takes_away_what_a_verifier_knows_the_same_with_the_same_seed() -> None:
    def noisy(**how: float) -> float:
        return area("countdown", Noisy(SelfEvaluation(), seed=1, **how))  # type: ignore[arg-type]

    clean, some, half = area("countdown", SelfEvaluation()), noisy(flips=0.2), noisy(flips=0.5)
    assert clean > some + 0.1 > half + 0.15
    assert half == pytest.approx(0.5, abs=0.12)
    assert clean > noisy(spread=4.0) > half
    assert noisy(flips=0.2) == some
    with pytest.raises(BadInput, match="flips"):
        noisy(flips=1.5)


def test_a_model_that_cannot_judge_is_named() -> None:
    bench = Workbench(Purse(Budget(), {MODEL: remembered(MODEL)}), TASKS)
    work = Work(questions("countdown", ("3",), 1, 0)[0])
    asyncio.run(bench.attempt([(work, Arm(MODEL))]))
    work.attempts[0] = work.attempts[0].__class__(work.attempts[0].arm, "", "1", work.usage())
    with pytest.raises(BadInput, match=f"{MODEL} can't judge"):
        asyncio.run(judge(SelfEvaluation(), [(work, 0)], bench))
