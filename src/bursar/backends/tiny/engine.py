"""Batched generation in NumPy: continuous batching, shared prompts, exact token accounting.

A run holds at most `max_batch` rows. Waiting requests enter as a cohort (cohort.py) when a quarter
of the places is free; one step runs the matrices for all cohorts together and attention cohort by
cohort, draws a token per row, and lets finished rows leave. A prompt + prefix that several requests
share is run once.

What a request says does not depend on its company, but for rounding: a matrix product's last bits
may change with its number of rows, so a draw within about 1e-6 of a boundary may fall on either
side of it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bursar.backends.base import Request
from bursar.backends.tiny.cohort import Cohort, Prompt, Row
from bursar.backends.tiny.kept import Holdings, KeptText
from bursar.backends.tiny.model import Floats, Ints, Llama
from bursar.backends.tiny.sampling import choose, draw_key, uniforms
from bursar.errors import BadInput

_PREFILL_TOKENS = 4096
"""At most this many prompt tokens (padding included) in one pass, to bound its memory."""


class TextCodec(Protocol):
    """What the engine asks of a tokenizer. Decoding must be the concatenation of the pieces."""

    eos_id: int
    newline_id: int

    def encode(self, text: str) -> list[int]: ...

    def decode(self, ids: Sequence[int]) -> str: ...


@dataclass(frozen=True, slots=True)
class Generation:
    """What one request got. `tokens` includes the end-of-text or stop token, which `text` leaves
    out; `logprobs` (len(tokens),) are at temperature 1; `hidden` (steps, width) are the states
    after the final norm at each newline said and at the last token, when asked for.
    """

    text: str
    tokens: Ints
    logprobs: Floats
    stop_reason: str
    stop: str | None
    """The stop string that ended it, None at end of text or at max_tokens."""
    hidden: Floats | None
    prompt_tokens: int
    pays_prompt: bool
    """False when an earlier request of the run had the same prompt + prefix."""
    steps_share: float
    """Sum over its forward steps of 1 / rows in the step."""
    kept: KeptText | None = None

    @classmethod
    def nothing(cls) -> Generation:
        """Of a request that time ran out for before it began."""
        none, no_logprobs = np.zeros(0, np.int64), np.zeros(0, np.float32)
        return cls("", none, no_logprobs, "length", None, None, 0, False, 0.0)


class Engine:
    """Generates for many requests at once. Not safe for several threads at the same time."""

    def __init__(self, model: Llama, tokenizer: TextCodec, *, max_batch: int = 256) -> None:
        if max_batch < 1:
            raise BadInput(f"max_batch is {max_batch}, but must be at least 1")
        self.model, self.tokenizer, self.max_batch = model, tokenizer, max_batch
        self.holdings = Holdings()
        self._pieces = [tokenizer.decode([i]) for i in range(model.config.vocab)]

    def tokenize(self, request: Request) -> tuple[list[int], int]:
        """Tokens of prompt + prefix that have to be run, and the most that can be said after them.

        `max_tokens` is clipped to the room left in the context. Raises `BadInput` when there is
        no room, or a value of the request can't be used.
        """
        after = request.after
        tokens = [] if after else self.tokenizer.encode(request.prompt + request.prefix)
        length = after.length if after else len(tokens)
        room = self.model.config.context - length
        if not length:
            raise BadInput("the prompt is empty; the built-in model needs at least one token")
        if room < 1:
            raise BadInput(
                f"prompt and prefix are {length} tokens, but the model's context is "
                f"{self.model.config.context} and must hold at least one more; shorten the prefix"
            )
        if request.max_tokens < (0 if request.keep else 1):
            raise BadInput(f"max_tokens is {request.max_tokens}, but must be at least 1")
        if after and not (isinstance(after, KeptText) and after.holdings is self.holdings):
            raise BadInput("a text that another model keeps can't be gone on from; send its text")
        if not 0 <= request.temperature < float("inf"):
            raise BadInput(f"temperature is {request.temperature}, but must be finite and >= 0")
        if "" in request.stop:
            raise BadInput("a stop string is empty; leave it out")
        return tokens, min(request.max_tokens, room)

    def run(
        self, requests: Sequence[Request], clock: Callable[[], float] = time.perf_counter
    ) -> list[Generation]:
        """One generation per request, in order.

        The shortest `seconds` among the requests ends the run: what was said by then comes back
        with stop reason "length", also the nothing of those that were still waiting.
        """
        ends = [r.seconds for r in requests if r.seconds is not None]
        end = clock() + min(ends) if ends else None
        return _Run(self, requests).finish(lambda: end is not None and clock() >= end)


class _Run:
    def __init__(self, engine: Engine, requests: Sequence[Request]) -> None:
        self.model, self.pieces = engine.model, engine._pieces
        self.max_batch, self.holdings = engine.max_batch, engine.holdings
        self.eos_id, self.newline_id = engine.tokenizer.eos_id, engine.tokenizer.newline_id
        self.done: dict[int, Generation] = {}
        self.cohorts: list[Cohort] = []
        self.steps_share = 0.0
        """The `steps_share` of a row that was in every step so far."""
        stop_sets = sorted({request.stop for request in requests})
        prompts: dict[tuple[int, ...] | KeptText, Prompt] = {}
        rows = []
        for index, request in enumerate(requests):
            tokens, max_tokens = engine.tokenize(request)
            kept = request.after if isinstance(request.after, KeptText) else None
            name = kept or tuple(tokens)
            first = name not in prompts and kept is None
            length = kept.length if kept else len(tokens)
            prompt = prompts.setdefault(name, Prompt(length, 0, tokens, kept))
            prompt.waiting += 1
            stop_set = stop_sets.index(request.stop)
            key = draw_key(request)
            rows.append(Row(index, request, prompt, max_tokens, key, stop_set, pays_prompt=first))
        self.may_stop = self._may_stop(stop_sets)
        # like lengths side by side; the longest first, so that no long one is left over at the end
        self.waiting = deque(sorted(rows, key=lambda row: -row.prompt.length))

    def finish(self, out_of_time: Callable[[], bool]) -> list[Generation]:
        while (self.waiting or self.cohorts) and not out_of_time():
            self._admit()
            if self.cohorts:
                self._step()
        self._cut()
        return [self.done[i] for i in range(len(self.done))]

    def _cut(self) -> None:
        """End what is still under way or waiting, where it is."""
        for cohort in self.cohorts:
            for i in range(len(cohort.rows) - 1, -1, -1):
                row = cohort.rows[i]
                if row.said is None:
                    row.said, row.stop_reason = cohort.output(i), "length"
                    row.text = "".join([self.pieces[t] for t in row.said[0].tolist()])
                self._leave(cohort, i)
        for row in self.waiting:
            self.done[row.index] = Generation.nothing()

    def _admit(self) -> None:
        free = self.max_batch - sum(len(cohort.rows) for cohort in self.cohorts)
        size = max(1, self.max_batch // 4)
        if not self.waiting or free < size:
            return
        entering = [self.waiting.popleft() for _ in range(min(free, len(self.waiting)))]
        self._prefill([row for row in entering if row.pays_prompt])
        for row in entering:
            row.prompt.recall()
            if row.request.keep:
                row.before = row.prompt.keep(self.holdings)
            row.steps_share -= self.steps_share
        for row in [row for row in entering if not row.max_tokens]:
            row.kept, row.stop_reason = row.before, "length"
            row.prompt.leave()
            self._finish(row, np.zeros(0, np.int64), np.zeros(0, np.float32))
        entering = [row for row in entering if row.max_tokens]
        # cohorts of a quarter each, not one large one: fewer junk columns
        for i in range(0, len(entering), size):
            cohort = Cohort(self.model.config, entering[i : i + size])
            logits = np.stack([_known(row.prompt.logits) for row in cohort.rows])
            for row in cohort.rows:
                row.prompt.leave()
            self._advance(cohort, *_draw([cohort], logits))
            if cohort.rows:
                self.cohorts.append(cohort)

    def _prefill(self, rows: Sequence[Row]) -> None:
        left = deque(rows)
        while left:
            width = left[0].prompt.length  # the longest of those left
            count = min(len(left), max(1, _PREFILL_TOKENS // width))
            batch = [left.popleft() for _ in range(count)]
            lengths = np.array([row.prompt.length for row in batch])
            tokens = np.zeros((len(batch), width), np.int64)
            for i, row in enumerate(batch):
                tokens[i, : lengths[i]] = row.prompt.tokens
            hidden, keys, values = self.model.prefill(tokens)
            logits = self.model.logits(hidden[np.arange(len(batch)), lengths - 1])
            for i, row in enumerate(batch):
                row.prompt.keys = keys[:, i, ..., : lengths[i]]
                row.prompt.values = values[:, i, :, : lengths[i]]
                row.prompt.logits = logits[i]
                row.steps_share += 1 / len(batch)

    def _step(self) -> None:
        cohorts = self.cohorts
        ends = np.cumsum([len(cohort.rows) for cohort in cohorts]).tolist()
        parts = [slice(end - len(c.rows), end) for end, c in zip(ends, cohorts, strict=True)]
        tokens = np.concatenate([cohort.last_tokens for cohort in cohorts])
        positions = np.concatenate([cohort.positions for cohort in cohorts]) - 1

        def attend(layer: int, q: Floats, k: Floats, v: Floats) -> Floats:
            out = np.empty((len(q), q.shape[1] * q.shape[2]), np.float32)
            for cohort, part in zip(cohorts, parts, strict=True):
                cohort.attend(layer, q[part], k[part], v[part], out[part])
            return out

        hidden = self.model.step(tokens, positions, attend)
        self.steps_share += 1 / len(tokens)
        logits = self.model.logits(hidden)
        drawn, logprobs = _draw(cohorts, logits)
        for cohort, part in zip(cohorts, parts, strict=True):
            self._keep_hidden(cohort, hidden[part])
            self._keep_texts(cohort, logits[part])
            self._advance(cohort, drawn[part], logprobs[part])
        self.cohorts = [cohort for cohort in cohorts if cohort.rows]

    def _keep_hidden(self, cohort: Cohort, hidden: Floats) -> None:
        for i in np.flatnonzero(cohort.wants_hidden[: len(cohort.rows)]):
            row = cohort.rows[i]
            if row.said is not None or cohort.last_tokens[i] == self.newline_id:
                row.hidden.append(hidden[i].copy())

    def _keep_texts(self, cohort: Cohort, logits: Floats) -> None:
        for i, row in enumerate(cohort.rows):
            if row.said is not None and row.before and row.said[0][-1] != self.eos_id:
                row.kept = cohort.keep(i, logits[i], self.holdings)

    def _advance(self, cohort: Cohort, tokens: Ints, logprobs: Floats) -> None:
        """Give each row the token drawn for it; rows that end leave.

        One that wants hidden states, or is to be gone on from, stays for one more step after its
        end, to run its last token; what is drawn for it there is thrown away.
        """
        n = len(cohort.rows)
        cohort.append(tokens, logprobs)
        at_limit = cohort.length - cohort.start >= cohort.max_tokens[:n]
        flagged = np.flatnonzero(at_limit | self.may_stop[cohort.stop_set[:n], tokens])
        for i in flagged[::-1].tolist():  # from the last, because `remove` moves the last row
            row = cohort.rows[i]
            if row.said is not None:
                self._leave(cohort, i)
            elif self._ends(cohort, i, int(tokens[i]), bool(at_limit[i])):
                row.said = cohort.output(i)
                goes_on = row.request.keep and tokens[i] != self.eos_id
                if row.request.want_hidden or goes_on:
                    cohort.max_tokens[i] = 0  # flagged again at the next step
                else:
                    self._leave(cohort, i)

    def _ends(self, cohort: Cohort, i: int, token: int, at_limit: bool) -> bool:
        row = cohort.rows[i]
        row.text = "".join([self.pieces[t] for t in cohort.output(i)[0].tolist()])
        found = {row.text.find(stop): stop for stop in row.request.stop if stop in row.text}
        if found:
            row.text, row.stop = row.text[: min(found)], found[min(found)]
        if found or token == self.eos_id:
            row.stop_reason = "stop"
        elif at_limit:
            row.stop_reason = "length"
        return bool(row.stop_reason)

    def _leave(self, cohort: Cohort, i: int) -> None:
        row = cohort.rows[i]
        cohort.remove(i)
        assert row.said is not None
        self._finish(row, *row.said)

    def _finish(self, row: Row, tokens: Ints, logprobs: Floats) -> None:
        self.done[row.index] = Generation(
            text=row.text,
            tokens=tokens,
            logprobs=logprobs,
            stop_reason=row.stop_reason,
            stop=row.stop,
            hidden=np.stack(row.hidden) if row.request.want_hidden and row.hidden else None,
            prompt_tokens=row.prompt.length,
            pays_prompt=row.pays_prompt,
            steps_share=row.steps_share + self.steps_share,
            kept=row.kept,
        )

    def _may_stop(self, stop_sets: Sequence[tuple[str, ...]]) -> NDArray[np.bool_]:
        """(sets, vocab): whether a token can be the last of a stop string, or ends the text."""
        table = np.zeros((len(stop_sets), len(self.pieces)), np.bool_)
        table[:, self.eos_id] = True
        for row, stops in zip(table, stop_sets, strict=True):
            for token, piece in enumerate(self.pieces):
                row[token] |= any(stop[-1] in piece for stop in stops)
        return table


def _draw(cohorts: Sequence[Cohort], logits: Floats) -> tuple[Ints, Floats]:
    """The next token of every row, cohort after cohort, and its log-probability."""
    keys = np.concatenate([c.draw_keys[: len(c.rows)] for c in cohorts])
    temperatures = np.concatenate([c.temperature[: len(c.rows)] for c in cohorts])
    positions = np.concatenate([c.positions for c in cohorts])
    return choose(logits, temperatures, uniforms(keys, positions))


def _known(logits: Floats | None) -> Floats:
    assert logits is not None
    return logits
