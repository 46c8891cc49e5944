"""What one step of a model runs on one device: its operators with their shapes, layer by layer.

Arrays have the shape of the steps. Sequences that decode share one kernel at their mean length;
each row of prompts is a kernel of its own. What no table knows (latent attention, recurrent
states) is given as bare work of kind "mixer".
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from bursar.catalog import Attention, Experts, LatentAttention, Mlp, Recurrent
from bursar.cost.deployment import Deployment
from bursar.cost.tables.operator import Load, Shape
from bursar.cost.work import ACTIVATION_BYTES, Array, Rows, step_work


@dataclass(frozen=True, slots=True)
class Engine:
    """What of a server's software shapes the operators of a step.

    `name`: whose tables to prefer (vllm, trtllm, ...; None = any). `block_scales`: FP8 weights have
    a scale per 128 x 128 block (DeepSeek, Qwen, MiniMax) and not one per tensor. `ep`: experts are
    spread over so many groups of devices, each split within; None = all with data-parallel
    attention, 1 without. `skew`: exponent of the power law by which tokens choose experts
    (1.01 and 1.2 have tables, 0 is balanced; servers agree a little better with 1.01).
    `fused_attention`: prompts and decoding share one kernel (vLLM with FlashAttention-2), which
    costs more than one after the other.
    """

    name: str | None = None
    block_scales: bool = False
    ep: int | None = None
    skew: float = 1.01
    fused_attention: bool = False


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


def step_operators(place: Deployment, rows: Rows, engine: Engine) -> Iterator[Call]:
    """The operators of each step; every one runs on each of the `tp` x `dp` devices of a stage."""
    some = np.asarray(rows.tokens > 0, dtype=np.float64)
    tokens = np.maximum(rows.tokens / place.dp, 1.0)
    for block in place.model.blocks:
        times = np.asarray(block.count * some)
        if isinstance(block, Attention):
            yield from _attention(place, engine, block, rows, tokens, times)
        elif isinstance(block, Mlp):
            width = block.inner / place.tp
            yield from _mlp(place, engine, tokens, times, width, gated=block.gated)
        elif isinstance(block, Experts):
            yield from _experts(place, engine, block, tokens, times)
        else:
            yield from _bare(place, engine, block, rows, times)
        yield _pointwise("norm", tokens, place.model.hidden, times)
        if place.tp > 1 and not (isinstance(block, Experts) and place.dp > 1):
            message = tokens * place.model.hidden * ACTIVATION_BYTES
            yield _collective("all_reduce", message, place.tp, times)
    yield from _ends(place, rows, tokens, some)


def _weights(place: Deployment, engine: Engine) -> str:
    return "fp8_block" if engine.block_scales and place.dtype == "fp8" else place.dtype


def _gemm(term: str, dtype: str, m: Array, n: float, k: float, times: Array) -> Call:
    return Call(term, "gemm", dtype, {"m": m, "n": n, "k": k}, times)


def _pointwise(kind: str, tokens: Array, width: float, times: Array) -> Call:
    return Call("pointwise", kind, "bf16", {"tokens": tokens, "width": width}, times)


def _collective(kind: str, message: Array, devices: int, times: Array) -> Call:
    shape: dict[str, ArrayLike] = {"bytes": message, "devices": float(devices)}
    return Call("communication", kind, "bf16", shape, times)


def _attention(
    place: Deployment,
    engine: Engine,
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
    dtype = _weights(place, engine)
    yield _gemm("projections", dtype, tokens, queries + keys + values + gate, hidden, times)
    yield _gemm("projections", dtype, tokens, hidden, heads * block.value_dim, times)
    yield _pointwise("rotary", tokens, queries + keys, times)
    fixed = {
        "heads": heads,
        "kv_heads": kv_heads,
        "head_dim": (block.key_dim + block.value_dim) / 2.0,
        "window": float(block.window or 0),
    }
    yield from _kernels(place.kv_dtype, engine, _Mix.of(rows, place.dp), fixed, times)


@dataclass(frozen=True, slots=True)
class _Mix:
    """What of a step decodes, and its prompts: `rows` as they are, and merged into one."""

    rows: Rows
    batch: Array
    length: Array
    new: Array
    context: Array

    @classmethod
    def of(cls, rows: Rows, dp: int) -> "_Mix":
        one, prompts = (rows.count * mask / dp for mask in (rows.new == 1, rows.new > 1))
        batch = np.sum(one, axis=-1)
        length = np.sum(one * (rows.context + 1.0), axis=-1) / np.where(batch > 0, batch, 1.0)
        new = np.sum(prompts * rows.new, axis=-1)
        pairs = np.sum(prompts * rows.new * (rows.context + rows.new / 2.0), axis=-1)
        context = np.maximum(0.0, pairs / np.where(new > 0, new, 1.0) - new / 2.0)
        own = Rows(rows.new, rows.context, prompts)
        return cls(own, batch, np.maximum(length, 1.0), new, context)


def _kernels(
    cache: str, engine: Engine, mix: _Mix, fixed: Mapping[str, float], times: Array
) -> Iterator[Call]:
    fused = engine.fused_attention * (mix.new > 0) * (mix.batch > 0)
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
    place: Deployment, engine: Engine, tokens: Array, times: Array, width: float, *, gated: bool
) -> Iterator[Call]:
    dtype, hidden = _weights(place, engine), place.model.hidden
    yield _gemm("projections", dtype, tokens, (2 if gated else 1) * width, hidden, times)
    yield _gemm("projections", dtype, tokens, hidden, width, times)
    yield _pointwise("activation", tokens, width, times)


def _experts(
    place: Deployment, engine: Engine, block: Experts, tokens: Array, times: Array
) -> Iterator[Call]:
    together, hidden = place.tp * place.dp, place.model.hidden
    ep = engine.ep or (together if place.dp > 1 else 1)
    shape: dict[str, ArrayLike] = {
        "tokens": tokens * place.dp,
        "tp": together / ep,
        "ep": float(ep),
        "hidden": float(hidden),
        "inner": float(block.inner),
        "experts": float(block.experts),
        "top_k": float(block.top_k),
        "matrices": 3.0 if block.gated else 2.0,
        "skew": engine.skew,
    }
    yield Call("experts", "moe", _weights(place, engine), shape, times)
    yield _gemm("projections", "bf16", tokens, block.experts, hidden, times)
    if block.shared_inner:
        width = block.shared_inner / place.tp
        yield from _mlp(place, engine, tokens, times, width, gated=block.gated)
    if place.dp > 1:
        sent = tokens / place.tp * min(block.top_k, together) * hidden * ACTIVATION_BYTES
        yield _collective("all_to_all", sent, together, 2.0 * times)


_LAUNCHES = 5  # products around latent attention or a recurrent state


def _bare(
    place: Deployment, engine: Engine, block: LatentAttention | Recurrent, rows: Rows, times: Array
) -> Iterator[Call]:
    """Blocks without tables: their work in one piece, `_LAUNCHES` + 1 launches."""
    model = replace(place.model, blocks=(block,))
    groups = step_work(
        model, rows, tp=place.tp, dp=place.dp, dtype=place.dtype, kv_dtype=place.kv_dtype
    )
    own = "attention" if isinstance(block, LatentAttention) else "state"
    for term, kind, dtype, launches in (
        ("projections", "gemm", _weights(place, engine), _LAUNCHES),
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
