"""Claim: a fitter tells rising, flat, falling and peaked returns apart, and stops at the peak."""

from collections.abc import Callable

import numpy as np
import pytest
from tiny_arena import SEEDS, run

from bursar.errors import BadInput
from bursar.reason.revision import Revision
from bursar.reason.rounds import RoundRobin
from bursar.value import Returns

SPEND = 256.0 * 2 ** np.arange(8)
PLACE = np.arange(8) / 7
QUESTIONS = 600


def flat(rng: np.random.Generator) -> np.ndarray:
    return np.full(8, rng.uniform(0.3, 0.7))


def rising(rng: np.random.Generator) -> np.ndarray:
    bend = rng.uniform(0.5, 5)  # nearly straight to soon level
    gain = (1 - np.exp(-bend * PLACE)) / (1 - np.exp(-bend))
    return np.asarray(rng.uniform(0.2, 0.5) + rng.uniform(0.1, 0.25) * gain)


def falling(rng: np.random.Generator) -> np.ndarray:
    return 1 - rising(rng)


def peaked(rng: np.random.Generator) -> np.ndarray:
    bump = np.exp(-(((PLACE - rng.uniform(0.35, 0.65)) / rng.uniform(0.28, 0.42)) ** 2))
    return np.asarray(rng.uniform(0.3, 0.5) + rng.uniform(0.12, 0.25) * bump)


TRUTHS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "flat": flat,
    "rising": rising,
    "falling": falling,
    "peaked": peaked,
}


def measured(truth: np.ndarray, rng: np.random.Generator) -> Returns:
    seen = rng.binomial(QUESTIONS, truth) / QUESTIONS
    return Returns.fit(SPEND, seen, np.sqrt(seen * (1 - seen) / QUESTIONS), draws=200)


@pytest.mark.parametrize("name", TRUTHS)
def test_the_right_shape_is_named_nine_times_of_ten(name: str) -> None:
    """Gains of 10 to 25 points, as the paper's; errors of 2 points at each of 8 budgets."""
    named = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        named.append(measured(TRUTHS[name](rng), rng).shape == name)
    assert np.mean(named) >= 0.9


def test_the_planned_spend_is_near_the_peak_and_exhausting_the_budget_is_not() -> None:
    planned, exhausted, spent = [], [], []
    for seed in range(60):
        rng = np.random.default_rng(100 + seed)
        truth = peaked(rng)
        spend = measured(truth, rng).best_spend(SPEND[-1])
        planned.append(truth.max() - truth[np.flatnonzero(spend == SPEND)[0]])
        exhausted.append(truth.max() - truth[-1])
        spent.append(spend / SPEND[-1])
    assert np.mean(planned) < 0.02 < 0.08 < np.mean(exhausted)
    assert np.mean(spent) < 0.25


def test_flat_and_falling_curves_are_given_the_least_and_rising_ones_the_most() -> None:
    for make, wanted in ((flat, SPEND[0]), (falling, SPEND[0]), (rising, SPEND[-1])):
        chosen = []
        for seed in range(20):
            rng = np.random.default_rng(200 + seed)
            chosen.append(measured(make(rng), rng).best_spend(SPEND[-1]))
        assert np.median(chosen) == wanted


def test_a_price_stops_a_rising_curve_early() -> None:
    curve = Returns.fit(SPEND, [0.2, 0.35, 0.45, 0.52, 0.56, 0.58, 0.59, 0.592], 0.002)
    assert curve.shape == "rising"
    assert curve.best_spend(1e6) == SPEND[-1]
    assert curve.best_spend(1e6, price=1e-5) == 256 * 2**4
    assert curve.best_spend(1000) == 512
    with pytest.raises(BadInput, match="below the least"):
        curve.best_spend(100)


@pytest.mark.parametrize(
    ("spend", "error"), [([1, 2], 0.1), ([1, 2, 2], 0.1), ([1, 2, 3], 0.0), ([1, 2, -3], 0.1)]
)
def test_what_has_no_shape_is_refused(spend: list[float], error: float) -> None:
    with pytest.raises(BadInput):
        Returns.fit(spend, np.full(len(spend), 0.5), error)


def rounds_of_revision(task: str, levels: tuple[str, ...], check: bool) -> Returns:
    """What the built-in model's answers are worth after 1 to 5 rounds, 120 questions."""
    how = RoundRobin("revision", Revision(5))
    runs = [
        run(how, task, levels, tokens=None, seed=s, check=check, model="tiny-0.3m") for s in SEEDS
    ]
    right = np.sum([[n or 0 for n in r.right_by_round] for r in runs], axis=0)
    asked = sum(len(r.answers) for r in runs)
    share = (right + 1) / (asked + 2)
    return Returns.fit(np.arange(1, len(share) + 1), share, np.sqrt(share * (1 - share) / asked))


def test_revision_of_the_built_in_model_pays_on_countdown_and_not_on_chains() -> None:
    countdown = rounds_of_revision("countdown", ("4",), check=True)
    chain = rounds_of_revision("chain", ("6",), check=False)
    assert countdown.shape == "rising"
    assert countdown.best_spend(5) == 5
    assert chain.shape in ("flat", "falling")
    assert chain.best_spend(5) == 1
