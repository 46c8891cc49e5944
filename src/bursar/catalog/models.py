"""Model architectures as the blocks that cost something: what each holds, caches and multiplies.

Only counts and sizes matter to cost, not the order of layers, so a model is a bag of blocks. A
layer is usually two: one that mixes tokens (attention, recurrence), and an MLP or experts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from bursar.catalog.devices import dtype_bytes
from bursar.catalog.entry import Entry, Positive, Record, find, read_table
from bursar.errors import BadInput


@dataclass(frozen=True, slots=True)
class Attention:
    """`count` layers of softmax attention; `kv_heads` < `query_heads` is grouped-query attention.

    `window`: a token sees at most so many tokens, and no more are cached. `gated`: the output is
    multiplied by a gate that is projected from the input.
    """

    count: int
    query_heads: int
    kv_heads: int
    key_dim: int
    value_dim: int
    window: int | None = None
    bias: bool = False
    gated: bool = False

    def parameters(self, hidden: int) -> int:
        """Weights of one layer."""
        out = self.query_heads * self.value_dim
        queries = self.query_heads * self.key_dim + (out if self.gated else 0)
        rows = queries + self.kv_elements
        return hidden * (rows + out) + (rows if self.bias else 0)

    @property
    def kv_elements(self) -> int:
        """Numbers cached per token and layer."""
        return self.kv_heads * (self.key_dim + self.value_dim)


@dataclass(frozen=True, slots=True)
class LatentAttention:
    """`count` layers of multi-head latent attention (DeepSeek-V2): one compressed vector per token.

    `top_k`: after an indexer with `index_heads` heads of `index_dim`, a token attends only to so
    many tokens (DeepSeek Sparse Attention); everything stays cached.
    """

    count: int
    heads: int
    query_rank: int | None
    kv_rank: int
    nope_dim: int
    rope_dim: int
    value_dim: int
    top_k: int | None = None
    index_heads: int = 0
    index_dim: int = 0

    def parameters(self, hidden: int) -> int:
        """Weights of one layer."""
        heads_in = self.heads * (self.nope_dim + self.rope_dim)
        rank = self.query_rank
        queries = hidden * heads_in if rank is None else (hidden + heads_in) * rank
        down = hidden * (self.kv_rank + self.rope_dim)
        index = self.index_heads * ((rank or hidden) * self.index_dim + hidden)
        index += hidden * self.index_dim
        return queries + down + self.up_parameters + self.heads * self.value_dim * hidden + index

    @property
    def up_parameters(self) -> int:
        """Weights that expand a cached vector to keys and values of all heads."""
        return self.kv_rank * self.heads * (self.nope_dim + self.value_dim)

    @property
    def kv_elements(self) -> int:
        """Numbers cached per token and layer (the indexer's keys included)."""
        return self.kv_rank + self.rope_dim + self.index_dim


@dataclass(frozen=True, slots=True)
class Recurrent:
    """`count` layers with a state of constant size: Mamba, gated delta net, linear attention.

    `weights` of one layer; `state_elements` per sequence and layer; `state_flops` per token and
    layer to update and read the state.
    """

    count: int
    kind: str
    weights: int
    state_elements: int
    state_flops: int

    def parameters(self, hidden: int) -> int:
        """Weights of one layer."""
        return self.weights


@dataclass(frozen=True, slots=True)
class Mlp:
    """`count` feed-forward layers; `gated` has three matrices (SwiGLU), otherwise two."""

    count: int
    inner: int
    gated: bool = True

    def parameters(self, hidden: int) -> int:
        """Weights of one layer."""
        return (3 if self.gated else 2) * hidden * self.inner


@dataclass(frozen=True, slots=True)
class Experts:
    """`count` layers of experts: `top_k` of `experts`, and a shared MLP of `shared_inner`."""

    count: int
    experts: int
    top_k: int
    inner: int
    shared_inner: int = 0
    gated: bool = True

    def expert_parameters(self, hidden: int) -> int:
        """Weights of one expert."""
        return (3 if self.gated else 2) * hidden * self.inner

    def always_parameters(self, hidden: int) -> int:
        """Weights that every token uses: router and shared MLP."""
        return hidden * self.experts + (3 if self.gated else 2) * hidden * self.shared_inner

    def parameters(self, hidden: int) -> int:
        """Weights of one layer."""
        return self.always_parameters(hidden) + self.experts * self.expert_parameters(hidden)


Block: TypeAlias = Attention | LatentAttention | Recurrent | Mlp | Experts


@dataclass(frozen=True)
class ModelSpec:
    """The shape of a decoder-only language model. `tied`: the output head is the embedding."""

    name: str
    hidden: int
    vocabulary: int
    blocks: tuple[Block, ...]
    tied: bool = False

    @classmethod
    def from_config(
        cls, config: str | Path | Mapping[str, Any], name: str | None = None
    ) -> ModelSpec:
        """From a Hugging Face `config.json`: its path, the folder that holds it, or its content.

        Raises `BadInput` naming the missing key, or what this reader does not model.
        """
        from bursar.catalog.config_json import read_config

        return read_config(config, name)

    @property
    def layers(self) -> int:
        """Layers, counted by their token mixers."""
        mixers = (Attention, LatentAttention, Recurrent)
        return sum(block.count for block in self.blocks if isinstance(block, mixers))

    @property
    def head_parameters(self) -> int:
        """Weights of the output head."""
        return self.vocabulary * self.hidden

    @property
    def parameters(self) -> int:
        """All weights (biases of experts, norms and multi-token-prediction layers left out)."""
        inside = sum(block.count * block.parameters(self.hidden) for block in self.blocks)
        return inside + self.head_parameters * (1 if self.tied else 2)

    @property
    def active_parameters(self) -> int:
        """Weights that one token is multiplied with, the output head included.

        Two FLOPs each per token. The embedding is looked up, not multiplied.
        """
        inside = sum(
            block.count * (block.parameters(self.hidden) - _idle(block, self.hidden))
            for block in self.blocks
        )
        return inside + self.head_parameters

    def kv_bytes_per_token(self, dtype: str = "bf16") -> float:
        """Cache bytes that one more token takes in all attention layers, windows not yet full."""
        cached = sum(
            block.count * block.kv_elements
            for block in self.blocks
            if isinstance(block, Attention | LatentAttention)
        )
        return cached * dtype_bytes(dtype)


def _idle(block: Block, hidden: int) -> int:
    if not isinstance(block, Experts):
        return 0
    return (block.experts - block.top_k) * block.expert_parameters(hidden)


class Published(Record):
    """Parameter counts as the makers state them."""

    total: Positive
    active: Positive | None = None


class ModelEntry(Entry):
    """A model of the catalogue: its config.json's keys that shape cost."""

    config: Mapping[str, Any]
    published: Published

    @property
    def spec(self) -> ModelSpec:
        """The architecture."""
        return ModelSpec.from_config(self.config, self.name)


@cache
def models() -> dict[str, ModelEntry]:
    """All models by name."""
    return read_table("models.toml", ModelEntry)


def model(name_or_path: str | Path) -> ModelSpec:
    """A model by its catalogue name, or by the path of a `config.json` or of the folder with it.

    Raises `BadInput` with close matches for a name that is not known.
    """
    path = Path(name_or_path)
    if path.suffix == ".json" or path.is_dir() or path.is_file():
        return ModelSpec.from_config(path)
    return _named(str(name_or_path))


@cache
def _named(name: str) -> ModelSpec:
    if (spec := built_in_models().get(name)) is not None:
        return spec
    try:
        return find("model", models(), name).spec
    except BadInput as error:
        raise BadInput(f"{error}; or give the path of a config.json") from None


@cache
def built_in_models() -> dict[str, ModelSpec]:
    """The tiny models that ship with bursar, by name, where their weights are."""
    folder = Path(__file__).parents[1] / "backends" / "tiny" / "weights"
    found = (path.parent.name for path in sorted(folder.glob("*/config.json")))
    return {
        (name if name.startswith("tiny") else f"tiny-{name}"): ModelSpec.from_config(
            folder / name, name if name.startswith("tiny") else f"tiny-{name}"
        )
        for name in found
    }
