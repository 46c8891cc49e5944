"""Voting: predicted accuracy is the true one, and predicted gains point to where votes pay."""

from itertools import pairwise, product

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import gammaln, logsumexp
from scipy.stats import beta

from bursar.errors import BadInput
from bursar.value import VoteLaw, VotePosterior, p_top_beats_second

TASKS = {  # wrong answers: how many, Zipf exponent; the law of p
    "scattered": (20, 0.0, lambda rng, n: rng.random(n)),
    "zipf": (20, 1.0, lambda rng, n: rng.random(n)),
    "tempting": (20, 2.0, lambda rng, n: rng.random(n)),
    "hard": (20, 1.0, lambda rng, n: rng.beta(0.6, 1.2, n)),
}


class Task:
    """Questions with known answer chances; the right answer is at a random index of 21."""

    def __init__(self, name: str, count: int, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        wrong, zipf, law = TASKS[name]
        share = np.arange(1, wrong + 1.0) ** -zipf
        p = law(self.rng, count)[:, None]
        chance = np.hstack([p, (1 - p) * share / share.sum()])
        order = self.rng.permuted(np.tile(np.arange(wrong + 1), (count, 1)), axis=1)
        self.right = order.argmin(axis=1)
        self.chance = np.take_along_axis(chance, order, axis=1)
        self.counts = np.zeros(chance.shape, dtype=int)

    def sample(self, votes: np.ndarray | int) -> "Task":
        votes = np.broadcast_to(votes, (len(self.right),))
        self.counts = self.counts + self.rng.multinomial(votes, self.chance)
        return self

    @property
    def label(self) -> np.ndarray:
        seen = self.counts[np.arange(len(self.right)), self.right] > 0
        return np.where(seen, self.right, -1)


def _law(name: str) -> VoteLaw:
    """Learned from 600 other labelled questions with 16 votes each."""
    known = Task(name, 600, seed=99).sample(16)
    return VoteLaw.fit(known.counts, known.label)


def _bins(predicted: np.ndarray, hit: np.ndarray) -> list[tuple[float, int]]:
    """(actual - predicted, questions) of each well-filled bin."""
    edges = [0, 0.3, 0.5, 0.7, 0.85, 0.95, 1.01]
    found = []
    for low, high in pairwise(edges):
        here = (predicted >= low) & (predicted < high)
        if here.sum() >= 150:
            found.append((float(hit[here].mean() - predicted[here].mean()), int(here.sum())))
    return found


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("votes", [4, 8, 16])
def test_predicted_accuracy_is_the_true_one(name: str, votes: int) -> None:
    task = Task(name, 4000, seed=1).sample(votes)
    posterior = VotePosterior(task.counts, _law(name))
    hit = posterior.best == task.right
    gaps = _bins(posterior.p_correct, hit)
    assert sum(abs(gap) * n for gap, n in gaps) / sum(n for _, n in gaps) < 0.08
    assert max(abs(gap) for gap, _ in gaps) < 0.2
    assert posterior.p_correct.mean() == pytest.approx(hit.mean(), abs=0.07)


@pytest.mark.parametrize("name", ["scattered", "zipf"])
def test_the_default_law_is_sensible(name: str) -> None:
    task = Task(name, 4000, seed=1).sample(8)
    posterior = VotePosterior(task.counts)
    hit = posterior.best == task.right
    assert posterior.p_correct.mean() == pytest.approx(hit.mean(), abs=0.12)
    sure, unsure = posterior.p_correct > 0.9, posterior.p_correct < 0.5
    assert hit[sure].mean() > 0.85
    assert hit[unsure].mean() < 0.5


@pytest.mark.parametrize("name", ["scattered", "zipf", "hard"])
def test_predicted_gain_is_the_true_one(name: str) -> None:
    task = Task(name, 6000, seed=2).sample(4)
    law = _law(name)
    before = VotePosterior(task.counts, law)
    gain = before.gain([2, 4, 16])
    was_right = before.best == task.right
    more = 0
    for column, votes in enumerate((2, 4, 16)):
        task.sample(votes - more)
        more = votes
        rise = (VotePosterior(task.counts, law).best == task.right).mean() - was_right.mean()
        assert gain[:, column].mean() == pytest.approx(rise, abs=0.04)


@pytest.mark.parametrize("name", ["scattered", "zipf", "hard"])
def test_allocating_by_gain_beats_uniform_and_shuffled_gains_do_not(name: str) -> None:
    law = _law(name)
    accuracy = {}
    for rule in ("gain", "shuffled", "uniform"):
        task = Task(name, 3000, seed=3).sample(3)
        for _ in range(6):  # each round: 4 more votes for a quarter of the questions, or 1 for all
            if rule == "uniform":
                task.sample(1)
                continue
            gain = VotePosterior(task.counts, law).gain(4)
            if rule == "shuffled":
                gain = task.rng.permutation(gain)
            task.sample(np.where(np.argsort(np.argsort(-gain)) < 750, 4, 0))
        accuracy[rule] = (VotePosterior(task.counts, law).best == task.right).mean()
    assert accuracy["gain"] > accuracy["uniform"] + 0.005
    assert accuracy["shuffled"] < accuracy["uniform"]


def test_posterior_of_two_samples_by_hand() -> None:
    """One rate and one concentration: every hypothesis can be written out."""
    weight = np.zeros((21, 6))
    weight[12, 2] = 1
    law = VoteLaw(weight, discount=0.0)
    p, c = 1 / (1 + np.exp(-1.0)), 0.25 * 4**2
    agree = {"right": p**2, "unseen": (1 - p) ** 2 / (1 + c)}
    differ = {"one right": p * (1 - p), "unseen": (1 - p) ** 2 * c / (1 + c)}
    posterior = VotePosterior([[2], [1, 1]], law)
    assert posterior.p_correct[0] == pytest.approx(agree["right"] / sum(agree.values()))
    total = 2 * differ["one right"] + differ["unseen"]
    assert posterior.p_answers[1] == pytest.approx([differ["one right"] / total] * 2)
    assert posterior.p_unseen[1] == pytest.approx(differ["unseen"] / total)


def test_gain_of_one_vote_equals_its_sum_over_outcomes() -> None:
    """The simulated gain against the sum over every next vote."""
    law = VoteLaw()
    for counts in ([2, 1], [1, 1], [3, 2, 1]):
        now = VotePosterior([counts], law)
        # the chance of the next vote, from the joint chance of the counts after it and before
        after = [[*counts[:i], counts[i] + 1, *counts[i + 1 :]] for i in range(len(counts))]
        after.append([*counts, 1])
        chance = np.array([_evidence(law, a) - _evidence(law, counts) for a in after])
        chance = np.exp(chance)
        assert chance.sum() == pytest.approx(1)
        later = VotePosterior(after, law).p_correct
        assert now.gain(1)[0] == pytest.approx(chance @ later - now.p_correct[0], abs=0.004)


def _evidence(law: VoteLaw, counts: list[int]) -> float:
    """log P(these counts in this order), over all hypotheses."""
    d, n, votes = law.discount, sum(counts), np.array(counts, dtype=float)
    ways = gammaln(votes - d) - gammaln(1 - d)
    each = law.log_joint(votes, n, len(counts) - 1) + ways.sum() - ways
    none = float(law.log_joint(0, n, len(counts))) + ways.sum()
    return float(logsumexp([*each, none]))


def test_laws_of_the_posterior() -> None:
    counts = [list(c) for c in product(range(4), repeat=3)]
    posterior = VotePosterior(counts)
    total = posterior.p_answers.sum(axis=1) + posterior.p_unseen
    np.testing.assert_allclose(total, 1)
    assert posterior.p_correct[0] == 0  # no vote, no answer
    turned = VotePosterior([c[::-1] for c in counts])
    np.testing.assert_allclose(turned.p_correct, posterior.p_correct)
    gain = posterior.gain([1, 2, 4, 8, 16])
    assert np.all(gain >= 0)
    assert np.all(np.diff(gain, axis=1) >= 0)
    assert np.all(posterior.p_correct[:, None] + gain <= 1)
    np.testing.assert_array_equal(gain, VotePosterior(counts).gain([1, 2, 4, 8, 16]))
    np.testing.assert_array_equal(gain, turned.gain([1, 2, 4, 8, 16]))


def test_agreement_raises_confidence_and_lowers_gain() -> None:
    posterior = VotePosterior([[2], [4], [8], [2, 2], [4, 4]])
    chance, gain = posterior.p_correct, posterior.gain(8)
    assert chance[0] < chance[1] < chance[2]
    assert gain[0] > gain[2]
    assert gain[4] > 3 * gain[2]


def test_weights_shift_the_posterior_and_equal_weights_do_not() -> None:
    counts = [[3, 3], [3, 3], [2, 1]]
    plain = VotePosterior(counts)
    weighted = VotePosterior(counts, weights=[[0.9, 0.3], [0.5, 0.5], [0.4, 0.2]])
    np.testing.assert_allclose(weighted.p_answers[1:], plain.p_answers[1:])
    assert weighted.best[0] == 0
    assert weighted.p_correct[0] > plain.p_correct[0] + 0.2
    assert np.all(weighted.gain([1, 4]) >= 0)


def test_weights_that_know_make_better_choices() -> None:
    task = Task("tempting", 3000, seed=5).sample(6)
    better = np.where(np.arange(21) == task.right[:, None], 1.4, 1.0) * task.counts
    weighted = VotePosterior(task.counts, weights=better).best == task.right
    assert weighted.mean() > (VotePosterior(task.counts).best == task.right).mean() + 0.05


def test_a_law_survives_its_profile() -> None:
    law = _law("zipf")
    again = VoteLaw.from_dict(law.to_dict())
    task = Task("zipf", 50, seed=7).sample(8)
    one, two = (VotePosterior(task.counts, kept).p_correct for kept in (law, again))
    np.testing.assert_array_equal(one, two)
    with pytest.raises(BadInput):
        VoteLaw.from_dict({"weight": [[1.0]]})


def test_few_labels_stay_close_to_the_default() -> None:
    task = Task("zipf", 3000, seed=8).sample(8)
    few = VoteLaw.fit(task.counts[:3], task.label[:3])
    gap = VotePosterior(task.counts, few).p_correct - VotePosterior(task.counts).p_correct
    assert np.abs(gap).mean() < 0.15
    none = VoteLaw.fit(np.zeros((0, 3)), [])
    np.testing.assert_allclose(none.weight, VoteLaw().weight)


@pytest.mark.parametrize(("top", "second"), [(0, 0), (3, 1), (7, 0), (2.5, 1.5)])
def test_stopping_rule_is_the_beta_integral(top: float, second: float) -> None:
    exact = quad(beta(top + 1, second + 1).pdf, 0.5, 1)[0]
    assert p_top_beats_second(top, second) == pytest.approx(exact, rel=1e-6)


def test_stopping_rule_stops_at_four_unanimous_votes() -> None:
    assert p_top_beats_second(3, 0) < 0.95 < p_top_beats_second(4, 0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: p_top_beats_second(-1, 0),
        lambda: VotePosterior([[1, -1]]).p_correct,
        lambda: VotePosterior([[1, np.nan]]).p_correct,
        lambda: VotePosterior([[1]]).gain(0),
        lambda: VotePosterior([[1, 0]], weights=[[0.5, 0.5]]).p_correct,
        lambda: VotePosterior([[1, 1]], weights=[[0.5]]).p_correct,
        lambda: VoteLaw(np.ones((21, 6))),
        lambda: VoteLaw(discount=1.0),
        lambda: VoteLaw(calibration=(1.0,)),
        lambda: VoteLaw.fit([[1, 2]], [2]),
        lambda: VoteLaw.fit([[1, 0]], [1]),
        lambda: VoteLaw.fit([[1, 0]], [0, 0]),
    ],
)
def test_impossible_values_are_refused(call) -> None:
    with pytest.raises(BadInput):
        call()
