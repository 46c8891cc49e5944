"""Difficulty from few probes: the task's law is found, and few or odd counts do no harm."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import beta

from bursar.errors import BadInput
from bursar.value import BetaDifficulty


@pytest.mark.parametrize(("a", "b", "hopeless"), [(2, 4, 0.0), (1, 2, 0.4), (0.4, 2, 0.3)])
def test_fit_finds_the_law(a: float, b: float, hopeless: float) -> None:
    rng = np.random.default_rng(0)
    rate = rng.beta(a, b, 3000) * (rng.random(3000) >= hopeless)
    law = BetaDifficulty.fit(rng.binomial(16, rate), 16)
    truth = BetaDifficulty(a, b, hopeless)
    assert law.mean_rate() == pytest.approx(truth.mean_rate(), abs=0.02)
    for n in (1, 4, 16, 64):
        assert law.success_within(n) == pytest.approx(float(truth.success_within(n)), abs=0.04)


def test_posterior_equals_the_integral() -> None:
    law = BetaDifficulty(0.7, 2.0)
    posterior = beta(0.7 + 2, 2.0 + 6)
    exact = quad(lambda p: (1 - (1 - p) ** 9) * posterior.pdf(p), 0, 1)[0]
    assert law.success_within(9, 2, 8) == pytest.approx(exact, rel=1e-6)
    assert law.success_next(2, 8) == pytest.approx(posterior.mean())


def test_within_is_the_chain_of_next() -> None:
    law = BetaDifficulty(0.3, 1.5, hopeless=0.4)
    missed = np.prod([1 - law.success_next(0, 3 + i) for i in range(10)])
    assert law.success_within(10, 0, 3) == pytest.approx(1 - missed)
    assert law.success_within(1, 0, 3) == pytest.approx(float(law.success_next(0, 3)))
    assert law.success_within(10**9) == pytest.approx(0.6, abs=0.01)


def test_failures_shrink_hope_faster_where_some_questions_are_hopeless() -> None:
    plain, spiked = BetaDifficulty(1, 2), BetaDifficulty(1, 2, hopeless=0.5)
    ratio = [float(spiked.success_next(0, n) / plain.success_next(0, n)) for n in (0, 4, 16)]
    assert ratio[0] == pytest.approx(0.5)
    assert ratio[0] > ratio[1] > ratio[2]
    assert spiked.success_next(1, 5) == plain.success_next(1, 5)


@pytest.mark.parametrize(
    ("successes", "trials"),
    [([], []), ([0], [0]), ([0], [4]), ([4], [4]), ([0] * 5, [4] * 5), ([4] * 500, [4] * 500)],
)
def test_few_or_one_sided_counts_give_a_usable_law(successes, trials) -> None:
    law = BetaDifficulty.fit(successes, trials)
    assert 0.001 < law.success_next() < 0.999
    share = np.mean(successes) / trials[0] if sum(trials) else 0.5
    assert abs(law.success_next(1, 2) - 0.5) < 0.49
    assert (law.mean_rate() - 0.45) * (share - 0.45) >= 0  # leans to what was seen


def test_shrinking_predicts_better_than_the_raw_share() -> None:
    rng = np.random.default_rng(3)
    rate = rng.beta(1, 4, 400)
    seen = rng.binomial(4, rate)
    shrunk = BetaDifficulty.fit(seen, 4).success_next(seen, 4)
    assert np.mean((shrunk - rate) ** 2) < 0.6 * np.mean((seen / 4 - rate) ** 2)


@pytest.mark.parametrize(
    "call",
    [
        lambda: BetaDifficulty(0, 1),
        lambda: BetaDifficulty(1, 1, 1.0),
        lambda: BetaDifficulty.fit([3], [2]),
        lambda: BetaDifficulty().success_within(-1),
        lambda: BetaDifficulty().success_next(2, 1),
    ],
)
def test_impossible_values_are_refused(call) -> None:
    with pytest.raises(BadInput):
        call()
