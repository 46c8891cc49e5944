"""The vectorised, incremental belief is the one of the formulas, and of all at once."""

import numpy as np
import pytest
from slow_belief import SlowBelief

from bursar.value.answer_belief import AnswerBelief, AnswerLaw
from bursar.value.answer_evidence import Scale, Votes

COUNTS = [1, 2, 4, 8, 32]


def some_votes(rng: np.random.Generator, questions: int, arms: int, checked: bool) -> list[Votes]:
    votes = []
    for _ in range(questions):
        size = int(rng.integers(0, 10))
        used = rng.integers(0, arms, size).tolist()
        hint = float(rng.normal()) if size else None
        if checked:
            solved = bool(size) and rng.random() < 0.5
            said = [-1] * (size - solved) + [0] * solved
            votes.append(Votes(used, said, 0 if solved else None, hint))
            continue
        names: dict[int, int] = {}
        said = [
            -1 if x == 0 else names.setdefault(int(x), len(names)) for x in rng.integers(0, 6, size)
        ]
        votes.append(Votes(used, said, None, hint))
    return votes


@pytest.mark.parametrize("arms", [1, 2])
@pytest.mark.parametrize("checked", [False, True])
def test_it_is_what_the_formulas_say(arms: int, checked: bool) -> None:
    votes = some_votes(np.random.default_rng(arms), 30, arms, checked)
    fast = AnswerBelief(len(votes), AnswerLaw.guess([0.3] * arms), checked=checked)
    fast.observe(votes)
    fast.refit()
    hints = np.array([np.nan if v.hint is None else v.hint for v in votes])
    hint = Scale.of(hints).standard(hints)
    for arm in range(arms):
        futures = fast.after(arm, COUNTS)
        for i, v in enumerate(votes):
            slow = SlowBelief(fast, v, float(hint[i]))
            assert fast.p_right[i] == pytest.approx(slow.p_right, abs=1e-9)
            assert futures[i] == pytest.approx(slow.after(arm, COUNTS), abs=1e-6)


@pytest.mark.parametrize("checked", [False, True])
def test_taking_in_a_few_questions_is_taking_in_all(checked: bool) -> None:
    rng = np.random.default_rng(7)
    before, later = (some_votes(rng, 24, 2, checked) for _ in range(2))
    laws = AnswerLaw.guess([0.3, -0.5])
    few = AnswerBelief(24, laws, checked=checked)
    few.observe(before)
    few.after(1, COUNTS)  # so that there is something that could go stale
    changed = np.arange(0, 24, 3)
    few.observe([later[i] for i in changed], changed)
    whole = AnswerBelief(24, laws, checked=checked)
    whole.observe(before)  # hints are measured by those of the last whole look
    scale = whole._scale
    whole.observe([later[i] if i % 3 == 0 else v for i, v in enumerate(before)])
    whole._scale = scale
    whole._infer(np.arange(24))
    assert np.array_equal(few.leader, whole.leader)
    assert few.p_right == pytest.approx(whole.p_right, abs=1e-12)
    assert few.after(1, COUNTS) == pytest.approx(whole.after(1, COUNTS), abs=1e-12)
