"""MoETuner (arXiv:2502.06643): even groups of experts, then groups onto devices."""

from functools import cache
from itertools import combinations, permutations

import numpy as np
import pytest

from bursar.allocate.expert_placement import EXPERT_PLACEMENT, Cluster, Placement, layer_seconds
from bursar.allocate.expert_placement.moetuner import evenest, least_slowest_link
from bursar.workload.expert_routing import recorded

FIT, HELD_OUT = recorded()
CLUSTER = Cluster.of_nodes(1, 4)


@cache
def placed(name: str) -> Placement:
    return EXPERT_PLACEMENT[name]().place(FIT, CLUSTER)


def transfers(placement: Placement) -> int:
    moved = placement.transfers(HELD_OUT)
    return int(moved.sum() - np.trace(moved, axis1=1, axis2=2).sum())


@pytest.mark.parametrize("baseline", ["contiguous", "load_only"])
@pytest.mark.parametrize("batch_tokens", [128, 256, 512])
def test_layers_take_less_time(baseline: str, batch_tokens: int) -> None:
    ours, theirs = (
        layer_seconds(placed(name), HELD_OUT, CLUSTER, batch_tokens=batch_tokens).sum()
        for name in ("moetuner", baseline)
    )
    assert ours < theirs


def max_over_mean(load: np.ndarray) -> np.ndarray:
    return load.max(1) / load.mean(1)


def test_two_devices_are_evenly_busy() -> None:
    placement = EXPERT_PLACEMENT["moetuner"]().place(FIT, Cluster.of_nodes(1, 2))
    assert max_over_mean(placement.load(HELD_OUT)).max() <= 1.1


def test_four_devices_are_as_evenly_busy_as_the_busiest_expert_allows() -> None:
    """In two of six layers it and the three least busy ones are already more than 1.1."""
    share = np.sort(FIT.load() / FIT.load().mean(1, keepdims=True), axis=1) / 4
    bound = np.maximum(1.0, share[:, -1] + share[:, :3].sum(1))
    found = max_over_mean(placed("moetuner").load(HELD_OUT))
    assert (found <= np.where(bound > 1.07, bound * 1.04, 1.1)).all()
    assert found.mean() < max_over_mean(placed("load_only").load(HELD_OUT)).mean()


@pytest.mark.parametrize("baseline", ["contiguous", "load_only"])
def test_fewer_transfers(baseline: str) -> None:
    assert transfers(placed("moetuner")) < transfers(placed(baseline))


@pytest.mark.parametrize("seed", range(4))
def test_loads_are_as_even_as_enumeration_finds(seed: int) -> None:
    load = np.random.default_rng(seed).integers(1, 100, 6)
    mean = load.sum() / 2
    best = min(2 * abs(load[list(half)].sum() - mean) for half in combinations(range(6), 3))
    device = evenest(load, 3)
    assert np.abs(np.bincount(device, weights=load) - mean).sum() == pytest.approx(best)
    assert np.bincount(device).tolist() == [3, 3]


@pytest.mark.parametrize("seed", range(4))
def test_the_slowest_link_is_as_fast_as_enumeration_finds(seed: int) -> None:
    """Six experts on two or three unequal devices, none with more than an even load and a half."""
    rng = np.random.default_rng(seed)
    for devices in (2, 3):
        sent, load = rng.integers(0, 100, (devices, 6)), rng.integers(1, 100, 6)
        links = rng.uniform(0.5, 2.0, (devices, devices))
        np.fill_diagonal(links, 0.0)
        most = 1.5 * load.sum() / devices

        def slowest(device: np.ndarray) -> float:
            onto = np.eye(devices, dtype=int)[device]  # noqa: B023
            return float((sent @ onto * links).max())  # noqa: B023

        even = np.repeat(np.arange(devices), 6 // devices)
        allowed = [
            np.array(device)
            for device in set(permutations(even.tolist()))
            if np.bincount(device, weights=load).max() <= most
        ]
        best = min(slowest(device) for device in allowed)
        found = least_slowest_link(sent, links, load, most_load=most)
        assert np.bincount(found, weights=load).max() <= most
        assert slowest(found) <= best * 1.01  # the tie-break's weight
