"""POLCA (arXiv:2308.12908): a quarter more servers than a row has power for, and nothing trips.

Llama-2-70b on 20 servers of 8 A100s in a row whose breaker bears 16 of them at the power of
prompts; half of the servers are for urgent requests. One busy time in ten minutes; caps take 40 s
to be in force. Power is compared in means over a second.
"""

import csv
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from bursar import catalog
from bursar.cost import Deployment
from bursar.errors import BadInput
from bursar.policies.batching import PrefillFirst
from bursar.policies.power import POWER, Clocks, Polca, PowerState
from bursar.policies.routing import ByPriority
from bursar.policies.scaling import TargetLoad
from bursar.price import Price
from bursar.simulate import (
    PhasedTimes,
    PhasePower,
    PowerCap,
    Scaling,
    Simulation,
    server_of,
    simulate,
)
from bursar.workload.traces import Trace

MEASURED = Path(__file__).parents[3] / "shared" / "data" / "serving" / "splitwise_perf_model.csv"
PLACE = Deployment(catalog.model("llama-2-70b"), catalog.device("a100-sxm-80gb"), tp=8)
TDP, REST = 8 * 400.0, 1500.0
"""Of a server's GPUs, and what all else in it takes (watts)."""
PROMPT, DECODE, IDLE = 1.0, 0.45, 0.15
"""Shares of the TDP."""
POWER_OF = PhasePower(PROMPT * TDP + REST, DECODE * TDP + REST, IDLE * TDP + REST)
BARE = server_of(PLACE)
SERVER = replace(BARE, times=PhasedTimes(BARE.times, POWER_OF))
HAS_POWER_FOR, SERVERS = 16, 20
LIMIT = HAS_POWER_FOR * POWER_OF.prompt_watts
SEEDS = [0, 1, 2]


def busy_time(seed: int, rate: float = 22.0, seconds: float = 600.0) -> Trace:
    """From half of the rate to half as much again, and back; prompts of 2,000 tokens."""
    rng = np.random.default_rng(seed)
    arrivals = np.cumsum(rng.exponential(1 / (2 * rate), int(2.2 * rate * seconds)))
    arrivals = arrivals[arrivals < seconds]
    share = (1 - 0.5 * np.cos(2 * np.pi * arrivals / seconds)) / 2
    arrivals = arrivals[rng.random(len(arrivals)) < share]
    prompts, answers = (
        np.clip(np.ceil(rng.lognormal(np.log(mean) - 0.18, 0.6, len(arrivals))), 2, 4000)
        for mean in (2000, 200)
    )
    return Trace(arrivals, prompts, answers, priority=rng.integers(0, 2, len(arrivals)))


@cache
def run(name: str, seed: int) -> Simulation:
    urgent = SERVERS // 2
    cap = PowerCap(POWER[name](), LIMIT, urgent)
    return simulate(
        busy_time(seed),
        SERVER,
        PrefillFirst(),
        replicas=SERVERS,
        router=ByPriority(urgent),
        controls=[cap],
    )


def peak(of: Simulation) -> float:
    """The row's highest power in a second, as a share of what the breaker bears."""
    assert of.timeline.watts is not None
    assert of.timeline.width_seconds <= 1.0
    return float(of.timeline.watts[:-1].max()) / LIMIT


def p99(of: Simulation, *, urgent: bool) -> float:
    return float(np.quantile(of.e2e_s[(of.trace.priority == 0) == urgent], 0.99))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_quarter_more_servers_trip_the_breaker_unless_they_are_capped(seed: int) -> None:
    assert SERVERS >= 1.25 * HAS_POWER_FOR
    assert peak(run("uncapped", seed)) > 1.0
    assert peak(run("polca", seed)) < 1.0
    assert run("polca", seed).served.all()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_urgent_hardly_notice_and_less_than_the_others(seed: int) -> None:
    free, capped = run("uncapped", seed), run("polca", seed)
    urgent, others = (p99(capped, urgent=u) / p99(free, urgent=u) for u in (True, False))
    assert urgent < 1.05
    assert others > urgent
    assert others < 1.35


@pytest.mark.parametrize("seed", SEEDS)
def test_without_priorities_the_urgent_pay_too(seed: int) -> None:
    """The control: one threshold for all."""
    alike, polca, free = (
        p99(run(n, seed), urgent=True) for n in ("all_at_once", "polca", "uncapped")
    )
    assert alike / free > 1.05
    assert alike > polca


