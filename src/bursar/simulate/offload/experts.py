"""A mixture-of-experts model whose experts don't fit on the GPU, played from recorded routing.

Step by step and layer by layer: the GPU does the dense part, the gate's choice is looked up, a
split policy places the experts on CPU and GPU, PCIe brings what is asked for on the way, and then
what a prefetch policy wants for the layers to come. Each layer runs on
lanes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bursar.errors import BadInput
from bursar.policies.expert_offload import (
    ExpertTimes,
    ImpactPrefetch,
    RetentionPolicy,
    RoutedExpert,
    RoutedLayer,
    Split,
    SplitPolicy,
)
from bursar.price import Price
from bursar.simulate.lanes import Task, run_lanes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
_FREE = Price()


@dataclass(frozen=True, slots=True, eq=False)
class GateTrace:
    """What a model's gates said. A step takes `step_tokens` tokens in order: 1 is decoding.

    A `RoutingTrace` has no scores or forecasts, and knows whose tokens they are.
    """

    choices: Ints
    """(tokens, layers, top_k): the experts a token was routed to."""
    scores: Floats
    """(tokens, layers, experts): the gates' scores, softmax or not, larger is likelier."""
    forecasts: Floats | None = None
    """(distances, tokens, layers, experts): at [d - 1, :, l] the scores of layer l as expected d
    layers before it, by applying its gate to the hidden state there; below layer d not read."""
    step_tokens: int = 1

    def __post_init__(self) -> None:
        tokens, layers, _ = self.choices.shape if self.choices.ndim == 3 else (0, 0, 0)
        experts = self.scores.shape[-1]
        if not tokens or self.scores.shape != (tokens, layers, experts):
            raise BadInput(
                f"choices {self.choices.shape} and scores {self.scores.shape} do not fit: give "
                "(tokens, layers, top_k) and (tokens, layers, experts)"
            )
        if self.choices.min() < 0 or self.choices.max() >= experts:
            raise BadInput(f"choices name experts outside 0 to {experts - 1}, which have scores")
        if self.forecasts is not None and self.forecasts.shape[1:] != self.scores.shape:
            raise BadInput(f"forecasts {self.forecasts.shape}: must be (distance, tokens, ...)")
        if self.step_tokens < 1:
            raise BadInput(f"step_tokens = {self.step_tokens}; must be 1 or more")

    @property
    def steps(self) -> int:
        """Whole steps; tokens that fill none are left out."""
        return len(self.choices) // self.step_tokens

    def tokens_of(self, step: int) -> slice:
        """Its tokens."""
        return slice(step * self.step_tokens, (step + 1) * self.step_tokens)

    def loads(self, step: int, layer: int) -> Ints:
        """Tokens routed to each expert (experts,)."""
        chosen = self.choices[self.tokens_of(step), layer]
        return np.bincount(chosen.ravel(), minlength=self.scores.shape[-1])

    def expected_loads(self, step: int, layer: int, distance: int) -> Ints:
        """`loads`, as expected `distance` layers before `layer`."""
        assert self.forecasts is not None
        forecast = self.forecasts[distance - 1, self.tokens_of(step), layer]
        top_k = self.choices.shape[2]
        chosen = np.argpartition(forecast, -top_k, axis=-1)[:, -top_k:]
        return np.bincount(chosen.ravel(), minlength=self.scores.shape[-1])


@dataclass(frozen=True, slots=True)
class ExpertServer:
    """`slots` experts of each layer fit on the GPU; a layer's dense part takes `dense_seconds`.

    What is brought for a layer that is running has room of its own until the layer is done.
    """

    slots: int
    times: ExpertTimes
    dense_seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class OffloadRun:
    """What happened."""

    step_seconds: Floats
    """(steps,)"""
    lookups: int
    """Experts that a layer's step used."""
    hits: int
    """Of those, how many were on the GPU when the gate chose them."""
    transfers: int
    prefetches: int


def popular_experts(choices: Ints, experts: int, slots: int) -> Ints:
    """(layers, slots): those most tokens of `choices` (tokens, layers, top_k) were routed to."""
    counts = [np.bincount(layer.ravel(), minlength=experts) for layer in choices.swapaxes(0, 1)]
    return np.argsort(-np.array(counts), axis=1, kind="stable")[:, :slots]


def hit_rate(routing: GateTrace, slots: int, cache: RetentionPolicy) -> float:
    """Share of lookups that find their expert, when every miss is brought and takes a slot.

    Each layer has `slots` of its own, empty at first.
    """
    layers, experts = routing.scores.shape[1:]
    values = np.zeros((layers, experts))
    cached = np.zeros((layers, experts), dtype=bool)
    hits = lookups = 0
    for step in range(routing.steps):
        for layer in range(layers):
            used = routing.loads(step, layer) > 0
            hits += int((used & cached[layer]).sum())
            lookups += int(used.sum())
            scores = routing.scores[routing.tokens_of(step), layer].sum(axis=0)
            values[layer] = cache.values(values[layer], scores, used, float(step))
            wanted = np.flatnonzero(used | cached[layer])
            # what the step used is there when it ends, as far as there is room
            kept = wanted[np.lexsort((wanted, -values[layer, wanted], ~used[wanted]))][:slots]
            cached[layer] = False
            cached[layer, kept] = True
    return hits / lookups


