"""A cohort: rows admitted together, which advance one token a step over one block of keys/values.

Rows are aligned on the right: all write the same column, so a step appends by slicing and attention
needs no gather. Prompts of unequal length leave junk columns on the left, which a mask hides;
the engine admits prompts of like length together, so there are few. A row that is done is
overwritten by the last one, so the block stays dense.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bursar.backends.base import Request
from bursar.backends.tiny.kept import Holdings, KeptText
from bursar.backends.tiny.model import Floats, Ints, TinyConfig

_GROWTH = 64
"""Columns added when a block is full: memory follows the lengths that really occur."""


@dataclass(slots=True)
class Prompt:
    """A prompt + prefix that was run once, for all requests that begin with it."""

    length: int
    waiting: int
    tokens: Sequence[int] = ()
    """What to run; none where the text is kept from before."""
    kept: KeptText | None = None
    keys: Floats | None = None  # (layers, Hkv, D, P)
    values: Floats | None = None  # (layers, Hkv, P, D)
    logits: Floats | None = None  # (vocab,)

    def recall(self) -> None:
        """Bring the keys and values of a kept text."""
        if self.keys is None and self.kept is not None:
            self.keys, self.values = self.kept.whole()
            self.logits = self.kept.logits

    def keep(self, holdings: Holdings) -> KeptText:
        """The text as one that is kept, made once."""
        if self.kept is None:
            assert self.keys is not None
            assert self.values is not None
            assert self.logits is not None
            self.kept = KeptText(
                None, self.keys.copy(), self.values.copy(), self.logits.copy(), holdings
            )
        return self.kept

    def leave(self) -> None:
        """One request has its copy; with the last one the memory is given back."""
        self.waiting -= 1
        if not self.waiting:
            self.keys = self.values = self.logits = None


@dataclass(slots=True)
class Row:
    """One request on its way."""

    index: int
    request: Request
    prompt: Prompt
    max_tokens: int
    key: int
    stop_set: int
    pays_prompt: bool
    steps_share: float = 0.0
    """Sum over its forward steps of 1 / rows in the step: its share of reading the weights."""
    hidden: list[Floats] = field(default_factory=list)
    text: str = ""
    stop_reason: str = ""
    stop: str | None = None
    said: tuple[Ints, Floats] | None = None
    """Tokens and log-probabilities, once it has ended."""
    before: KeptText | None = None
    """Its prompt as a kept text, where it is to be kept itself."""
    kept: KeptText | None = None


class Cohort:
    """The block. Per-row arrays are (capacity of rows,); only the first `len(rows)` count."""

    def __init__(self, config: TinyConfig, rows: list[Row]) -> None:
        self.rows = rows
        n = len(rows)
        lengths = np.array([row.prompt.length for row in rows])
        self.start = int(lengths.max())
        self.length = self.start
        self.pad = self.start - lengths
        self.draw_keys = np.array([row.key for row in rows], np.uint64)
        self.temperature = np.array([row.request.temperature for row in rows], np.float32)
        self.max_tokens = np.array([row.max_tokens for row in rows])
        self.stop_set = np.array([row.stop_set for row in rows])
        self.wants_hidden = np.array([row.request.want_hidden for row in rows])
        capacity = self.start + _GROWTH
        shape = (config.layers, n, config.kv_heads)
        self._keys = np.empty((*shape, config.head_dim, capacity), np.float32)
        self._values = np.empty((*shape, capacity, config.head_dim), np.float32)
        self._tokens = np.empty((n, capacity), np.int64)
        self._logprobs = np.empty((n, capacity), np.float32)
        for i, (row, pad) in enumerate(zip(rows, self.pad, strict=True)):
            assert row.prompt.keys is not None
            assert row.prompt.values is not None
            # 0 and not empty: junk times a weight of 0 must be 0, and memory may hold NaN
            self._keys[:, i, ..., :pad] = 0
            self._values[:, i, :, :pad] = 0
            self._keys[:, i, ..., pad : self.start] = row.prompt.keys
            self._values[:, i, :, pad : self.start] = row.prompt.values
        self._mask_padding()

    @property
    def last_tokens(self) -> Ints:
        """(rows,)."""
        return self._tokens[: len(self.rows), self.length - 1]

    @property
    def last_logprobs(self) -> Floats:
        """(rows,)."""
        return self._logprobs[: len(self.rows), self.length - 1]

    @property
    def positions(self) -> Ints:
        """Position of the next column in each row's own text (rows,)."""
        return self.length - self.pad[: len(self.rows)]

    def append(self, tokens: Ints, logprobs: Floats) -> None:
        """Add the tokens drawn; their keys and values come with the next `attend`."""
        if self.length == self._tokens.shape[1]:
            self._grow()
        self._tokens[: len(tokens), self.length] = tokens
        self._logprobs[: len(tokens), self.length] = logprobs
        self.length += 1

    def output(self, i: int) -> tuple[Ints, Floats]:
        """What row `i` has said, and the log-probabilities of it."""
        said = slice(self.start, self.length)
        return self._tokens[i, said].copy(), self._logprobs[i, said].copy()

    def keep(self, i: int, logits: Floats, holdings: Holdings) -> KeptText:
        """What row `i` has said as a text to go on from; `logits` (vocab,) are of what follows."""
        said = slice(self.start, self.length)
        return KeptText(
            self.rows[i].before,
            self._keys[:, i, ..., said].copy(),
            self._values[:, i, :, said].copy(),
            logits.copy(),
            holdings,
        )

    def attend(self, layer: int, q: Floats, k: Floats, v: Floats, out: Floats) -> None:
        """Store k, v (n, Hkv, D) of the last tokens; attention of q (n, H, D) goes to `out`."""
        n, kv_heads, width = k.shape
        keys, values = self._keys[layer, :n], self._values[layer, :n]
        keys[..., self.length - 1] = k
        values[:, :, self.length - 1] = v
        grouped = (n, kv_heads, -1, width)
        scores = q.reshape(grouped) @ keys[..., : self.length]  # (n, Hkv, group, T)
        if self._mask is not None:
            scores[..., : self._mask.shape[-1]] += self._mask[:n]
        scores -= scores.max(axis=-1, keepdims=True)
        np.exp(scores, out=scores)
        seen = out.reshape(grouped)
        np.matmul(scores, values[:, :, : self.length], out=seen)
        seen /= scores.sum(axis=-1, keepdims=True)

    def remove(self, i: int) -> None:
        """Take row `i` out; the last row takes its place."""
        last = len(self.rows) - 1
        if i < last:
            used = slice(0, self.length)
            self._keys[:, i, ..., used] = self._keys[:, last, ..., used]
            self._values[:, i, :, used] = self._values[:, last, :, used]
            self._tokens[i, used] = self._tokens[last, used]
            self._logprobs[i, used] = self._logprobs[last, used]
            for column in self._columns():
                column[i] = column[last]
            self.rows[i] = self.rows[last]
            if self._mask is not None:
                self._mask[i] = self._mask[last]
        self.rows.pop()

    def _columns(self) -> tuple[NDArray[np.generic], ...]:
        return (self.pad, self.draw_keys, self.temperature, self.max_tokens, self.stop_set,
                self.wants_hidden)  # fmt: skip

    def _mask_padding(self) -> None:
        widest = int(self.pad.max())
        self._mask: Floats | None = None
        if widest:
            junk = np.arange(widest) < self.pad[:, None]
            self._mask = np.where(junk, np.float32(-np.inf), np.float32(0))[:, None, None]

    def _grow(self) -> None:
        n, used = len(self.rows), self.length
        self._keys = _wider(self._keys[:, :n], 4, used)
        self._values = _wider(self._values[:, :n], 3, used)
        self._tokens = _wider(self._tokens[:n], 1, used)
        self._logprobs = _wider(self._logprobs[:n], 1, used)


def _wider(old: NDArray[Any], axis: int, used: int) -> NDArray[Any]:
    shape = list(old.shape)
    shape[axis] = used + _GROWTH
    new = np.empty(shape, old.dtype)
    where = (slice(None),) * axis + (slice(0, used),)
    new[where] = old[where]
    return new
