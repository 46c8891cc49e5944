"""Heap: exact for concave values of equal cost; Knapsack RL's rule equals its programme."""

import numpy as np
import pytest

from bursar.allocate import HeapAllocator, HullAllocator, Options
from bursar.allocate.heap import allocate_rollouts, heap_allocate, rollout_value
from bursar.errors import BadInput, Infeasible


def programme(p: np.ndarray, budget: int, least: int, most: int) -> float:
    """The paper's dynamic programme: the largest total value of at most `budget` rollouts."""
    best = np.full(budget + 1, -np.inf)
    best[0] = 0.0
    for rate in p:
        step = np.full(budget + 1, -np.inf)
        for n in range(least, min(most, budget) + 1):
            value = float(rollout_value(n, rate))
            step[n:] = np.maximum(step[n:], best[: budget + 1 - n] + value)
        best = step
    return float(best.max())


@pytest.mark.parametrize("seed", range(30))
def test_rollouts_equal_the_dynamic_programme(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = rng.choice([rng.random(8), rng.integers(0, 5, 8) / 4])
    least, most = int(rng.integers(1, 4)), int(rng.integers(4, 20))
    budget = int(rng.integers(least * 8, 80)) + 8
    rollouts = allocate_rollouts(p, budget, least=least, most=most)
    assert rollouts.sum() <= budget
    assert ((rollouts >= least) & (rollouts <= most)).all()
    total = float(rollout_value(rollouts, p).sum())
    between = (p > 0) & (p < 1)  # what the others get is not the knapsack's
    given = int(rollouts[between].sum())
    assert total == pytest.approx(programme(p[between], given, least, most), abs=1e-12)


def test_what_nobody_needs_goes_to_those_without_success() -> None:
    """At .5, four rollouts show both outcomes with chance .9: the rest is for the others first."""
    rates = [0.0, 0.5, 1.0, np.nan]
    assert allocate_rollouts(rates, 18, least=2, most=16).tolist() == [10, 4, 2, 2]
    assert allocate_rollouts(rates, 60, least=2, most=16).tolist() == [16, 12, 16, 16]
    tight = allocate_rollouts([0.0, 0.3, 1.0, 0.4], 14, least=2, most=128)
    assert tight[[0, 2]].tolist() == [2, 2]
    assert tight.sum() == 14


def test_rollouts_bad_input() -> None:
    with pytest.raises(BadInput):
        allocate_rollouts([1.2], 10)
    with pytest.raises(BadInput):
        allocate_rollouts([0.5], 10, least=5, most=2)
    with pytest.raises(BadInput):
        allocate_rollouts([0.5], 10, least=0)
    with pytest.raises(Infeasible, match="2 more"):
        allocate_rollouts([0.5, 0.5, 0.5], 4)


@pytest.mark.parametrize("seed", range(20))
def test_equals_the_hull_for_steps_of_one_cost(seed: int) -> None:
    rng = np.random.default_rng(seed)
    samples = np.arange(6)
    options = Options(1 - (1 - rng.random((12, 1))) ** samples, np.tile(samples * 3.0, (12, 1)))
    limit = float(rng.uniform(0, 200))
    heap, hull = (a.allocate(options, limit) for a in (HeapAllocator(), HullAllocator()))
    assert heap.total_value == pytest.approx(hull.total_value, abs=1e-12)
    assert heap.price.of("tokens") == pytest.approx(hull.price.of("tokens"))


def test_options_may_come_in_any_order() -> None:
    options = Options([[0.7, 0.0, 0.5], [0.0, 0.3, 0.2]], [[2.0, 0.0, 1.0], [0.0, 2.0, 1.0]])
    assert HeapAllocator().allocate(options, 3.0).choice.tolist() == [0, 2]


def test_refuses_what_is_not_concave() -> None:
    options = Options([[0.0, 0.1, 0.9]], [[0.0, 1.0, 2.0]])
    with pytest.raises(BadInput, match="item 0 are not concave"):
        HeapAllocator().allocate(options, 2.0)


def test_gains_are_asked_for_only_as_needed() -> None:
    asked = []

    def gain(item: int, step: int) -> float:
        asked.append((item, step))
        return 1.0 / (1 + item + step)

    found = heap_allocate(gain, lambda item, step: 1.0, np.full(100, 50), 3.0)
    assert found.steps[:3].tolist() == [2, 1, 0]
    assert found.spent == 3.0
    assert found.price == pytest.approx(1 / 3)
    assert len(asked) == 103
