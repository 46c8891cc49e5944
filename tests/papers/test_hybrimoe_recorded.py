"""HybriMoE (arXiv:2504.05897) on the gates of a trained mixture of experts, held-out questions.

What is known beforehand (who is on the GPU at first) is of other questions.
"""

from dataclasses import replace

import numpy as np
import pytest
from recorded_gates import FIT, recorded_routing

from bursar.policies.expert_offload import (
    CpuForMisses,
    ExhaustiveSplit,
    ExpertTimes,
    GpuForAll,
    HybridSplit,
    ImpactPrefetch,
    LeastFrequentlyUsed,
    LeastRecentlyUsed,
    MinusRecentScore,
    RetentionPolicy,
    SplitPolicy,
)
from bursar.simulate.offload.experts import (
    ExpertServer,
    GateTrace,
    hit_rate,
    popular_experts,
    replay_routing,
)

# An expert of 90 MB: CPU memory at 45 GB/s, GPU memory at 900 GB/s.
PCIE_25 = ExpertTimes(2e-3, 2e-4, 1e-4, 1e-6, transfer_seconds=3.6e-3)
PCIE_50 = replace(PCIE_25, transfer_seconds=1.8e-3)
SCORED = MinusRecentScore(top_scores=4)  # twice the 2 experts of a token
THIRDS = (0, 1, 2)
LOADS = ("one_answer", "four_answers", "prompts")


def load(name: str, third: int, tokens: int) -> GateTrace:
    if name == "prompts":
        return recorded_routing(third, "prompts", tokens=tokens, step_tokens=16)
    together = {"one_answer": 1, "four_answers": 4, "eight_answers": 8}[name]
    return recorded_routing(third, "answers", tokens=tokens, together=together)


def step_seconds(
    routing: GateTrace,
    server: ExpertServer,
    split: SplitPolicy,
    cache: RetentionPolicy | None = None,
    prefetch: ImpactPrefetch | None = None,
) -> float:
    resident = popular_experts(FIT.experts, FIT.num_experts, server.slots)
    run = replay_routing(routing, server, split, resident=resident, cache=cache, prefetch=prefetch)
    return float(run.step_seconds.mean())


@pytest.mark.parametrize("times", [PCIE_25, PCIE_50], ids=["pcie_25", "pcie_50"])
@pytest.mark.parametrize("name", LOADS)
def test_shorter_steps_than_the_better_fixed_mapping(name: str, times: ExpertTimes) -> None:
    """Whatever the fixed mapping's cache: none, LRU or HybriMoE's own."""
    for third in THIRDS:
        routing = load(name, third, tokens=60 if name == "one_answer" else 96)
        for slots in (4, 8):
            server = ExpertServer(slots, times, dense_seconds=5e-4)
            # what is not on the GPU is never brought there: a cache would change nothing
            cpu = step_seconds(routing, server, CpuForMisses())
            gpu = [
                step_seconds(routing, server, GpuForAll(), cache)
                for cache in (None, LeastRecentlyUsed(), SCORED)
            ]
            assert step_seconds(routing, server, HybridSplit()) < min(cpu, gpu[0])
            whole = step_seconds(routing, server, HybridSplit(), SCORED, ImpactPrefetch())
            assert whole < 0.95 * min(cpu, *gpu)


@pytest.mark.parametrize("name", ["one_answer", "four_answers"])
@pytest.mark.parametrize("gpu_token_seconds", [1e-6, 2e-4], ids=["fast_gpu", "gpu_no_faster"])
def test_splits_are_within_5_percent_of_the_best(name: str, gpu_token_seconds: float) -> None:
    """Prompts are left out: their steps use more experts than can be tried."""
    for times in (PCIE_25, PCIE_50):
        times = replace(times, gpu_token_seconds=gpu_token_seconds)
        for third in THIRDS:
            for slots in (4, 8):
                server = ExpertServer(slots, times, dense_seconds=0.0)
                routing = load(name, third, tokens=60)
                best = step_seconds(routing, server, ExhaustiveSplit())
                ours = step_seconds(routing, server, HybridSplit())
                assert best - 1e-12 <= ours <= 1.05 * best


def hit_rates(name: str, third: int, slots: int) -> dict[str, float]:
    routing = load(name, third, tokens=2000)
    caches = {"scored": SCORED, "lru": LeastRecentlyUsed(), "lfu": LeastFrequentlyUsed()}
    return {cache: hit_rate(routing, slots, policy) for cache, policy in caches.items()}


