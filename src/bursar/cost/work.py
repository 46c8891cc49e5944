"""What one step does on one device: FLOPs and bytes per group of operators. Arrays in, arrays out.

A step runs rows of (new tokens, tokens already in the cache), each `count` times: one row of 1,000
new tokens is a prefill, `count` = 64 with 1 new token is a decode batch of 64. Rows lie on the last
axis and are summed over; axes in front are independent steps, so a whole generation, or a grid of
batch sizes, is one call.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bursar.catalog import (
    Attention,
    Experts,
    LatentAttention,
    ModelSpec,
    Recurrent,
    dtype_bytes,
)

Array: TypeAlias = NDArray[np.float64]

ACTIVATION_BYTES = 2.0  # activations stay in 16 bits, whatever the weights are stored in
STATE_BYTES = 4.0  # recurrent states are kept in FP32


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one or many steps, broadcast together; `new` == 0 means no row."""

    new: Array
    context: Array
    count: Array

    @classmethod
    def of(cls, new: ArrayLike, context: ArrayLike, count: ArrayLike = 1.0) -> "Rows":
        """Broadcast to one shape with at least one axis."""
        arrays = (np.atleast_1d(np.asarray(a, dtype=np.float64)) for a in (new, context, count))
        return cls(*np.broadcast_arrays(*arrays))

    def total(self, per_row: NDArray[Any]) -> Array:
        """Sum of a quantity over rows, each counted `count` times."""
        return np.asarray(np.sum(self.count * per_row, axis=-1), dtype=np.float64)

    @property
    def tokens(self) -> Array:
        """New tokens in each step."""
        return self.total(self.new)

    @property
    def sequences(self) -> Array:
        """Rows with something to do in each step."""
        return self.total(self.new > 0)


@dataclass(frozen=True, slots=True)
class Work:
    """FLOPs and bytes of memory traffic of one group of operators on one device."""

    flops: Array
    bytes: Array


def step_work(
    model: ModelSpec, rows: Rows, *, tp: int, dp: int, dtype: str, kv_dtype: str
) -> dict[str, Work]:
    """Work per operator group on one of `tp` x `dp` devices, over all layers of the model.

    `tp` splits every matrix; `dp` splits the sequences among groups that each hold the attention
    weights, while experts are spread over all `tp` x `dp` devices.
    """
    weight, cache = dtype_bytes(dtype), dtype_bytes(kv_dtype)
    groups = {
        "projections": _projections(model, rows, tp, dp, weight),
        "attention": _attention(model, rows, tp, dp, cache),
        "head": _head(model, rows, tp, dp, max(weight, ACTIVATION_BYTES)),
    }
    if any(isinstance(block, Experts) for block in model.blocks):
        groups["experts"] = _experts(model, rows, tp * dp, weight)
    if any(isinstance(block, Recurrent) for block in model.blocks):
        groups["state"] = _state(model, rows, tp * dp)
    return groups


def _projections(model: ModelSpec, rows: Rows, tp: int, dp: int, weight: float) -> Work:
    """Every matrix that each token is multiplied with, in all layers; no experts, no head."""
    hidden = model.hidden
    weights, widths = 0.0, 0.0
    for block in model.blocks:
        always = (
            block.always_parameters(hidden)
            if isinstance(block, Experts)
            else block.parameters(hidden)
        )
        weights += block.count * always
        widths += block.count * (2 * hidden + always / hidden)  # numbers read and written a token
    tokens = rows.tokens / dp
    read = np.where(tokens > 0, weights * weight, 0.0)
    return Work(2.0 * weights * tokens / tp, (read + widths * ACTIVATION_BYTES * tokens) / tp)


def _head(model: ModelSpec, rows: Rows, tp: int, dp: int, weight: float) -> Work:
    """Logits of the last token of each row; quantised models leave the head in 16 bits."""
    sequences, elements = rows.sequences / dp, model.head_parameters
    read = np.where(sequences > 0, elements * weight, 0.0)
    return Work(2.0 * elements * sequences / tp, read / tp)


def distinct_experts(experts: int, top_k: int, tokens: ArrayLike) -> Array:
    """Expected number of experts that `tokens` tokens touch, choosing evenly and independently.

    E (1 - (1 - k/E)^T). Real routers are uneven, so this is from above.
    """
    missed = (1.0 - top_k / experts) ** np.asarray(tokens, dtype=np.float64)
    return np.asarray(experts * (1.0 - missed), dtype=np.float64)


def _experts(model: ModelSpec, rows: Rows, devices: int, weight: float) -> Work:
    tokens = rows.tokens
    flops, moved = np.zeros_like(tokens), np.zeros_like(tokens)
    for block in model.blocks:
        if isinstance(block, Experts):
            one = block.expert_parameters(model.hidden)
            widths = block.top_k * (2 * model.hidden + one / model.hidden)
            flops = flops + block.count * 2.0 * block.top_k * one * tokens
            touched = distinct_experts(block.experts, block.top_k, tokens)
            moved = moved + block.count * (
                touched * one * weight + widths * ACTIVATION_BYTES * tokens
            )
    return Work(flops / devices, moved / devices)


