"""The built-in decoder with layers that come and go: one sequence, weights through a window.

A layer's matrices are those that `Llama` computes with (norms and scales folded in), so loading is
reading. `split_layers` cuts them for tensor parallelism: each shard has some heads and some of the
hidden units, and the sum of the shards' outputs is that of the whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from bursar.backends.streamed.window import WeightWindow
from bursar.backends.tiny.model import Floats, Ints, Layer, TinyConfig, gated_mlp, read_layer
from bursar.errors import BadInput

MATRICES = ("qkv", "out", "gate", "up", "down")
"""A layer's matrices by name, in the order they are used."""

Matrices = dict[str, Floats]
AddUp = Callable[[Floats], Floats]
"""What a shard computed (N, width) -> the sum over shards, the same array of numbers on each."""


class Ends:
    """What every token passes through before and after the layers: embedding, norm, head."""

    def __init__(self, tensors: dict[str, NDArray[np.generic]]) -> None:
        ends = {name: a for name, a in tensors.items() if "layers." not in name}
        get: Matrices = {name: a.astype(np.float32) for name, a in ends.items()}
        self._embed = get["model.embed_tokens.weight"]
        self._norm = get["model.norm.weight"]
        self._head: Floats = get.get("lm_head.weight", self._embed).T

    def embed(self, tokens: Ints) -> Floats:
        """(N,) -> (N, width)."""
        x: Floats = self._embed[tokens]
        return x

    def logits(self, x: Floats, norm_eps: float) -> Floats:
        """(N, width) after the layers -> (N, vocab)."""
        hidden = _normed(x, norm_eps)
        hidden *= self._norm
        logits: Floats = hidden @ self._head
        return logits


def read_model(folder: Path) -> tuple[TinyConfig, Ends, list[Matrices]]:
    """Config, ends and layers of a folder with `config.json` and `model.safetensors`."""
    path = folder / "model.safetensors"
    if not path.is_file():
        raise BadInput(f"{path} is missing; a model folder holds config.json and model.safetensors")
    config = TinyConfig.from_file(folder / "config.json")
    tensors = load_file(path)
    get = {name: np.asarray(a, dtype=np.float32) for name, a in tensors.items()}
    layers = [read_layer(config, get, i) for i in range(config.layers)]
    return config, Ends(tensors), [{m: getattr(x, m) for m in MATRICES} for x in layers]


def split_config(config: TinyConfig, shards: int) -> TinyConfig:
    """The shape of one of `shards` equal shards. Raises `BadInput` when it can't be divided."""
    if shards < 1 or config.kv_heads % shards or config.heads % shards or config.hidden % shards:
        raise BadInput(
            f"{shards} shards of {config.heads} heads, {config.kv_heads} key-value heads and "
            f"{config.hidden} hidden units: each must divide by the number of shards"
        )
    return replace(
        config,
        heads=config.heads // shards,
        kv_heads=config.kv_heads // shards,
        hidden=config.hidden // shards,
    )


def split_layer(config: TinyConfig, layer: Matrices, shards: int) -> list[Matrices]:
    """A layer's matrices cut in `shards`: by heads, and by hidden units."""
    split_config(config, shards)
    queries, keys = config.heads * config.head_dim, config.kv_heads * config.head_dim
    q, k, v = np.split(layer["qkv"], [queries, queries + keys], axis=1)
    parts = [np.split(m, shards, axis=1) for m in (q, k, v, layer["gate"], layer["up"])]
    out, down = (np.split(layer[m], shards, axis=0) for m in ("out", "down"))
    cut = [
        {
            "qkv": np.concatenate([parts[0][s], parts[1][s], parts[2][s]], axis=1),
            "out": out[s],
            "gate": parts[3][s],
            "up": parts[4][s],
            "down": down[s],
        }
        for s in range(shards)
    ]
    return [{name: np.ascontiguousarray(m) for name, m in shard.items()} for shard in cut]


class StreamedDecoder:
    """The layers of one sequence, or of one shard of them; keeps keys and values, no weights."""

    def __init__(
        self, config: TinyConfig, window: WeightWindow[Matrices], add_up: AddUp | None = None
    ) -> None:
        self._config, self._window = config, window
        self._add_up = add_up or (lambda part: part)
        past = np.zeros((0, config.kv_heads, config.head_dim), np.float32)
        self._past = [(past, past) for _ in range(config.layers)]
        half = np.arange(0, config.head_dim, 2, dtype=np.float64) / config.head_dim
        self._turn_speeds = config.rope_theta**-half

    def step(self, x: Floats) -> Floats:
        """The next tokens of the sequence, embedded (N, width), through all layers."""
        x = x.copy()
        for i in range(self._config.layers):
            self._through(i, x)
        return x

    def _through(self, i: int, x: Floats) -> None:
        with self._window.next_block() as matrices:
            layer = Layer(**matrices)
            x += self._add_up(self._attend(i, _normed(x, self._config.norm_eps), layer))
            x += self._add_up(gated_mlp(_normed(x, self._config.norm_eps), layer))

    def _attend(self, i: int, x: Floats, layer: Layer) -> Floats:
        c = self._config
        qkv = (x @ layer.qkv).reshape(len(x), c.heads + 2 * c.kv_heads, c.head_dim)
        before = len(self._past[i][0])
        angle = np.outer(np.arange(before, before + len(x)), self._turn_speeds)
        rotary = qkv[:, : c.heads + c.kv_heads].copy().view(np.complex64)
        rotary *= np.exp(1j * angle).astype(np.complex64)[:, None]
        q, k = np.split(rotary.view(np.float32), [c.heads], axis=1)
        keys = np.concatenate([self._past[i][0], k])
        values = np.concatenate([self._past[i][1], qkv[:, c.heads + c.kv_heads :]])
        self._past[i] = keys, values
        group = c.heads // c.kv_heads
        rows = q.reshape(len(x), c.kv_heads, group, c.head_dim).transpose(1, 2, 0, 3)
        scores = rows @ keys.transpose(1, 2, 0)[:, None]  # (Hkv, group, N, past + N)
        scores += np.triu(np.full(scores.shape[2:], -np.inf, np.float32), 1 + before)
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        scores /= scores.sum(axis=-1, keepdims=True)
        seen = scores @ values.transpose(1, 0, 2)[:, None]
        out: Floats = seen.transpose(2, 0, 1, 3).reshape(len(x), -1) @ layer.out
        return out


def greedy(
    prompt: Ints, new_tokens: int, ends: Ends, step: Callable[[Floats], Floats], norm_eps: float
) -> tuple[Ints, Floats]:
    """The likeliest `new_tokens` tokens after `prompt` (P,), and the logits (new_tokens, vocab)."""
    tokens, logits = prompt, []
    for _ in range(new_tokens):
        hidden = step(ends.embed(tokens))[-1:]
        logits.append(ends.logits(hidden, norm_eps)[0])
        tokens = np.array([logits[-1].argmax()])
    said = np.array(logits)
    return said.argmax(axis=1), said


def _normed(x: Floats, eps: float) -> Floats:
    scale = np.einsum("ij,ij->i", x, x) / np.float32(x.shape[1]) + np.float32(eps)
    normed: Floats = x / np.sqrt(scale)[:, None]
    return normed
