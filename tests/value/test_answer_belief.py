"""Beliefs about which answer is right: on synthetic attempts the truth is known, and they match."""

import numpy as np
import pytest

from bursar.value.answer_belief import AnswerBelief, AnswerLaw
from bursar.value.answer_evidence import Votes


def world(
    rng: np.random.Generator, questions: int, attempts: int, beta: tuple[float, float], alpha: float
) -> tuple[list[Votes], np.ndarray]:
    """Attempts by the model's own laws: right with p ~ Beta, wrong ones like restaurant guests."""
    votes, truth = [], []
    for p in rng.beta(*beta, size=questions):
        said: list[int] = []
        wrong: list[int] = []
        for _ in range(attempts):
            if rng.random() < p:
                said.append(-1)
                continue
            weights = [wrong.count(j) for j in range(len(set(wrong)))] + [alpha]
            wrong.append(int(rng.choice(len(weights), p=np.array(weights) / sum(weights))))
            said.append(wrong[-1])
        names = {name: i for i, name in enumerate(dict.fromkeys(said))}
        votes.append(Votes([0] * attempts, [names[s] for s in said]))
        truth.append(names.get(-1, -2))
    return votes, np.array(truth)


def believed(votes: list[Votes], checked: bool = False) -> AnswerBelief:
    belief = AnswerBelief(len(votes), AnswerLaw.guess([0.0]), checked=checked)
    belief.observe(votes)
    belief.refit(12)
    return belief


@pytest.mark.parametrize("beta", [(2.0, 1.5), (5.0, 1.0), (4.0, 4.0)])
@pytest.mark.parametrize("attempts", [3, 5, 8])
def test_believed_accuracy_is_the_actual_one(beta: tuple[float, float], attempts: int) -> None:
    votes, truth = world(np.random.default_rng(attempts), 500, attempts, beta, alpha=6.0)
    belief = believed(votes)
    assert belief.p_right.mean() == pytest.approx((belief.leader == truth).mean(), abs=0.12)


def test_the_surer_it_is_the_righter_it_is() -> None:
    votes, truth = world(np.random.default_rng(0), 900, 5, (2.0, 1.5), alpha=6.0)
    belief = believed(votes)
    right = belief.leader == truth
    order = np.argsort(belief.p_right)
    thirds = [right[part].mean() for part in np.array_split(order, 3)]
    assert thirds[0] + 0.15 < thirds[1] + 0.05 < thirds[2]


def test_what_more_attempts_should_buy_is_what_they_buy() -> None:
    rng = np.random.default_rng(3)
    votes, truth = world(rng, 600, 12, (2.0, 1.5), alpha=6.0)
    first = [Votes(v.arms[:4], v.answers[:4]) for v in votes]
    now = believed(first)
    predicted = now.after(0, [8]).mean() - now.p_right.mean()
    later = believed(votes)
    actual = (later.leader == truth).mean() - (now.leader == truth).mean()
    assert predicted == pytest.approx(actual, abs=0.05)


@pytest.mark.parametrize("beta", [(1.0, 1.0), (0.6, 1.2)])
def test_spending_by_what_it_should_buy_beats_uniform_and_shuffled_hopes_do_not(
    beta: tuple[float, float],
) -> None:
    rng = np.random.default_rng(9)
    recorded, truth = world(rng, 800, 27, beta, alpha=3.0)
    accuracy = {}
    for rule in ("gain", "shuffled", "uniform"):
        known = np.full(len(recorded), 3)
        for _ in range(
            6
        ):  # each round: 4 more attempts for a quarter of the questions, or 1 for all
            belief = believed(
                [Votes(v.arms[:n], v.answers[:n]) for v, n in zip(recorded, known, strict=True)]
            )
            gain = belief.after(0, [4])[:, 0] - belief.p_right
            if rule == "shuffled":
                gain = rng.permutation(gain)
            chosen = np.argsort(np.argsort(-gain)) < len(known) // 4
            known = known + (1 if rule == "uniform" else 4 * chosen)
        belief = believed(
            [Votes(v.arms[:n], v.answers[:n]) for v, n in zip(recorded, known, strict=True)]
        )
        accuracy[rule] = (belief.leader == truth).mean()
    assert accuracy["gain"] > accuracy["uniform"] + 0.005
    assert accuracy["shuffled"] < accuracy["uniform"]


def test_attempts_that_agree_are_believed_and_a_scattered_question_has_more_to_gain() -> None:
    agree = Votes([0] * 4, [0, 0, 0, 0])
    scatter = Votes([0] * 4, [0, 1, 2, 0])
    belief = believed([agree, scatter] * 20)
    assert belief.p_right[0] > belief.p_right[1] + 0.2
    gain = belief.after(0, [4])[:, 0] - belief.p_right
    assert gain[1] > gain[0] + 0.05


def test_more_attempts_never_lower_the_expectation() -> None:
    votes, _ = world(np.random.default_rng(5), 100, 4, (2.0, 2.0), alpha=4.0)
    belief = believed(votes)
    ladder = np.column_stack([belief.p_right, belief.after(0, [1, 2, 4, 8, 16])])
    assert (np.diff(ladder, axis=1) >= 0).all()
    assert (ladder <= 1 + 1e-9).all()


def test_a_checker_settles_it() -> None:
    solved = Votes([0, 0], [-1, 0], right=0)
    failed = Votes([0, 0], [-1, -1])
    belief = believed([solved, failed], checked=True)
    assert belief.p_right.tolist() == [1.0, 0.0]
    assert belief.leader.tolist() == [0, -1]
    assert belief.after(0, [1])[1, 0] > 0.05


def test_nothing_known_is_a_calm_belief() -> None:
    belief = AnswerBelief(3, AnswerLaw.guess([0.0, 0.0]))
    belief.refit()
    assert belief.p_right.tolist() == [0.0] * 3
    assert belief.leader.tolist() == [-1] * 3
    assert (belief.after(1, [1, 4]) > 0.2).all()
