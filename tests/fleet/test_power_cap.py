"""Power caps: what they leave of a device, and that a limit on power carries more with them."""

import numpy as np
import pytest

from bursar.catalog import device, model
from bursar.cost import Deployment, step_arrays
from bursar.errors import BadInput
from bursar.fleet import Goal, capacity
from bursar.fleet.plan import FleetPlans, Request, plan_fleet
from bursar.fleet.power_cap import cap_watts, capped, capped_devices
from bursar.policies.batching import SarathiServe
from bursar.workload.traces import Trace

H100 = device("h100-sxm")


def trace_of(prompt: float, out: float, seed: int = 0, n: int = 300) -> Trace:
    rng = np.random.default_rng(seed)
    lengths = np.exp(rng.normal((prompt, out), 0.4, (n, 2))).astype(int) + 1
    return Trace(np.cumsum(rng.exponential(1 / 20.0, n)), lengths[:, 0], lengths[:, 1])


def within(trace: Trace, shares: tuple[float, ...], watts: float) -> FleetPlans:
    asked = Request(
        *(model("llama-3.1-8b"), capped_devices([H100], shares), Goal(2.0, 0.05)),
        dtypes=("bf16",),
    )
    return plan_fleet(asked, trace, SarathiServe(), limits={"watts": watts})


def test_a_cap_takes_arithmetic_by_its_cube_root_and_leaves_the_memory() -> None:
    low = capped(H100, 0.7)
    assert (low.name, low.tdp_watts, cap_watts(low)) == ("h100-sxm@490W", 490, 490)
    assert capped(H100, 1.0) is H100
    assert cap_watts(H100) is None
    assert low.memory_bytes_per_second == H100.memory_bytes_per_second
    clock = low.peak_flops["bf16"] / H100.peak_flops["bf16"]
    assert H100.idle_watts + (H100.tdp_watts - H100.idle_watts) * clock**3 == pytest.approx(490)
    whole, less = (Deployment(model("llama-3.1-8b"), d) for d in (H100, low))
    prompts = [float(step_arrays(d, 8192.0, 0.0).seconds) for d in (whole, less)]
    decodes = [float(step_arrays(d, 1.0, 1000.0, 8.0).seconds) for d in (whole, less)]
    assert prompts[1] / prompts[0] == pytest.approx(1 / clock, rel=0.06)
    assert decodes[1] == pytest.approx(decodes[0], rel=0.03)


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2))])
def test_long_answers_within_a_limit_on_power_are_carried_by_capped_devices(seed: int) -> None:
    trace, watts = trace_of(4.5, 6.0, seed, n=200), 3000.0
    plans = within(trace, (1.0, 0.6), watts)
    full = plans.alone["h100-sxm"]
    assert plans.best.watts is not None
    assert plans.best.watts <= watts
    assert plans.best.requests_per_second > 1.05 * full.requests_per_second
    assert any(cap_watts(c.deployment.device) for c in plans.best.instances)
    best = max(one.requests_per_second for one in plans.alone.values())
    assert plans.best.requests_per_second >= best


def test_prompts_gain_less_by_the_watt_than_answers() -> None:
    places = [Deployment(model("llama-3.1-8b"), capped(H100, share)) for share in (1.0, 0.6)]
    gained = []
    for prompt, out in ((4000, 8), (100, 400)):
        whole, less = (capacity(place, prompt, out, Goal(2.0, 0.05)) for place in places)
        rates = [float(one.requests_per_second[0] / one.watts[0]) for one in (whole, less)]
        gained.append(rates[1] / rates[0])
    assert 1.0 < gained[0] < gained[1]


def test_what_cannot_be_capped_is_refused_or_runs_without() -> None:
    with pytest.raises(BadInput, match="give shares from"):
        capped(H100, 1.2)
    with pytest.raises(BadInput, match="give shares from"):
        capped(H100, 0.1)
    unknown = H100.model_copy(update={"idle_watts": None})
    assert capped_devices([unknown], (1.0, 0.7)) == (unknown,)
    with pytest.raises(BadInput, match="power is not in the catalogue"):
        capped(unknown, 0.7)
