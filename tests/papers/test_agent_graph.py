"""Agents over heterogeneous systems (arXiv:2507.19635): ten operators on tiers of the catalogue."""

from collections.abc import Sequence
from itertools import product
from math import ceil

import numpy as np
import pytest

from bursar import catalog
from bursar.allocate import AgentGraph, GraphPlacement, GraphPlacer
from bursar.catalog import Device
from bursar.cost import kv_cache_bytes
from bursar.cost.agent_work import Answer, Operator, Prompt, ToolCall
from bursar.errors import BadInput, Infeasible
from bursar.simulate import simulate_graph

TIERS = [
    catalog.device(name)
    for name in ("h100-sxm", "a100-sxm-80gb", "l40s", "l4", "a10g", "graviton4")
]
SMALL, MIDDLE, CHAT, LARGE = (
    catalog.model(name) for name in ("qwen3-0.6b", "qwen3-1.7b", "llama-3.1-8b", "qwen3-32b")
)
SEEDS = range(4)


def call(model: catalog.ModelSpec, asked: int, said: int, dtype: str = "bf16") -> list[Operator]:
    return [Prompt(model, asked, dtype), Answer(model, asked, said, dtype)]


def mixed(rng: np.random.Generator) -> AgentGraph:
    """A document is parsed and embedded, a plan made, two sources read, an answer made, checked."""

    def some(low: float, high: float) -> int:
        return int(rng.uniform(low, high))

    plan, answer, check = some(800, 2000), some(2000, 4000), some(300, 800)
    operators = (
        ToolCall(some(5e10, 5e11), some(1e9, 8e9)),
        Prompt(SMALL, some(200, 600)),
        *call(CHAT, plan, some(60, 150)),
        ToolCall(some(1e11, 2e12), some(2e9, 2e10)),
        Prompt(MIDDLE, some(500, 2000)),
        *call(LARGE, answer, some(150, 400), "fp8"),
        *call(CHAT, check, some(20, 60)),
    )
    text = [(0, 2), (1, 2), (3, 4), (3, 5), (4, 6), (5, 6), (7, 8)]
    caches = [(2, CHAT, plan), (6, LARGE, answer), (8, CHAT, check)]
    edges = [(start, end, 1e5) for start, end in text]
    edges += [(i, i + 1, float(kv_cache_bytes(model, tokens))) for i, model, tokens in caches]
    return AgentGraph(operators, tuple(edges))


def alike(rng: np.random.Generator) -> AgentGraph:
    """Ten prompts of one model in a chain."""
    tokens = rng.integers(1000, 2000, 10)
    return AgentGraph(
        tuple(Prompt(CHAT, int(n)) for n in tokens), tuple((i, i + 1, 1e5) for i in range(9))
    )


def usd(goal: GraphPlacer, graph: AgentGraph, tiers: Sequence[Device]) -> float:
    try:
        return goal.place(graph, tiers).usd_per_hour
    except Infeasible:
        return float("inf")


def goal_of(rng: np.random.Generator, sla_seconds: float) -> GraphPlacer:
    """Planned with a tenth of the time in reserve, whatever the tiers."""
    return GraphPlacer(float(rng.uniform(2, 10)), 0.9 * sla_seconds)


def attained(graph: AgentGraph, goal: GraphPlacer, found: GraphPlacement, sla: float) -> float:
    rng = np.random.default_rng(9)
    arrivals = np.cumsum(rng.exponential(1 / goal.requests_per_second, 400))
    return float(np.mean(simulate_graph(graph, found, arrivals) <= sla))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("sla", [12.0, 20.0])
