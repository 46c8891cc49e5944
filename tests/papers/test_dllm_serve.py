"""dLLM-Serve (arXiv:2512.17077): budgeted logits and mixed phases serve diffusion models."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from bursar import catalog
from bursar.catalog import Attention, Mlp, ModelSpec
from bursar.cost import Deployment
from bursar.policies.diffusion import DiffusionPolicy, DllmServe, Fcfs
from bursar.simulate.diffusion import DiffusionRun, DiffusionServer, simulate_diffusion
from bursar.workload.traces import Trace

LLADA = ModelSpec("llada-8b", 4096, 126_464, (Attention(32, 32, 32, 128, 128), Mlp(32, 12_288)))
SMALL = Deployment(LLADA, catalog.device("rtx-4090"))
MONOLITHIC = DiffusionServer(SMALL)
BUDGETED = replace(MONOLITHIC, logit_rows=256)
DEVICE = SMALL.device.model_copy(update={"memory_bytes": 4 * (SMALL.device.memory_bytes or 0)})
ROOMY = replace(MONOLITHIC, deployment=replace(SMALL, device=DEVICE))
SEEDS = [1, 2, 3]
SETTINGS: dict[str, tuple[DiffusionServer, DiffusionPolicy]] = {
    "blind": (MONOLITHIC, Fcfs(plans_steps=False)),
    "blind, budgeted": (BUDGETED, Fcfs(plans_steps=False)),
    "fcfs": (MONOLITHIC, Fcfs()),
    "fcfs in batches": (MONOLITHIC, Fcfs(in_batches=True)),
    "fcfs, budgeted": (BUDGETED, Fcfs()),
    "fcfs in batches, budgeted": (BUDGETED, Fcfs(in_batches=True)),
    "dllm": (BUDGETED, DllmServe()),
    "roomy fcfs": (ROOMY, Fcfs()),
    "roomy dllm": (replace(ROOMY, logit_rows=256), DllmServe()),
    "sparse": (replace(BUDGETED, kept=0.25), DllmServe()),
    "full": (replace(BUDGETED, kept=1.0), DllmServe()),
}


def load(seed: int, requests: int = 40) -> Trace:
    """More than is served at once: prompts of about 900 tokens, answers of about 160."""
    rng = np.random.default_rng(seed)
    return Trace(
        np.cumsum(rng.exponential(0.02, requests)),
        np.clip(np.ceil(rng.lognormal(np.log(900), 0.4, requests)), 16, 1700),
        np.clip(np.ceil(rng.lognormal(np.log(160), 0.4, requests)), 32, 512),
    )


@cache
def served(seed: int, setting: str) -> DiffusionRun:
    return simulate_diffusion(load(seed), *SETTINGS[setting])


def speedup(seed: int, setting: str, other: str) -> float:
    return served(seed, setting).tokens_per_second / served(seed, other).tokens_per_second


@pytest.mark.parametrize("seed", SEEDS)
def test_memory_stays_under_a_cap_that_a_naive_server_breaks(seed: int) -> None:
    cap = MONOLITHIC.usable_bytes
    assert served(seed, "blind").peak_bytes > 1.5 * cap
    assert served(seed, "blind, budgeted").peak_bytes < 0.6 * served(seed, "blind").peak_bytes
    assert served(seed, "dllm").peak_bytes <= cap


@pytest.mark.parametrize("seed", SEEDS)
def test_more_throughput_than_first_come_first_served_at_equal_memory(seed: int) -> None:
    for baseline in ("fcfs", "fcfs in batches"):
        assert served(seed, baseline).peak_bytes <= MONOLITHIC.usable_bytes
        assert speedup(seed, "dllm", baseline) >= 1.3


@pytest.mark.parametrize("seed", SEEDS)
def test_mixing_phases_by_itself_gains_little(seed: int) -> None:
    """Control: with budgeted logits for both, arithmetic binds either way."""
    assert speedup(seed, "dllm", "fcfs, budgeted") == pytest.approx(1.0, abs=0.1)
    assert 1.0 < speedup(seed, "dllm", "fcfs in batches, budgeted") < 1.25


@pytest.mark.parametrize("seed", SEEDS)
def test_no_gain_where_memory_is_plenty(seed: int) -> None:
    """Control: four times the memory; logits of everybody at once are no trouble."""
    assert speedup(seed, "roomy dllm", "roomy fcfs") < 1.05


@pytest.mark.parametrize("seed", SEEDS)
def test_fewer_tokens_kept_by_each_head_need_less_memory(seed: int) -> None:
    """More sequences at once; throughput follows as long as memory is short."""
    (sparse, _), (full, _) = SETTINGS["sparse"], SETTINGS["full"]
    assert sparse.memory([1000], 32) < full.memory([1000], 32) - 0.7 * 1000 * 2**19
    assert speedup(seed, "sparse", "full") > 1.03
