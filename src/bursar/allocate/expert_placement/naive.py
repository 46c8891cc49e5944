"""Placements that do not look at routes: in order, at random, by load."""

from dataclasses import dataclass

import numpy as np

from bursar.allocate.expert_placement.base import Cluster, Placement
from bursar.workload.expert_routing import RoutingTrace


@dataclass(frozen=True, slots=True)
class Contiguous:
    """The first experts of each layer on the first device, and so on: what engines do."""

    def place(self, trace: RoutingTrace, cluster: Cluster) -> Placement:
        """See `Placer.place`."""
        slots = cluster.slots(trace.num_experts)
        row = np.arange(trace.num_experts) // slots
        return Placement(np.tile(row, (trace.num_layers, 1)), cluster.num_devices)


@dataclass(frozen=True, slots=True)
class RandomPlacement:
    """Each layer's experts shuffled over the devices."""

    seed: int = 0

    def place(self, trace: RoutingTrace, cluster: Cluster) -> Placement:
        """See `Placer.place`."""
        rng = np.random.default_rng(self.seed)
        ordered = Contiguous().place(trace, cluster)
        return Placement(rng.permuted(ordered.device, axis=1), cluster.num_devices)


@dataclass(frozen=True, slots=True)
class LoadOnly:
    """The busiest expert first, each to the least busy device with a free slot (as in EPLB)."""

    def place(self, trace: RoutingTrace, cluster: Cluster) -> Placement:
        """See `Placer.place`."""
        slots = cluster.slots(trace.num_experts)
        device = np.empty((trace.num_layers, trace.num_experts), np.int64)
        for row, load in zip(device, trace.load(), strict=True):
            busy = np.zeros(cluster.num_devices)
            free = np.full(cluster.num_devices, slots)
            for expert in np.argsort(-load, kind="stable"):
                row[expert] = least = int(np.where(free > 0, busy, np.inf).argmin())
                busy[least] += load[expert]
                free[least] -= 1
        return Placement(device, cluster.num_devices)
