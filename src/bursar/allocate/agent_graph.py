"""Heterogeneous agent graphs: each operator on the device tier that makes the whole cheapest.

Paper: Zain Asgar, Michelle Nguyen, Sachin Katti, "Efficient and Scalable Agentic AI with
    Heterogeneous Systems", 2025, arXiv:2507.19635; the cost model and the placement under an SLA.
Symbols: task graph -> AgentGraph; hardware -> tiers; T_SLA -> deadline_seconds;
    TCO -> usd_per_hour.
Differs: operators run as whole requests and not as compiled kernels; the cost is rent, without
    power and capital apart; devices of a tier are shared by all operators placed there, which all
    must be loaded, and are filled to `utilisation` u; a stage that could use all of a device is
    planned at the mean time of processor sharing, seconds / (1 - u), one in a batch of b at
    seconds (1 + u / (1 - u) / b).
Checked: tests/papers/test_agent_graph.py: graphs of ten operators over catalogue devices are never
    dearer than the best single tier under the same SLA and cheaper where operators are mixed, not
    where they are all alike; the best of all placements on small graphs; a simulation that knows
    none of these formulas keeps 95 % of the requests within the deadline.
Seed: 39
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, sparse

from bursar.catalog import Device
from bursar.cost.agent_work import Operator, Way
from bursar.cost.memory import USABLE
from bursar.errors import BadInput, Infeasible


@dataclass(frozen=True, slots=True)
class AgentGraph:
    """What one request runs: operators in an order in which each stands after those it waits for.

    `edges`: (from, to, bytes sent). Raises `BadInput` on an edge that does not point forward.
    """

    operators: tuple[Operator, ...]
    edges: tuple[tuple[int, int, float], ...]

    def __post_init__(self) -> None:
        for start, end, _ in self.edges:
            if not 0 <= start < end < len(self.operators):
                raise BadInput(
                    f"edge {start} -> {end} of {len(self.operators)} operators; number them so "
                    "that each edge points forward"
                )


@dataclass(frozen=True, slots=True)
class GraphPlacement:
    """Where each operator runs (`tier`, `way`), the devices of each tier, and what they cost.

    `planned_seconds` is the end-to-end time that was planned with, `gap` the proven relative
    distance of the rent to the least there is.
    """

    tier: tuple[int, ...]
    way: tuple[Way, ...]
    devices: tuple[int, ...]
    usd_per_hour: float
    planned_seconds: float
    gap: float


@dataclass(frozen=True, slots=True)
class GraphPlacer:
    """Places a graph that is asked for `requests_per_second` times a second.

    `link_bytes_per_second` is the network between tiers. Raises `BadInput` unless the rate, the
    deadline and the link are above zero and `utilisation` is between 0 and 1.
    """

    requests_per_second: float
    deadline_seconds: float
    utilisation: float = 0.6
    link_bytes_per_second: float = 12.5e9
    target_gap: float = 1e-4

    def __post_init__(self) -> None:
        for name in ("requests_per_second", "deadline_seconds", "link_bytes_per_second"):
            if not getattr(self, name) > 0:
                raise BadInput(f"{name} = {getattr(self, name)}; must be above zero")
        if not 0 < self.utilisation < 1:
            raise BadInput(f"utilisation = {self.utilisation}; must be between 0 and 1")

    def place(self, graph: AgentGraph, tiers: Sequence[Device]) -> GraphPlacement:
        """The cheapest placement. Raises `Infeasible` when no placement keeps the deadline."""
        model = _Model(self, graph, tiers)
        rows, low, high = model.constraints()
        found = optimize.milp(
            model.cost,
            integrality=model.whole,
            bounds=optimize.Bounds(0, model.most),
            constraints=optimize.LinearConstraint(rows, low, high),
            options={"mip_rel_gap": self.target_gap, "time_limit": 60.0},
        )
        if found.x is None:
            raise Infeasible(
                f"no placement on {', '.join(d.name for d in tiers)} keeps "
                f"{self.deadline_seconds:g} s; the fastest for each operator, if they fitted "
                f"together, would take {model.fastest_seconds():.3g} s: relax the deadline, or "
                "offer faster or larger tiers"
            )
        return model.placement(found.x, float(found.mip_gap or 0.0))


class _Model:
    """Columns: a 0/1 for each way, one for each model on a tier, devices, starts, crossings."""

    def __init__(self, goal: GraphPlacer, graph: AgentGraph, tiers: Sequence[Device]) -> None:
        if any(device.usd_per_hour is None or device.memory_bytes is None for device in tiers):
            raise BadInput("each tier needs a known rent and memory; leave out the others")
        self.goal, self.graph, self.tiers = goal, graph, tiers
        self.ways = [
            (i, t, way)
            for i, operator in enumerate(graph.operators)
            for t, device in enumerate(tiers)
            for way in operator.ways(device)
        ]
        for i in set(range(len(graph.operators))) - {i for i, _, _ in self.ways}:
            raise Infeasible(f"operator {i} fits on no tier; offer one with more memory")
        self.loads = sorted(
            {(w.resident, t, w.resident_bytes) for _, t, w in self.ways if w.resident}
        )
        sizes = (
            len(self.ways),
            len(self.loads),
            len(tiers),
            len(graph.operators),
            len(graph.edges),
        )
        ends = np.cumsum(sizes).tolist()
        self.load0, self.device0, self.start0, self.cross0, self.columns = ends
        self.cost = np.zeros(self.columns)
        self.cost[self.device0 : self.start0] = [d.usd_per_hour for d in tiers]
        self.whole = np.zeros(self.columns, dtype=np.int64)
        self.whole[: self.start0] = 1
        self.most = np.ones(self.columns)
        self.most[self.device0 : self.start0] = np.inf
        self.most[self.start0 : self.cross0] = goal.deadline_seconds

    def seconds(self, way: Way) -> float:
        """Planned for a stage: the more of a device it could use, the more it feels the others."""
        load = self.goal.utilisation
        return way.seconds * (1.0 + load / (1.0 - load) / way.batch)

    def fastest_seconds(self) -> float:
        """Planned end-to-end time if each operator had its fastest way and nothing were sent."""
        ends: list[float] = []
        for i in range(len(self.graph.operators)):
            before = [ends[start] for start, end, _ in self.graph.edges if end == i]
            ends.append(max(before, default=0.0) + min(self._stage(i).values()))
        return max(ends)

    def constraints(self) -> tuple[sparse.csr_array, NDArray[np.float64], NDArray[np.float64]]:
        """(rows, least, most)."""
        rows: list[dict[int, float]] = []
        low: list[float] = []
        high: list[float] = []

        def add(row: dict[int, float], least: float = -np.inf, most: float = np.inf) -> None:
            rows.append(row)
            low.append(least)
            high.append(most)

        goal, graph = self.goal, self.graph
        for i in range(len(graph.operators)):
            add({c: 1.0 for c, (j, _, _) in enumerate(self.ways) if j == i}, 1.0, 1.0)
            # it ends before the deadline
            add(self._stage(i) | {self.start0 + i: 1.0}, most=goal.deadline_seconds)
        for t, device in enumerate(self.tiers):
            mine = [(c, way) for c, (_, u, way) in enumerate(self.ways) if u == t]
            busy = {c: goal.requests_per_second * way.device_seconds for c, way in mine}
            add(busy | {self.device0 + t: -goal.utilisation}, most=0.0)
            held = {c: way.batch_bytes / 2**30 for c, way in mine}
            for k, (_, u, size) in enumerate(self.loads):
                if u == t:
                    held[self.load0 + k] = size / 2**30
            add(held, most=USABLE * (device.memory_bytes or 0.0) / 2**30)
        for k, (name, t, _) in enumerate(self.loads):
            for c, (_, u, way) in enumerate(self.ways):
                if (way.resident, u) == (name, t):
                    add({c: 1.0, self.load0 + k: -1.0}, most=0.0)
        for e, (start, end, sent) in enumerate(graph.edges):
            hop = sent / goal.link_bytes_per_second
            before = {self.start0 + end: 1.0, self.start0 + start: -1.0, self.cross0 + e: -hop}
            add(before | {c: -s for c, s in self._stage(start).items()}, least=0.0)
            for t in range(len(self.tiers)):  # on t here and not there: it crosses
                here = {c: -1.0 for c, (i, u, _) in enumerate(self.ways) if (i, u) == (start, t)}
                there = {c: 1.0 for c, (i, u, _) in enumerate(self.ways) if (i, u) == (end, t)}
                add(here | there | {self.cross0 + e: 1.0}, least=0.0)
        index = [(r, c) for r, row in enumerate(rows) for c in row]
        values = [value for row in rows for value in row.values()]
        matrix = sparse.csr_array(
            (values, tuple(np.array(index).T)), shape=(len(rows), self.columns)
        )
        return matrix, np.array(low), np.array(high)

    def _stage(self, operator: int) -> dict[int, float]:
        return {c: self.seconds(way) for c, (i, _, way) in enumerate(self.ways) if i == operator}

    def placement(self, x: NDArray[np.float64], gap: float) -> GraphPlacement:
        """What the solution says; starts are computed anew, as early as can be."""
        taken = {i: (t, way) for c, (i, t, way) in enumerate(self.ways) if x[c] > 0.5}
        devices = tuple(round(n) for n in x[self.device0 : self.start0])
        ends: list[float] = []
        for i in range(len(taken)):
            ready = 0.0
            for start, end, sent in self.graph.edges:
                if end == i:
                    hop = sent / self.goal.link_bytes_per_second
                    ready = max(ready, ends[start] + hop * (taken[start][0] != taken[i][0]))
            ends.append(ready + self.seconds(taken[i][1]))
        return GraphPlacement(
            tier=tuple(taken[i][0] for i in range(len(taken))),
            way=tuple(taken[i][1] for i in range(len(taken))),
            devices=devices,
            usd_per_hour=float(np.dot(devices, self.cost[self.device0 : self.start0])),
            planned_seconds=max(ends),
            gap=gap,
        )
