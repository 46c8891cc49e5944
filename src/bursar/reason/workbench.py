"""The workbench: buys attempts. It turns (question, arm) into requests, spends through the purse,
reads the answers out of the texts, and asks whatever verifier is at hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bursar.backends.base import Completion, Request
from bursar.errors import BackendError, BadInput
from bursar.reason.base import Arm, Attempt, Work
from bursar.reason.purse import Call, Purse
from bursar.reason.verifiers import Scorer
from bursar.usage import Usage
from bursar.workload.tasks.base import Task


@dataclass(slots=True)
class Workbench:
    """Everything a strategy may use: the purse, the tasks' readers and checkers, the models' names.

    `check` False hides the exact checkers (a study without a verifier). `scorers` maps a backend to
    a learned verifier of its hidden states. `temperature` is that of a fresh sample.
    """

    purse: Purse
    tasks: Mapping[str, Task]
    seed: int = 0
    check: bool = True
    scorers: Mapping[str, Scorer] = field(default_factory=dict)
    temperature: float = 0.7
    greedy: frozenset[str] = frozenset()
    """Backends for which temperature 0 means something: recorded answers have none."""
    stop: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Texts with which a backend ends an attempt; they stay part of it."""
    revise: Mapping[str, Callable[[str], str]] = field(default_factory=dict)
    """How to make a backend go on after its answer: what it said -> the prefix of a new attempt."""
    keeps: frozenset[str] = frozenset()
    """Backends that hold texts to go on from."""
    steps: Mapping[str, str] = field(default_factory=dict)
    """With what a step of a backend's texts ends; who is missing can't be asked for steps."""
    judge: Mapping[str, Callable[[str], str]] = field(default_factory=dict)
    """How to make a backend judge what was said: that text -> the prefix of its verdict."""

    read: Mapping[str, Callable[[str], str]] = field(default_factory=dict)
    """How to settle a backend's text that holds several answers, before it is read."""
    max_tokens: Mapping[str, int] = field(default_factory=dict)
    """Room that a backend's attempt needs where it is not the task's."""

    @property
    def backends(self) -> tuple[str, ...]:
        return tuple(self.purse.backends)

    def checker_at_hand(self, work: Work) -> bool:
        """Whether an exact checker may be asked while spending."""
        return self.check and self._task(work).verifiable

    def arms(self) -> tuple[Arm, ...]:
        """What a strategy that compares may choose from: every backend, greedy or sampled."""
        greedy = tuple(Arm(b, 0.0) for b in self.backends if b in self.greedy)
        sampled = tuple(Arm(b, self.temperature) for b in self.backends)
        return tuple(dict.fromkeys(greedy + sampled))

    def step_of(self, backend: str) -> str:
        """With what a step of its texts ends; raises `BadInput` where steps can't be bought."""
        if backend not in self.steps:
            raise BadInput(
                f"{backend} can't be asked for single steps; choose a strategy that takes whole "
                "answers, such as self_consistency"
            )
        return self.steps[backend]

    def upper_bound(self, work: Work, arm: Arm) -> Usage:
        """The most that one more attempt by `arm` can use."""
        return self.purse.upper_bound(Call(arm.backend, self.request(work, arm, 0)))

    def request(self, work: Work, arm: Arm, sample: int) -> Request:
        """The request for one more attempt; `sample` numbers the draws of this arm."""
        task = self._task(work)
        prefix = ""
        if arm.revise and work.attempts:
            if arm.backend not in self.revise:
                raise BadInput(f"{arm.backend} can't revise its answers; use a sampling strategy")
            prefix = self.revise[arm.backend](work.attempts[-1].text)
        return Request(
            prompt=work.question.prompt,
            prefix=prefix,
            max_tokens=self.max_tokens.get(arm.backend, task.max_tokens),
            question_id=work.question.id,
            sample=sample,
            temperature=arm.temperature,
            stop=self.stop.get(arm.backend, ()),
            seed=self.seed,
            want_hidden=arm.backend in self.scorers,
        )

    async def attempt(self, moves: Sequence[tuple[Work, Arm]]) -> int:
        """Buy one attempt per move, in order; returns how many the purse could not cover.

        Each attempt is appended to its `Work`; an arm that can give no more is closed there.
        """
        extra: Counter[tuple[str, Arm]] = Counter()
        asked = []
        for work, arm in moves:
            key = (work.question.id, arm)
            drawn = sum(a.arm == arm for a in work.attempts) + extra[key]
            extra[key] += 1
            asked.append((work, arm, self.request(work, arm, drawn)))
        return await self.buy(asked)

    async def buy(self, asked: Sequence[tuple[Work, Arm, Request]]) -> int:
        """`attempt` with requests of the caller's own making: another prefix, stop or length."""
        calls = [Call(arm.backend, request) for _, arm, request in asked]
        completions = await self.purse.complete(calls)
        for (work, arm, request), done in zip(asked, completions, strict=True):
            if isinstance(done, BackendError):
                work.closed.add(arm)
            elif done is not None:
                work.attempts.append(self._read(work, arm, request, done))
                work.kept = done.kept
        return sum(done is None for done in completions)

    def _read(self, work: Work, arm: Arm, request: Request, done: Completion) -> Attempt:
        task = self._task(work)
        text = request.prefix + done.text + done.meta.get("stop", "")
        settle = self.read.get(arm.backend)
        answer = done.meta.get("answer") or task.extract(
            work.question, settle(text) if settle else text
        )
        scorer = self.scorers.get(arm.backend)
        return Attempt(
            arm=arm,
            text=text,
            answer=answer,
            usage=done.usage,
            verified=task.check(work.question, answer) if self.checker_at_hand(work) else None,
            logprob=None if done.logprobs is None else float(np.sum(done.logprobs)),
            score=None if scorer is None else scorer.score(work.question.task, done),
            truncated=done.stop_reason == "length",
        )

    def _task(self, work: Work) -> Task:
        return self.tasks[work.question.task]
