"""What every allocator must do. A new one enters `ALLOCATORS` and gets the whole suite."""

import numpy as np
import pytest

from bursar.allocate import ALLOCATORS, Allocator, Options
from bursar.errors import BadInput, Infeasible
from bursar.plan import Plan

SEVERAL = ("uniform", "milp", "exhaustive")  # those that take more than one resource


@pytest.fixture(params=sorted(ALLOCATORS))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def concave(seed: int, items: int = 5, width: int = 4) -> Options:
    """Chances of a right answer after 0, 1, ... samples: what every allocator can divide."""
    rng = np.random.default_rng(seed)
    samples = np.arange(width)
    values = 1 - (1 - rng.random((items, 1))) ** samples
    return Options(values, np.broadcast_to(samples * 1.0, values.shape))


def check(plan: Plan, options: Options, limits: dict[str, float]) -> None:
    items = np.arange(len(options))
    assert plan.choice.shape == (len(options),)
    assert (plan.value == options.values[items, plan.choice]).all()
    assert np.isfinite(plan.value).all()
    for index, resource in enumerate(options.resources):
        assert (plan.usage[:, index] == options.costs[index][items, plan.choice]).all()
        assert float(np.sum(options.costs[index][items, plan.choice])) <= limits[resource]
        assert plan.total_usage[resource] <= limits[resource]
    assert plan.bound >= plan.total_value
    assert plan.gap >= 0
    assert all(p >= 0 for p in plan.price.per_unit.values())
    assert set(plan.price.per_unit) <= set(options.resources)


@pytest.mark.parametrize("seed", range(20))
def test_stays_within_the_limit_and_below_its_bound(name: str, seed: int) -> None:
    options = concave(seed)
    limit = float(np.random.default_rng(seed).uniform(0, 16))
    plan = ALLOCATORS[name].allocate(options, limit)
    check(plan, options, {"tokens": limit})
    best = ALLOCATORS["exhaustive"].allocate(options, limit)
    assert plan.total_value <= best.total_value + 1e-9
    assert plan.bound >= best.total_value - 1e-9


@pytest.mark.parametrize("seed", range(10))
def test_any_values_and_costs(name: str, seed: int) -> None:
    if name == "heap":
        pytest.skip("takes concave values only, and says so (test_heap)")
    rng = np.random.default_rng(seed)
    options = Options(rng.normal(size=(5, 4)), rng.random((5, 4)))
    for limit in np.linspace(float(options.costs.min(axis=2).sum()), 5.0, 7):
        check(ALLOCATORS[name].allocate(options, limit), options, {"tokens": limit})


@pytest.mark.parametrize("other", SEVERAL)
def test_several_resources(other: str) -> None:
    rng = np.random.default_rng(3)
    costs = rng.random((2, 6, 4))
    costs[:, :, 0] = 0
    options = Options(rng.random((6, 4)), costs, ("tokens_out", "seconds"))
    limits = {"tokens_out": 1.5, "seconds": 2.0}
    plan = ALLOCATORS[other].allocate(options, limits)
    check(plan, options, limits)
    best = ALLOCATORS["exhaustive"].allocate(options, limits)
    assert plan.bound >= best.total_value - 1e-9


def test_one_resource_allocators_refuse_several(name: str) -> None:
    if name in SEVERAL:
        pytest.skip("takes several")
    options = Options(np.ones((1, 1)), np.zeros((2, 1, 1)), ("tokens", "usd"))
    with pytest.raises(BadInput, match="use milp"):
        ALLOCATORS[name].allocate(options, {"tokens": 1.0, "usd": 1.0})


def test_more_budget_never_buys_less(name: str) -> None:
    for seed in range(5):
        options = concave(seed)
        totals = [
            ALLOCATORS[name].allocate(options, limit).total_value
            for limit in np.linspace(0, 16, 33)
        ]
        assert (np.diff(totals) >= -1e-9).all()


def test_same_input_same_plan(name: str) -> None:
    options = concave(1)
    first, second = (ALLOCATORS[name].allocate(options, 7.5) for _ in range(2))
    assert first.to_json() == second.to_json()


def test_nothing_to_spend(name: str) -> None:
    plan = ALLOCATORS[name].allocate(concave(2), 0.0)
    assert plan.total_usage == {"tokens": 0.0}
    assert (plan.choice == 0).all()


def test_a_limit_that_does_not_bind_has_no_price(name: str) -> None:
    plan = ALLOCATORS[name].allocate(concave(2), 1e9)
    assert plan.total_value == pytest.approx(concave(2).values.max(axis=1).sum())
    assert plan.price.of("tokens") == pytest.approx(0.0, abs=1e-12)
    assert plan.gap == pytest.approx(0.0, abs=1e-9)


def test_the_cheapest_must_fit_and_the_error_says_by_how_much(name: str) -> None:
    options = Options(np.ones((3, 2)), np.array([[2.0, 3.0]] * 3))
    with pytest.raises(Infeasible, match=r"need 6 tokens.*limit is 4.*2 too little"):
        ALLOCATORS[name].allocate(options, 4.0)


def test_padding_is_never_chosen(name: str) -> None:
    values = np.array([[0.0, 0.5, 0.7], [0.0, 0.2, -np.inf]])
    costs = np.array([[0.0, 1.0, 2.0], [0.0, 1.0, np.inf]])
    plan = ALLOCATORS[name].allocate(Options(values, costs), 100.0)
    assert plan.choice.tolist() == [2, 1]


def test_spends_what_fits_exactly(name: str) -> None:
    """Ten items at 0.1: rounding in the sum must neither pass the limit nor waste it."""
    options = Options(np.tile([0.0, 1.0], (4, 1)), np.tile([0.0, 0.1], (4, 1)))
    plan = ALLOCATORS[name].allocate(options, 0.4)
    assert plan.total_value == 4.0


@pytest.mark.parametrize(
    ("values", "costs"),
    [
        ([[np.nan, 1.0]], [[0.0, 1.0]]),
        ([[np.inf, 1.0]], [[0.0, 1.0]]),
        ([[0.0, 1.0]], [[0.0, np.nan]]),
        ([[0.0, 1.0]], [[0.0, -1.0]]),
        ([[0.0, 1.0]], [[0.0, 1.0, 2.0]]),
        ([[-np.inf, 1.0]], [[0.0, np.inf]]),
    ],
)
def test_bad_options(values: list[list[float]], costs: list[list[float]]) -> None:
    with pytest.raises(BadInput):
        Options(values, costs)


@pytest.mark.parametrize("limit", [-1.0, np.nan, np.inf, {"usd": 1.0}, {}])
def test_bad_limits(name: str, limit: float) -> None:
    with pytest.raises(BadInput):
        ALLOCATORS[name].allocate(concave(0), limit)


def test_no_items(name: str) -> None:
    plan = ALLOCATORS[name].allocate(Options(np.empty((0, 3)), np.empty((0, 3))), 5.0)
    assert plan.total_value == 0.0
    assert plan.total_usage == {"tokens": 0.0}


def test_is_an_allocator(name: str) -> None:
    assert isinstance(ALLOCATORS[name], Allocator)
