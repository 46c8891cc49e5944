"""A Mixtral-shaped decoder in NumPy: tokens in, logits and the route of each token out.

The formulas are those of Hugging Face's `MixtralForCausalLM` without sliding window or grouped
heads: each layer's router picks `top_k` experts, and their outputs are weighed by the softmax of
the picked logits (tests/backends/moe/test_moe_model.py). Who computes the experts of a layer is an
argument: they may lie in a cache, or be quantised, and the rest of the model does not care.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from bursar.errors import BadInput

MOE_WEIGHTS = Path(__file__).parent / "weights"

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Mix = Callable[[int, Floats, Ints, Floats], Floats]
"""(layer, x (n, width), experts (n, top_k), shares (n, top_k)) -> (n, width): the experts' outputs,
weighed and summed, of tokens in the order of `forward`'s, row by row."""


@dataclass(frozen=True, slots=True)
class MoeConfig:
    """The shape of the decoder, in the words of its `config.json` (shortened)."""

    vocab: int
    width: int
    layers: int
    heads: int
    hidden: int
    """Width inside one expert."""
    experts: int
    top_k: int
    rope_theta: float
    norm_eps: float

    @classmethod
    def from_file(cls, path: Path) -> "MoeConfig":
        """From a Hugging Face `config.json`; raises `BadInput` for another architecture."""
        raw: dict[str, Any] = json.loads(path.read_text())
        if raw.get("model_type") != "mixtral" or (
            raw["num_key_value_heads"] != raw["num_attention_heads"]
        ):
            raise BadInput(
                f"{path} is of type {raw.get('model_type')}; this engine runs Mixtral's shape with "
                "as many key-value heads as heads: use the transformers backend"
            )
        return cls(
            vocab=raw["vocab_size"],
            width=raw["hidden_size"],
            layers=raw["num_hidden_layers"],
            heads=raw["num_attention_heads"],
            hidden=raw["intermediate_size"],
            experts=raw["num_local_experts"],
            top_k=raw["num_experts_per_tok"],
            rope_theta=float(raw["rope_theta"]),
            norm_eps=float(raw["rms_norm_eps"]),
        )


@dataclass(frozen=True, slots=True)
class Expert:
    """SwiGLU: x -> (silu(x gate) * x up) down."""

    gate: Floats
    """(width, hidden)"""
    up: Floats
    """(width, hidden)"""
    down: Floats
    """(hidden, width)"""

    def __call__(self, x: Floats) -> Floats:
        gate = x @ self.gate
        out: Floats = (gate / (1 + np.exp(-gate)) * (x @ self.up)) @ self.down
        return out


@dataclass(frozen=True, slots=True)
class _Layer:
    qkv: Floats  # (width, 3 width)
    out: Floats  # (width, width)
    before_attention: Floats
    before_experts: Floats
    router: Floats  # (width, experts)


@dataclass(frozen=True, slots=True)
class Pass:
    """What one forward pass found; rows are those of the tokens given to it."""

    logits: Floats
    """(n, P, vocab)"""
    experts: Ints
    """(n, P, layers, top_k) the best first."""
    shares: Floats
    """(n, P, layers, top_k)"""


