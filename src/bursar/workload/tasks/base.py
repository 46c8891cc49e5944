"""What a task is: questions, how to read an answer out of a text, and a checker.

A task is *verifiable* when `check` needs no hidden reference (Countdown: evaluate the expression),
so a strategy may call it while it spends. Otherwise `check` only grades, after the fact.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Question:
    """One question. `answer` is the reference, None when nobody knows; strategies never read it."""

    id: str
    task: str
    prompt: str
    answer: str | None = None
    level: str = ""


@runtime_checkable
class Task(Protocol):
    """A task set with its checker."""

    @property
    def name(self) -> str: ...

    @property
    def verifiable(self) -> bool:
        """True when `check` does not look at `question.answer`."""
        ...

    @property
    def levels(self) -> tuple[str, ...]: ...

    @property
    def max_tokens(self) -> int:
        """Enough output tokens for one attempt."""
        ...

    def generate(
        self, count: int, *, seed: int, split: str = "test", levels: Sequence[str] | None = None
    ) -> list[Question]:
        """`count` distinct questions, levels in equal shares, deterministic in `seed`.

        `split` is "train" or "test": held out by a hash of the question's canonical form, so that
        a commuted twin or the same grid is never on both sides.
        """
        ...

    def extract(self, question: Question, text: str) -> str | None:
        """The answer that `text` states, in canonical form (equal answers are equal strings)."""
        ...

    def check(self, question: Question, answer: str | None) -> bool:
        """Whether `answer` (as returned by `extract`) is right."""
        ...
