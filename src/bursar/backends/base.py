"""What generates: one protocol for a recorded, a simulated, a built-in and a hosted model.

A backend is asynchronous and batched: callers may await many `complete` calls at once and the
backend may run them together. Every completion says what it used.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from bursar.usage import Usage

Effort = str | float
"""A mode ("low", "medium", "high"), or a share in (0, 1] of what a question usually takes."""


@dataclass(frozen=True, slots=True)
class Request:
    """Ask for one continuation of `prompt` + `prefix`.

    `prefix` is what the model is to have said already (revision, search from a kept step).
    `sample` numbers the draws of one prompt: (seed, question_id, sample) fixes the random draw,
    whatever else is in the batch. `max_tokens` bounds new tokens and is always finite.
    """

    prompt: str
    max_tokens: int
    question_id: str = ""
    sample: int = 0
    prefix: str = ""
    temperature: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int = 0
    want_hidden: bool = False
    seconds: float | None = None
    """Wall time after which to stop where one is and hand back what there is; None: no limit."""
    effort: Effort | None = None
    """How hard to think, None: as the model does by itself. Who can't follow it refuses it."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What came back: text (new tokens only), what it used, and how sure the source was.

    `logprobs` are the natural-log probabilities of each sampled token under the model at
    temperature 1, None where the source gives none. `hidden` (steps, width) are final hidden
    states at the end of each step (line), when asked for and available.
    `estimated` is True when the source did not report usage and it was counted by us.
    """

    text: str
    usage: Usage
    stop_reason: str
    """"stop" (end of text or a stop string), "length" (max_tokens), or "error"."""
    logprobs: NDArray[np.float32] | None = None
    hidden: NDArray[np.float32] | None = None
    estimated: bool = False
    meta: dict[str, str] = field(default_factory=dict)

    @property
    def logprob(self) -> float | None:
        """Log-probability of the whole text."""
        return None if self.logprobs is None else float(np.sum(self.logprobs))


@runtime_checkable
class Backend(Protocol):
    """A source of completions."""

    @property
    def name(self) -> str:
        """What receipts call it."""
        ...

    def upper_bound(self, request: Request) -> Usage:
        """The most that `request` can use, resource by resource; None where no bound is known."""
        ...

    async def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """One completion per request, in order. Raises `BackendError` when the source fails."""
        ...

    async def aclose(self) -> None:
        """Give back connections and files."""
        ...


def note_spent(error: BaseException, usage: Usage) -> None:
    """Notes on `error` (a cancellation, say) what the work it ends had spent; see `spent_by`."""
    error.usage = usage  # type: ignore[attr-defined]


def spent_by(error: BaseException) -> Usage | None:
    """What a `complete` that ended with `error` had spent.

    None when the source did not tell: then charge what was reserved.
    """
    return getattr(error, "usage", None)
