"""HybriMoE (arXiv:2504.05897): dynamic splits, prefetch by gain and a cache by score pay."""

from dataclasses import replace

import numpy as np
import pytest
from moe_routing import synthetic_routing

from bursar.errors import BadInput
from bursar.policies.expert_offload import (
    CpuForMisses,
    ExhaustiveSplit,
    ExpertTimes,
    GpuForAll,
    HybridSplit,
    ImpactPrefetch,
    LeastRecentlyUsed,
    MinusRecentScore,
    RoutedExpert,
    RoutedLayer,
)
from bursar.price import Price
from bursar.simulate.offload.experts import (
    ExpertServer,
    GateTrace,
    hit_rate,
    layer_seconds,
    popular_experts,
    replay_routing,
)

# An expert of 90 MB: CPU memory at 45 GB/s, GPU memory at 900 GB/s.
PCIE_25 = ExpertTimes(2e-3, 2e-4, 1e-4, 1e-6, transfer_seconds=3.6e-3)
PCIE_50 = replace(PCIE_25, transfer_seconds=1.8e-3)
SEEDS = (0, 1, 2)


def step_seconds(routing: GateTrace, server: ExpertServer) -> dict[str, float]:
    """Mean seconds of a step. All begin with the experts that the whole trace uses most."""
    resident = popular_experts(routing.choices, routing.scores.shape[-1], server.slots)
    scored = MinusRecentScore()
    runs = {
        "cpu_for_misses": replay_routing(routing, server, CpuForMisses(), resident=resident),
        "gpu_for_all": replay_routing(
            routing, server, GpuForAll(), resident=resident, cache=LeastRecentlyUsed()
        ),
        "split": replay_routing(routing, server, HybridSplit(), resident=resident),
        "cached": replay_routing(routing, server, HybridSplit(), resident=resident, cache=scored),
        "hybrimoe": replay_routing(
            routing,
            server,
            HybridSplit(),
            resident=resident,
            cache=scored,
            prefetch=ImpactPrefetch(),
        ),
    }
    return {name: float(run.step_seconds.mean()) for name, run in runs.items()}


@pytest.mark.parametrize("times", [PCIE_25, PCIE_50], ids=["pcie_25", "pcie_50"])
@pytest.mark.parametrize("step_tokens", [1, 16], ids=["decode", "prefill"])
def test_shorter_steps_than_the_better_fixed_mapping(times: ExpertTimes, step_tokens: int) -> None:
    for seed in SEEDS:
        tokens = 50 if step_tokens == 1 else 6 * step_tokens
        routing = synthetic_routing(seed, tokens=tokens, step_tokens=step_tokens)
        for slots in (4, 8):
            took = step_seconds(routing, ExpertServer(slots, times, dense_seconds=5e-4))
            fixed = min(took["cpu_for_misses"], took["gpu_for_all"])
            assert took["split"] < fixed
            assert took["hybrimoe"] < 0.95 * fixed


def test_prefetch_pays_as_far_as_forecasts_are_right() -> None:
    """Control: forecasts that name other experts gain nothing."""
    rng = np.random.default_rng(0)
    server = ExpertServer(4, PCIE_25, dense_seconds=5e-4)
    for seed in SEEDS:
        routing = synthetic_routing(seed, tokens=50)
        assert routing.forecasts is not None
        shuffled = replace(routing, forecasts=rng.permuted(routing.forecasts, axis=3))
        took = step_seconds(routing, server)
        assert took["hybrimoe"] < 0.95 * took["cached"]
        assert step_seconds(shuffled, server)["hybrimoe"] > took["cached"]


def random_layers(times: ExpertTimes, loads: str, seed: int) -> list[RoutedLayer]:
    rng = np.random.default_rng(seed)
    layers = []
    for _ in range(60):
        tokens = rng.integers(1, 60, size=8) if loads == "prefill" else np.ones(8, dtype=int)
        arrives = rng.uniform(0, times.transfer_seconds)  # one expert is on its way
        at = [arrives, *rng.choice([0.0, np.inf], size=int(rng.integers(1, 8)))]
        experts = tuple(RoutedExpert(i, int(tokens[i]), float(x)) for i, x in enumerate(at))
        layers.append(RoutedLayer(experts, times, pcie_free_seconds=arrives))
    return layers


