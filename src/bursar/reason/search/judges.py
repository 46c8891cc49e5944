"""Judges of steps: how likely a partial solution is to become a right one.

A judge that has to ask a model buys that through the purse, and says what each judgement cost.
`Rules` knows the truth of a step and `Noisy` spoils a judge on purpose: for studies.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np

from bursar.backends.base import Completion, Request
from bursar.backends.draws import uniforms
from bursar.reason.base import Arm, Work
from bursar.reason.purse import Call
from bursar.reason.search.tree import Node
from bursar.reason.verifiers import StepScorer
from bursar.reason.workbench import Workbench
from bursar.usage import Usage
from bursar.workload.tasks.base import Question, Task

Step = tuple[Question, Node]
Judged = tuple[list[float | None], list[Usage]]
"""A score in [0, 1] per step, None where the judge can't tell; and what each cost."""


class Judge(Protocol):
    """Scores steps."""

    @property
    def overhead(self) -> float:
        """About how many tokens it takes for each one that it judges."""
        ...

    async def judge(self, steps: Sequence[Step], bench: Workbench) -> Judged:
        """One score and one cost per step, in order."""
        ...


@runtime_checkable
class Stepwise(Protocol):
    """A task that can tell, line by line, whether a solution is still on its way."""

    def steps(self, question: Question, text: str) -> list[bool]: ...


@dataclass(frozen=True, slots=True)
class AtHand:
    """What costs nothing: the process-reward head where it is trusted, else the likelihood, per
    step (its geometric mean), so that long and short texts can be compared.
    """

    overhead = 0.0

    async def judge(self, steps: Sequence[Step], bench: Workbench) -> Judged:
        scorer = bench.scorers.get(bench.backends[0])
        head = scorer if isinstance(scorer, StepScorer) else None
        scores: list[float | None] = []
        for question, node in steps:
            if head and question.task in head.trusted and node.hidden is not None:
                scores.append(float(head.head.score(node.hidden[None], question.task)[0]))
            else:
                scores.append(math.exp(node.logprob / max(1, node.depth)))
        return scores, [Usage.zero()] * len(steps)


@dataclass(frozen=True, slots=True)
class Rules:
    """1 while every step so far is right by the task's own rules, else 0: an oracle, of steps only.

    For tasks with `steps`: sudoku4 says whether the grid can still be solved, chain and countdown
    whether the arithmetic is legal.
    """

    overhead = 0.0

    async def judge(self, steps: Sequence[Step], bench: Workbench) -> Judged:
        scores = [_all_right(bench.tasks[q.task], q, node.text) for q, node in steps]
        return scores, [Usage.zero()] * len(steps)


@dataclass(frozen=True, slots=True)
class Noisy:
    """A judge of which each score is moved on the logit scale by a normal draw of `noise`.

    The same step always gets the same draw. `sharpness` is the logit of a sure score: with truth
    of 0 or 1 the area under ROC is Phi(sqrt(2) sharpness / noise).
    """

    of: Judge
    noise: float
    sharpness: float = 2.0
    seed: int = 0

    @property
    def overhead(self) -> float:
        return self.of.overhead

    async def judge(self, steps: Sequence[Step], bench: Workbench) -> Judged:
        scores, costs = await self.of.judge(steps, bench)
        moved = [
            None if score is None else self._moved(score, question, node)
            for score, (question, node) in zip(scores, steps, strict=True)
        ]
        return moved, costs

    def _moved(self, score: float, question: Question, node: Node) -> float:
        a, b, *_ = uniforms(self.seed, question.id, node.text)
        normal = math.sqrt(-2 * math.log(a)) * math.cos(2 * math.pi * b)
        logit = self.sharpness * (2 * score - 1) + self.noise * normal
        return 1 / (1 + math.exp(-logit))


@dataclass(frozen=True, slots=True)
class Random:
    """The control: scores that know nothing, the same for the same step."""

    seed: int = 0
    overhead = 0.0

    async def judge(self, steps: Sequence[Step], bench: Workbench) -> Judged:
        scores: list[float | None] = [uniforms(self.seed, q.id, n.text)[0] for q, n in steps]
        return scores, [Usage.zero()] * len(steps)


@dataclass(frozen=True, slots=True)
class Lookahead:
    """Finishes the solution greedily from each step and takes the likelihood of all of it, 0 where
    the model disowns the end: the simulated value of tree of thoughts. Paid for like any text.
    """

    overhead = 3.0

    async def judge(self, steps: Sequence[Step], bench: Workbench) -> Judged:
        backend = bench.backends[0]
        calls = []
        open_ = [i for i, (_, node) in enumerate(steps) if not node.ended]
        for i in open_:
            question, node = steps[i]
            whole = bench.request(Work(question), Arm(backend, 0.0), 0)
            said = sum(n.tokens for n in node.path()[1:])
            calls.append(Call(backend, _onward(whole, node, max(1, whole.max_tokens - said))))
        scores: list[float | None] = [math.exp(node.logprob) for _, node in steps]
        costs = [Usage.zero()] * len(steps)
        for i, done in zip(open_, await bench.purse.complete(calls), strict=True):
            if not isinstance(done, Completion):
                continue
            question, node = steps[i]
            text = node.text + done.text + done.meta.get("stop", "")
            owned = bench.tasks[question.task].extract(question, text) is not None
            scores[i] = math.exp(node.logprob + (done.logprob or 0.0)) if owned else 0.0
            costs[i] = done.usage
        return scores, costs


def _onward(whole: Request, node: Node, max_tokens: int) -> Request:
    return replace(
        whole, prefix=node.text, after=node.kept, max_tokens=max_tokens, want_hidden=False
    )


def _all_right(task: Task, question: Question, text: str) -> float | None:
    if not isinstance(task, Stepwise):
        return None
    return float(np.all(task.steps(question, text)))
