"""What generates: one protocol for a recorded, a simulated, a built-in and a hosted model.

`Source` is what the purse needs of anything it buys from; `Backend` is a source of text, and
`backends.images` has sources of arrays.

A backend is asynchronous and batched: callers may await many `complete` calls at once and the
backend may run them together. Every completion says what it used.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from bursar.usage import Usage

Effort = str | float
"""A mode ("low", "medium", "high"), or a share in (0, 1] of what a question usually takes."""


@runtime_checkable
class Kept(Protocol):
    """The state of a text that a backend has run. It is held as long as someone refers to it."""

    @property
    def own(self) -> int:
        """Tokens held for this text beyond those of the text that it went on from."""
        ...

    @property
    def length(self) -> int:
        """Tokens of the whole text."""
        ...


@dataclass(frozen=True, slots=True)
class State:
    """What a steer sees before a token of each of n texts is drawn."""

    rows: NDArray[np.int64]
    """(n,): numbers of the texts, from 0, as `Steer.begin` was told of them."""
    last_tokens: NDArray[np.int64]
    """(n,): what was said last; -1 where nothing was."""
    last_logprobs: NDArray[np.float32]
    """(n,): the model's own log-probabilities of `last_tokens`; 0 where there is none."""
    said: int
    """Tokens said so far."""
    left: NDArray[np.int64]
    """(n,): tokens that may still be said."""
    hidden: NDArray[np.float32]
    """(n, width): final hidden states, after the last token."""
    logits: NDArray[np.float32]
    """(n, vocab): the model's own; not to be written to."""


Steering = Callable[[State], NDArray[np.float32]]
"""Of one run of texts: returns the logits (n, vocab) to draw from."""


class Steer(Protocol):
    """Changes what a model says while it says it. Equal steers do the same."""

    def begin(self, prompts: Sequence[Sequence[int]]) -> Steering:
        """A steering of fresh texts that go on from `prompts` (token ids, prefix included)."""


class Asked(Protocol):
    """A request (a frozen dataclass): what the purse reads of it."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def question_id(self) -> str:
        """What it is for, in the lines of the budget."""
        ...

    @property
    def seconds(self) -> float | None:
        """Wall time after which to hand back what there is; None: no limit."""
        ...


class Got(Protocol):
    """What came back for a request, and what it used."""

    @property
    def usage(self) -> Usage: ...


AskedT_contra = TypeVar("AskedT_contra", bound=Asked, contravariant=True)
GotT_co = TypeVar("GotT_co", bound=Got, covariant=True)


class Source(Protocol[AskedT_contra, GotT_co]):
    """Whatever can be paid by the request: it says the most a request can use, and answers it."""

    @property
    def name(self) -> str:
        """What receipts call it."""
        ...

    def upper_bound(self, request: AskedT_contra) -> Usage:
        """The most that `request` can use, resource by resource; None where no bound is known."""
        ...

    async def complete(self, requests: Sequence[AskedT_contra]) -> Sequence[GotT_co]:
        """One answer per request, in order. Raises `BackendError` when the source fails."""
        ...


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
    keep: bool = False
    """Hold the state of the text, to go on from, where the backend can. With it `max_tokens` may be
    0: only run the prompt."""
    after: Kept | None = None
    """Go on from this text of the same backend, which is `prompt` + `prefix`, instead of running
    them: they cost no input tokens."""
    steer: Steer | None = None
    """Only for backends that say so (`steers`): others have no state to show."""
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
    kept: Kept | None = None
    """The state to go on from, when it was to be kept and the text has not ended."""

    @property
    def logprob(self) -> float | None:
        """Log-probability of the whole text."""
        return None if self.logprobs is None else float(np.sum(self.logprobs))


@runtime_checkable
class Backend(Source[Request, Completion], Protocol):
    """A source of completions."""

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
