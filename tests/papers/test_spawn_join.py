"""Claim: on Countdown threads that are spawned and joined solve more than one serial thread of the
same length, and more than as many independent threads of that length."""

import pytest
from tiny_arena import SEEDS, accuracy, questions, run

from bursar.errors import BadInput
from bursar.reason.parallel.spawn_join import SpawnJoin, SpawnPolicy, branches, child_prompt
from bursar.workload.tasks import TASKS
from bursar.workload.tasks.base import Question

THREADS, TOKENS = 4, 48


def solved(how: SpawnJoin) -> float:
    """Of 40 four-number questions a seed; every thread may say `TOKENS` tokens, revising itself."""
    return accuracy(
        [run(how, "countdown", ("4",), tokens=None, seed=s, model="tiny-0.3m") for s in SEEDS]
    )


SPAWNED = SpawnJoin(THREADS, TOKENS, rounds=1)


def test_with_threads_of_equal_length_it_beats_serial_search() -> None:
    assert solved(SPAWNED) > solved(SpawnJoin(1, TOKENS, 1, None)) + 0.2


def test_with_a_critical_path_of_equal_length_it_beats_independent_threads() -> None:
    assert solved(SPAWNED) > solved(SpawnJoin(THREADS, TOKENS, 1, None)) + 0.05


def test_the_learned_policy_is_no_worse_than_drawing_branches_at_random() -> None:
    """The paper's gain is larger; what a linear policy over first steps can learn is little."""
    assert solved(SPAWNED) >= solved(SpawnJoin(THREADS, TOKENS, 1, SpawnPolicy())) - 0.02


def test_what_a_child_solves_answers_the_parent() -> None:
    solution = run(SPAWNED, "countdown", ("4",), tokens=None, model="tiny-0.3m")
    verified = [a for a in solution.answers if a.verified]
    assert len(verified) == solution.num_right
    asked = {q.id: q for q in questions("countdown", ("4",), 40, 0)}
    task = TASKS["countdown"]
    assert all(task.check(asked[a.question_id], a.text) for a in verified)


def test_it_never_spends_more_than_the_purse_and_ends() -> None:
    solution = run(SpawnJoin(), "countdown", ("4", "5"), tokens=6000, model="tiny-0.3m")
    assert 0.5 * 6000 < (solution.spent.tokens or 0) <= 6000


def test_branches_are_different_children_and_other_tasks_have_none() -> None:
    question = Question("q", "countdown", "countdown 3,4,5,6=60\n")
    prompts = [child_prompt(question, step) for step in branches(question)]
    kinds = {tuple(sorted(p.split()[1].split("=")[0].split(","))) for p in prompts}
    assert len(kinds) == len(prompts) > 12
    assert branches(Question("q", "countdown", "countdown 3,4,5=60\n")) == []
    assert branches(Question("q", "chain", "chain 3+4\n")) == []
    with pytest.raises(BadInput, match="width"):
        SpawnJoin(width=0)
