"""How sure a plan is: against simulation of the same laws."""

import numpy as np
import pytest
from scipy.stats import norm

from bursar.catalog import device, model
from bursar.cost import Deployment, request_cost
from bursar.fleet.confidence import chance, log_spread, slower, worth_measuring


def test_the_interval_holds_80_percent() -> None:
    place = Deployment(model("llama-3.1-8b"), device("h100-sxm"))
    spread, ends = log_spread(place), place.interval("fitted", "aggregated", "tpot")
    middle = np.log(ends).mean()
    inside = np.diff(norm.cdf((np.log(ends) - middle) / spread))
    assert inside[0] == pytest.approx(0.8)


def test_slower_takes_that_much_longer() -> None:
    place = Deployment(model("llama-3.1-8b"), device("h100-sxm"))
    now, later = (request_cost(p, 1000, 200, batch=8) for p in (place, slower(place, 1.5)))
    assert later.usage.seconds == pytest.approx(1.5 * now.usage.seconds, rel=1e-6)


@pytest.mark.parametrize("slack", [0.8, 1.0, 1.3])
def test_the_chance_is_that_of_a_factor_below_the_slack(slack: float) -> None:
    found = chance(lambda factor: factor <= slack, 0.3)
    assert found == pytest.approx(norm.cdf(np.log(slack) / 0.3), abs=0.05)


def test_what_a_measurement_is_worth_is_the_mean_saving() -> None:
    usd = {"a": 10.0, "b": 11.0, "c": 30.0}
    factor = np.exp(np.random.default_rng(0).normal(-(0.3**2) / 2, 0.3, 400_000))
    expected = {
        "a": np.maximum(0, 10 * factor - 11).mean(),
        "b": np.maximum(0, 10 - 11 * factor).mean(),
        "c": np.maximum(0, 10 - 30 * factor).mean(),
    }
    found = worth_measuring(usd, 0.3)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=0.01)
    assert found["a"] > found["c"]
    assert worth_measuring({"a": 1.0}, 0.3) == {"a": 0.0}
