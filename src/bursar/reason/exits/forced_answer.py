"""Forced answers: a text that its limit is about to cut states an answer in its last tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bursar.backends.base import State, Steer, Steering
from bursar.backends.tiny.tokenizer import Tokenizer
from bursar.reason.exits.self_checks import HASH, NEWLINE, Floats

_NUMBERS = tuple(Tokenizer().encode(str(n))[0] for n in range(100))
_ALLOWED = {3: (NEWLINE,), 2: (HASH,), 1: _NUMBERS}
"""What may be said when so many tokens are left: the last line is `#` and a number."""


@dataclass(frozen=True, slots=True)
class ForcedAnswer:
    """Hard truncation, with the model's likeliest answer in the last three tokens of a text that
    has stated none; `inner` steers it until then."""

    inner: Steer | None = None

    def begin(self, prompts: Sequence[Sequence[int]]) -> Steering:
        """A steering of fresh texts; see `Steer`."""
        inner = None if self.inner is None else self.inner.begin(prompts)
        stated = np.zeros(len(prompts), np.bool_)

        def steer(state: State) -> Floats:
            logits = state.logits if inner is None else inner(state)
            begun = state.left >= len(_ALLOWED)  # later a `#` is ours
            stated[state.rows] |= begun & (state.last_tokens == HASH)
            due = np.flatnonzero(~stated[state.rows] & (state.left <= len(_ALLOWED)))
            if not len(due):
                return logits
            logits = logits.copy()
            for i in due.tolist():
                allowed = list(_ALLOWED[int(state.left[i])])
                best = allowed[int(np.argmax(state.logits[i, allowed]))]
                logits[i] = -np.inf
                logits[i, best] = 0
            return logits

        return steer
