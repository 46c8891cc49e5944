"""MoE-Lens (arXiv:2504.09345): its prediction is what execution takes, and its plan is faster."""

from functools import cache

import numpy as np
import pytest

from bursar.allocate.offload_waves import (
    WAVES,
    even_waves,
    fixed_waves,
    largest_wave,
    lens_waves,
)
from bursar.cost.moe_lens import HybridMachine, MoeLens, OfflineWork, Waves
from bursar.errors import BadInput, Infeasible
from bursar.simulate.offload import play_waves

MIXTRAL = {
    "layers": 8,
    "layer_weight_bytes": 94e9 / 8,
    "layer_kv_bytes": 131072 / 8,
    "layer_token_flops": 25.8e9 / 8,
}
"""Mixtral-8x7B's bytes and FLOPs in a quarter of its layers."""


@cache
def configuration(seed: int) -> tuple[HybridMachine, OfflineWork, str]:
    """A machine and a long queue of work drawn at random, and what limits them.

    The queue has three times the fixed batches after which sharing memory between ages makes up
    for entering and leaving, 2 (p + g) / g.
    """
    rng = np.random.default_rng(seed)

    def between(least: float, most: float) -> float:
        return float(np.exp(rng.uniform(np.log(least), np.log(most))))

    machine = HybridMachine(
        **MIXTRAL,
        pcie_bytes_per_second=between(12e9, 50e9),
        gpu_flops_per_second=between(30e12, 300e12),
        cpu_bytes_per_second=between(25e9, 300e9),
        kv_memory_bytes=between(16e9, 256e9),
    )
    prompt, generated = int(between(32, 1024)), int(between(16, 64))
    batch = largest_wave(machine, OfflineWork(1, prompt, generated), 1)
    batches = 6 * (prompt + generated) / generated * rng.uniform(1.0, 1.2)
    work = OfflineWork(int(batch * batches), prompt, generated)
    bound = MoeLens(machine).bound(work)
    return machine, work, min(bound, key=lambda limit: bound[limit])


@cache
def planned(seed: int, plan: str) -> Waves:
    machine, work, _ = configuration(seed)
    return WAVES[plan](machine, work)


@cache
def played(seed: int, plan: str) -> float:
    machine, work, _ = configuration(seed)
    return play_waves(machine, work, planned(seed, plan))


SEEDS = range(100, 130)


def test_predicted_throughput_is_within_10_percent_of_execution() -> None:
    limits = [configuration(seed)[2] for seed in SEEDS]
    assert {"memory", "gpu"} <= set(limits)
    errors = []
    for seed in SEEDS:
        machine, work, _ = configuration(seed)
        lens = MoeLens(machine)
        for plan in WAVES:
            took = work.requests * work.generated / played(seed, plan)
            errors.append(lens.throughput(work, planned(seed, plan)) / took - 1)
            assert took <= 1.05 * min(lens.bound(work).values())
    assert np.max(np.abs(errors)) <= 0.10
    assert np.mean(np.abs(errors)) <= 0.03


def test_the_plan_beats_every_fixed_batch_where_memory_limits() -> None:
    limited = [seed for seed in SEEDS if configuration(seed)[2] == "memory"]
    assert len(limited) >= 10
    for seed in limited:
        machine, work, _ = configuration(seed)
        largest = planned(seed, "fixed").sizes[0]
        smaller = -(-work.requests // max(1, largest * 3 // 4))
        fewer = Waves(tuple(len(x) for x in np.array_split(range(work.requests), smaller)), 1)
        best_fixed = min(played(seed, "fixed"), play_waves(machine, work, fewer))
        assert played(seed, "moe_lens") < 0.99 * best_fixed


def test_nothing_to_gain_where_the_gpu_is_always_busy() -> None:
    """Control: a GPU so slow that decoding alone keeps it busy."""
    for kv_gb in (64, 128, 256):
        machine = HybridMachine(
            **MIXTRAL,
            pcie_bytes_per_second=25e9,
            gpu_flops_per_second=3e12,
            cpu_bytes_per_second=300e9,
            kv_memory_bytes=kv_gb * 1e9,
        )
        batch = largest_wave(machine, OfflineWork(1, 98, 32), 1)
        work = OfflineWork(24 * batch, 98, 32)
        took = {
            plan: play_waves(machine, work, plan(machine, work))
            for plan in (lens_waves, fixed_waves)
        }
        assert took[lens_waves] == pytest.approx(took[fixed_waves], rel=0.02)


def test_never_slower_on_a_short_queue() -> None:
    """There entering and leaving decide, and the plan falls back on the fixed batch."""
    for seed in range(100, 106):
        machine, long, _ = configuration(seed)
        batch = largest_wave(machine, long, 1)
        for batches in (0.5, 1, 2):
            work = OfflineWork(int(batches * batch), long.prompt, long.generated)
            ours = play_waves(machine, work, lens_waves(machine, work))
            assert ours <= 1.02 * play_waves(machine, work, fixed_waves(machine, work))


def test_a_plan_worked_by_hand() -> None:
    """2 layers of 1 s over PCIe, 30 tokens of memory: 6 requests of 2 + 8 in batches of 3.

    Each batch takes 8 steps of 2 s. In two waves of 1 (10 tokens, and 6 half way): 16 tokens.
    """
    machine = HybridMachine(2, 1.0, 1.0, 1e-9, 1.0, 1.0, 1e9, 60.0, block_tokens=1)
    work = OfflineWork(6, 2, 8)
    assert fixed_waves(machine, work) == Waves((3, 3), 1)
    assert play_waves(machine, work, Waves((3, 3), 1)) == pytest.approx(2 * 8 * 2.0)
    assert MoeLens(machine).seconds(work, Waves((3, 3), 1)) == pytest.approx(32.0)
    assert largest_wave(machine, work, 2) == 1
    overlapping = Waves((2,) * 3, 2)
    with pytest.raises(Infeasible, match="2 too many"):
        play_waves(machine, work, overlapping)


def test_what_can_not_be_is_refused() -> None:
    machine, work, _ = configuration(100)
    with pytest.raises(BadInput, match="prompt is 0"):
        OfflineWork(1, 0, 1)
    with pytest.raises(BadInput, match="layers is 0"):
        HybridMachine(0, 1, 1, 1, 1, 1, 1, 1)
    with pytest.raises(Infeasible, match="raise kv_memory_bytes"):
        even_waves(machine, OfflineWork(1, 10**9, 1), 1)
    assert sum(even_waves(machine, work, 3).sizes) == work.requests