@pytest.mark.parametrize("loads", ["decode", "prefill"])
@pytest.mark.parametrize("transfer_ms", [0.5, 1.8, 3.6])
@pytest.mark.parametrize("gpu_token_ms", [0.001, 0.05])
def test_splits_are_within_5_percent_of_the_best(
    loads: str, transfer_ms: float, gpu_token_ms: float
) -> None:
    times = ExpertTimes(2e-3, 2e-4, 1e-4, gpu_token_ms * 1e-3, transfer_ms * 1e-3)
    for seed in SEEDS:
        layers = random_layers(times, loads, seed)
        best = [ExhaustiveSplit().decide(x, 0.0, Price()).seconds for x in layers]
        ours = [HybridSplit().decide(x, 0.0, Price()).seconds for x in layers]
        assert all(a >= b - 1e-12 for a, b in zip(ours, best, strict=True))
        assert np.mean(ours) <= 1.05 * np.mean(best)


def test_a_split_takes_on_lanes_what_it_says() -> None:
    for policy in (HybridSplit(), ExhaustiveSplit(), CpuForMisses(), GpuForAll()):
        for seed in SEEDS:
            for layer in random_layers(PCIE_25, "prefill", seed)[:20]:
                split = policy.decide(layer, 0.0, Price())
                assert {*split.cpu, *split.gpu} == {x.expert for x in layer.experts}
                assert layer_seconds(layer, split) == pytest.approx(split.seconds)


def test_more_hits_than_lru_at_equal_slots() -> None:
    for seed in SEEDS:
        for step_tokens, slots in ((1, 6), (1, 8), (4, 8)):
            routing = synthetic_routing(seed, tokens=300, step_tokens=step_tokens)
            ours = hit_rate(routing, slots, MinusRecentScore())
            assert ours > hit_rate(routing, slots, LeastRecentlyUsed())


def test_no_more_hits_where_routing_has_neither_favourites_nor_memory() -> None:
    """Control: then no value says anything about the next token."""
    differences = []
    for seed in SEEDS:
        scores = np.random.default_rng(seed).random((300, 6, 16))
        routing = GateTrace(np.argsort(-scores, axis=2)[:, :, :4].astype(np.int64), scores)
        ours, lru = (hit_rate(routing, 8, c) for c in (MinusRecentScore(), LeastRecentlyUsed()))
        differences.append(ours - lru)
    assert abs(np.mean(differences)) < 0.01


def test_a_layer_worked_by_hand() -> None:
    """GPU: 3 cached at 1 s each; two more absent, 4 s on the CPU, 3 s to bring and 1 s there."""
    times = ExpertTimes(4.0, 0.0, 1.0, 0.0, transfer_seconds=3.0)
    there = tuple(RoutedExpert(i, 1, 0.0) for i in range(3))
    absent = tuple(RoutedExpert(i, 1, np.inf) for i in (3, 4))
    split = HybridSplit().decide(RoutedLayer(there + absent, times), 0.0, Price())
    assert (len(split.cpu), len(split.transfers), split.seconds) == (1, 1, 4.0)
    assert CpuForMisses().decide(RoutedLayer(there + absent, times), 0.0, Price()).seconds == 8.0


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(BadInput, match="do not fit"):
        GateTrace(np.zeros((4, 2, 1), np.int64), np.zeros((4, 3, 8)))
    with pytest.raises(BadInput, match="outside 0 to 7"):
        GateTrace(np.full((4, 2, 1), 8), np.zeros((4, 2, 8)))
    with pytest.raises(BadInput, match="transfer_seconds is -1"):
        replace(PCIE_25, transfer_seconds=-1.0)
    routing = replace(synthetic_routing(0, tokens=4), forecasts=None)
    server = ExpertServer(4, PCIE_25, 5e-4)
    resident = popular_experts(routing.choices, 16, 4)
    with pytest.raises(BadInput, match="prefetch needs a cache"):
        replay_routing(routing, server, HybridSplit(), resident=resident, prefetch=ImpactPrefetch())
