"""Hull greedy: exact on small cases, certified on large ones, its price the dual."""

import numpy as np
import pytest
from scipy import optimize

from bursar.allocate import ALLOCATORS, HullAllocator, Options
from bursar.allocate.counting import counted_bound
from bursar.allocate.dual import bound_at, hull_steps, solve_relaxed

FAMILIES = ("uncorrelated", "weak", "strong", "served", "steps", "concave", "tokens", "fractions")


def instance(family: str, items: int, width: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random values and costs (items, width)."""
    rng = np.random.default_rng(seed)
    costs = rng.random((items, width))
    if family == "uncorrelated":
        return rng.random((items, width)), costs
    if family == "weak":
        return np.maximum(costs + 0.1 * rng.uniform(-1, 1, costs.shape), 0), costs
    if family == "strong":
        return costs + 0.1, costs
    if family == "served":  # a constant for each item served: the relaxation serves a part of one
        values = costs + 0.1
        values[:, 0] = costs[:, 0] = 0.0
        return values, costs
    if family == "steps":  # the same, for each step up
        costs = np.sort(costs, axis=1)
        return costs + 0.1 * np.arange(width), costs
    if family == "fractions":  # sums that rounding puts on either side of the limit
        return rng.integers(0, 9, costs.shape) * 1.0, rng.integers(0, 30, costs.shape) * 0.1
    samples = np.concatenate([[0.0], 2.0 ** np.arange(width - 1)])
    values = 1 - (1 - rng.beta(0.4, 0.8, (items, 1))) ** samples
    per_sample = rng.uniform(50, 500, (items, 1))
    return values, samples * (np.rint(per_sample) if family == "tokens" else per_sample)


def limit_of(costs: np.ndarray, share: float) -> float:
    least, most = costs.min(axis=1).sum(), costs.max(axis=1).sum()
    return float(least + share * (most - least))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", range(35))
def test_equals_exhaustive_search(family: str, seed: int) -> None:
    rng = np.random.default_rng(1000 + seed)
    values, costs = instance(family, int(rng.integers(1, 7)), int(rng.integers(2, 6)), seed)
    options, limit = Options(values, costs), limit_of(costs, rng.random())
    plan = HullAllocator().allocate(options, limit)
    best = ALLOCATORS["exhaustive"].allocate(options, limit)
    assert plan.total_value == pytest.approx(best.total_value, abs=1e-9)
    assert plan.bound >= best.total_value


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("share", [0.05, 0.3, 0.7])
def test_ten_thousand_items_are_certified_to_a_millionth(family: str, share: float) -> None:
    values, costs = instance(family, 10_000, 8, 0)
    limit = limit_of(costs, share)
    plan = HullAllocator().allocate(Options(values, costs), limit)
    assert plan.gap <= 1e-6
    assert float(np.sum(plan.usage)) <= limit


def test_price_and_bound_are_those_of_the_linear_programme() -> None:
    values, costs = instance("concave", 40, 6, 5)
    limit = limit_of(costs, 0.2)
    pick = np.kron(np.eye(40), np.ones(6))
    found = optimize.linprog(
        -values.ravel(), A_ub=costs.reshape(1, -1), b_ub=[limit], A_eq=pick, b_eq=np.ones(40)
    )
    relaxed = solve_relaxed(values, costs, limit)
    assert relaxed.price == pytest.approx(-found.ineqlin.marginals[0])
    assert bound_at(values, costs, limit, relaxed.price) == pytest.approx(-found.fun)


def test_the_price_is_what_one_more_unit_buys() -> None:
    values, costs = instance("concave", 5_000, 8, 6)
    limit = limit_of(costs, 0.1)
    plan, more = (
        HullAllocator().allocate(Options(values, costs), amount) for amount in (limit, limit * 1.01)
    )
    bought = (more.total_value - plan.total_value) / (0.01 * limit)
    assert more.price.of("tokens") <= bought <= plan.price.of("tokens")


def test_the_sampled_bracket_changes_nothing() -> None:
    """Above some tens of thousands of items the price is first bracketed on a sample."""
    values, costs = instance("uncorrelated", 60_000, 4, 7)
    limit = limit_of(costs, 0.25)
    relaxed = solve_relaxed(values, costs, limit)
    spent = costs[np.arange(60_000), relaxed.choice].sum()
    assert spent <= limit
    slack = limit - spent
    value = values[np.arange(60_000), relaxed.choice].sum()
    bound = bound_at(values, costs, limit, relaxed.price)
    assert bound == pytest.approx(value + relaxed.price * slack, rel=1e-12)


def test_hull_steps_are_the_upper_concave_hull() -> None:
    values = np.array([[0.0, 1.0, 1.5, 3.0, 2.0]])
    costs = np.array([[0.0, 1.0, 2.0, 3.0, 4.0]])
    steps = hull_steps(values, costs, np.array([0]), np.array([4.0]))
    assert steps.option.tolist() == [1, 3] or steps.option.tolist() == [3]
    assert steps.slope[0] == pytest.approx(1.0)
    assert (np.diff(steps.slope) <= 0).all()


def test_work_limit_keeps_the_bound_proven() -> None:
    values, costs = instance("weak", 60, 5, 8)
    limit = limit_of(costs, 0.4)
    quick = HullAllocator(max_states=0).allocate(Options(values, costs), limit)
    full = HullAllocator(target_gap=0.0).allocate(Options(values, costs), limit)
    assert quick.total_value <= full.total_value <= quick.bound
    assert full.gap <= 1e-9


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("target_gap", [0.3, 0.03])
def test_stopping_early_keeps_the_bound_proven(family: str, target_gap: float) -> None:
    for seed in range(20):
        values, costs = instance(family, 6, 4, seed)
        options, limit = Options(values, costs), limit_of(costs, 0.35)
        plan = HullAllocator(target_gap=target_gap).allocate(options, limit)
        best = ALLOCATORS["exhaustive"].allocate(options, limit).total_value
        assert plan.total_value <= best + 1e-12
        assert best <= plan.bound


def test_whole_numbers_close_the_gap() -> None:
    """Whole values: less than one unit above the plan is nothing, even where the dual can't say."""
    rng = np.random.default_rng(9)
    costs = rng.integers(2, 40, (300, 4)) * 50.0
    values = rng.integers(1, 9, (300, 4)) * 1.0
    plan = HullAllocator().allocate(Options(values, costs), limit_of(costs, 0.3) + 17.3)
    assert plan.gap == 0.0


@pytest.mark.parametrize("family", ["served", "steps"])
@pytest.mark.parametrize("seed", range(15))
def test_counting_bounds_every_plan(family: str, seed: int) -> None:
    values, costs = instance(family, 5, 4, seed)
    limit = limit_of(costs, 0.4)
    best = ALLOCATORS["exhaustive"].allocate(Options(values, costs), limit).total_value
    for reached in (0.0, 0.9 * best, best):
        assert max(reached, counted_bound(values, costs, limit, reached)) >= best
    dual = bound_at(values, costs, limit, solve_relaxed(values, costs, limit).price)
    counted = counted_bound(values, costs, limit, 0.0)
    assert counted == np.inf or counted <= dual + 1e-9


def test_counting_closes_what_the_dual_leaves_open() -> None:
    values, costs = instance("served", 2_000, 8, 3)
    limit = limit_of(costs, 0.05)
    plan = HullAllocator().allocate(Options(values, costs), limit)
    dual = bound_at(values, costs, limit, plan.price.of("tokens"))
    assert dual > plan.total_value * (1 + 1e-5)
    assert plan.bound < plan.total_value * (1 + 1e-7)
