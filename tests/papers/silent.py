"""A task whose solutions are read without the verdict that the built-in model puts after them.

With it, what a vote or a verifier adds can be told apart from what the model says by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bursar.workload.tasks.base import Question, Task
from bursar.workload.tasks.verdicts import without_verdict


@dataclass(frozen=True)
class Silent:
    """`task`, of whose texts the closing verdict is not read."""

    task: Task

    @property
    def name(self) -> str:
        return self.task.name

    @property
    def verifiable(self) -> bool:
        return self.task.verifiable

    @property
    def levels(self) -> tuple[str, ...]:
        return self.task.levels

    @property
    def max_tokens(self) -> int:
        return self.task.max_tokens

    def generate(
        self, count: int, *, seed: int, split: str = "test", levels: Sequence[str] | None = None
    ) -> list[Question]:
        return self.task.generate(count, seed=seed, split=split, levels=levels)

    def extract(self, question: Question, text: str) -> str | None:
        return self.task.extract(question, without_verdict(text))

    def check(self, question: Question, answer: str | None) -> bool:
        return self.task.check(question, answer)
