"""Sleep-time compute: what questions about a context will need is worked out before they come.

Paper: Kevin Lin, Charlie Snell, Yu Wang, Charles Packer, Sarah Wooders, Ion Stoica, Joseph E.
    Gonzalez, "Sleep-time Compute: Beyond Inference Scaling at Test-time", 2025, arXiv:2504.13171;
    sections 2 and 5.
Symbols: c -> Context; c' = S(c) -> Notes; T_b(q, c') -> WithNotes; t, the price of an online token
    in offline ones -> 1 / discount.
Differs: a context lists what may be asked about it, with chances; what is not asked often enough to
    pay is left alone. There the model guesses the questions and rewrites the context freely.
Checked: tests/papers/test_sleep_time.py: online tokens down 3 times and more at no lower accuracy,
    the queries until it pays as the formula says, tokens saved rise with a query's predictability;
    with notes of another context accuracy is lost.
Seed: 36
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bursar.answer import Answer
from bursar.errors import BadInput
from bursar.reason.base import OnRound, Strategy
from bursar.reason.split import Scale, SplitAndSolve
from bursar.reason.workbench import Workbench
from bursar.workload.tasks.base import Question

Notes = Mapping[str, str]
"""Prompt of a fact -> what it came to."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something about a context that a query may need, as a question of its own.

    `chance` is that of one query needing it.
    """

    prompt: str
    chance: float

    def __post_init__(self) -> None:
        if not 0 <= self.chance <= 1:
            raise BadInput(f"chance {self.chance} of {self.prompt!r} must lie in [0, 1]")


@dataclass(frozen=True, slots=True)
class Context:
    """What many queries share: its facts, and how many queries are expected."""

    name: str
    task: str
    facts: tuple[Fact, ...]
    queries: float


@dataclass(frozen=True, slots=True)
class SleepTime:
    """Works out, likeliest first, the facts that at least `least_uses` queries are to need.

    A fact pays from about (attempts of `offline`) x (offline price / online price) uses on. Give it
    a bench whose purse spends from a scope of its own, `budget.child("offline")`, so that the
    receipt shows both.
    """

    offline: Strategy = field(
        default_factory=lambda: SplitAndSolve("offline", Scale(rater="all_hard"))
    )
    least_uses: float = 1.0

    async def think(self, contexts: Sequence[Context], bench: Workbench) -> dict[str, str]:
        """Notes on every context, as far as the bench's purse goes."""
        asked: dict[str, Question] = {}
        uses: dict[str, float] = {}
        for context in contexts:
            for index, fact in enumerate(context.facts):
                name = f"{context.name}/fact-{index}"
                asked.setdefault(fact.prompt, Question(name, context.task, fact.prompt))
                expected = fact.chance * context.queries
                uses[fact.prompt] = uses.get(fact.prompt, 0.0) + expected
        likeliest = sorted(asked, key=lambda prompt: -uses[prompt])
        questions = [asked[prompt] for prompt in likeliest if uses[prompt] >= self.least_uses]
        answers = await self.offline.solve(questions, bench)
        return {
            question.prompt: answer.text
            for question, answer in zip(questions, answers, strict=True)
            if answer.text is not None
        }


def recall_prefix(prompt: str, notes: Notes) -> str:
    """A chain with the longest noted beginning replaced by its value.

    The beginning must end before a plus or minus: nothing that follows may bind to its inside.
    """
    expression = prompt.removeprefix("chain ").strip()
    for length in range(len(expression) - 1, 0, -1):
        if expression[length] in "+-":
            known = notes.get(f"chain {expression[:length]}\n")
            if known is not None:
                return f"chain {known}{expression[length:]}\n"
    return prompt


def recall_text(prompt: str, notes: Notes) -> str:
    """The notes before the prompt, for a model that reads text."""
    known = "\n".join(f"{fact.strip()}: {result}" for fact, result in notes.items())
    return f"Known already:\n{known}\n\n{prompt}" if known else prompt


@dataclass(frozen=True, slots=True)
class WithNotes:
    """Answers by the strategy `online`, each question put the shorter way that `notes` allow."""

    notes: Notes
    online: Strategy
    recall: Callable[[str, Notes], str] = recall_prefix
    name: str = "sleep_time"

    async def solve(
        self, questions: Sequence[Question], bench: Workbench, on_round: OnRound | None = None
    ) -> list[Answer]:
        """See `Strategy.solve`."""
        shorter = [replace(q, prompt=self.recall(q.prompt, self.notes)) for q in questions]
        return await self.online.solve(shorter, bench, on_round)


def break_even_queries(
    offline: float, online_alone: float, online_with_notes: float, discount: float = 1.0
) -> float:
    """Queries after which thinking ahead has paid: discount x offline / saved a query.

    `offline` is spent in all, the others a query, in tokens or dollars (where `offline` is already
    in discounted dollars, leave `discount` at 1). Infinite where notes save nothing.
    """
    if min(offline, online_alone, online_with_notes, discount) < 0:
        raise BadInput(
            f"spends {offline}, {online_alone}, {online_with_notes} and discount {discount} "
            "must be zero or more"
        )
    saved = online_alone - online_with_notes
    return discount * offline / saved if saved > 0 else math.inf
