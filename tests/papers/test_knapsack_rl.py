"""Knapsack RL (arXiv:2509.25849): at equal rollouts, more prompts with a gradient, more reward.

A tabular policy: prompt i is answered right with probability sigmoid(theta_i). A step draws each
prompt's rollouts, normalises the rewards within the group (GRPO) and ascends; a group whose
rewards are all equal has no gradient. Success rates are those of the previous epoch.

The claim's regime is graded tasks of which most are solved and the rest are hard (chance about
.03), where equal groups waste rollouts on both ends. Where difficulty is spread evenly it does not
hold: with theta ~ N(-2, 3) uniform has more prompts with a gradient (.36 to .33 of them), since
the rule weighs a gradient by what it teaches, and rates of 0 and 1 in small groups mislead it.
"""

from collections.abc import Callable

import numpy as np
import pytest

from bursar.allocate.heap import allocate_rollouts, nonzero_gradient

PROMPTS, EACH, EPOCHS, RATE = 200, 8, 40, 0.3
SOLVED = 0.7
Rule = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def uniform(seen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.full(PROMPTS, EACH)


def knapsack(seen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return allocate_rollouts(seen, PROMPTS * EACH, least=2, most=128)


def shuffled(seen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The control: the same allocation, handed to the wrong prompts."""
    return knapsack(rng.permutation(seen), rng)


def train(rule: Rule, seed: int) -> tuple[float, float]:
    """(share of prompts with a gradient, mean over epochs; final mean reward)."""
    rng = np.random.default_rng(seed)
    theta = rng.normal(-3.5, 0.7, PROMPTS)
    theta[: int(SOLVED * PROMPTS)] = 5.0
    seen, shares = np.full(PROMPTS, np.nan), []
    for epoch in range(EPOCHS):
        rollouts = uniform(seen, rng) if epoch == 0 else rule(seen, rng)
        assert rollouts.sum() <= PROMPTS * EACH
        right = rng.binomial(rollouts, 1 / (1 + np.exp(-theta)))
        seen = right / rollouts
        spread = np.sqrt(seen * (1 - seen))  # mean over the group of advantage * (action - p)
        theta = theta + RATE * spread
        shares.append(float((spread > 0).mean()))
    return float(np.mean(shares)), float(np.mean(1 / (1 + np.exp(-theta))))


@pytest.fixture(scope="module")
def results() -> dict[str, np.ndarray]:
    rules = {"uniform": uniform, "knapsack": knapsack, "shuffled": shuffled}
    return {name: np.array([train(rule, s) for s in range(6)]) for name, rule in rules.items()}


def test_a_fifth_more_prompts_have_a_gradient(results: dict[str, np.ndarray]) -> None:
    assert results["knapsack"][:, 0].mean() >= 1.2 * results["uniform"][:, 0].mean()
    assert (results["knapsack"][:, 0] > results["uniform"][:, 0]).all()


def test_the_final_reward_is_higher(results: dict[str, np.ndarray]) -> None:
    assert (results["knapsack"][:, 1] > results["uniform"][:, 1]).all()


def test_the_advantage_is_gone_when_success_rates_are_shuffled(
    results: dict[str, np.ndarray],
) -> None:
    assert (results["shuffled"][:, 0] < results["uniform"][:, 0]).all()
    assert (results["shuffled"][:, 1] < results["uniform"][:, 1]).all()


def test_hard_prompts_get_the_rollouts_that_easy_ones_can_spare() -> None:
    """The paper's picture: tens of rollouts for the hard, a few for the nearly solved."""
    p = np.array([0.05, 0.98, 0.99, 1.0] * 50)
    rollouts = allocate_rollouts(p, PROMPTS * EACH)
    assert rollouts[0] > 2 * EACH
    assert (rollouts[1:4] < EACH / 2).all()
    value = p * (1 - p) ** 2
    even = nonzero_gradient(np.full(PROMPTS, EACH), p)
    assert (nonzero_gradient(rollouts, p) * value).sum() > (even * value).sum()
