"""Price: what usage costs in value; and a price moved by the ledger alone."""

import math
import pickle

import numpy as np
import pytest

from bursar.allocate import Options, allocate, best_option
from bursar.errors import BadInput, Unbounded
from bursar.plan import Plan
from bursar.price import PacedPrice, Price
from bursar.usage import Usage


def test_cost_is_price_times_usage() -> None:
    price = Price({"tokens": 0.001, "usd": 2.0})
    usage = Usage(tokens_in=100, tokens_out=50, usd=0.25)
    assert price.cost_of(usage) == pytest.approx(0.15 + 0.5)
    assert price.buys(0.66, usage)
    assert not price.buys(0.64, usage)


def test_an_unknown_usage_of_a_priced_resource_has_no_cost() -> None:
    with pytest.raises(Unbounded, match="usd"):
        Price({"usd": 2.0}).cost_of(Usage(tokens_in=1, tokens_out=1))


def test_what_is_free_may_be_unknown() -> None:
    assert Price({"usd": 0.0}).cost_of(Usage()) == 0.0
    assert Price().cost_of(Usage()) == 0.0


@pytest.mark.parametrize("bad", [{"usd": -1.0}, {"usd": math.nan}, {"usd": math.inf}, {"x": 1.0}])
def test_bad_prices(bad: dict[str, float]) -> None:
    with pytest.raises(BadInput):
        Price(bad)


def test_is_a_value() -> None:
    price = Price({"usd": 1.0})
    assert price == Price({"usd": 1.0})
    assert hash(price) == hash(Price({"usd": 1.0}))
    assert pickle.loads(pickle.dumps(price)) == price


def test_a_lead_raises_the_price_and_a_lag_lowers_it() -> None:
    paced = PacedPrice("tokens", limit=1000, start=0.01)
    assert paced.after(500, 0.5).per_unit == pytest.approx(0.01)
    assert paced.after(550, 0.5).per_unit == pytest.approx(0.01 * math.e)
    assert paced.after(450, 0.5).per_unit == pytest.approx(0.01 / math.e)
    assert paced.after(600, 0.5).price == Price({"tokens": paced.after(600, 0.5).per_unit})


@pytest.mark.parametrize(
    "bad", [{"limit": 0.0}, {"start": 0.0}, {"rate": math.inf}, {"progress": 1.1}, {"spent": -1.0}]
)
def test_bad_pacing(bad: dict[str, float]) -> None:
    with pytest.raises(BadInput):
        PacedPrice(**{"resource": "tokens", "limit": 1.0, "start": 1.0, **bad})


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("wrong", [0.5, 1.0, 2.0])
def test_paced_stream_nears_the_clairvoyant_optimum(seed: int, wrong: float) -> None:
    """1,500 items of unlike length and difficulty, a first price up to a factor 2 off."""
    rng = np.random.default_rng(seed)
    samples = np.array([0.0, 1, 2, 4, 8, 16])
    values = 1 - (1 - rng.beta(0.5, 1.0, (1500, 1))) ** samples
    costs = samples * rng.uniform(50, 500, (1500, 1))
    limit = 0.1 * float(costs[:, -1].sum())
    best = allocate(Options(values, costs), limit)
    paced = PacedPrice("tokens", limit, start=wrong * best.price.of("tokens"))
    total = first_come = 0.0
    first_left = limit
    for number, (value, cost) in enumerate(zip(values, costs, strict=True)):
        option = best_option(value, cost, paced.per_unit, paced.remaining)
        assert option is not None
        total += value[option]
        paced = paced.after(paced.spent + cost[option], (number + 1) / len(values))
        greedy = best_option(value, cost, 0.0, first_left)
        first_come, first_left = first_come + value[greedy], first_left - cost[greedy]
    assert paced.spent <= limit
    assert total >= 0.95 * best.total_value
    assert total >= 2.0 * first_come


def test_a_plan_survives_the_disk() -> None:
    plan = allocate(Options([[0, 0.1 + 0.2], [0, 1.0]], [[0, 3.0], [0, 4.0]], ("usd",)), 4.5)
    again = Plan.from_json(plan.to_json())
    assert again.to_json() == plan.to_json()
    assert (again.choice == plan.choice).all()
    assert again.total_usage == {"usd": 4.0}
    assert again.usage_of(1) == {"usd": 4.0}
    assert again.gap == plan.gap
    assert "2 items planned by hull: 4.00 USD of 4.50 USD" in plan.show()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"choice": [0]}'])
def test_not_a_plan(text: str) -> None:
    with pytest.raises(BadInput):
        Plan.from_json(text)


def test_a_plan_can_not_be_edited() -> None:
    plan = allocate(Options([[0, 1.0]], [[0, 3.0]]), 4.0)
    with pytest.raises(ValueError, match="read-only"):
        plan.choice[0] = 0