@pytest.mark.parametrize(
    ("name", "slots"),
    [("one_answer", 4), ("one_answer", 8), ("four_answers", 8), ("prompts", 4), ("prompts", 8)],
)
def test_more_hits_than_lru_at_equal_slots(name: str, slots: int) -> None:
    for third in THIRDS:
        hits = hit_rates(name, third, slots)
        assert hits["scored"] > hits["lru"]


def test_the_gain_over_lru_ends_where_many_answers_share_few_slots() -> None:
    """The limit: recent scores of eight unrelated answers say little of the next ones."""
    assert all(
        hits["scored"] < hits["lru"]
        for hits in (hit_rates("eight_answers", third, slots=4) for third in THIRDS)
    )


@pytest.mark.parametrize("slots", [4, 8])
@pytest.mark.parametrize("name", ["four_answers", "eight_answers", "prompts"])
def test_counting_gets_more_hits_than_scores_where_tokens_share_a_step(
    name: str, slots: int
) -> None:
    """The limit: over many tokens only lasting favourites count."""
    for third in THIRDS:
        hits = hit_rates(name, third, slots)
        assert hits["lfu"] > hits["scored"]


def test_gates_forecast_the_layers_to_come() -> None:
    """The nearer the better; from the first layer, which changes the hidden state most, badly."""
    routing = load("one_answer", 0, tokens=2000)
    assert routing.forecasts is not None
    top = np.argsort(-routing.forecasts, axis=3)[..., None, :2]
    right = (routing.choices[..., None] == top).any(4).mean((1, 3))
    assert right[0, 2:].min() > 0.65
    assert right[0, 3:].mean() > right[1, 3:].mean() > right[2, 3:].mean()
    assert right[0, 1] < 0.5


@pytest.mark.parametrize("times", [PCIE_25, PCIE_50], ids=["pcie_25", "pcie_50"])
def test_prefetch_pays_for_one_answer_as_far_as_forecasts_are_right(times: ExpertTimes) -> None:
    """Controls: the forecasts of other tokens, which keep favourites, and of no experts at all."""
    rng = np.random.default_rng(0)
    gains, blind_gains = [], []
    for third in THIRDS:
        routing = load("one_answer", third, tokens=80)
        forecasts = routing.forecasts
        assert forecasts is not None
        others = replace(routing, forecasts=rng.permutation(forecasts, axis=1))
        blind = replace(routing, forecasts=rng.permuted(forecasts, axis=3))
        for slots in (4, 8):
            server = ExpertServer(slots, times, dense_seconds=5e-4)
            cached = step_seconds(routing, server, HybridSplit(), SCORED)
            ours, of_others, of_none = (
                step_seconds(x, server, HybridSplit(), SCORED, ImpactPrefetch())
                for x in (routing, others, blind)
            )
            assert ours < cached
            assert ours < 0.97 * of_others
            gains.append(1 - ours / cached)
            blind_gains.append(1 - of_none / cached)
    assert np.mean(gains) > 0.03
    assert np.mean(blind_gains) < 0.01


@pytest.mark.parametrize("name", ["four_answers", "prompts"])
def test_prefetch_is_worth_little_where_a_step_uses_many_experts(name: str) -> None:
    """The limit: PCIe is then busy with what the layer itself asks for."""
    ratios = []
    for third in THIRDS:
        routing = load(name, third, tokens=96)
        for slots in (4, 8):
            server = ExpertServer(slots, PCIE_25, dense_seconds=5e-4)
            cached = step_seconds(routing, server, HybridSplit(), SCORED)
            ours = step_seconds(routing, server, HybridSplit(), SCORED, ImpactPrefetch())
            ratios.append(ours / cached)
    assert abs(np.mean(ratios) - 1) < 0.02


def test_residents_fixed_beforehand_beat_the_score_cache_for_several_answers() -> None:
    """The limit: favourites of other questions last, and nothing is brought just to be kept."""
    for third in THIRDS:
        routing = load("four_answers", third, tokens=96)
        for slots in (4, 8):
            server = ExpertServer(slots, PCIE_25, dense_seconds=5e-4)
            fixed = step_seconds(routing, server, HybridSplit())
            assert fixed < step_seconds(routing, server, HybridSplit(), SCORED)
