"""Kinetics: the cost of repeated sampling in eFLOPs, which price memory traffic as compute.

Paper: Ranajoy Sadhukhan, Zhuoming Chen, Haizhong Zheng, Yang Zhou, Emma Strubell, Beidi Chen,
    "Kinetics: Rethinking Test-Time Scaling Laws", 2025, arXiv:2506.05333; C_comp + I * C_mem.
Symbols: P -> active_parameters; L_in -> tokens_in; L_out -> tokens_out; T -> trials;
    n_h -> query_heads; n_kv -> kv_heads; D -> head_dim * layers; I -> intensity; B -> kept.
Differs: multi-head and grouped-query attention only. The reduction under a KV budget B larger than
    the prompt is -(B - L_in)^2 / 2 (it follows from summing min(context, B)); the authors' code has
    the sign reversed in the variant without blocks. With a budget, trials keep different tokens, so
    their reads are not shared. Sums are over contexts as an integral, as in the paper.
Checked: tests/papers/test_kinetics.py: KV reads overtake parameters past a computed length;
    counting memory picks a larger model than FLOPs alone; sparse attention raises the frontier.
Seed: 25
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bursar.catalog import Attention, ModelSpec
from bursar.cost.work import Array
from bursar.errors import BadInput

B200_INTENSITY = 562.5
"""FLOPs that a B200 does in the time in which it reads a byte: 4.5 PFLOP/s over 8 TB/s."""


@dataclass(frozen=True, slots=True)
class KineticsCost:
    """FLOPs, bytes of KV traffic, and their sum as eFLOPs, for all trials of one question."""

    flops: Array
    bytes: Array
    intensity: float

    @property
    def eflops(self) -> Array:
        """Compute plus memory access priced as compute."""
        return np.asarray(self.flops + self.intensity * self.bytes)


@dataclass(frozen=True, slots=True)
class Kinetics:
    """`intensity` (I) in FLOP/byte; `kept` (B) the KV entries each token attends to, None = all.

    `block`: top entries are found by scoring the means of blocks of so many entries; None = free.
    """

    intensity: float = B200_INTENSITY
    kept: float | None = None
    block: int | None = None

    def cost(
        self, model: ModelSpec, tokens_in: ArrayLike, tokens_out: ArrayLike, trials: ArrayLike = 1
    ) -> KineticsCost:
        """Decoding `trials` answers of `tokens_out` tokens each to one prompt; arrays broadcast.

        C_comp = T (2 P L_out + 2 (2 L_in + L_out) L_out n_h D)
        C_mem  = 2 (2 L_in + L_out T) L_out n_kv D bytes: the prompt's KV is read once for all
        trials; weights are left out, as in a large batch.
        """
        heads, kv_heads = _widths(model)
        before, out, repeats = (
            np.asarray(a, dtype=np.float64) for a in (tokens_in, tokens_out, trials)
        )
        everything = (2.0 * before + out) * out / 2.0  # sum of the contexts of all new tokens
        read = self._attended(before, out)
        compute = 2.0 * model.active_parameters * out + 4.0 * read * heads
        shared = 2.0 * (2.0 * before + out * repeats) * out * kv_heads
        moved = shared if self.kept is None else 4.0 * read * kv_heads * repeats
        if self.kept is not None and self.block is not None:  # score one mean key a block
            compute = compute + 2.0 * everything / self.block * heads
            moved = moved + shared / 2.0 / self.block
        return KineticsCost(np.asarray(repeats * compute), np.asarray(moved), self.intensity)

    def _attended(self, before: Array, out: Array) -> Array:
        """Sum over new tokens of the KV entries each attends to: min(context, kept)."""
        everything = (2.0 * before + out) * out / 2.0
        if self.kept is None:
            return np.asarray(everything)
        capped = self.kept * out - 0.5 * np.maximum(0.0, self.kept - before) ** 2
        return np.asarray(np.where(self.kept >= before + out, everything, capped))


def overtaking_length(model: ModelSpec, intensity: float = B200_INTENSITY) -> float:
    """Context at which reading one token's KV costs as much as its parameters: P / (2 I n_kv D).

    From 2 P = I * 4 n_kv D c, in tokens.
    """
    return model.active_parameters / (2.0 * intensity * _widths(model)[1])


def _widths(model: ModelSpec) -> tuple[float, float]:
    """n_h D and n_kv D, summed over layers."""
    layers = [block for block in model.blocks if isinstance(block, Attention)]
    if not layers:
        raise BadInput(f"{model.name} has no softmax attention with KV heads; see step_cost")
    queries = sum(layer.count * layer.query_heads * layer.key_dim for layer in layers)
    return float(queries), float(sum(x.count * x.kv_heads * x.key_dim for x in layers))
