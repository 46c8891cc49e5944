"""What attention does for one row of a step, in plain numbers: `bursar.cost.step_work` unrolled.

Called for each chunk of a prompt in the simulator's inner loop, where an array of one element
costs fifty times as much. A test holds both to the same numbers for every model of the catalogue.
"""

from dataclasses import dataclass

from bursar.catalog import Attention, LatentAttention, dtype_bytes
from bursar.cost import Deployment
from bursar.cost.work import kv_shards


@dataclass(frozen=True, slots=True)
class SoftmaxRows:
    """All layers with one window: per (query, key) pair FLOPs, per cached token bytes."""

    window: int | None
    flops_per_pair: float
    bytes_per_token: float

    def work(self, new: int, context: int) -> tuple[float, float]:
        """(FLOPs, bytes) on one device of `new` tokens after `context`."""
        end, window = context + new, self.window
        if window is None or end <= window:
            pairs = new * (context + end + 1) / 2
            read = end
        else:
            inside = max(window - context, 0)  # tokens that still see everything before them
            pairs = inside * (context + window + 1) / 2 + (new - inside) * window
            read = min(end, window + new - 1)
        return self.flops_per_pair * pairs, self.bytes_per_token * (read + new)


@dataclass(frozen=True, slots=True)
class LatentRows:
    """Layers of one kind of multi-head latent attention; amounts are those of all of them."""

    top_k: int | None
    expanded_flops_per_pair: float
    expanded_flops_per_context: float
    absorbed_flops_per_pair: float
    index_flops_per_pair: float
    bytes_per_vector: float
    bytes_per_index: float

    def work(self, new: int, context: int) -> tuple[float, float]:
        """(FLOPs, bytes) on one device of `new` tokens after `context`."""
        seen, top_k = context + new, self.top_k
        everything = new * (context + seen + 1) / 2
        pairs, vectors = everything, seen
        if top_k is not None and seen > top_k:
            inside = max(top_k - context, 0)
            pairs = inside * (context + top_k + 1) / 2 + (new - inside) * top_k
            vectors = min(seen, top_k * new)
        flops = min(
            self.expanded_flops_per_pair * pairs + self.expanded_flops_per_context * context,
            self.absorbed_flops_per_pair * pairs,
        )
        moved = self.bytes_per_vector * (vectors + new) + self.bytes_per_index * (seen + new)
        return flops + self.index_flops_per_pair * everything, moved


AttentionRows = SoftmaxRows | LatentRows


def attention_rows(place: Deployment) -> list[AttentionRows]:
    """The attention of a deployment, by kind; softmax layers with the same window together."""
    cache, split = dtype_bytes(place.kv_dtype), place.tp * place.dp
    softmax: dict[int | None, SoftmaxRows] = {}
    latent: list[AttentionRows] = []
    for block in place.model.blocks:
        if isinstance(block, Attention):
            one = softmax.get(block.window, SoftmaxRows(block.window, 0.0, 0.0))
            stored = block.count * cache / (kv_shards(block, place.tp) * place.dp)
            heads = 2.0 * block.count * block.query_heads / split
            softmax[block.window] = SoftmaxRows(
                block.window,
                one.flops_per_pair + heads * (block.key_dim + block.value_dim),
                one.bytes_per_token + stored * block.kv_elements,
            )
        elif isinstance(block, LatentAttention):
            latent.append(_latent(block, cache / (kv_shards(block, place.tp) * place.dp), split))
    return [*softmax.values(), *latent]


def _latent(block: LatentAttention, stored: float, split: int) -> LatentRows:
    each = 2.0 * block.count / split
    return LatentRows(
        top_k=block.top_k,
        expanded_flops_per_pair=each
        * block.heads
        * (block.nope_dim + block.rope_dim + block.value_dim),
        expanded_flops_per_context=each * block.up_parameters,
        absorbed_flops_per_pair=each * block.heads * (2 * block.kv_rank + block.rope_dim),
        index_flops_per_pair=each * block.index_heads * block.index_dim,
        bytes_per_vector=block.count * stored * (block.kv_elements - block.index_dim),
        bytes_per_index=block.count * stored * block.index_dim,
    )
