"""MoETuner: balances the load of devices, then keeps the slowest link between layers short.

Paper: Seokjin Go, Divya Mahajan, "MoETuner: Optimized Mixture of Expert Serving with Balanced
    Expert Placement and Token Routing", 2025, arXiv:2502.06643; the two programmes of its section
    on expert placement.
Symbols: x_{c,e,l} -> put; T_{c,l} -> load; C_{c1,c2,l} -> sent; B_{g1,g2} -> 1 /
    Cluster.seconds_per_transfer.
Differs: the first programme says how even a layer can be, and the second places experts, not whole
    groups of the first, anything as even up to `slack`: with the groups kept, layers took longer
    than with load-only placement. Every device has as many experts of each layer, not only of all
    layers. Layer after layer, each given the one before. Both stop near their optimum (`tolerance`,
    `gap`).
Checked: tests/papers/test_moetuner.py: on held-out routes of the built-in mixture of experts over 4
    devices, layer time below contiguous and load-only placement and fewer transfers; max/mean load
    at most 1.1, over 4 devices wherever the busiest expert allows it with equal slots (4 of 6
    layers); both programmes equal enumeration on small cases.
Seed: 105
"""

from dataclasses import dataclass

import numpy as np
from scipy import optimize

from bursar.allocate.expert_placement.base import Cluster, Floats, Ints, Placement, route_counts
from bursar.errors import Infeasible
from bursar.workload.expert_routing import RoutingTrace

_TIE = 1e-3
"""Weight of all links' seconds beside those of the slowest: enough to choose between equals."""


@dataclass(frozen=True, slots=True)
class MoETuner:
    """The evenest load in each layer, then the least traffic over the slowest link."""

    tolerance: float = 0.005
    """Deviation from the mean load, as a share of it, that counts as none."""
    slack: float = 0.02
    """How much above the evenest one the largest load may be, for the sake of the links."""
    gap: float = 0.02
    """How near to its optimum the second programme must come, as a share of it."""

    def place(self, trace: RoutingTrace, cluster: Cluster) -> Placement:
        """See `Placer.place`."""
        slots, links = cluster.slots(trace.num_experts), cluster.seconds_per_transfer
        onto = np.eye(cluster.num_devices, dtype=np.int64)
        loads = trace.load()
        device = [evenest(loads[0], slots, self.tolerance)]
        for load, counts in zip(loads[1:], route_counts(trace), strict=True):
            even = np.bincount(evenest(load, slots, self.tolerance), weights=load)
            sent = onto[device[-1]].T @ counts
            most = (1 + self.slack) * even.max()
            device.append(least_slowest_link(sent, links, load, most_load=most, gap=self.gap))
        return Placement(np.stack(device), cluster.num_devices)


def evenest(load: Ints, slots: int, tolerance: float = 0.0) -> Ints:
    """(experts,) the device of each expert: `slots` on each, loads as even as can be.

    min sum_c d_c with d_c >= |T_c - mean|, and d_c >= tolerance * mean.
    """
    experts, devices = len(load), len(load) // slots
    put = _Put(experts, devices, extra=devices)
    share = np.tile(load[:, None] / max(1.0, load.sum()) * devices, devices)  # the mean is 1
    total = put.per_device(share)
    deviation = np.hstack([np.zeros((devices, put.size)), np.eye(devices)])
    upper = np.append(np.ones(put.size), np.full(devices, np.inf))
    # devices are alike: the first expert may as well be on the first, the second on the first two..
    upper[put.at[np.triu_indices(devices, 1)]] = 0.0
    return put.solve(
        np.append(np.zeros(put.size), np.ones(devices)),
        optimize.Bounds(np.append(np.zeros(put.size), np.full(devices, tolerance)), upper),
        [
            optimize.LinearConstraint(total - deviation, ub=1.0),
            optimize.LinearConstraint(total + deviation, lb=1.0),
        ],
        slots,
    )


def least_slowest_link(
    sent: Ints, seconds_per_transfer: Floats, load: Ints, *, most_load: float, gap: float = 0.0
) -> Ints:
    """(experts,) the device of each, from the tokens (devices, experts) sent to it by each device.

    min t + _TIE * (all links' seconds) with t >= b_{c,d} sum_e sent_{c,e} x_{e,d} for every link
    and sum_e load_e x_{e,d} <= most_load for every device.
    """
    devices, experts = sent.shape
    put = _Put(experts, devices, extra=1)
    # (from, expert, on) seconds over each link if the expert lay there
    seconds = sent[:, :, None] * seconds_per_transfer[:, None, :]
    seconds = seconds / max(float(seconds.sum(1).max()), 1e-300)
    links = np.concatenate([put.per_device(one) for one in seconds])
    links[:, -1] = -1.0
    busy = put.per_device(np.tile(load[:, None] / max(1.0, most_load), devices))
    upper = np.append(np.ones(put.size), np.inf)
    return put.solve(
        np.append(_TIE * seconds.sum(0).ravel(), 1.0),
        optimize.Bounds(0.0, upper),
        [optimize.LinearConstraint(links, ub=0.0), optimize.LinearConstraint(busy, ub=1.0)],
        experts // devices,
        gap,
    )


@dataclass(frozen=True, slots=True)
class _Put:
    """Binary variables x_{e,d}, expert e on device d, before `extra` continuous ones."""

    experts: int
    devices: int
    extra: int

    @property
    def size(self) -> int:
        return self.experts * self.devices

    @property
    def at(self) -> Ints:
        """(experts, devices) the variables' places."""
        return np.arange(self.size).reshape(self.experts, self.devices)

    def per_device(self, weights: Floats) -> Floats:
        """(devices, variables) rows sum_e weights_{e,d} x_{e,d}."""
        rows = np.zeros((self.devices, self.size + self.extra))
        rows[np.arange(self.devices)[:, None], self.at.T] = weights.T
        return rows

    def solve(
        self,
        cost: Floats,
        bounds: optimize.Bounds,
        constraints: list[optimize.LinearConstraint],
        slots: int,
        gap: float = 0.0,
    ) -> Ints:
        """(experts,) devices: each expert on one, `slots` experts on each."""
        each = np.zeros((self.experts, self.size + self.extra))
        each[np.arange(self.experts)[:, None], self.at] = 1.0
        full = self.per_device(np.ones((self.experts, self.devices)))
        found = optimize.milp(
            cost,
            integrality=np.append(np.ones(self.size), np.zeros(self.extra)),
            bounds=bounds,
            constraints=[
                *constraints,
                optimize.LinearConstraint(each, 1.0, 1.0),
                optimize.LinearConstraint(full, slots, slots),
            ],
            options={"mip_rel_gap": gap},
        )
        if found.x is None:
            raise Infeasible(f"no placement of {self.experts} experts was found: {found.message}")
        device: Ints = found.x[self.at].argmax(1)
        return device
