"""TTSPM's claim: a few attempts per question foretell the budget at which scaling saturates."""

import json
from pathlib import Path

import numpy as np
import pytest

from bursar.errors import BadInput
from bursar.value import TTSPM, BetaDifficulty, budget_of_law, pass_at_k

GAME24 = Path(__file__).parents[2] / "../shared/data/reason/game24_gpt4_100x100.jsonl"


def _observed(curve: np.ndarray, gain: float) -> int:
    """Least N with F(N + 1) - F(N) <= gain; `curve` holds F(0), F(1), ..."""
    return int(np.argmax(np.diff(curve) <= gain))


def _parallel(right: np.ndarray) -> np.ndarray:
    tried = right.shape[1]
    counts = right.sum(axis=1)[:, None]
    return np.append(0, pass_at_k(counts, tried, np.arange(1, tried + 1)).mean(axis=0))


@pytest.mark.parametrize(("ceiling", "rate"), [(0.9, 0.2), (0.7, 0.1), (0.8, 0.06)])
def test_parallel_budget_from_8_samples_is_that_seen_at_128(ceiling: float, rate: float) -> None:
    rng = np.random.default_rng(0)
    solvable = rng.random((1000, 1)) < ceiling
    right = (rng.random((1000, 128)) < rate) & solvable
    seen = right[:, :8].sum(axis=1)
    for gain in (0.02, 0.01, 0.005):
        observed = _observed(_parallel(right), gain)
        assert TTSPM.fit_parallel(seen, 8).budget(gain) == pytest.approx(observed, rel=0.25)


@pytest.mark.parametrize(("ceiling", "rate"), [(0.9, 0.2), (0.7, 0.1), (0.8, 0.06)])
def test_sequential_budget_from_8_rounds_is_that_seen_at_128(ceiling: float, rate: float) -> None:
    rng = np.random.default_rng(1)
    first = np.where(rng.random(4000) < ceiling, rng.geometric(rate, 4000), 10**9)
    curve = (first[:, None] <= np.arange(129)).mean(axis=0)
    # rounds are few and counts noisy: average the observed gain over neighbours
    smooth = np.convolve(np.pad(np.diff(curve), 2, mode="edge"), np.ones(5) / 5, "valid")
    solved = first <= 8
    fitted = TTSPM.fit_sequential(np.minimum(first, 8), solved)
    for gain in (0.02, 0.01):
        observed = int(np.argmax(smooth <= gain))
        assert fitted.budget(gain) == pytest.approx(observed, rel=0.25, abs=1)


def test_budget_is_the_least_after_which_one_more_buys_too_little() -> None:
    model = TTSPM(0.8, 0.1)
    for gain in (0.05, 0.01, 1e-4):
        budget = model.budget(gain)
        buys = np.diff(model.curve.value(np.arange(budget + 2)))
        assert buys[budget] <= gain * (1 + 1e-9)
        assert np.all(buys[:budget] > gain)
    assert model.budget(0.5) == 0
    with pytest.raises(BadInput):
        model.budget(0.0)


def test_differing_rates_break_the_common_form_but_not_the_law() -> None:
    """Why `budget_of_law` is there: hard questions go on paying long after the easy ones."""
    rng = np.random.default_rng(2)
    right = rng.random((2000, 128)) < rng.beta(0.5, 3, (2000, 1))
    seen, gain = right[:, :8].sum(axis=1), 0.003
    observed = _observed(_parallel(right), gain)
    assert budget_of_law(BetaDifficulty.fit(seen, 8), gain) == pytest.approx(observed, rel=0.25)
    assert TTSPM.fit_parallel(seen, 8).budget(gain) < 0.75 * observed


@pytest.mark.shared
@pytest.mark.skipif(not GAME24.exists(), reason="needs the recorded Game of 24 samples")
@pytest.mark.parametrize("prompt", ["io100", "cot100"])
def test_recorded_game_of_24(prompt: str) -> None:
    """GPT-4, 100 problems x 100 samples: fitted on 8, held against all; mean over 20 draws."""
    rows = [json.loads(line) for line in GAME24.read_text().splitlines()]
    right = np.array([row["r"] for row in rows if row["strategy"] == prompt], dtype=bool)
    for gain in (0.01, 0.005):
        predicted = [
            budget_of_law(
                BetaDifficulty.fit(
                    np.random.default_rng(seed).permuted(right, axis=1)[:, :8].sum(axis=1), 8
                ),
                gain,
            )
            for seed in range(20)
        ]
        observed = _observed(_parallel(right), gain)
        assert np.mean(predicted) == pytest.approx(observed, rel=0.25)
