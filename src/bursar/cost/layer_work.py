"""A step's work on one device, operator by operator, in the order in which a layer runs them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from bursar.catalog import Attention, Experts
from bursar.cost.allreduce import ring_share
from bursar.cost.deployment import Deployment
from bursar.cost.shared_device import Operation
from bursar.cost.work import ACTIVATION_BYTES, Rows, Work, residual_writes, step_work
from bursar.errors import BadInput

LAYER_KERNELS = 4
"""Among how many launches of a layer `Efficiency.seconds_per_layer` is divided."""


class Layer(NamedTuple):
    """The mean layer of a model: projections in, attention, projection out, feed-forward.

    `reduce` comes after the projection out and again after the feed-forward; None on one device.
    """

    into: Operation
    attention: Operation
    out: Operation
    feed_forward: Operation
    reduce: Operation | None


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step runs: `sequences` that decode at a mean `context`, and `prompt` new tokens.

    The prompt's tokens come after `before` others of the same prompt.
    """

    sequences: float
    context: float
    prompt: float = 0.0
    before: float = 0.0

    @property
    def tokens(self) -> float:
        """New tokens, which every matrix is multiplied with."""
        return self.sequences + self.prompt

    def rows(self, share: float = 1.0) -> Rows:
        """This share of the batch, divided evenly over sequences and prompt, as rows of a step."""
        return Rows.of(
            [1.0, self.prompt], [self.context, self.before], [share * self.sequences, share]
        )


def layer_of(deployment: Deployment, rows: Rows) -> Layer:
    """The work of `rows` in one layer on one of `tp` devices; output head left out.

    Raises `BadInput` for a deployment with `pp` or `dp` above 1, or a model without attention.
    """
    place, model = deployment, deployment.model
    if place.pp > 1 or place.dp > 1:
        raise BadInput(f"pp = {place.pp}, dp = {place.dp}; operators are timed for tp alone, use 1")
    attention = [x for x in model.blocks if isinstance(x, Attention)]
    if not attention:
        raise BadInput(f"{model.name} has no softmax attention; choose another model")
    groups = step_work(model, rows, tp=place.tp, dp=1, dtype=place.dtype, kv_dtype=place.kv_dtype)
    latency = place.reached.seconds_per_layer / LAYER_KERNELS
    hidden, layers = model.hidden, model.layers
    out = hidden * sum(x.count * x.query_heads * x.value_dim for x in attention)
    into = sum(x.count * x.parameters(hidden) for x in attention) - out
    every_token = sum(
        x.count * (x.always_parameters(hidden) if isinstance(x, Experts) else x.parameters(hidden))
        for x in model.blocks
    )
    projected = groups["projections"]
    rest = _scaled(projected, (every_token - into - out) / every_token / layers, latency)
    for group in (groups[x] for x in ("experts", "state") if x in groups):
        more = _scaled(group, 1.0 / layers, 0.0)
        rest = replace(rest, flops=rest.flops + more.flops, bytes=rest.bytes + more.bytes)
    return Layer(
        into=_scaled(projected, into / every_token / layers, latency),
        attention=_scaled(groups["attention"], 1.0 / layers, latency),
        out=_scaled(projected, out / every_token / layers, latency),
        feed_forward=rest,
        reduce=_reduce(place, rows) if place.tp > 1 else None,
    )


def _scaled(work: Work, share: float, latency: float) -> Operation:
    return Operation(float(work.flops) * share, float(work.bytes) * share, latency_seconds=latency)


def _reduce(place: Deployment, rows: Rows) -> Operation:
    """One ring all-reduce of the residual stream; a layer has two, so half of its share each."""
    message = float(rows.tokens) * place.model.hidden * ACTIVATION_BYTES
    a_layer = residual_writes(place.model) / place.model.layers / 2.0
    return Operation(
        link_bytes=a_layer * message * ring_share(place.tp),
        latency_seconds=a_layer * place.reached.seconds_per_collective,
    )