class MixtureOfExperts:
    """The forward pass; holds weights and no other state."""

    def __init__(self, config: MoeConfig, tensors: dict[str, NDArray[Any]]) -> None:
        get = {name: np.asarray(a, dtype=np.float32) for name, a in tensors.items()}
        self.config = config
        self.embedding = get["model.embed_tokens.weight"]
        """(vocab, width)"""
        self.experts = [
            [_expert(get, layer, e) for e in range(config.experts)]
            for layer in range(config.layers)
        ]
        """By layer and number."""
        self._norm = get["model.norm.weight"]
        self._layers = [_layer(get, i) for i in range(config.layers)]

    @classmethod
    def load(cls, folder: Path) -> "MixtureOfExperts":
        """From a folder with `config.json` and `model.safetensors`."""
        config = MoeConfig.from_file(folder / "config.json")
        return cls(config, load_file(folder / "model.safetensors"))

    def resident(self, layer: int, x: Floats, experts: Ints, shares: Floats) -> Floats:
        """The usual `Mix`: every expert lies in memory as it was loaded."""
        return mixed(self.experts[layer], x, experts, shares)

    def forward(self, tokens: Ints, mix: Mix | None = None) -> Pass:
        """The causal pass over rows of `tokens` (n, P), padded on the right with any id.

        What is found at padded positions is of no use and never reaches the real ones before them.
        """
        c, (n, length) = self.config, tokens.shape
        turn = _turns(c, length)
        x = self.embedding[tokens.ravel()]
        experts = np.empty((len(x), c.layers, c.top_k), np.int64)
        shares = np.empty(experts.shape, np.float32)
        for i, layer in enumerate(self._layers):
            seen = self._normed(x, layer.before_attention) @ layer.qkv
            x = x + _attend(seen.reshape(n, length, 3, c.heads, -1), turn) @ layer.out
            inner = self._normed(x, layer.before_experts)
            experts[:, i], shares[:, i] = _route(inner @ layer.router, c.top_k)
            x = x + (mix or self.resident)(i, inner, experts[:, i], shares[:, i])
        logits = self._normed(x, self._norm) @ self.embedding.T
        return Pass(
            logits.reshape(n, length, -1),
            experts.reshape(n, length, c.layers, c.top_k),
            shares.reshape(n, length, c.layers, c.top_k),
        )

    def gate_scores(self, tokens: Ints, ahead: int = 0) -> Floats:
        """(1 + ahead, n * P, layers, experts) softmax of the routers over rows of `tokens` (n, P).

        At [d, :, l] layer l's router has the input of the router d layers before it: a forecast,
        and at d = 0 what it does say. 0 where there is no such layer.
        """
        inputs: list[Floats] = []

        def watched(layer: int, x: Floats, experts: Ints, shares: Floats) -> Floats:
            inputs.append(x)
            return self.resident(layer, x, experts, shares)

        self.forward(tokens, watched)
        c = self.config
        scores = np.zeros((1 + ahead, tokens.size, c.layers, c.experts), np.float32)
        for d in range(1 + ahead):
            for i in range(d, c.layers):
                logits = inputs[i - d] @ self._layers[i].router
                odds = np.exp(logits - logits.max(1, keepdims=True))
                scores[d, :, i] = odds / odds.sum(1, keepdims=True)
        return scores

    def _normed(self, x: Floats, weight: Floats) -> Floats:
        scale = np.sqrt((x * x).mean(1, keepdims=True) + self.config.norm_eps)
        normed: Floats = x / scale * weight
        return normed


def mixed(
    layer: Mapping[int, Expert] | Sequence[Expert], x: Floats, experts: Ints, shares: Floats
) -> Floats:
    """What a `Mix` returns, with the experts of one layer by their numbers."""
    out = np.zeros_like(x)
    for expert in np.unique(experts).tolist():
        rows, place = np.nonzero(experts == expert)
        out[rows] += shares[rows, place, None] * layer[expert](x[rows])
    return out


def _route(logits: Floats, top_k: int) -> tuple[Ints, Floats]:
    chosen = np.argsort(-logits, axis=1, kind="stable")[:, :top_k]
    top = np.take_along_axis(logits, chosen, axis=1)
    share = np.exp(top - top[:, :1])
    return chosen, share / share.sum(1, keepdims=True)


def _turns(c: MoeConfig, length: int) -> tuple[Floats, Floats]:
    """Cosines and sines (P, 1, head_dim) of the rotary positions."""
    head_dim = c.width // c.heads
    half = np.arange(0, head_dim, 2) / head_dim
    angles = np.tile(np.outer(np.arange(length), c.rope_theta**-half), 2)[:, None]
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def _attend(qkv: Floats, turn: tuple[Floats, Floats]) -> Floats:
    """Causal attention: (n, P, 3, heads, head_dim) -> (n * P, width)."""
    n, length, _, heads, head_dim = qkv.shape

    def rotated(a: Floats) -> Floats:
        first, second = np.split(a, 2, axis=-1)
        return a * turn[0] + np.concatenate((-second, first), -1) * turn[1]

    q, k = (rotated(qkv[:, :, j]).transpose(0, 2, 1, 3) for j in (0, 1))
    scores = q @ k.transpose(0, 1, 3, 2) / np.float32(head_dim**0.5)
    scores += np.triu(np.full((length, length), -np.inf, np.float32), 1)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    seen: Floats = weights @ qkv[:, :, 2].transpose(0, 2, 1, 3)
    return seen.transpose(0, 2, 1, 3).reshape(n * length, heads * head_dim)


def _layer(get: dict[str, Floats], i: int) -> _Layer:
    name = f"model.layers.{i}."
    qkv = [get[f"{name}self_attn.{part}_proj.weight"].T for part in "qkv"]
    return _Layer(
        qkv=np.concatenate(qkv, axis=1),
        out=np.ascontiguousarray(get[name + "self_attn.o_proj.weight"].T),
        before_attention=get[name + "input_layernorm.weight"],
        before_experts=get[name + "post_attention_layernorm.weight"],
        router=np.ascontiguousarray(get[name + "block_sparse_moe.gate.weight"].T),
    )


def _expert(get: dict[str, Floats], layer: int, expert: int) -> Expert:
    name = f"model.layers.{layer}.block_sparse_moe.experts.{expert}."
    gate, down, up = (np.ascontiguousarray(get[f"{name}w{j}.weight"].T) for j in (1, 2, 3))
    return Expert(gate, up, down)