def test_a_mix_is_never_dearer_and_keeps_its_deadline(seed: int, sla: float) -> None:
    """And strictly cheaper: by a quarter at 20 s; at 12 s most needs the fastest tier."""
    rng = np.random.default_rng(seed)
    graph = mixed(rng)
    goal = goal_of(rng, sla)
    found = goal.place(graph, TIERS)
    best = min(usd(goal, graph, [tier]) for tier in TIERS)
    assert found.usd_per_hour <= best * (1 + found.gap)
    assert found.usd_per_hour < (0.75 if sla == 20 else 0.96) * best
    assert found.planned_seconds <= goal.deadline_seconds + 1e-6
    assert attained(graph, goal, found, sla) >= 0.95


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_gained_where_all_operators_are_alike(seed: int) -> None:
    """Control: the mix is the best single tier."""
    rng = np.random.default_rng(seed)
    graph, goal = alike(rng), GraphPlacer(float(rng.uniform(20, 40)), 20.0)
    best = min(usd(goal, graph, [tier]) for tier in TIERS)
    found = goal.place(graph, TIERS)
    assert found.usd_per_hour == pytest.approx(best, rel=goal.target_gap)
    assert sum(n > 0 for n in found.devices) == 1


def test_the_simulation_can_fail() -> None:
    """Planned for a tenth of the traffic that comes, the deadline does not hold."""
    rng = np.random.default_rng(1)
    graph = mixed(rng)
    little, much = GraphPlacer(0.5, 18.0), GraphPlacer(5.0, 18.0)
    found = little.place(graph, TIERS)
    assert attained(graph, little, found, 20.0) >= 0.95
    assert attained(graph, much, found, 20.0) < 0.5


@pytest.mark.parametrize("seed", SEEDS)
def test_it_finds_the_best_of_all_placements(seed: int) -> None:
    """Four operators on three tiers, every placement tried; arithmetic apart from the programme."""
    rng = np.random.default_rng(seed)
    tiers = [catalog.device(name) for name in ("h100-sxm", "l40s", "l4")]
    asked = int(rng.integers(500, 2000))
    operators = (*call(CHAT, asked, 50), ToolCall(1e12, 5e9), Prompt(MIDDLE, asked))
    graph = AgentGraph(operators, ((0, 1, 2e8), (1, 2, 1e5), (0, 3, 1e5)))
    goal = GraphPlacer(float(rng.uniform(3, 30)), 4.0)
    load = goal.utilisation
    least = float("inf")
    menus = [[(t, w) for t, tier in enumerate(tiers) for w in o.ways(tier)] for o in operators]
    for chosen in product(*menus):
        times = [w.seconds * (1 + load / (1 - load) / w.batch) for _, w in chosen]
        hops = [
            sent / goal.link_bytes_per_second * (chosen[a][0] != chosen[b][0])
            for a, b, sent in graph.edges
        ]
        ends = max(
            times[0] + hops[0] + times[1] + hops[1] + times[2], times[0] + hops[2] + times[3]
        )
        loaded: dict[tuple[int, str | None], float] = {}
        held, busy = [0.0] * 3, [0.0] * 3
        for t, way in chosen:
            loaded[t, way.resident] = way.resident_bytes
            held[t] += way.batch_bytes
            busy[t] += goal.requests_per_second * way.seconds / way.batch / load
        for (t, _), size in loaded.items():
            held[t] += size
        fits = all(h <= 0.9 * (x.memory_bytes or 0) for h, x in zip(held, tiers, strict=True))
        if fits and ends <= goal.deadline_seconds:
            counts = [ceil(b - 1e-9) for b in busy]
            least = min(least, float(np.dot(counts, [x.usd_per_hour or 0.0 for x in tiers])))
    assert goal.place(graph, tiers).usd_per_hour == pytest.approx(least, rel=1e-4)


def test_what_cannot_be_placed_is_refused() -> None:
    graph = AgentGraph((Prompt(LARGE, 100),), ())
    with pytest.raises(Infeasible, match="fits on no tier"):
        GraphPlacer(1.0, 10.0).place(graph, [catalog.device("l4")])
    with pytest.raises(Infeasible, match="relax"):
        GraphPlacer(1.0, 1e-3).place(graph, TIERS)
    with pytest.raises(BadInput, match="rent"):
        GraphPlacer(1.0, 10.0).place(graph, [catalog.device("mi210")])
    with pytest.raises(BadInput, match="forward"):
        AgentGraph((Prompt(LARGE, 100),) * 2, ((1, 0, 1.0),))
    with pytest.raises(BadInput, match="utilisation"):
        GraphPlacer(1.0, 10.0, utilisation=1.0)
    with pytest.raises(BadInput, match="zero or more"):
        ToolCall(0.0, 0.0)
