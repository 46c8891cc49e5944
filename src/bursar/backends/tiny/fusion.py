"""Flover: one pass gives the next token of all requests, however far apart they came.

Paper: Jinghan Yao, Nawras Alnaasan, Tian Chen, Aamir Shafi, Hari Subramoni, Dhabaleswar K. Panda,
    "Flover: A Temporal Fusion Framework for Efficient Autoregressive Model Parallel Inference",
    2023, arXiv:2305.13484; temporal fusion and memory shuffling.
Symbols: preprocessing phase -> prompts run when they join; generation phase -> step;
    fused buffer -> _FusedBlock.
Differs: one device, no tensor parallelism; the buffer is cut by a row at each completion.
Checked: tests/papers/test_flover.py: with staggered arrivals the tokens of one instance a request,
    in a fifth of its passes over the weights and at least twice its tokens per second; the buffer
    shrinks at each completion.
Seed: 116
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bursar.backends.base import Request
from bursar.backends.tiny.cohort import Cohort, Prompt, Row
from bursar.backends.tiny.engine import Engine, Generation, _draw, _known, _Run
from bursar.backends.tiny.model import Floats, Ints, TinyConfig
from bursar.backends.tiny.sampling import draw_key
from bursar.errors import BadInput

Array: TypeAlias = NDArray[Any]

_GROWTH = 64
"""Columns added when the block is full."""


class FusedRun(_Run):
    """A run of an engine that requests may join at any step; at most `max_batch` are under way.

    A request's limit in seconds is left to the caller, who may stop asking for steps.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine, ())
        self._engine = engine
        self._block = _FusedBlock(engine.model.config)
        self._stop_sets: list[tuple[str, ...]] = []
        self._submitted = 0

    def submit(self, request: Request) -> int:
        """Have a request join at the next step; returns its number, from 0.

        Raises `BadInput` as `Engine.tokenize` does, and where a text is to be kept.
        """
        if request.keep or request.after:
            raise BadInput("fused requests can't keep texts or go on from them; use `Engine.run`")
        tokens, max_tokens = self._engine.tokenize(request)
        if request.stop not in self._stop_sets:
            self._stop_sets.append(request.stop)
            self.may_stop = self._may_stop(self._stop_sets)
        number, stop_set = self._submitted, self._stop_sets.index(request.stop)
        prompt, key = Prompt(len(tokens), 1, tokens), draw_key(request)
        self.waiting.append(
            Row(number, request, prompt, max_tokens, key, stop_set, pays_prompt=True)
        )
        self._submitted += 1
        return number

    def step(self) -> dict[int, Generation]:
        """The next token of every request under way; those that end with it, by number."""
        block = self._block
        logits = [self._next_logits()] if block.rows else []
        free = self.max_batch - len(block.rows)
        entering = [self.waiting.popleft() for _ in range(min(free, len(self.waiting)))]
        self._prefill(sorted(entering, key=lambda row: -row.prompt.length))
        for row in entering:
            row.steps_share -= self.steps_share
            logits.append(_known(row.prompt.logits)[None])
            block.join(row)
            row.prompt.leave()
        if block.rows:
            self._advance(block, *_draw([block], np.concatenate(logits)))
        ended, self.done = self.done, {}
        return ended

    @property
    def under_way(self) -> int:
        """Requests that have joined or wait to."""
        return len(self.waiting) + len(self._block.rows)

    @property
    def buffer_bytes(self) -> int:
        """Bytes of keys and values held."""
        return self._block.buffer_bytes

    def _next_logits(self) -> Floats:
        block = self._block

        def attend(layer: int, q: Floats, k: Floats, v: Floats) -> Floats:
            out = np.empty((len(q), q.shape[1] * q.shape[2]), np.float32)
            block.attend(layer, q, k, v, out)
            return out

        hidden = self.model.step(block.last_tokens, block.positions - 1, attend)
        self.steps_share += 1 / len(hidden)
        self._keep_hidden(block, hidden)
        return self.model.logits(hidden)


