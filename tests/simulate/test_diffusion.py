"""Laws of the diffusion server: hand-worked steps and memory, and every request is served."""

from dataclasses import replace

import numpy as np
import pytest

from bursar import catalog
from bursar.cost import DATASHEET, Deployment
from bursar.errors import BadInput, Infeasible
from bursar.policies.diffusion import DIFFUSION, DllmServe, Fcfs
from bursar.simulate.diffusion import DiffusionServer, simulate_diffusion
from bursar.workload.traces import Trace

PLACE = Deployment(catalog.model("llama-2-7b"), catalog.device("rtx-4090"), efficiency=DATASHEET)
SERVER = DiffusionServer(PLACE, logit_rows=256)


def crowd(seed: int) -> Trace:
    rng = np.random.default_rng(seed)
    arrivals = np.cumsum(rng.exponential(0.3, 25))
    return Trace(arrivals, rng.integers(10, 900, 25), rng.integers(1, 200, 25))


def test_one_request_takes_its_refreshes_and_reuse_steps() -> None:
    """96 tokens are 3 blocks; each block is one refresh and 15 reuse steps."""
    run = simulate_diffusion(Trace([1.0], [404], [90]), SERVER, DllmServe())
    cycle = SERVER.seconds([500], []) + 15 * SERVER.seconds([], [500])
    assert run.finished_s[0] == pytest.approx(1.0 + 3 * cycle)
    assert run.steps == 48


def test_a_refresh_is_bound_by_arithmetic_and_a_reuse_step_by_reading_weights() -> None:
    device, model = PLACE.device, PLACE.model
    refresh, reuse = SERVER.seconds([2000], []), SERVER.seconds([], [2000])
    flops = 2 * model.active_parameters * 2000 / device.flops_per_second("bf16")
    assert flops < refresh < 1.4 * flops
    read = 2 * model.parameters / (device.memory_bytes_per_second or 1)
    assert 0.9 * read < reuse < 1.4 * read


def test_both_at_once_take_less_than_one_after_the_other() -> None:
    apart = SERVER.seconds([1000], []) + SERVER.seconds([], [1000])
    assert SERVER.seconds([1000], [1000]) < 0.95 * apart


def test_memory_by_hand() -> None:
    whole = replace(SERVER, kept=1.0)
    cache, activations = 2 * 32 * 4096 * 2 * 1000, 300 * 8 * 4096 * 2
    logits = 256 * PLACE.model.vocabulary * 18
    beside = whole.memory([1000], 300) - whole.memory([], 0)
    assert beside == pytest.approx(cache + activations + logits)
    assert SERVER.memory([1000], 0) - SERVER.memory([], 0) == pytest.approx(cache / 2)


@pytest.mark.parametrize("name", sorted(DIFFUSION))
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_all_are_served_within_memory(name: str, seed: int) -> None:
    run = simulate_diffusion(crowd(seed), SERVER, DIFFUSION[name]())
    assert (run.e2e_s > 0).all()
    assert run.peak_bytes <= SERVER.usable_bytes


def test_longer_than_the_budget_runs_alone() -> None:
    run = simulate_diffusion(crowd(4), SERVER, DllmServe(max_tokens=64))
    assert np.isfinite(run.finished_s).all()


def test_what_cannot_be_is_refused() -> None:
    long = Trace([0.0], [60_000], [10])
    for policy in (Fcfs(), DllmServe()):
        with pytest.raises(Infeasible, match="a sequence of 60032 tokens needs"):
            simulate_diffusion(long, SERVER, policy)
    with pytest.raises(BadInput, match=r"kept = 0; must be in \(0, 1\]"):
        replace(SERVER, kept=0)
    with pytest.raises(BadInput, match="logit_rows = 0"):
        replace(SERVER, logit_rows=0)
    with pytest.raises(BadInput, match="2 devices"):
        replace(SERVER, deployment=replace(PLACE, device=catalog.device("a100"), tp=2))
