"""Questions about a hidden rule that only demonstrations reveal, in the built-in vocabulary.

    n17e
    n6a
    n29

A rule gives each class of numbers (x modulo the letter's number of classes) an answer of its own;
with more classes more demonstrations are needed before one of the query's class is among them.
Letter ``k`` has a rule that never changes, x modulo 10, and needs none. An answer is a letter, so
that it follows its number as one token.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from bursar.errors import BadInput
from bursar.workload.tasks.base import Question

CLASSES = {"k": 0, "l": 1, "m": 2, "n": 4, "o": 8}
"""Letter -> classes of its rules; 0: the rule is known."""
NUMBERS = 32
ANSWERS = "abcdefghij"
TASK = "hidden_rules"


@dataclass(frozen=True, slots=True)
class HiddenRule:
    """One rule: a letter and the answer to each of its classes."""

    letter: str
    answers: str

    @classmethod
    def draw(cls, rng: random.Random, letter: str) -> HiddenRule:
        """A rule of `letter`; distinct classes may share an answer."""
        return cls(letter, "".join(rng.choices(ANSWERS, k=CLASSES[letter])))

    def value(self, x: int) -> str:
        """The answer to `x`."""
        answers = self.answers or ANSWERS
        return answers[x % len(answers)]

    def line(self, x: int) -> str:
        """A demonstration."""
        return f"{self.letter}{x}{self.value(x)}\n"

    def query(self, x: int) -> str:
        """A demonstration without its answer."""
        return f"{self.letter}{x}"


@dataclass(frozen=True, slots=True)
class Demonstrated:
    """A query, and a pool of demonstrations of its rule in random order, other numbers only."""

    question: Question
    pool: tuple[str, ...]

    @classmethod
    def draw(cls, rng: random.Random, letter: str, name: str) -> Demonstrated:
        """A random rule with a query and every other number as a demonstration."""
        rule = HiddenRule.draw(rng, letter)
        query, *others = rng.sample(range(NUMBERS), NUMBERS)
        question = Question(name, TASK, rule.query(query), rule.value(query), rule.letter)
        return cls(question, tuple(rule.line(x) for x in others))


@dataclass(frozen=True, slots=True)
class HiddenRules:
    """The task set; level = letter. Questions come with demonstrations, so it makes its own."""

    name: str = TASK
    verifiable: bool = False
    levels: tuple[str, ...] = tuple(CLASSES)
    max_tokens: int = 1

    def draw(
        self, count: int, *, seed: int, split: str = "test", levels: Sequence[str] | None = None
    ) -> list[Demonstrated]:
        """`count` questions with their pools, levels in turn. Rules are drawn anew each time:
        `split` changes the draw, there is nothing to hold out by form.
        """
        letters = self.levels if levels is None else tuple(levels)
        if count < 0 or not letters or not set(letters) <= set(CLASSES):
            raise BadInput(
                f"{count} questions of levels {list(letters)}: take 0 or more, of "
                f"{', '.join(CLASSES)}"
            )
        rng = random.Random(f"{TASK}/{split}/{seed}")
        return [
            Demonstrated.draw(rng, letters[i % len(letters)], f"{TASK}-{split}-{seed}-{i}")
            for i in range(count)
        ]

    def generate(
        self, count: int, *, seed: int, split: str = "test", levels: Sequence[str] | None = None
    ) -> list[Question]:
        """The questions of `draw`, without their demonstrations."""
        drawn = self.draw(count, seed=seed, split=split, levels=levels)
        return [item.question for item in drawn]

    def extract(self, question: Question, text: str) -> str | None:
        """The first letter said."""
        return text[0] if text and text[0] in ANSWERS else None

    def check(self, question: Question, answer: str | None) -> bool:
        """Whether `answer` equals the reference."""
        return answer is not None and answer == question.answer
