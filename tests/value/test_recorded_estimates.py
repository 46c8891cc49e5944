"""pass@k and majority@k equal the mean over all subsets of the record."""

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.errors import BadInput
from bursar.value import majority_at_k, majority_of, pass_at_k, weighted_majority_at_k


def _plurality(votes: np.ndarray, right: int) -> float:
    return (votes[right] == votes.max()) / (votes == votes.max()).sum()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), st.data())
def test_pass_at_k_is_the_mean_over_subsets(counts: tuple[int, int], data) -> None:
    n, c = counts
    k = data.draw(st.integers(1, n))
    record = [1] * c + [0] * (n - c)
    exact = np.mean([any(part) for part in combinations(record, k)])
    assert pass_at_k(c, n, k) == pytest.approx(exact)


def test_pass_at_k_is_vectorised_and_stable() -> None:
    table = pass_at_k(np.array([[0], [1], [500_000]]), 1_000_000, np.array([1, 1000, 600_000]))
    np.testing.assert_allclose(table[0], 0)
    np.testing.assert_allclose(table[1], [1e-6, 1e-3, 0.6], atol=1e-9)
    np.testing.assert_allclose(table[2], [0.5, 1, 1], rtol=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=2, max_size=4).filter(any), st.data())
def test_majority_at_k_is_the_mean_over_subsets(counts: list[int], data) -> None:
    record = [answer for answer, votes in enumerate(counts) for _ in range(votes)]
    k = data.draw(st.integers(1, len(record)))
    right = data.draw(st.integers(0, len(counts) - 1))
    subsets = combinations(record, k)
    exact = np.mean([_plurality(np.bincount(s, minlength=len(counts)), right) for s in subsets])
    assert majority_at_k(counts, right, k) == pytest.approx(exact, abs=1e-12)


def test_majority_of_known_chances_is_the_sum_over_all_outcomes() -> None:
    chance = [0.4, 0.3, 0.2, 0.1]
    for k in (1, 2, 5):
        exact = sum(
            np.prod([chance[i] for i in outcome]) * _plurality(np.bincount(outcome, minlength=4), 1)
            for outcome in product(range(4), repeat=k)
        )
        assert majority_of(chance, 1, k) == pytest.approx(exact)


def test_voting_amplifies_the_mode_and_nothing_else() -> None:
    assert majority_of([0.4, 0.3, 0.3], 0, 65) > 0.7
    assert majority_of([0.3, 0.4, 0.3], 0, 65) < 0.2
    assert majority_of([0.5, 0.5], 0, 65) == pytest.approx(0.5)
    assert majority_at_k([3, 1], None, 2) == 0.0


def test_weighted_majority_with_equal_weights_is_majority() -> None:
    counts = [3, 2, 2, 1]
    record = np.repeat(np.arange(4), counts)
    share = weighted_majority_at_k(
        [record] * 3, np.ones((3, 8)), [0, 1, 3], 5, rng=np.random.default_rng(0), subsets=4000
    )
    exact = [majority_at_k(counts, right, 5) for right in (0, 1, 3)]
    np.testing.assert_allclose(share, exact, atol=0.03)


def test_weights_that_know_make_voting_better() -> None:
    rng = np.random.default_rng(1)
    answers = rng.choice(3, size=(200, 16), p=[0.3, 0.4, 0.3])
    weights = np.where(answers == 0, 1.5, 1.0) * rng.uniform(0.5, 1.5, answers.shape)
    right = np.zeros(200, dtype=int)
    better = weighted_majority_at_k(answers, weights, right, 9, rng=rng, subsets=40).mean()
    shuffled = rng.permuted(weights, axis=1)
    plain = weighted_majority_at_k(answers, shuffled, right, 9, rng=rng, subsets=40).mean()
    assert better > plain + 0.1


@pytest.mark.parametrize(
    "call",
    [
        lambda: pass_at_k(3, 2, 1),
        lambda: pass_at_k(1, 4, 5),
        lambda: pass_at_k(1, 4, 0),
        lambda: majority_at_k([1, 2], 0, 4),
        lambda: majority_at_k([1, -2], 0, 1),
        lambda: majority_of([0.5, 0.6], 0, 2),
        lambda: majority_of([0.5, 0.5], 0, 0),
        lambda: weighted_majority_at_k([[0, 1]], [[1.0]], [0], 1, rng=np.random.default_rng(0)),
        lambda: weighted_majority_at_k(
            [[0, 1]], [[1.0, -1.0]], [0], 1, rng=np.random.default_rng(0)
        ),
    ],
)
def test_impossible_records_are_refused(call) -> None:
    with pytest.raises(BadInput):
        call()
