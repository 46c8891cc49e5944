"""Divides a limit over items: `ALLOCATORS[name].allocate(options, limit)` returns a `Plan`."""

from bursar.allocate.agent_graph import AgentGraph, AgentPlacement, GraphPlacement
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
    "AgentPlacement",
    "Allocator",
    "BlockZoo",
    "Coupling",
    "Demand",
    "ExhaustiveAllocator",
    "Fleet",
    "GraphPlacement",
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
