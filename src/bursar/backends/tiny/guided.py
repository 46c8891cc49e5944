"""Guided generation: a steer sees the state behind every token and may change what is drawn.

A steer never sees the future, and what it does costs nothing but the tokens that it makes the
model say: forced tokens are said, and paid for, like any others. Rows advance together over one
block of keys and values; a batch is run to its end before the next one begins.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from bursar.backends.base import Request, State, Steer, Steering
from bursar.backends.tiny.cohort import Cohort, Prompt, Row
from bursar.backends.tiny.engine import Engine, Generation
from bursar.backends.tiny.model import Floats
from bursar.backends.tiny.sampling import choose, draw_key, uniforms
from bursar.errors import BadInput

_BATCH = 64
"""Texts advanced together: beyond that the engine is hardly faster."""


def generate(
    engine: Engine,
    requests: Sequence[Request],
    steer: Steer,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Generation]:
    """One generation per request, in order; a request ends at end of text or at `max_tokens`.

    The shortest `seconds` among the requests ends the run, as in `Engine.run`.

    Log-probabilities are the model's own, whatever the steer made of them. Raises `BadInput` on
    stop strings and `want_hidden`: a steer ends texts and reads states itself.
    """
    for request in requests:
        if request.stop or request.want_hidden:
            raise BadInput(
                "a steered request has stop strings or wants hidden states; its steer ends the "
                "text and sees the states: leave `stop` and `want_hidden` out"
            )
    ends = [r.seconds for r in requests if r.seconds is not None]
    end = clock() + min(ends) if ends else None

    def out_of_time() -> bool:
        return end is not None and clock() >= end

    done = [Generation.nothing() for _ in requests]
    tokenized = [engine.tokenize(r) for r in requests]
    steering = steer.begin([tokens for tokens, _ in tokenized])
    # like lengths side by side, as rows are aligned on the right
    order = sorted(range(len(requests)), key=lambda i: -len(tokenized[i][0]))
    for start in range(0, len(order), _BATCH):
        if out_of_time():
            break
        rows = [
            Row(i, requests[i], Prompt(len(tokenized[i][0]), 1, tokenized[i][0]), tokenized[i][1],
                draw_key(requests[i]), stop_set=0, pays_prompt=True)
            for i in order[start : start + _BATCH]
        ]  # fmt: skip
        for row, said in _run(engine, rows, steering, out_of_time):
            done[row.index] = said
    return done


def _run(
    engine: Engine, rows: list[Row], steering: Steering, out_of_time: Callable[[], bool]
) -> list[tuple[Row, Generation]]:
    """Run the texts of `rows` to their ends."""
    model, done = engine.model, []
    hidden = _prefill(engine, rows)
    cohort = Cohort(model.config, rows)

    def attend(layer: int, q: Floats, k: Floats, v: Floats) -> Floats:
        out = np.empty((len(q), q.shape[1] * q.shape[2]), np.float32)
        cohort.attend(layer, q, k, v, out)
        return out

    while True:
        n = len(cohort.rows)
        said = cohort.length - cohort.start
        logits = model.logits(hidden)
        steered = steering(
            State(
                rows=np.array([row.index for row in cohort.rows]),
                last_tokens=cohort.last_tokens if said else np.full(n, -1),
                last_logprobs=cohort.last_logprobs if said else np.zeros(n, np.float32),
                said=said,
                left=cohort.max_tokens[:n] - said,
                hidden=hidden,
                logits=logits,
            )
        )
        numbers = uniforms(cohort.draw_keys[:n], cohort.positions)
        tokens, _ = choose(steered, cohort.temperature[:n], numbers)
        cohort.append(tokens, _logprobs(logits, tokens))
        ended = tokens == engine.tokenizer.eos_id
        cut = ~ended & ((said + 1 >= cohort.max_tokens[:n]) | out_of_time())
        for i in np.flatnonzero(ended | cut)[::-1].tolist():  # `remove` moves the last row
            done.append((cohort.rows[i], _generation(engine, cohort, i, bool(ended[i]))))
            cohort.remove(i)
        if not cohort.rows:
            return done
        for row in cohort.rows:
            row.steps_share += 1 / len(cohort.rows)
        hidden = model.step(cohort.last_tokens, cohort.positions - 1, attend)


def _prefill(engine: Engine, rows: Sequence[Row]) -> Floats:
    """Run the prompts; returns the states (rows, width) after their last tokens."""
    lengths = np.array([row.prompt.length for row in rows])
    tokens = np.zeros((len(rows), int(lengths.max())), np.int64)
    for i, row in enumerate(rows):
        tokens[i, : lengths[i]] = row.prompt.tokens
    hidden, keys, values = engine.model.prefill(tokens)
    for i, row in enumerate(rows):
        row.prompt.keys = keys[:, i, ..., : lengths[i]]
        row.prompt.values = values[:, i, :, : lengths[i]]
        row.steps_share += 1 / len(rows)
    last: Floats = hidden[np.arange(len(rows)), lengths - 1]
    return last


def _logprobs(logits: Floats, tokens: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Floats:
    shifted = logits - logits.max(axis=1, keepdims=True)
    picked: Floats = shifted[np.arange(len(tokens)), tokens]
    picked = picked - np.log(np.exp(shifted).sum(axis=1))
    return picked


def _generation(engine: Engine, cohort: Cohort, i: int, ended: bool) -> Generation:
    row = cohort.rows[i]
    tokens, logprobs = cohort.output(i)
    return Generation(
        text=engine.tokenizer.decode(tokens.tolist()),
        tokens=tokens,
        logprobs=logprobs,
        stop_reason="stop" if ended else "length",
        stop=None,
        hidden=None,
        prompt_tokens=row.prompt.length,
        pays_prompt=True,
        steps_share=row.steps_share,
    )
