"""What pictures are made with: models that are asked about a batch of states at once.

The text protocol (`Request`, `Completion`) has no place for arrays, so this is a second, smaller
one; both are a `Source`, and the purse buys from either. What is bought is one evaluation: a state
(a noisy point, a coarse picture) goes in, what the model says of it comes out, and drawing from
that is the caller's business, so a model has no random state. An evaluation is counted in FLOPs,
which are the same for every state at one `at`: a limit of N evaluations is a limit of N times
`upper_bound` of one.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bursar.backends.base import Source, note_spent
from bursar.usage import Usage

Floats = NDArray[np.float32]

ROWS_AT_ONCE = 256
"""States between two looks at the clock."""


@dataclass(frozen=True, slots=True, eq=False)
class Evaluate:
    """Ask a model what it says of each of `states` (n, ...)."""

    states: NDArray[Any]
    at: float
    """Where in the making of a picture they are: the noise level of a flow, the scale's number."""
    condition: int
    """What is to be drawn: the number of the prompt."""
    question_id: str = ""
    seconds: float | None = None
    """Wall time after which to hand back the first answers there are; None: no limit."""


@dataclass(frozen=True, slots=True, eq=False)
class Evaluated:
    """What the model says of the first states (m <= n, ...), and what that used."""

    values: Floats
    usage: Usage


class Sampler(Source[Evaluate, Evaluated], Protocol):
    """A model that pictures are sampled from, or that scores them."""


async def evaluate_rows(
    request: Evaluate, model: Callable[[NDArray[Any], float, int], Floats], each: Usage
) -> Evaluated:
    """Answers by `model(states, at, condition)`, some rows at a time; each row uses `each`.

    Ends early at `request.seconds`. A cancellation says what was spent (`note_spent`).
    """
    began = time.monotonic()
    parts = [model(request.states[:0], request.at, request.condition)]
    for first in range(0, len(request.states), ROWS_AT_ONCE):
        if request.seconds is not None and time.monotonic() - began >= request.seconds:
            break
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError as ended:
            note_spent(ended, each * first)
            raise
        rows = request.states[first : first + ROWS_AT_ONCE]
        parts.append(model(rows, request.at, request.condition))
    values = np.concatenate(parts)
    return Evaluated(values, each * len(values))
