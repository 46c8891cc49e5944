"""What an instance carries: goals bind as they should, and what is promised is what `cost` says."""

import numpy as np
import pytest

from bursar.catalog import device, model
from bursar.cost import Deployment, request_cost
from bursar.errors import BadInput
from bursar.fleet import Goal, capacity

SIZES = np.array([128, 1024, 8192]), np.array([64, 256, 512])


def place(**how) -> Deployment:
    return Deployment(model("llama-3.1-8b"), device("h100-sxm"), **how)


def test_latencies_are_those_of_a_request_among_as_many() -> None:
    found = capacity(place(), *SIZES, Goal(2.0, 0.02))
    for i, (prompt, out) in enumerate(zip(*SIZES, strict=True)):
        one = request_cost(place(), int(prompt), int(out), batch=int(found.batch[i]))
        assert found.ttft_s[i] == pytest.approx(one.ttft.middle, rel=1e-6)
        assert found.tpot_s[i] == pytest.approx(one.tpot.middle, rel=0.01)
        leave = found.batch[i] / one.usage.seconds  # Little's law
        assert found.requests_per_second[i] == pytest.approx(leave, rel=0.01)


def test_goals_are_kept_and_bind() -> None:
    free = capacity(place(), *SIZES, Goal())
    assert set(free.binds) <= {"memory", "batch"}
    for goal, name in ((Goal(tpot_s=0.012), "tpot"), (Goal(ttft_s=0.5), "ttft")):
        bound = capacity(place(), *SIZES, goal)
        assert name in bound.binds
        assert (bound.requests_per_second <= free.requests_per_second + 1e-9).all()
    strict = capacity(place(), *SIZES, Goal(0.5, 0.012))
    assert (strict.ttft_s[strict.batch > 0] <= 0.5).all()
    assert (strict.tpot_s[strict.batch > 0] <= 0.012).all()


def test_what_can_not_meet_the_goal_or_does_not_fit_carries_nothing() -> None:
    assert capacity(place(), *SIZES, Goal(tpot_s=1e-4)).requests_per_second.tolist() == [0, 0, 0]
    large = Deployment(model("llama-3.1-70b"), device("h100-sxm"))  # 141 GB of weights
    found = capacity(large, *SIZES, Goal())
    assert found.requests_per_second.tolist() == [0, 0, 0]
    assert found.binds == ("memory",) * 3


def test_more_devices_carry_more() -> None:
    one, two = (capacity(place(tp=tp), *SIZES, Goal(2.0, 0.03)) for tp in (1, 2))
    assert (two.requests_per_second > one.requests_per_second).all()


def test_a_goal_of_nothing_is_refused() -> None:
    with pytest.raises(BadInput, match="ttft_s = 0"):
        Goal(ttft_s=0)
