"""What a placement of experts on devices is, and what it costs on a routing trace.

Experts are placed layer by layer, equally many of each layer on every device, so that all
placements need the same memory. A token's *transfers* between two layers are its pairs (an expert
in the first, an expert in the second) on different devices: each expert's output goes where the
token is needed next.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bursar.errors import BadInput
from bursar.workload.expert_routing import RoutingTrace

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Cluster:
    """Devices with experts, and what they take; raises `BadInput` for links that are no square."""

    seconds_per_token: float
    """To compute one expert for one token, on any device."""
    seconds_per_transfer: Floats
    """(devices, devices) to send one token over each link; 0 on the diagonal."""

    def __post_init__(self) -> None:
        links = self.seconds_per_transfer
        if links.ndim != 2 or links.shape[0] != links.shape[1] or np.diag(links).any():
            raise BadInput(
                f"seconds_per_transfer has the shape {links.shape}; it must be (devices, devices), "
                "and 0 from a device to itself"
            )

    @classmethod
    def of_nodes(
        cls,
        nodes: int,
        devices_per_node: int,
        *,
        seconds_per_token: float = 1e-6,
        inside_seconds: float = 1e-6,
        between_seconds: float = 1e-6,
    ) -> "Cluster":
        """Nodes of equal size: one speed of links inside a node, another between nodes."""
        node = np.repeat(np.arange(nodes), devices_per_node)
        links = np.where(node[:, None] == node, inside_seconds, between_seconds)
        np.fill_diagonal(links, 0.0)
        return cls(seconds_per_token, links)

    @property
    def num_devices(self) -> int:
        """How many."""
        return len(self.seconds_per_transfer)

    def slots(self, num_experts: int) -> int:
        """Experts of one layer per device; raises `BadInput` when they do not come out even."""
        if num_experts % self.num_devices:
            raise BadInput(
                f"{num_experts} experts cannot be spread evenly over {self.num_devices} devices; "
                "take a number of devices that divides them"
            )
        return num_experts // self.num_devices


@dataclass(frozen=True, slots=True, eq=False)
class Placement:
    """Where each expert lies."""

    device: Ints
    """(layers, experts)"""
    num_devices: int

    def load(self, trace: RoutingTrace) -> Ints:
        """(layers, devices) pairs of a token and an expert that each device computes."""
        counts = np.zeros((trace.num_layers, self.num_devices), np.int64)
        rows = np.arange(trace.num_layers)[:, None]
        np.add.at(counts, (rows, self.device), trace.load())
        return counts

    def transfers(self, trace: RoutingTrace) -> Ints:
        """(layers - 1, devices, devices) pairs of experts that a token visits one after another."""
        counts = route_counts(trace)
        onto = np.eye(self.num_devices, dtype=np.int64)[self.device]  # (layers, experts, devices)
        moved: Ints = onto[:-1].transpose(0, 2, 1) @ counts @ onto[1:]
        return moved

    def hop_share(self, trace: RoutingTrace) -> float:
        """The share of these pairs whose experts lie on different devices."""
        moved = self.transfers(trace)
        return 1.0 - float(np.trace(moved, axis1=1, axis2=2).sum() / moved.sum())


class Placer(Protocol):
    """Decides from a routing trace where experts lie."""

    def place(self, trace: RoutingTrace, cluster: Cluster) -> Placement:
        """Raises `BadInput` when the devices do not divide the experts of a layer."""
        ...


def route_counts(trace: RoutingTrace) -> Ints:
    """(layers - 1, experts, experts) how many tokens go from one expert to one of the next layer.

    A token counts once for each of its top_k * top_k pairs of experts.
    """
    size = trace.num_experts
    pairs = trace.experts[:, :-1, :, None] * size + trace.experts[:, 1:, None, :]
    return np.stack(
        [
            np.bincount(pairs[:, layer].ravel(), minlength=size * size).reshape(size, size)
            for layer in range(trace.num_layers - 1)
        ]
    )


def layer_seconds(
    placement: Placement, trace: RoutingTrace, cluster: Cluster, *, batch_tokens: int
) -> Floats:
    """(layers,) mean time of each layer over batches of `batch_tokens` consecutive tokens.

    A layer waits for its busiest device, then for its busiest link: T = max_d load_d * a +
    max_(d,d') transfers_dd' * b_dd'; the last layer sends nothing. A last part batch is left out.
    """
    batches = len(trace) // batch_tokens
    if batches == 0:
        raise BadInput(f"batch_tokens is {batch_tokens}; the trace has only {len(trace)} tokens")
    total = np.zeros(trace.num_layers)
    for start in range(0, batches * batch_tokens, batch_tokens):
        batch = trace.rows(np.arange(start, start + batch_tokens))
        total += placement.load(batch).max(1) * cluster.seconds_per_token
        total[:-1] += (placement.transfers(batch) * cluster.seconds_per_transfer).max((1, 2))
    seconds: Floats = total / batches
    return seconds
