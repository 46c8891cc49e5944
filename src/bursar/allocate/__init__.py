"""Divides a limit over items: `ALLOCATORS[name].allocate(options, limit)` returns a `Plan`.

base, uniform, hull, heap, milp, exhaustive   the protocol, and one allocator each
dual, core, counting   what `hull` is made of: the relaxed plan, whole plans near it, their bound
streamed          a price for items that come one by one
demand, fleet     instances of several types for traffic of several kinds
agent_graph       operators of agents on tiers of devices
block_zoo         fine-tuned models that share blocks
expert_placement  experts on devices
overlap           operations of one batch over the units of one device
offload_waves     requests that enter together where memory limits a model
"""

from bursar.allocate.agent_graph import AgentGraph, GraphPlacement, GraphPlacer
from bursar.allocate.base import Allocator, Limit, Options
from bursar.allocate.block_zoo import BlockZoo, Zoo
from bursar.allocate.demand import Demand
from bursar.allocate.exhaustive import ExhaustiveAllocator
from bursar.allocate.fleet import Fleet, cheapest_fleet, largest_fleet
from bursar.allocate.heap import HeapAllocator
from bursar.allocate.hull import HullAllocator
from bursar.allocate.milp import Coupling, MilpAllocator
from bursar.allocate.streamed import WindowPrice, best_option
from bursar.allocate.uniform import UniformAllocator
from bursar.plan import Plan

ALLOCATORS: dict[str, Allocator] = {
    "uniform": UniformAllocator(),
    "hull": HullAllocator(),
    "heap": HeapAllocator(),
    "milp": MilpAllocator(),
    "exhaustive": ExhaustiveAllocator(),
}


def allocate(options: Options, limit: Limit) -> Plan:
    """The best plan: by hull for one resource, by MILP for several. See `Allocator.allocate`."""
    name = "hull" if len(options.resources) == 1 else "milp"
    return ALLOCATORS[name].allocate(options, limit)


__all__ = [
    "ALLOCATORS",
    "AgentGraph",
    "Allocator",
    "BlockZoo",
    "Coupling",
    "Demand",
    "ExhaustiveAllocator",
    "Fleet",
    "GraphPlacement",
    "GraphPlacer",
    "HeapAllocator",
    "HullAllocator",
    "Limit",
    "MilpAllocator",
    "Options",
    "UniformAllocator",
    "WindowPrice",
    "Zoo",
    "allocate",
    "best_option",
    "cheapest_fleet",
    "largest_fleet",
]
