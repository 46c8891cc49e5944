"""MoE inference survey (arXiv:2412.14219): one technique per level on one simulated MoE, and all.

Model: D2MoE's widths. System: HybriMoE. Hardware: a faster PCIe, or a faster GPU. The server keeps
experts in the CPU's memory and writes one answer at a time, as the gates of the built-in mixture of
experts said on held-out questions. A saving is a speedup: mean seconds per step before, by those
after. GPU memory is the same throughout: experts of fewer bits get more slots. Every expert is as
wide as those of other questions' tokens are in the mean.
"""

from dataclasses import replace
from functools import cache
from itertools import combinations
from math import prod

import pytest
from recorded_gates import FIT, HELD_OUT, recorded_routing

from bursar.policies.expert_loading import BitRouter
from bursar.policies.expert_offload import (
    ExpertTimes,
    GpuForAll,
    HybridSplit,
    ImpactPrefetch,
    LeastRecentlyUsed,
    MinusRecentScore,
)
from bursar.simulate.offload.experts import ExpertServer, popular_experts, replay_routing

# An expert of 90 MB at 8 bits: PCIe at 25 GB/s, CPU memory at 45 GB/s, GPU memory at 900 GB/s.
TIMES = ExpertTimes(2e-3, 2e-4, 1e-4, 1e-6, transfer_seconds=3.6e-3)
DENSE_SECONDS = 2e-3
SLOTS = 4
# Fitted to an accuracy within a point of 8 bits, see test_d2moe.py.
ROUTER = BitRouter(0.35, 2.0)
THIRDS = (0, 1, 2)
LEVELS = ("widths", "hybrimoe", "pcie")


@cache
def step_seconds(third: int, techniques: frozenset[str]) -> float:
    """Mean of a step. Without techniques: 8 bits, all on the GPU, an LRU cache."""
    times, slots, dense = TIMES, SLOTS, DENSE_SECONDS
    if "widths" in techniques:
        part = float(ROUTER.widths(FIT.shares).mean()) / 8
        slots = int(slots / part)
        times = replace(
            times,
            cpu_read_seconds=part * times.cpu_read_seconds,
            gpu_read_seconds=part * times.gpu_read_seconds,
            transfer_seconds=part * times.transfer_seconds,
        )
    if "pcie" in techniques:
        times = replace(times, transfer_seconds=times.transfer_seconds / 2)
    if "gpu" in techniques:
        dense /= 2
        times = replace(
            times,
            gpu_read_seconds=times.gpu_read_seconds / 2,
            gpu_token_seconds=times.gpu_token_seconds / 2,
        )
    server = ExpertServer(slots, times, dense)
    resident = popular_experts(FIT.experts, FIT.num_experts, slots)
    routing = recorded_routing(third, "answers", tokens=100)
    if "hybrimoe" in techniques:
        run = replay_routing(
            routing,
            server,
            HybridSplit(),
            resident=resident,
            cache=MinusRecentScore(top_scores=2 * HELD_OUT.top_k),
            prefetch=ImpactPrefetch(),
        )
    else:
        run = replay_routing(
            routing, server, GpuForAll(), resident=resident, cache=LeastRecentlyUsed()
        )
    return float(run.step_seconds.mean())


def speedup(third: int, *techniques: str) -> float:
    return step_seconds(third, frozenset()) / step_seconds(third, frozenset(techniques))


def combined_to_product(third: int, *techniques: str) -> float:
    """Below 1: together they save less than they would if each saved what it does alone."""
    return speedup(third, *techniques) / prod(speedup(third, one) for one in techniques)


@pytest.mark.parametrize("third", THIRDS)
def test_every_level_saves_and_all_together_save_most(third: int) -> None:
    assert all(speedup(third, one) > 1.2 for one in LEVELS)
    fewer = [speedup(third, *some) for size in (1, 2) for some in combinations(LEVELS, size)]
    assert speedup(third, *LEVELS) > max(fewer)


@pytest.mark.parametrize("third", THIRDS)
@pytest.mark.parametrize("techniques", [*combinations(LEVELS, 2), LEVELS], ids="+".join)
def test_together_they_save_less_than_their_product(
    techniques: tuple[str, ...], third: int
) -> None:
    """All three spare the same bottleneck, the experts' way over PCIe."""
    assert combined_to_product(third, *techniques) < 0.9


@pytest.mark.parametrize("third", THIRDS)
@pytest.mark.parametrize("technique", LEVELS)
def test_with_another_bottleneck_they_save_more_than_their_product(
    technique: str, third: int
) -> None:
    """Control: a GPU twice as fast shortens the dense part, which comes before the experts."""
    assert combined_to_product(third, technique, "gpu") > 1.03
