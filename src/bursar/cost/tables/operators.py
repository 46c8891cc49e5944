"""What one step of a model runs on one device: its operators with their shapes, layer by layer.

Arrays have the shape of the steps. Sequences that decode share one kernel at their mean length;
each row of prompts is a kernel of its own. What no table knows (latent attention, recurrent
states) is given as bare work of kind "mixer".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from bursar.catalog import Attention, Experts, LatentAttention, Mlp, Recurrent
from bursar.cost.tables.operator import Load, Shape
from bursar.cost.work import ACTIVATION_BYTES, Array, Rows, step_work

if TYPE_CHECKING:  # a deployment holds tables, so it can't be imported by them
    from bursar.cost.deployment import Deployment

SCALED_BY_BLOCKS = ("qwen", "minimax", "deepseek", "glm")
"""Families of models that are published in FP8 with a scale per block."""


@dataclass(frozen=True, slots=True)
class Call:
    """`times` runs in a step of one operator; `term` groups them.

    Where no table knows the operator its `work` is given and no shape: kind "gemm", or "mixer" for
    what mixes tokens by latent attention or a recurrent state.
    """

    term: str
    kind: str
    dtype: str
    shape: Shape
    times: Array
    work: Load | None = None


def step_operators(place: Deployment, rows: Rows) -> Iterator[Call]:
    """The operators of each step; every one runs on each of the `tp` x `dp` devices of a stage."""
    some = np.asarray(rows.tokens > 0, dtype=np.float64)
    tokens = np.maximum(rows.tokens / place.dp, 1.0)
    for block in place.model.blocks:
        times = np.asarray(block.count * some)
        if isinstance(block, Attention):
            yield from _attention(place, block, rows, tokens, times)
        elif isinstance(block, Mlp):
            width = block.inner / place.tp
            yield from _mlp(place, tokens, times, width, gated=block.gated)
        elif isinstance(block, Experts):
            yield from _experts(place, block, tokens, times)
        else:
            yield from _bare(place, block, rows, times)
        yield _pointwise("norm", tokens, place.model.hidden, times)
        if place.tp > 1 and not (isinstance(block, Experts) and place.dp > 1):
            message = tokens * place.model.hidden * ACTIVATION_BYTES
            yield _collective("all_reduce", message, place.tp, times)
    yield from _ends(place, rows, tokens, some)


def _weights(place: Deployment) -> str:
    scales = place.engine.block_scales
    if scales is None:
        scales = place.model.name.startswith(SCALED_BY_BLOCKS)
    return "fp8_block" if scales and place.dtype == "fp8" else place.dtype


def _gemm(term: str, dtype: str, m: Array, n: float, k: float, times: Array) -> Call:
    return Call(term, "gemm", dtype, {"m": m, "n": n, "k": k}, times)


def _pointwise(kind: str, tokens: Array, width: float, times: Array) -> Call:
    return Call("pointwise", kind, "bf16", {"tokens": tokens, "width": width}, times)


def _collective(kind: str, message: Array, devices: int, times: Array) -> Call:
    shape: dict[str, ArrayLike] = {"bytes": message, "devices": float(devices)}
    return Call("communication", kind, "bf16", shape, times)


def _attention(
    place: Deployment,
    block: Attention,
    rows: Rows,
    tokens: Array,
    times: Array,
) -> Iterator[Call]:
    hidden, tp = place.model.hidden, place.tp
    heads, kv_heads = block.query_heads / tp, max(1.0, block.kv_heads / tp)
    queries, keys = heads * block.key_dim, kv_heads * block.key_dim
    values = kv_heads * block.value_dim
    gate = heads * block.value_dim if block.gated else 0.0
    dtype = _weights(place)
    yield _gemm("projections", dtype, tokens, queries + keys + values + gate, hidden, times)
    yield _gemm("projections", dtype, tokens, hidden, heads * block.value_dim, times)
    yield _pointwise("rotary", tokens, queries + keys, times)
    fixed = {
        "heads": heads,
        "kv_heads": kv_heads,
        "head_dim": (block.key_dim + block.value_dim) / 2.0,
        "window": float(block.window or 0),
    }
    yield from _kernels(place, _Mix.of(rows, place.dp), fixed, times)


@dataclass(frozen=True, slots=True)
class _Mix:
    """What of a step decodes, and its prompts: `rows` as they are, and merged into one."""

    rows: Rows
    batch: Array
    length: Array
    new: Array
    context: Array

    @classmethod
    def of(cls, rows: Rows, dp: int) -> _Mix:
        one, prompts = (rows.count * mask / dp for mask in (rows.new == 1, rows.new > 1))
        batch = np.sum(one, axis=-1)
        length = np.sum(one * (rows.context + 1.0), axis=-1) / np.where(batch > 0, batch, 1.0)
        new = np.sum(prompts * rows.new, axis=-1)
        pairs = np.sum(prompts * rows.new * (rows.context + rows.new / 2.0), axis=-1)
        context = np.maximum(0.0, pairs / np.where(new > 0, new, 1.0) - new / 2.0)
        own = Rows(rows.new, rows.context, prompts)
        return cls(own, batch, np.maximum(length, 1.0), new, context)


def _kernels(
    place: Deployment, mix: _Mix, fixed: Mapping[str, float], times: Array
) -> Iterator[Call]:
    cache = place.kv_dtype
    fused = place.engine.fused_attention * (mix.new > 0) * (mix.batch > 0)
    batch = np.maximum(mix.batch, 1.0)
    running: dict[str, ArrayLike] = {"batch": batch, "length": mix.length, **fixed}
    share = np.minimum(mix.batch, 1.0) * (1 - fused)
    yield Call("attention", "generation_attention", cache, running, times * share)
    if np.any(fused):
        prompt: dict[str, ArrayLike] = {"new": np.maximum(mix.new, 1.0), "context": mix.context}
        yield Call("attention", "mixed_attention", cache, {**prompt, **running}, times * fused)
    for row in range(mix.rows.new.shape[-1]):
        count = mix.rows.count[..., row]
        shape: dict[str, ArrayLike] = {
            "batch": np.maximum(count, 1.0),
            "new": np.maximum(mix.rows.new[..., row], 1.0),
            "context": mix.rows.context[..., row],
            **fixed,
        }
        share = np.minimum(count, 1.0) * (1 - fused)
        if np.any(share > 0):
            yield Call("attention", "context_attention", cache, shape, times * share)


def _mlp(
    place: Deployment, tokens: Array, times: Array, width: float, *, gated: bool
) -> Iterator[Call]:
    dtype, hidden = _weights(place), place.model.hidden
    yield _gemm("projections", dtype, tokens, (2 if gated else 1) * width, hidden, times)
    yield _gemm("projections", dtype, tokens, hidden, width, times)
    yield _pointwise("activation", tokens, width, times)


def _experts(place: Deployment, block: Experts, tokens: Array, times: Array) -> Iterator[Call]:
    together, hidden = place.tp * place.dp, place.model.hidden
    ep = place.engine.ep or (together if place.dp > 1 else 1)
    shape: dict[str, ArrayLike] = {
        "tokens": tokens * place.dp,
        "tp": together / ep,
        "ep": float(ep),
        "hidden": float(hidden),
        "inner": float(block.inner),
        "experts": float(block.experts),
        "top_k": float(block.top_k),
        "matrices": 3.0 if block.gated else 2.0,
        "skew": place.engine.skew,
    }
    yield Call("experts", "moe", _weights(place), shape, times)
    yield _gemm("projections", "bf16", tokens, block.experts, hidden, times)
    if block.shared_inner:
        width = block.shared_inner / place.tp
        yield from _mlp(place, tokens, times, width, gated=block.gated)
    if place.dp > 1:
        sent = tokens / place.tp * min(block.top_k, together) * hidden * ACTIVATION_BYTES
        yield _collective("all_to_all", sent, together, 2.0 * times)


_LAUNCHES = 5  # products around latent attention or a recurrent state


def _bare(
    place: Deployment, block: LatentAttention | Recurrent, rows: Rows, times: Array
) -> Iterator[Call]:
    """Blocks without tables: their work in one piece, `_LAUNCHES` + 1 launches."""
    model = replace(place.model, blocks=(block,))
    groups = step_work(
        model, rows, tp=place.tp, dp=place.dp, dtype=place.dtype, kv_dtype=place.kv_dtype
    )
    own = "attention" if isinstance(block, LatentAttention) else "state"
    for term, kind, dtype, launches in (
        ("projections", "gemm", _weights(place), _LAUNCHES),
        (own, "mixer", place.kv_dtype, 1),
    ):
        each = 1.0 / (launches * block.count)
        work = Load(groups[term].flops * each, groups[term].bytes * each, 0.0 * times)
        yield Call(term, kind, dtype, {}, launches * times, work)


def _ends(place: Deployment, rows: Rows, tokens: Array, some: Array) -> Iterator[Call]:
    sequences = np.maximum(rows.sequences / place.dp, 1.0)
    vocabulary = place.model.vocabulary / place.tp
    yield _gemm("head", "bf16", sequences, vocabulary, place.model.hidden, some)
    yield _pointwise("embedding", tokens, place.model.hidden, some)
    if place.tp > 1:
        logits = sequences * place.model.vocabulary * ACTIVATION_BYTES
        yield _collective("all_gather", logits, place.tp, some)
    if place.pp > 1:
        message = tokens * place.model.hidden * ACTIVATION_BYTES
        yield _collective("p2p", message, 2, (place.pp - 1) * some)
