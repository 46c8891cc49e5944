"""Which device holds which experts: `EXPERT_PLACEMENT[name]().place(trace, cluster)`."""

from collections.abc import Callable

from bursar.allocate.expert_placement.base import (
    Cluster,
    Placement,
    Placer,
    layer_seconds,
    route_counts,
)
from bursar.allocate.expert_placement.exflow import ExFlow
from bursar.allocate.expert_placement.moetuner import MoETuner
from bursar.allocate.expert_placement.naive import Contiguous, LoadOnly, RandomPlacement

EXPERT_PLACEMENT: dict[str, Callable[[], Placer]] = {
    "contiguous": Contiguous,
    "random": RandomPlacement,
    "load_only": LoadOnly,
    "exflow": ExFlow,
    "moetuner": MoETuner,
}
"""Name -> what makes the placer with its usual settings."""

__all__ = [
    "EXPERT_PLACEMENT",
    "Cluster",
    "Contiguous",
    "ExFlow",
    "LoadOnly",
    "MoETuner",
    "Placement",
    "Placer",
    "RandomPlacement",
    "layer_seconds",
    "route_counts",
]
