"""What a strategy is: it decides, question by question, what to buy next and which answer to give.

An `Arm` is a way to buy one more attempt (which model, how warm, afresh or by revising).
A `Work` is one question with the attempts bought so far. A `Strategy` never calls a model: it names
arms, the driver in `reason/rounds.py` or `reason/auto.py` buys them through the `Workbench`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from bursar.answer import Answer, Declined
from bursar.backends.base import Kept
from bursar.usage import Usage
from bursar.workload.tasks.base import Question

if TYPE_CHECKING:
    from bursar.reason.workbench import Workbench


@dataclass(frozen=True, slots=True)
class Arm:
    """A way to buy one attempt: a sample of `backend` at `temperature`, afresh or as a revision."""

    backend: str
    temperature: float = 0.7
    revise: bool = False

    @property
    def name(self) -> str:
        warmth = "greedy" if self.temperature == 0 else f"T{self.temperature:g}"
        return f"{self.backend}/{'revise' if self.revise else 'sample'}/{warmth}"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One bought attempt. `text` is all the model has said, earlier rounds of a revision included.

    `verified` is the exact checker's verdict, None where the task has none that may be asked.
    `logprob` is of the new text; `score` in [0, 1] comes from a learned verifier; None if absent.
    """

    arm: Arm
    text: str
    answer: str | None
    usage: Usage
    verified: bool | None = None
    logprob: float | None = None
    score: float | None = None
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verifier said of attempt number `attempt`, and what asking it used.

    `score` in [0, 1] is its belief that the attempt is right; None when it could not tell.
    """

    attempt: int
    score: float | None
    usage: Usage


@dataclass(slots=True)
class Work:
    """One question and what was bought for it so far."""

    question: Question
    attempts: list[Attempt] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    stopped: str = ""
    closed: set[Arm] = field(default_factory=set)
    """Arms that can give no more: the recording ran out, or the source refused this question."""
    kept: Kept | None = None
    """What the backend holds of the last attempt, where it was asked to keep it."""

    @property
    def verified(self) -> str | None:
        """An answer that the exact checker accepted."""
        return next((a.answer for a in self.attempts if a.verified), None)

    def usage(self) -> Usage:
        judged = Usage.total(v.usage for v in self.verdicts)
        return Usage.total(a.usage for a in self.attempts) + judged


@dataclass(frozen=True, slots=True)
class Pick:
    """The answer a strategy would give now, and its belief that it is right (None: no belief)."""

    answer: str | None
    p_right: float | None


@dataclass(frozen=True, slots=True)
class Bought:
    """What a round bought of one arm for one kind of question: so many attempts, which were to
    cost `cost` in all and to make `gain` more answers right.

    `chance`: how often one attempt is right, as is believed after the round.
    """

    kind: str
    arm: str
    attempts: int
    cost: float
    gain: float
    chance: float


@dataclass(frozen=True, slots=True)
class Round:
    """What one round of buying did: cumulative spend, the price it was bought at, the state."""

    spent: Usage
    price: float | None
    bought: int
    picks: tuple[Pick, ...]
    predicted: float | None = None
    """What the round was expected to cost, in the first limited resource; None: no prediction."""
    by_arm: tuple[Bought, ...] = ()
    """What was bought, kind by kind and arm by arm, where that was a choice."""


OnRound = Callable[[Round], None]


@runtime_checkable
class Strategy(Protocol):
    """Spends a purse on questions."""

    @property
    def name(self) -> str: ...

    async def solve(
        self, questions: Sequence[Question], bench: Workbench, on_round: OnRound | None = None
    ) -> list[Answer]:
        """One answer per question, in order, whatever the purse allowed: anytime, never over."""
        ...


@runtime_checkable
class Picky(Protocol):
    """A strategy that needs more than any source offers, and says so before anything is spent."""

    def check(self, questions: Sequence[Question], bench: Workbench) -> None:
        """Raises `BadInput` where it can't work on these questions with these models."""
        ...


def to_answer(work: Work, pick: Pick, declined: Declined | None = None) -> Answer:
    """The answer for `work` when spending has ended."""
    return Answer(
        question_id=work.question.id,
        text=pick.answer,
        p_right=pick.p_right,
        attempts=len(work.attempts),
        usage=work.usage(),
        verified=work.verified is not None and pick.answer == work.verified,
        stopped=work.stopped or "budget",
        declined=declined,
    )
