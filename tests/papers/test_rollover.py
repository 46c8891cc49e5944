"""Claim: a flow's SDE can be searched and beats best-of-N on its ODE; rollover helps where a step
has few tries. Where it has ten and more, the best of all its tries is worth as much as what taking
the first good one saves (benchmarks/images.py has the table)."""

import numpy as np
from flow_arena import rewards

from bursar.reason.images import BestOfN, Noisy, RolloverBudgetForcing
from bursar.reason.images.paths import LINEAR, VP


def best_ode(evaluations: int, seeds: int) -> np.ndarray:
    """Best-of-N with the number of steps and the grid that suit it best."""
    tried = [
        rewards(BestOfN(steps, grid), evaluations, seeds=seeds)
        for steps in (3, 5, 10)
        for grid in (LINEAR, VP)
    ]
    return max(tried, key=lambda found: found.mean())


def test_particles_on_the_sde_beat_best_of_n_on_the_ode_at_equal_evaluations() -> None:
    ode = best_ode(100, seeds=3)
    for rollover in (True, False):
        particles = rewards(RolloverBudgetForcing(rollover=rollover), 100, seeds=3)
        assert (particles > ode / 2).all(), (particles, ode)  # at most half as far off
    still = rewards(RolloverBudgetForcing(churn=0.0), 100, seeds=3)
    assert still.mean() < ode.mean(), "without the SDE's noise there is nothing to search"


def test_with_a_reward_that_says_nothing_the_gain_is_gone() -> None:
    rng = np.random.default_rng(0)

    def nothing(points: np.ndarray) -> np.ndarray:
        return np.zeros(len(points))

    blind = Noisy(nothing, 1.0, rng)
    ode = rewards(BestOfN(5), 50, seeds=4, each=4, reward=blind)
    particles = rewards(RolloverBudgetForcing(), 50, seeds=4, each=4, reward=blind)
    assert particles.mean() < ode.mean() + 0.3  # both are a random point, 2 or so from a goal
    assert particles.mean() < -1


def test_rollover_beats_a_fixed_quota_of_two_tries_a_step_over_ten_seeds() -> None:
    rollover, fixed = (
        rewards(RolloverBudgetForcing(20, rollover=r), 50, seeds=10) for r in (True, False)
    )
    assert (rollover > fixed).sum() >= 8, rollover - fixed
    assert rollover.mean() > fixed.mean() + 0.02


def test_but_gains_nothing_on_a_fixed_quota_of_twenty_tries_a_step() -> None:
    rollover, fixed = (
        rewards(RolloverBudgetForcing(10, rollover=r), 200, seeds=3) for r in (True, False)
    )
    assert rollover.mean() < fixed.mean() + 0.005