class _FusedBlock(Cohort):
    """A cohort whose rows come and go one by one; all end at the same column.

    Rows lie on the first axis of the memory, so that one more or one less is a `realloc`. Limits
    on tokens count from `start`, which is the same for all and moves with the columns.
    """

    def __init__(self, config: TinyConfig) -> None:
        self.rows = []
        self.start = self.length = 0
        self.pad = self.max_tokens = self.stop_set = self._begins = np.zeros(0, np.int64)
        self.draw_keys = np.zeros(0, np.uint64)
        self.temperature = np.zeros(0, np.float32)
        self.wants_hidden = np.zeros(0, np.bool_)
        self._mask = None
        each = (0, config.layers, config.kv_heads)
        self._key_memory = np.zeros((*each, config.head_dim, 0), np.float32)
        self._value_memory = np.zeros((*each, 0, config.head_dim), np.float32)
        self._tokens, self._logprobs = np.zeros((0, 0), np.int64), np.zeros((0, 0), np.float32)
        self._see()

    @property
    def buffer_bytes(self) -> int:
        """Bytes of keys and values."""
        return self._key_memory.nbytes + self._value_memory.nbytes

    def join(self, row: Row) -> None:
        """Take in a row whose prompt has been run."""
        prompt = row.prompt.length
        if not self.rows or prompt > self.length:
            self._move(prompt - self.length)
        pad, before = self.length - prompt, self.length - self.start
        self.rows.append(row)
        self.pad = np.append(self.pad, pad)
        self.draw_keys = np.append(self.draw_keys, np.uint64(row.key))
        self.temperature = np.append(self.temperature, np.float32(row.request.temperature))
        self.max_tokens = np.append(self.max_tokens, row.max_tokens + before)
        self.stop_set = np.append(self.stop_set, row.stop_set)
        self.wants_hidden = np.append(self.wants_hidden, row.request.want_hidden)
        self._begins = np.append(self._begins, before)
        self._resize()  # with zeros: junk times a weight of 0 must be 0
        self._keys[:, -1, ..., pad : self.length] = _known(row.prompt.keys)
        self._values[:, -1, :, pad : self.length] = _known(row.prompt.values)
        self._mask_padding()

    def output(self, i: int) -> tuple[Ints, Floats]:
        """See `Cohort.output`."""
        said = slice(self.start + self._begins[i], self.length)
        return self._tokens[i, said].copy(), self._logprobs[i, said].copy()

    def remove(self, i: int) -> None:
        """See `Cohort.remove`; the memory of one row is given back."""
        super().remove(i)
        rows = len(self.rows)
        self.pad, self.draw_keys = self.pad[:rows], self.draw_keys[:rows]
        self.temperature, self.max_tokens = self.temperature[:rows], self.max_tokens[:rows]
        self.stop_set, self.wants_hidden = self.stop_set[:rows], self.wants_hidden[:rows]
        self._begins = self._begins[:rows]
        self._resize()

    def _columns(self) -> tuple[NDArray[np.generic], ...]:
        return (*super()._columns(), self._begins)

    def _resize(self) -> None:
        # in place and without a look at who else refers to it: the views are made anew at once
        for memory in (self._key_memory, self._value_memory, self._tokens, self._logprobs):
            memory.resize((len(self.rows), *memory.shape[1:]), refcheck=False)
        self._see()

    def _see(self) -> None:
        self._keys = self._key_memory.swapaxes(0, 1)
        self._values = self._value_memory.swapaxes(0, 1)

    def _grow(self) -> None:
        self._move(-int(self.pad.min()))
        self._mask_padding()

    def _move(self, by: int) -> None:
        """All columns `by` to the right (below 0: to the left), and room after them."""
        used = slice(max(-by, 0), self.length)
        self._key_memory = _moved(self._key_memory, 4, used, by)
        self._value_memory = _moved(self._value_memory, 3, used, by)
        self._tokens = _moved(self._tokens, 1, used, by)
        self._logprobs = _moved(self._logprobs, 1, used, by)
        self.length += by
        self.start += by
        self.pad = self.pad + by
        self._see()


def _moved(old: Array, axis: int, used: slice, by: int) -> Array:
    shape = list(old.shape)
    shape[axis] = used.stop + by + _GROWTH
    new = np.zeros(shape, old.dtype)
    before = (slice(None),) * axis
    new[(*before, slice(used.start + by, used.stop + by))] = old[(*before, used)]
    return new