def attended_pairs(new: Array, context: Array, window: int | None) -> Array:
    """(query, key) pairs of causal attention: token c + j sees min(c + j, window) tokens."""
    end = context + new
    if window is None:
        return np.asarray(_triangle(end) - _triangle(context))
    return np.asarray(_capped(end, window) - _capped(context, window))


def _triangle(x: Array) -> Array:
    return np.asarray(x * (x + 1.0) / 2.0)


def _capped(x: Array, window: int) -> Array:
    """Sum over positions 1..x of min(position, window)."""
    inside = np.minimum(x, window)
    return np.asarray(_triangle(inside) + (x - inside) * window)


def cached_tokens(new: Array, context: Array, window: int | None) -> Array:
    """Cached tokens that a row reads once: those that its new tokens see, and themselves."""
    seen = context + new
    return np.asarray(seen if window is None else np.minimum(seen, window + new - 1.0))


def _attention(model: ModelSpec, rows: Rows, tp: int, dp: int, cache: float) -> Work:
    shape = rows.total(0.0 * rows.new)
    flops, moved = shape.copy(), shape.copy()
    for block in model.blocks:
        if isinstance(block, Attention):
            pairs = rows.total(attended_pairs(rows.new, rows.context, block.window))
            per_pair = 2.0 * block.query_heads * (block.key_dim + block.value_dim)
            flops += block.count * per_pair * pairs / (tp * dp)
        elif isinstance(block, LatentAttention):
            flops += block.count * _latent_flops(block, rows) / (tp * dp)
        else:
            continue
        moved += (
            block.count * cache * _cache_elements_moved(block, rows) / (kv_shards(block, tp) * dp)
        )
    return Work(flops, moved)


def _cache_elements_moved(block: Attention | LatentAttention, rows: Rows) -> Array:
    """Numbers of the cache that one layer reads and writes."""
    if isinstance(block, Attention):
        read = cached_tokens(rows.new, rows.context, block.window)
        return rows.total((rows.new > 0) * (read + rows.new) * block.kv_elements)
    seen = rows.context + rows.new
    vectors = seen if block.top_k is None else np.minimum(seen, block.top_k * rows.new)
    read = vectors * (block.kv_elements - block.index_dim) + seen * block.index_dim
    return rows.total((rows.new > 0) * (read + rows.new * block.kv_elements))


def _latent_flops(block: LatentAttention, rows: Rows) -> Array:
    """The cheaper of two exact ways, row by row, as engines choose.

    Expand the cached vectors to keys and values (prefill), or absorb the expansion into queries and
    outputs and attend to the vectors themselves (decode). Expanding the new tokens is already
    counted with the projections.
    """
    pairs = attended_pairs(rows.new, rows.context, block.top_k)
    heads = 2.0 * block.heads
    expanded = heads * (block.nope_dim + block.rope_dim + block.value_dim) * pairs
    expanded = expanded + 2.0 * block.up_parameters * rows.context
    absorbed = heads * (2 * block.kv_rank + block.rope_dim) * pairs
    index = 2.0 * block.index_heads * block.index_dim
    scored = index * attended_pairs(rows.new, rows.context, None)
    return rows.total((rows.new > 0) * (np.minimum(expanded, absorbed) + scored))


def _state(model: ModelSpec, rows: Rows, devices: int) -> Work:
    tokens, sequences = rows.tokens, rows.sequences
    flops, moved = np.zeros_like(tokens), np.zeros_like(tokens)
    for block in model.blocks:
        if isinstance(block, Recurrent):
            flops = flops + block.count * block.state_flops * tokens
            moved = moved + block.count * 2.0 * block.state_elements * STATE_BYTES * sequences
    return Work(flops / devices, moved / devices)


def kv_shards(block: Attention | LatentAttention, tp: int) -> int:
    """Among how many of `tp` devices a cache is split; the others hold copies."""
    return min(tp, block.kv_heads) if isinstance(block, Attention) else 1


def kv_cache_bytes(
    model: ModelSpec, tokens: ArrayLike, kv_dtype: str = "bf16", *, tp: int = 1
) -> Array:
    """Bytes on one of `tp` devices for one sequence of so many tokens, all layers.

    Windows cap what is held; recurrent states do not grow.
    """
    length, cache = np.asarray(tokens, dtype=np.float64), dtype_bytes(kv_dtype)
    held = np.zeros_like(length)
    for block in model.blocks:
        if isinstance(block, Recurrent):
            held = held + block.count * block.state_elements * STATE_BYTES * (length > 0) / tp
        elif isinstance(block, Attention | LatentAttention):
            window = block.window if isinstance(block, Attention) else None
            kept = length if window is None else np.minimum(length, window)
            held = held + block.count * block.kv_elements * cache * kept / kv_shards(block, tp)
    return np.asarray(held)


def weight_elements(model: ModelSpec) -> tuple[float, float, float]:
    """Numbers in (dense layers, experts, embedding and head): they are split differently."""
    hidden = model.hidden
    experts = sum(
        block.count * block.experts * block.expert_parameters(hidden)
        for block in model.blocks
        if isinstance(block, Experts)
    )
    ends = model.head_parameters * (1 if model.tied else 2)
    return float(model.parameters - experts - ends), float(experts), float(ends)


def residual_writes(model: ModelSpec) -> int:
    """Blocks that add to the residual stream: each ends in an all-reduce if matrices are split."""
    return sum(block.count for block in model.blocks)