@pytest.mark.parametrize("name", sorted(POWER))
def test_a_limit_that_is_never_near_changes_nothing(name: str) -> None:
    trace = busy_time(0, 10.0, 100.0)
    cap = PowerCap(POWER[name](), 10 * LIMIT, 10)
    capped, free = (
        simulate(
            *(trace, SERVER, PrefillFirst()),
            replicas=20,
            router=ByPriority(10),
            controls=controls,
        )
        for controls in ([cap], [])
    )
    np.testing.assert_allclose(capped.finished_s, free.finished_s, rtol=1e-9)
    assert capped.usage.joules == pytest.approx(free.usage.joules)


class Reading:
    """A `PowerState` as given."""

    def __init__(self, load: float, clocks: Clocks) -> None:
        self.watts, self.limit_watts, self.clocks = load, 1.0, clocks


def follow(*loads: float) -> list[tuple[float, float]]:
    policy, clocks = Polca(), Clocks()
    found = []
    for load in loads:
        state: PowerState = Reading(load, clocks)
        clocks = policy.decide(state, 0.0, Price())
        found.append(tuple(clocks))
    return found  # type: ignore[return-value]


def test_caps_come_in_order_of_priority_and_go_only_well_below_their_threshold() -> None:
    mild, strong, both = (1.0, 0.9), (1.0, 0.79), (0.93, 0.79)
    assert follow(0.7, 0.81, 0.78, 0.74) == [(1.0, 1.0), mild, mild, (1.0, 1.0)]
    assert follow(0.9, 0.9, 0.86, 0.83, 0.7) == [strong, both, both, mild, (1.0, 1.0)]
    assert follow(1.01, 0.9, 0.86, 0.6) == [(0.2, 0.2), (0.2, 0.79), both, (1.0, 1.0)]


def test_a_brake_acts_where_caps_come_too_late() -> None:
    """A limit that the row passes within the time that a cap takes: only brakes are that fast."""

    class Watched(Polca):
        seen: ClassVar[list[float]] = []

        def decide(self, state: PowerState, now: float, price: Price) -> Clocks:
            clocks = super().decide(state, now, price)
            self.seen.append(clocks.urgent)
            return clocks

    policy, trace = Watched(), busy_time(0, 20.0, 60.0)
    cap = PowerCap(policy, 0.7 * LIMIT, SERVERS // 2)
    simulate(
        *(trace, SERVER, PrefillFirst()),
        replicas=SERVERS,
        router=ByPriority(SERVERS // 2),
        controls=[cap],
    )
    assert min(policy.seen) == policy.brake


@pytest.mark.shared
@pytest.mark.skipif(not MEASURED.is_file(), reason="needs ../shared/data/serving")
def test_the_power_of_phases_is_near_the_measured_one() -> None:
    """Peak and mean of Llama-2-70b on 8 A100s, where prompts are long enough to fill them."""
    with MEASURED.open(encoding="utf-8") as file:
        rows = [
            row
            for row in csv.DictReader(file)
            if (row["model"], row["hardware"]) == ("llama2-70b", "a100-80gb")
            and row["tensor_parallel"] == "8"
            and float(row["peak_power"] or 0) > 0
            and 2048 <= int(row["prompt_size"]) * int(row["batch_size"]) <= 8192
            and int(row["prompt_size"]) < 8192  # its mean is below idle: an artefact
        ]
    assert len(rows) > 5
    highest = np.mean([float(row["peak_power"]) for row in rows])
    mean = np.mean([float(row["average_power"]) for row in rows])
    assert pytest.approx(highest, rel=0.1) == PROMPT
    assert pytest.approx(mean, rel=0.1) == DECODE


def test_bad_settings_name_the_value() -> None:
    with pytest.raises(BadInput, match=r"second = 0\.5"):
        Polca(second=0.5)
    with pytest.raises(BadInput, match=r"brake = 0\.95"):
        Polca(brake=0.95)
    with pytest.raises(BadInput, match="limit_watts = 0"):
        PowerCap(Polca(), 0.0, 1)
    with pytest.raises(BadInput, match="idle_watts = 9"):
        PhasePower(5.0, 5.0, 9.0)
    trace = busy_time(0, 1.0, 10.0)
    with pytest.raises(BadInput, match="no clock"):
        simulate(trace, BARE, PrefillFirst(), controls=[PowerCap(Polca(), 1.0, 1)])
    with pytest.raises(BadInput, match="urgent = 2 of 2"):
        simulate(trace, BARE, PrefillFirst(), replicas=2, router=ByPriority(2))
    growing = [Scaling(TargetLoad(0.01), 0.0, maximum=4), PowerCap(Polca(), LIMIT, 1)]
    with pytest.raises(BadInput, match="fixed size"):
        simulate(busy_time(0, 22.0, 30.0), SERVER, PrefillFirst(), controls=growing)
