"""Beliefs about the questions of one task, round by round."""

from itertools import pairwise

from bursar.reason.base import Arm, Attempt, Work
from bursar.reason.belief import SETTLED, TaskBelief
from bursar.usage import Usage
from bursar.workload.tasks.base import Question


def test_laws_half_learned_are_learned_on_while_others_are_asked() -> None:
    arm = Arm("m")
    works = [Work(Question(str(i), "t", "?")) for i in range(12)]
    belief = TaskBelief(works, ("m",), checked=True)
    assert belief.update() == ([], False)
    for work in works[:6]:
        work.attempts.append(Attempt(arm, "4", "4", Usage(), verified=True))
    assert belief.update() == (list(range(6)), True)
    chances = [belief.chance(arm, 0)]
    while belief.update() == ([], True):  # nothing new of this task
        chances.append(belief.chance(arm, 0))
    steps = [after - before for before, after in pairwise(chances)]
    assert len(steps) > 1
    assert min(steps[:-1]) > SETTLED >= steps[-1]
    assert belief.update() == ([], False)
