"""Self-checks: one long text that solves a chain again and again, and rules that end it sooner.

The text is that of budget forcing (`reason/revision.py`, arXiv:2501.19393) written in one pass:
after each `#answer` the model is made to say `wrong` and to solve the question anew, `rounds`
times in all; its answer is the last one. The end of an attempt, where `wrong` ("wait") would come
next, is the cue: there a rule looks at the state and may end the text with the answer it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bursar.backends.base import State, Steering
from bursar.backends.tiny.tokenizer import REVISE_MARKER, Tokenizer

Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]

_TOKENIZER = Tokenizer()
HASH, NEWLINE, EOS = _TOKENIZER.encode("#")[0], _TOKENIZER.newline_id, _TOKENIZER.eos_id
WRONG = _TOKENIZER.encode(REVISE_MARKER)[0]


@dataclass(frozen=True, slots=True)
class Looks:
    """The texts that have just ended an attempt, and what can be seen of them there."""

    rows: NDArray[np.int64]
    """(n,): numbers of the texts."""
    attempts: NDArray[np.int64]
    """(n,): attempts ended so far, this one included."""
    said: NDArray[np.int64]
    """(n,): tokens said so far."""
    answers: NDArray[np.int64]
    """(n,): the token after `#`."""
    hidden: Floats
    """(n, width): states at the end of the attempt."""
    logprobs: Floats
    """(n, 2): of this attempt's tokens, the sum of log-probabilities and the least of them."""
    agree: Floats
    """(n,): share of earlier attempts with this answer; -1 at the first attempt."""


class ExitRule(Protocol):
    """Decides at each look whether to end the text there."""

    def exits(self, looks: Looks) -> Bools:
        """(n,): True ends the text with the answer that the attempt has just given."""
        ...


@dataclass(frozen=True, slots=True)
class SelfChecks:
    """Steers a text through `rounds` attempts, fewer where `rule` says so; None: never."""

    rounds: int = 4
    rule: ExitRule | None = None

    def begin(self, prompts: Sequence[Sequence[int]]) -> Steering:
        """A steering of fresh texts; see `Steer`."""
        return _Texts(self, len(prompts)).steer


class _Texts:
    """What has been said so far, per text (count,)."""

    def __init__(self, plan: SelfChecks, count: int) -> None:
        self._plan = plan
        self._stating = np.zeros(count, np.bool_)
        self._taking_back = np.zeros(count, np.bool_)
        self._logprobs = np.zeros((count, 2), np.float32)
        self._answers = np.full((count, plan.rounds), -1)
        self._attempts = np.zeros(count, np.int64)

    def steer(self, state: State) -> Floats:
        cue = self._read(state)
        if not cue.any():
            return state.logits
        rows = state.rows[cue]
        self._attempts[rows] += 1
        ends = self._attempts[rows] >= self._plan.rounds
        if self._plan.rule is not None:
            ends |= self._plan.rule.exits(self._looks(rows, state.said, state.hidden[cue]))
        logits = state.logits.copy()
        logits[cue] = -np.inf
        logits[np.flatnonzero(cue), np.where(ends, EOS, WRONG)] = 0
        return logits

    def _read(self, state: State) -> Bools:
        """Take in the last tokens; True where an attempt has ended."""
        rows, last = state.rows, state.last_tokens
        self._logprobs[rows, 0] += state.last_logprobs
        self._logprobs[rows, 1] = np.minimum(self._logprobs[rows, 1], state.last_logprobs)
        stating, ended = self._stating[rows], last == NEWLINE
        given = rows[stating & ~ended]
        self._answers[given, self._attempts[given]] = last[stating & ~ended]
        self._stating[rows] = (last == HASH) | (stating & ~ended)
        self._logprobs[rows[ended & self._taking_back[rows]]] = 0  # a new attempt begins
        self._taking_back[rows] = last == WRONG
        cue: Bools = stating & ended
        return cue

    def _looks(self, rows: NDArray[np.int64], said: int, hidden: Floats) -> Looks:
        attempts = self._attempts[rows]
        answers = self._answers[rows]
        now = answers[np.arange(len(rows)), attempts - 1]
        earlier = np.arange(answers.shape[1]) < attempts[:, None] - 1
        same = (earlier & (answers == now[:, None])).sum(axis=1)
        agree = np.where(attempts > 1, same / np.maximum(1, attempts - 1), -1.0)
        return Looks(
            rows, attempts, np.full(len(rows), said), now, hidden, self._logprobs[rows],
            agree.astype(np.float32),
        )  # fmt: skip
