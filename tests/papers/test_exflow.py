"""ExFlow (arXiv:2401.08383): experts placed by the routes of the built-in mixture of experts."""

from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest

from bursar.allocate.expert_placement import (
    EXPERT_PLACEMENT,
    Cluster,
    ExFlow,
    Placement,
    RandomPlacement,
    route_counts,
)
from bursar.errors import BadInput
from bursar.workload.expert_routing import RoutingTrace, recorded

FIT, HELD_OUT = recorded()
SEEDS = (0, 1, 2)


def hops(
    placer: ExFlow | RandomPlacement, fit: RoutingTrace, judged: RoutingTrace, devices: int
) -> float:
    return placer.place(fit, Cluster.of_nodes(1, devices)).hop_share(judged)


def small_trace(seed: int, layers: int = 2, experts: int = 4) -> RoutingTrace:
    rng = np.random.default_rng(seed)
    route = rng.integers(0, experts, (60, layers, 1))
    sticks = rng.random(60) < 0.6
    route[sticks, 1:, 0] = (route[sticks, :1, 0] * 3 + 1) % experts
    ones = np.ones(route.shape, np.float32)
    return RoutingTrace(route, ones, np.zeros(60, int), np.zeros(60, int), experts)


def gain(fit: RoutingTrace, judged: RoutingTrace, devices: int = 4) -> float:
    """By how much hops are fewer than at random."""
    random = np.mean([hops(RandomPlacement(s), fit, judged, devices) for s in range(10)])
    return float(1 - hops(ExFlow(), fit, judged, devices) / random)


@pytest.mark.parametrize("devices", [2, 4])
def test_hops_are_at_least_30_percent_fewer_than_at_random(devices: int) -> None:
    assert gain(FIT, HELD_OUT, devices) >= 0.3


@pytest.mark.parametrize("seed", SEEDS)
def test_little_is_gained_from_shuffled_routes(seed: int) -> None:
    """Control: same loads, but a route says nothing of the next layer's.

    What is left comes from uneven loads: the busiest experts of all layers lie together, which a
    placement with balanced devices could not do. With even loads nothing is left.
    """
    rng = np.random.default_rng(seed)
    fit, judged = FIT.shuffled(rng), HELD_OUT.shuffled(rng)
    assert gain(fit, judged) <= gain(FIT, HELD_OUT) / 3
    even = [
        replace(t, experts=rng.permuted(np.tile(np.arange(16), (len(t), 6, 1)), axis=2)[:, :, :2])
        for t in (fit, judged)
    ]
    assert abs(gain(*even)) <= 0.02


@pytest.mark.parametrize("seed", SEEDS)
def test_small_cases_are_the_optimum(seed: int) -> None:
    """The programme over all layers, and the search layer by layer, against enumeration."""
    trace, cluster = small_trace(seed, layers=3), Cluster.of_nodes(1, 2)
    halves = [np.isin(np.arange(4), pair).astype(int) for pair in combinations(range(4), 2)]
    best = min(Placement(np.stack(rows), 2).hop_share(trace) for rows in product(halves, repeat=3))
    for placer in (ExFlow(), ExFlow(largest_programme=0)):
        assert placer.place(trace, cluster).hop_share(trace) == pytest.approx(best)


def test_one_exchange_per_layer_moves_fewer_tokens_than_two() -> None:
    """Best expert of each layer: a token that stays where it is computed, or is sent back.

    Sent back, it goes from its own device to the expert's and home again: two exchanges a layer.
    """
    best = RoutingTrace(
        HELD_OUT.experts[:, :, :1],
        np.ones_like(HELD_OUT.shares[:, :, :1]),
        HELD_OUT.token,
        HELD_OUT.question,
        HELD_OUT.num_experts,
    )
    placement = ExFlow().place(FIT, Cluster.of_nodes(1, 4))
    home = best.question % 4
    at = placement.device[np.arange(best.num_layers), best.experts[:, :, 0]]
    two = 2 * (at != home[:, None]).sum()
    one = (at[:, :-1] != at[:, 1:]).sum() + (at[:, 0] != home).sum()
    assert one <= 0.5 * two
    assert one == best_transfers(placement, best) + (at[:, 0] != home).sum()


def best_transfers(placement: Placement, trace: RoutingTrace) -> int:
    moved = placement.transfers(trace)
    return int(moved.sum() - np.trace(moved, axis1=1, axis2=2).sum())


@pytest.mark.parametrize("name", sorted(EXPERT_PLACEMENT))
@pytest.mark.parametrize("devices", [1, 2, 4])
def test_every_placement_fills_all_devices_evenly(name: str, devices: int) -> None:
    placement = EXPERT_PLACEMENT[name]().place(FIT, Cluster.of_nodes(1, devices))
    for row in placement.device:
        assert np.bincount(row, minlength=devices).tolist() == [16 // devices] * devices
    assert placement.load(HELD_OUT).sum() == HELD_OUT.experts.size
    assert placement.transfers(HELD_OUT).sum() == route_counts(HELD_OUT).sum()


@pytest.mark.parametrize("name", sorted(EXPERT_PLACEMENT))
def test_devices_that_do_not_divide_the_experts_are_refused(name: str) -> None:
    with pytest.raises(BadInput, match="16 experts cannot be spread evenly over 3"):
        EXPERT_PLACEMENT[name]().place(FIT, Cluster.of_nodes(1, 3))