def replay_routing(
    routing: GateTrace,
    server: ExpertServer,
    split: SplitPolicy,
    *,
    resident: Ints,
    cache: RetentionPolicy | None = None,
    prefetch: ImpactPrefetch | None = None,
) -> OffloadRun:
    """Play all steps of `routing`.

    `resident` (layers, slots) are on the GPU at first. With a `cache` what is brought for a layer
    stays there if it is worth more than another; without, the residents stay for ever. `prefetch`
    needs forecasts and a cache.
    """
    if prefetch is not None and (routing.forecasts is None or cache is None):
        raise BadInput("prefetch needs a cache to put experts in, and routing with forecasts")
    play = _Play(routing, server, split, resident, cache, prefetch)
    seconds = np.array([play.step(step) for step in range(routing.steps)])
    return OffloadRun(seconds, play.lookups, play.hits, play.transfers, play.prefetches)


class _Play:
    def __init__(
        self,
        routing: GateTrace,
        server: ExpertServer,
        split: SplitPolicy,
        resident: Ints,
        cache: RetentionPolicy | None,
        prefetch: ImpactPrefetch | None,
    ) -> None:
        self._routing, self._server, self._split = routing, server, split
        self._cache, self._prefetch = cache, prefetch
        self._arrival = [dict.fromkeys(map(int, row[: server.slots]), 0.0) for row in resident]
        self._values = np.zeros(routing.scores.shape[1:])
        self._now = self._pcie_free = 0.0
        self.lookups = self.hits = self.transfers = self.prefetches = 0

    def step(self, step: int) -> float:
        begin, dense = self._now, self._server.dense_seconds
        transfer = self._server.times.transfer_seconds
        for layer in range(self._routing.choices.shape[1]):
            gate = self._now + dense
            loads = self._routing.loads(step, layer)
            state = self._routed(layer, loads, gate)
            split = self._split.decide(state, gate, _FREE)
            self._now = gate + layer_seconds(state, split)
            self._pcie_free = max(self._pcie_free, gate) + len(split.transfers) * transfer
            self.lookups += len(state.experts)
            self.hits += sum(x.on_gpu_seconds == 0.0 for x in state.experts)
            self.transfers += len(split.transfers)
            if self._cache is not None:
                self._keep(self._cache, step, layer, loads > 0, split.transfers)
            if self._prefetch is not None:
                self._fetch_ahead(self._prefetch, step, layer, gate)
        return self._now - begin

    def _routed(self, layer: int, loads: Ints, now: float) -> RoutedLayer:
        arrival = self._arrival[layer]
        experts = tuple(
            RoutedExpert(e, int(loads[e]), max(arrival.get(e, np.inf) - now, 0.0))
            for e in map(int, np.flatnonzero(loads))
        )
        return RoutedLayer(experts, self._server.times, self._pcie_free - now)

    def _keep(
        self, cache: RetentionPolicy, step: int, layer: int, used: Bools, came: tuple[int, ...]
    ) -> None:
        scores = self._routing.scores[self._routing.tokens_of(step), layer].sum(axis=0)
        values = cache.values(self._values[layer], scores, used, float(step))
        self._values[layer] = values
        there = self._arrival[layer]
        there.update(dict.fromkeys(came, self._now))
        while len(there) > self._server.slots:
            del there[min(there, key=lambda expert: (values[expert], expert))]

    def _fetch_ahead(self, prefetch: ImpactPrefetch, step: int, layer: int, gate: float) -> None:
        """Fill PCIe until the next gate speaks, as far as a layer to come would gain by it."""
        assert self._routing.forecasts is not None
        distances = range(1, 1 + min(len(self._routing.forecasts), len(self._arrival) - 1 - layer))
        loads = [self._routing.expected_loads(step, layer + d, d) for d in distances]
        next_gate = self._now + self._server.dense_seconds
        self._pcie_free = max(self._pcie_free, gate)
        while self._pcie_free < next_gate:
            expected, at = [], next_gate
            for d, x in zip(distances, loads, strict=True):
                expected.append(self._routed(layer + d, x, at))
                seconds = self._split.decide(expected[-1], at, _FREE).seconds
                at += seconds + self._server.dense_seconds
            found = prefetch.decide(expected, self._now, _FREE)
            if found is None:
                return
            ahead, expert = found
            there = self._arrival[layer + 1 + ahead]
            if not self._make_room(layer + 1 + ahead, loads[ahead] > 0):
                return
            self._pcie_free += self._server.times.transfer_seconds
            there[expert] = self._pcie_free
            self.prefetches += 1

    def _make_room(self, layer: int, expected: Bools) -> bool:
        there, values = self._arrival[layer], self._values[layer]
        spare = [e for e, at in there.items() if at <= self._now and not expected[e]]
        if len(there) == self._server.slots and spare:
            del there[min(spare, key=lambda expert: (values[expert], expert))]
        return len(there) < self._server.slots


def layer_seconds(layer: RoutedLayer, split: Split) -> float:
    """Seconds of a split on lanes: GPU and CPU in its order, each transfer before its expert."""
    by_expert = {x.expert: x for x in layer.experts}
    times = layer.times
    tasks = [Task("pcie", max(layer.pcie_free_seconds, 0.0), name="before")]
    arrived: dict[int, int] = {}
    for expert in split.transfers:
        arrived[expert] = len(tasks)
        tasks.append(Task("pcie", times.transfer_seconds, name=f"bring {expert}"))
    for expert in split.gpu:
        x = by_expert[expert]
        if expert not in arrived:
            arrived[expert] = len(tasks)
            tasks.append(Task(None, x.on_gpu_seconds, name=f"wait for {expert}"))
        seconds = times.gpu_seconds(x.tokens)
        tasks.append(Task("gpu", seconds, (arrived[expert],), name=f"expert {expert}"))
    for expert in split.cpu:
        seconds = times.cpu_seconds(by_expert[expert].tokens)
        tasks.append(Task("cpu", seconds, name=f"expert {expert}"))
    finish = run_lanes(tasks).finish_seconds
    return max(float(finish[i]) for i, task in enumerate(tasks) if task.lane in ("cpu", "gpu"))
