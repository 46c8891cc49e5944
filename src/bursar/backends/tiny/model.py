"""A Llama-shaped decoder in NumPy: `config.json` + `model.safetensors` in, hidden states out.

The formulas are those of Hugging Face's `LlamaForCausalLM` (RMSNorm, rotary positions, SwiGLU,
grouped-query attention); logits agree to 1e-4 in float32 (tests/backends/tiny/test_tiny_model.py).
What can be done once is done at loading: norm weights and the 1/sqrt(head_dim) of attention are
folded into the matrix that follows, and each head's columns are reordered so that a rotary pair is
adjacent: then a rotation is one complex multiplication (and products of q and k do not change).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from bursar.errors import BadInput

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Attend = Callable[[int, Floats, Floats, Floats], Floats]
"""(layer, q (N, H, D), k (N, Hkv, D), v (N, Hkv, D)) -> (N, H * D): how new tokens see the past."""


@dataclass(frozen=True, slots=True)
class TinyConfig:
    """The shape of a decoder, in the words of its `config.json` (shortened)."""

    vocab: int
    width: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    hidden: int
    context: int
    rope_theta: float
    norm_eps: float

    @classmethod
    def from_file(cls, path: Path) -> TinyConfig:
        """From a Hugging Face `config.json`; raises `BadInput` for what this engine can't run."""
        raw: dict[str, Any] = json.loads(path.read_text())
        rope: dict[str, Any] = raw.get("rope_parameters") or raw.get("rope_scaling") or {}
        plain = {
            "model_type": raw.get("model_type") == "llama",
            "hidden_act": raw.get("hidden_act", "silu") == "silu",
            "attention_bias": not raw.get("attention_bias", False),
            "mlp_bias": not raw.get("mlp_bias", False),
            "rope_type": rope.get("rope_type", "default") == "default",
        }
        if odd := [key for key, fits in plain.items() if not fits]:
            raise BadInput(
                f"{path}: {', '.join(odd)} is not that of a plain Llama (silu, no biases, default "
                "rotary positions); use the transformers backend"
            )
        heads, width = raw["num_attention_heads"], raw["hidden_size"]
        return cls(
            vocab=raw["vocab_size"],
            width=width,
            layers=raw["num_hidden_layers"],
            heads=heads,
            kv_heads=raw.get("num_key_value_heads") or heads,
            head_dim=raw.get("head_dim") or width // heads,
            hidden=raw["intermediate_size"],
            context=raw["max_position_embeddings"],
            rope_theta=float(rope.get("rope_theta") or raw.get("rope_theta") or 10000.0),
            norm_eps=float(raw.get("rms_norm_eps", 1e-6)),
        )

    @property
    def kv_bytes_per_token(self) -> int:
        """Bytes of keys and values that one token leaves in the cache, float32."""
        return 2 * 4 * self.layers * self.kv_heads * self.head_dim


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer's matrices, transposed for rows of activations; norms are multiplied in."""

    qkv: Floats  # (width, (H + 2 Hkv) * D)
    out: Floats  # (H * D, width)
    gate: Floats  # (width, hidden), negated: see `gated_mlp`
    up: Floats  # (width, hidden)
    down: Floats  # (hidden, width), negated


