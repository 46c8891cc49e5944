"""The built-in in-context learner: one attention layer over demonstrations, NumPy, no torch.

Reads the prompts of `workload.hidden_rules`: lines that show a rule, then a query. The query
attends to the demonstrations by the trained likeness of their numbers and takes over their answers;
the attention that finds no demonstration goes to an answer of its own, trained too. 7 thousand
float16 weights, from `python -m bursar.training.train_in_context` (2,000 steps, 9 s of one core).
Right with 0, 1, 4, 8, 16 demonstrations: .27, .63, .80, .90, .97 of 300 queries.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file
from scipy.special import softmax

from bursar.backends.base import Completion, Request
from bursar.errors import BadInput
from bursar.usage import Usage
from bursar.workload.hidden_rules import ANSWERS, CLASSES, NUMBERS

Floats = NDArray[np.float32]

WEIGHTS = Path(__file__).parent / "in_context.safetensors"
WIDTH = 32
_LETTERS = tuple(CLASSES)
_LINE = re.compile(rf"([{''.join(CLASSES)}])(\d+)([{ANSWERS}])")
_QUERY = re.compile(rf"([{''.join(CLASSES)}])(\d+)")
_DEMONSTRATION_TOKENS, _QUERY_TOKENS = 4, 2


class InContextBackend:
    """Greedy only: one token, the likeliest answer, whatever the temperature.

    A token is a letter, a number or a newline: 4 to a demonstration and 2 to the query.
    """

    name = "in-context"

    def __init__(
        self, weights: Path = WEIGHTS, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        loaded = {name: value.astype(np.float32) for name, value in load_file(weights).items()}
        self._table, self._nothing, self._prior = (
            loaded[name] for name in ("table", "nothing", "prior")
        )
        self._clock = clock

    def upper_bound(self, request: Request) -> Usage:
        """Exact but for the seconds, which are not bounded."""
        return self._usage(len(_read(request.prompt)[1]), None)

    async def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """One answer per request. Raises `BadInput` for any prompt but a hidden rule's."""
        return [self._answer(request) for request in requests]

    async def aclose(self) -> None:
        """Nothing to give back."""

    def _answer(self, request: Request) -> Completion:
        began = self._clock()
        asked, shown, said = _read(request.prompt)
        match = self._table[shown] @ self._table[asked]
        weight = softmax(np.append(self._nothing[asked], match))
        chances = weight[0] * softmax(self._prior[asked])
        np.add.at(chances, said, weight[1:])
        best = int(np.argmax(chances))
        return Completion(
            text=ANSWERS[best],
            usage=self._usage(len(shown), self._clock() - began),
            stop_reason="length",
            logprobs=np.log(chances[best : best + 1] / chances.sum()),
        )

    def _usage(self, demonstrations: int, seconds: float | None) -> Usage:
        """Of one query: a likeness per demonstration, and the sum of answers."""
        return Usage(
            tokens_in=_DEMONSTRATION_TOKENS * demonstrations + _QUERY_TOKENS,
            tokens_out=1,
            flops=float(demonstrations * (2 * WIDTH + 2) + 2 * len(ANSWERS)),
            bytes_moved=float(4 * (WIDTH + 1) * (demonstrations + 1) + 4 * len(ANSWERS)),
            seconds=seconds,
            tool_calls=0,
        )


def _read(prompt: str) -> tuple[int, list[int], list[int]]:
    """(row of the query, rows of the demonstrations, their answers)."""
    *lines, query = prompt.split("\n")
    shown = [_LINE.fullmatch(line) for line in lines]
    asked = _QUERY.fullmatch(query)
    if asked is None or None in shown:
        raise BadInput(
            f"{prompt[-20:]!r} ends no prompt of hidden rules, lines such as 'n17e' and a last "
            "one such as 'n29'; use another backend"
        )
    found = [line for line in shown if line is not None]
    return _row(asked), [_row(line) for line in found], [ANSWERS.index(m[3]) for m in found]


def _row(line: re.Match[str]) -> int:
    number = int(line[2])
    if number >= NUMBERS:
        raise BadInput(f"{number} is not a number of hidden rules: use 0 to {NUMBERS - 1}")
    return _LETTERS.index(line[1]) * NUMBERS + number
