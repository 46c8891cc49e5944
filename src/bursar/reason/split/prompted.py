"""Parts that a language model names itself, with its own rating of how hard each is.

For a model that follows instructions, behind any backend. Asking costs one call a question, through
the purse like every other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bursar.backends.base import Completion, Request
from bursar.errors import BackendError
from bursar.reason.purse import Call
from bursar.reason.split.base import Division, Part, escaped
from bursar.reason.workbench import Workbench
from bursar.usage import Usage
from bursar.workload.tasks.base import Question

_ASK = """Divide this problem into at most {most} sub-problems, to be solved in order.
Do not solve them. Write one a line as `number. sub-problem [difficulty]`, where difficulty is a
number from 0 (routine) to 1 (hard). The last one must give the answer to the whole problem.

Problem:
{problem}
"""
_LINE = re.compile(r"^\s*\d+[.)]\s*(.+?)\s*\[\s*([01](?:\.\d+)?)\s*\]\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class PromptedSplitter:
    """Asks the first backend for at most `most` parts, in at most `max_tokens` tokens."""

    most: int = 6
    max_tokens: int = 512

    async def split(self, questions: Sequence[Question], bench: Workbench) -> list[Division]:
        """See `Splitter.split`. A plan that can't be read leaves the question whole."""
        backend = bench.backends[0]
        calls = [Call(backend, self._request(question, bench.seed)) for question in questions]
        told = await bench.purse.complete(calls)
        return [
            Division(())
            if plan is None
            else Division(self.parts(question.prompt, _text(plan)), plan.usage or Usage.zero())
            for question, plan in zip(questions, told, strict=True)
        ]

    def parts(self, problem: str, plan: str) -> tuple[Part, ...]:
        """The parts that the text `plan` names; the whole problem when it names none."""
        lines = _LINE.findall(plan)[: self.most]
        if not lines:
            return (Part(escaped(problem)),)
        parts = []
        known = ""
        for index, (asked, difficulty) in enumerate(lines):
            last = index == len(lines) - 1
            so_far = f"\n\nKnown so far:\n{known.rstrip()}" if known else ""
            goal = "Now answer the whole problem" if last else "Solve only this sub-problem"
            template = f"{escaped(problem)}{so_far}\n\n{goal}: {escaped(asked)}\n"
            parts.append(Part(template, tuple(range(index)), min(1.0, float(difficulty))))
            known += f"{escaped(asked)} Result: {{{index}}}\n"
        return tuple(parts)

    def phrasing(self, prompt: str, index: int) -> str:
        """The prompt itself: attempts differ by sampling."""
        return prompt

    def _request(self, question: Question, seed: int) -> Request:
        prompt = _ASK.format(most=self.most, problem=question.prompt)
        return Request(
            prompt, self.max_tokens, question_id=f"{question.id}/split", temperature=0.0, seed=seed
        )


def _text(plan: Completion | BackendError) -> str:
    return plan.text if isinstance(plan, Completion) else ""