class Llama:
    """The forward pass; holds weights and no other state. All arrays are float32, C order."""

    def __init__(self, config: TinyConfig, tensors: dict[str, NDArray[Any]]) -> None:
        self.config = config
        get = {name: np.asarray(a, dtype=np.float32) for name, a in tensors.items()}
        self._embed = np.ascontiguousarray(get["model.embed_tokens.weight"])
        self._norm = get["model.norm.weight"]
        # `lm_head` is absent when it is tied to the embedding
        head = get.get("lm_head.weight", self._embed)
        self._head = np.ascontiguousarray(head.T)
        self._layers = [read_layer(config, get, i) for i in range(config.layers)]
        half = np.arange(0, config.head_dim, 2, dtype=np.float64) / config.head_dim
        angle = np.outer(np.arange(config.context), config.rope_theta**-half)
        self._turns = np.exp(1j * angle).astype(np.complex64)  # (context, D / 2)

    @classmethod
    def load(cls, folder: Path) -> Llama:
        """From a folder with `config.json` and `model.safetensors` (float16 or float32)."""
        return cls(TinyConfig.from_file(folder / "config.json"), _read(folder))

    @property
    def matmul_params(self) -> int:
        """Parameters that multiply every token: all layers' matrices, without embedding or head."""
        return sum(
            m.size
            for layer in self._layers
            for m in (layer.qkv, layer.out, layer.gate, layer.up, layer.down)
        )

    @property
    def head_params(self) -> int:
        """Parameters of the output head."""
        return self._head.size

    def step(self, tokens: Ints, positions: Ints, attend: Attend) -> Floats:
        """Hidden states (N, width) after the final norm, of N tokens at their `positions` (N,).

        `attend` owns the past: it stores the new keys and values and returns the attention output.
        """
        c = self.config
        x = self._embed[tokens]
        turn = self._turns[positions][:, None, :]
        queries, keys = c.heads * c.head_dim, c.kv_heads * c.head_dim
        for i, layer in enumerate(self._layers):
            qkv = self._normed(x) @ layer.qkv
            rotary = qkv[:, : queries + keys].view(np.complex64)
            rotary.reshape(len(x), -1, c.head_dim // 2)[...] *= turn
            q = qkv[:, :queries].reshape(len(x), c.heads, c.head_dim)
            k = qkv[:, queries : queries + keys].reshape(len(x), c.kv_heads, c.head_dim)
            v = qkv[:, queries + keys :].reshape(len(x), c.kv_heads, c.head_dim)
            x += attend(i, q, k, v) @ layer.out
            x += gated_mlp(self._normed(x), layer)
        hidden = self._normed(x)
        hidden *= self._norm
        return hidden

    def logits(self, hidden: Floats) -> Floats:
        """(N, width) -> (N, vocab)."""
        logits: Floats = hidden @ self._head
        return logits

    def prefill(self, tokens: Ints) -> tuple[Floats, Floats, Floats]:
        """Run whole rows of `tokens` (n, P), padded on the right with any id.

        Returns hidden (n, P, width), keys (layers, n, Hkv, D, P), values (layers, n, Hkv, P, D).
        What stands at padded positions is of no use, and never reaches the real ones before them.
        """
        c, (n, width) = self.config, tokens.shape
        group = c.heads // c.kv_heads
        all_keys = np.empty((c.layers, n, c.kv_heads, c.head_dim, width), np.float32)
        all_values = np.empty((c.layers, n, c.kv_heads, width, c.head_dim), np.float32)
        future = np.triu(np.full((width, width), -np.inf, np.float32), 1)

        def attend(i: int, q: Floats, k: Floats, v: Floats) -> Floats:
            all_keys[i] = k.reshape(n, width, c.kv_heads, c.head_dim).transpose(0, 2, 3, 1)
            all_values[i] = v.reshape(n, width, c.kv_heads, c.head_dim).transpose(0, 2, 1, 3)
            rows = q.reshape(n, width, c.kv_heads, group, c.head_dim).transpose(0, 2, 3, 1, 4)
            scores = rows @ all_keys[i, :, :, None]  # (n, Hkv, group, P, P)
            scores += future
            scores -= scores.max(axis=-1, keepdims=True)
            np.exp(scores, out=scores)
            scores /= scores.sum(axis=-1, keepdims=True)
            seen: Floats = np.matmul(scores, all_values[i, :, :, None])
            out: Floats = seen.transpose(0, 3, 1, 2, 4).reshape(n * width, -1)
            return out

        positions = np.tile(np.arange(width), n)
        hidden = self.step(tokens.reshape(-1), positions, attend)
        return hidden.reshape(n, width, -1), all_keys, all_values

    def forward(self, tokens: Ints) -> Floats:
        """Logits (n, P, vocab) of rows of `tokens` (n, P): the plain causal pass."""
        hidden, _, _ = self.prefill(tokens)
        return self.logits(hidden)

    def _normed(self, x: Floats) -> Floats:
        # RMSNorm without its weight, which is folded into the next matrix
        scale: Floats = np.einsum("ij,ij->i", x, x)
        scale /= x.shape[1]
        scale += self.config.norm_eps
        np.sqrt(scale, out=scale)
        normed: Floats = x / scale[:, None]
        return normed


def gated_mlp(x: Floats, layer: Layer) -> Floats:
    """(rows, width) through the gated network of a layer."""
    # silu(g) * u = g u / (1 + exp(-g)); gate and down are stored negated, so `gate` is -g here.
    gate = x @ layer.gate
    up = x @ layer.up
    up *= gate
    with np.errstate(over="ignore"):  # to inf, where silu is 0 anyway
        np.exp(gate, out=gate)
    gate += 1.0
    up /= gate
    out: Floats = np.matmul(up, layer.down)
    return out


def _read(folder: Path) -> dict[str, NDArray[Any]]:
    path = folder / "model.safetensors"
    if not path.is_file():
        raise BadInput(f"{path} is missing; a model folder holds config.json and model.safetensors")
    tensors: dict[str, NDArray[Any]] = load_file(path)
    return tensors


def read_layer(c: TinyConfig, get: dict[str, Floats], i: int) -> Layer:
    """Layer `i` of weights by their Hugging Face names."""
    name = f"model.layers.{i}."
    before_attention = get[name + "input_layernorm.weight"][:, None]
    before_mlp = get[name + "post_attention_layernorm.weight"][:, None]
    # rotate-half pairs column j with column j + D/2; here they become neighbours
    pairs = np.arange(c.head_dim).reshape(2, -1).T.reshape(-1)

    def rotary(weight: Floats) -> Floats:
        return weight.T.reshape(c.width, -1, c.head_dim)[..., pairs].reshape(c.width, -1)

    q = rotary(get[name + "self_attn.q_proj.weight"]) / np.float32(c.head_dim**0.5)
    k = rotary(get[name + "self_attn.k_proj.weight"])
    v = get[name + "self_attn.v_proj.weight"].T
    return Layer(
        qkv=np.ascontiguousarray(np.concatenate([q, k, v], axis=1) * before_attention),
        out=np.ascontiguousarray(get[name + "self_attn.o_proj.weight"].T),
        gate=np.ascontiguousarray(-get[name + "mlp.gate_proj.weight"].T * before_mlp),
        up=np.ascontiguousarray(get[name + "mlp.up_proj.weight"].T * before_mlp),
        down=np.ascontiguousarray(-get[name + "mlp.down_proj.weight"].T),
    )
