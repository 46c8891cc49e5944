"""Passes of a model over several sequences at once, each with candidates after its text.

A candidate sees the text before it and its own ancestors among the candidates, so one pass runs a
whole tree of them (tree attention). What was rejected is overwritten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bursar.backends.tiny.model import Floats, Ints, Llama, TinyConfig


@dataclass(slots=True)
class Work:
    """What one model did for one sequence."""

    passes: int = 0
    flops: float = 0.0
    bytes_moved: float = 0.0


class SequenceCache:
    """Keys and values of one sequence: `length` columns of text, and candidates up to `held`.

    All memory is taken at once, for `capacity` columns.
    """

    def __init__(self, config: TinyConfig, capacity: int) -> None:
        shape = (2, config.layers, config.kv_heads, capacity, config.head_dim)
        self._keys, self._values = np.empty(shape, np.float32)
        self.length = self.held = 0

    @property
    def nbytes(self) -> int:
        """Bytes taken."""
        return self._keys.nbytes + self._values.nbytes

    def attend(self, layer: int, q: Floats, k: Floats, v: Floats, bias: Floats) -> Floats:
        """Store k, v (n, Hkv, D) after what is held; attention (n, H * D) of q (n, H, D).

        `bias` (n, candidates held + n) is 0 where a token is seen, -inf where not; text is seen.
        """
        n, kv_heads, width = k.shape
        new, seen = slice(self.held, self.held + n), slice(0, self.held + n)
        self._keys[layer, :, new] = k.swapaxes(0, 1)
        self._values[layer, :, new] = v.swapaxes(0, 1)
        rows = q.reshape(n, kv_heads, -1, width).transpose(1, 2, 0, 3)  # (Hkv, group, n, D)
        scores = rows @ self._keys[layer, :, None, seen].swapaxes(-1, -2)
        scores[..., self.length :] += bias
        scores -= scores.max(axis=-1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=-1, keepdims=True)
        out: Floats = np.matmul(scores, self._values[layer, :, None, seen])
        return out.transpose(2, 0, 1, 3).reshape(n, -1)

    def keep(self, candidates: Sequence[int]) -> None:
        """Candidates at these places (ascending, 0 = first after the text) become text."""
        chosen = self.length + np.array(candidates, np.int64)
        end = self.length + len(chosen)
        self._keys[:, :, self.length : end] = self._keys[:, :, chosen]
        self._values[:, :, self.length : end] = self._values[:, :, chosen]
        self.length = self.held = end


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """One sequence's part of a pass: n `tokens` after what its cache holds."""

    cache: SequenceCache
    work: Work
    tokens: Sequence[int]
    positions: Sequence[int]
    visible: NDArray[np.bool_]
    """(n, candidates held + n): which of them each token sees; itself too."""
    heads: int
    """Logits are wanted after so many of the last tokens."""


def read(model: Llama, readings: Sequence[Reading]) -> list[Floats]:
    """Run all `readings` in one pass; logits (heads, vocab) of each. Work is added where it is due.

    FLOPs: 2 per parameter and token, 4 x heads x head_dim per layer and attended pair. Bytes: the
    weights once per pass, shared by its sequences; a sequence's past once, new tokens written and
    read.
    """
    ends = np.cumsum([len(r.tokens) for r in readings]).tolist()
    parts = [slice(e - len(r.tokens), e) for e, r in zip(ends, readings, strict=True)]
    biases = [np.where(r.visible, np.float32(0), np.float32(-np.inf)) for r in readings]

    def attend(layer: int, q: Floats, k: Floats, v: Floats) -> Floats:
        rows = zip(readings, parts, biases, strict=True)
        return np.concatenate([r.cache.attend(layer, q[p], k[p], v[p], b) for r, p, b in rows])

    tokens = np.array([t for r in readings for t in r.tokens], np.int64)
    positions: Ints = np.array([p for r in readings for p in r.positions], np.int64)
    hidden = model.step(tokens, positions, attend)
    wanted = [hidden[p][len(r.tokens) - r.heads :] for p, r in zip(parts, readings, strict=True)]
    logits = model.logits(np.concatenate(wanted))
    for reading in readings:
        _count(model, reading, 1 / len(readings))
        reading.cache.held += len(reading.tokens)
    return np.split(logits, np.cumsum([r.heads for r in readings])[:-1])


def _count(model: Llama, reading: Reading, share: float) -> None:
    c, work, n = model.config, reading.work, len(reading.tokens)
    pairs = n * reading.cache.length + int(reading.visible.sum())
    work.passes += 1
    work.flops += 2.0 * (model.matmul_params * n + model.head_params * reading.heads)
    work.flops += 4.0 * c.layers * c.heads * c.head_dim * pairs
    work.bytes_moved += 4.0 * (model.matmul_params + model.head_params) * share
    work.bytes_moved += float(c.kv_bytes_per_token * (reading.cache.held + 2 * n))
