"""Several traces served by one fleet at once."""

from collections.abc import Mapping, Sequence

import numpy as np

from bursar.errors import BadInput
from bursar.workload.traces.columns import Blocks, Labels
from bursar.workload.traces.rules import Ints
from bursar.workload.traces.trace import Trace


def mixed(
    traces: Mapping[str, Trace],
    rng: np.random.Generator,
    weights: Mapping[str, float] | None = None,
) -> Trace:
    """All traces laid over each other, each from its own second 0; the key becomes the tenant.

    weights   the share of each trace's requests that is kept, 1 where none is given

    A trace that names tenants has "key/tenant". Prefixes are shared within a trace, never between
    two, even where their hashes or ids happen to be equal; without a priority a request has 0.
    Raises `BadInput` without traces, on a weight outside (0, 1] or of no trace, and when hashed
    blocks differ in size.
    """
    weights = weights or {}
    if not traces:
        raise BadInput("no trace to mix; give at least one")
    if unknown := sorted(weights.keys() - traces.keys()):
        raise BadInput(f"weights name {unknown}, which are not among {sorted(traces)}")
    parts = [
        trace.thinned(weights[name], rng) if name in weights else trace
        for name, trace in traces.items()
    ]
    names = list(traces)
    arrival = np.concatenate([part.arrival_s for part in parts])
    order = np.argsort(arrival, kind="stable")
    blocks, prefix_id, priority = _blocks(parts), _prefix_ids(names, parts), _priorities(parts)
    return Trace(
        arrival[order],
        np.concatenate([part.input_tokens for part in parts])[order],
        np.concatenate([part.output_tokens for part in parts])[order],
        None if blocks is None else blocks.take(order),
        None if prefix_id is None else prefix_id.take(order),
        _tenants(names, parts).take(order),
        None if priority is None else priority[order],
    )


def _blocks(parts: Sequence[Trace]) -> Blocks | None:
    known = [part.blocks for part in parts if part.blocks is not None]
    if not known:
        return None
    size = known[0].block_tokens
    return Blocks.apart(
        [Blocks.none(len(p), size) if p.blocks is None else p.blocks for p in parts]
    )


def _prefix_ids(names: Sequence[str], parts: Sequence[Trace]) -> Labels | None:
    if all(part.prefix_id is None for part in parts):
        return None
    return Labels.joined(
        [
            Labels.same("", len(part))
            if part.prefix_id is None
            else part.prefix_id.inside(name, unnamed="")
            for name, part in zip(names, parts, strict=True)
        ]
    )


def _tenants(names: Sequence[str], parts: Sequence[Trace]) -> Labels:
    return Labels.joined(
        [
            Labels.same(name, len(part))
            if part.tenant is None
            else part.tenant.inside(name, unnamed=name)
            for name, part in zip(names, parts, strict=True)
        ]
    )


def _priorities(parts: Sequence[Trace]) -> Ints | None:
    if all(part.priority is None for part in parts):
        return None
    return np.concatenate(
        [np.zeros(len(p), dtype=np.int64) if p.priority is None else p.priority for p in parts]
    )
