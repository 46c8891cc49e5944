"""Spot instances and hosted APIs: cheaper where they should be, never dearer than without."""

import numpy as np
import pytest

from bursar.catalog import api_prices, device, model, models
from bursar.errors import BadInput
from bursar.fleet import Goal
from bursar.fleet.kinds import kinds
from bursar.fleet.market import Spot, crossover, hosted_for
from bursar.fleet.plan import HOSTED, FleetPlans, Request, plan_fleet
from bursar.policies.batching import SarathiServe
from bursar.workload.traces import Trace

MODEL = model("llama-3.1-8b")


def trace_of(rate: float, n: int = 200) -> Trace:
    rng = np.random.default_rng(2)
    lengths = np.exp(rng.normal((6.0, 5.0), (0.9, 0.7), (n, 2))).astype(int) + 1
    return Trace(np.cumsum(rng.exponential(1 / rate, n)), lengths[:, 0], lengths[:, 1])


def plans(rate: float, *markets: str, spot: Spot | None = None) -> FleetPlans:
    asked = Request(MODEL, (device("l40s"),), Goal(2.0, 0.06), markets=markets, spot=spot or Spot())
    return plan_fleet(asked, trace_of(rate), SarathiServe())


def test_little_traffic_is_hosted_much_is_not_and_both_never_cost_more() -> None:
    tiny, large = (plans(rate, "on-demand", "hosted") for rate in (0.05, 40.0))
    assert tiny.best.hosted_share == pytest.approx(1)
    assert not tiny.best.instances
    assert large.best.hosted_share < 0.2
    for found in (tiny, large):
        cheapest = min(plan.usd_per_hour for plan in found.alone.values())
        assert found.best.usd_per_hour <= cheapest + 1e-9
        assert set(found.alone) == {"l40s", HOSTED}
    hosted = large.alone[HOSTED]
    each = hosted.usd_per_hour / hosted.requests_per_second / 3600
    instance = large.alone["l40s"]
    count = sum(instance.counts)
    own = instance.usd_per_hour / count, instance.requests_per_second / count
    rate = crossover([own], each)
    assert rate is not None
    below, above = (plans(rate * x, "on-demand", "hosted") for x in (0.8, 2.0))
    assert below.best.hosted_share == pytest.approx(1)
    assert above.best.instances


def test_what_is_hosted_is_paid_by_the_token_and_not_simulated() -> None:
    found = plans(15.0, "on-demand", "hosted").best
    known = np.isfinite(found.simulated.e2e_s)
    assert known.all()
    rents = np.dot([c.usd_per_hour for c in found.instances], found.counts)
    assert found.usd_per_hour == pytest.approx(rents + found.hosted_usd_per_hour)


def test_spot_instances_are_cheaper_and_more_of_them_are_rented_when_they_fail_often() -> None:
    dear, calm = plans(40.0, "on-demand").best, plans(40.0, "spot").best
    assert calm.usd_per_hour < 0.7 * dear.usd_per_hour
    wild = plans(40.0, "spot", spot=Spot(interruptions_per_hour=1.0)).best
    assert sum(wild.counts) > sum(dear.counts)
    assert wild.attainment >= 0.99
    both = plans(40.0, "on-demand", "spot", spot=Spot(0.9, 3.0)).best
    assert {c.market for c in both.instances} == {"on-demand"}


def test_instances_that_are_there() -> None:
    spot = Spot(interruptions_per_hour=1.0, recovery_s=3600.0)
    assert spot.availability == pytest.approx(0.5)
    there = np.random.default_rng(0).binomial(20, 0.5, 100_000)
    least = spot.working(20, 0.99)
    assert np.mean(there >= least) >= 0.99 > np.mean(there > least)
    assert Spot(interruptions_per_hour=0.0).working(3, 0.999) == 3


def test_a_crossover_beyond_what_an_instance_carries_is_none() -> None:
    assert crossover([(3.6, 2.0)], 1e-3) == pytest.approx(1.0)
    assert crossover([(3.6, 0.5)], 1e-3) is None


def test_hosted_prices_name_models_of_the_catalogue() -> None:
    serves = {price.serves for price in api_prices().values()} - {None}
    assert "llama-3.1-70b" in serves
    assert serves <= set(models())
    with pytest.raises(BadInput, match="no hosted price of llama-2-7b"):
        hosted_for(model("llama-2-7b"), kinds(trace_of(1.0)))


@pytest.mark.parametrize("bad", [{"price": 0.0}, {"price": 1.5}, {"interruptions_per_hour": -1.0}])
def test_what_no_spot_market_is_like_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(BadInput):
        Spot(**bad)
