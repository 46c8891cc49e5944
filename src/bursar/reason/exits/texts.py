"""The driver of steered strategies: one text per question, steered while it is written."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bursar.answer import Answer
from bursar.backends.base import Completion, Request, Steer
from bursar.errors import BackendError, BadInput
from bursar.reason.base import Arm, Attempt, OnRound, Pick, Round, Work, to_answer
from bursar.reason.purse import Call
from bursar.reason.workbench import Workbench
from bursar.workload.tasks.base import Question, Task
from bursar.workload.tasks.verdicts import REVISE_MARKER

_PLENTY = 1e9


@dataclass(frozen=True, slots=True)
class SteeredTexts:
    """Buys each question one text of at most `max_tokens` under the steer that `make` gives for
    the first model's name; `read` finds its answer.

    `tasks`: what the steer was made for. Raises `BadInput` on another task, and on a model that
    can't be steered.
    """

    name: str
    make: Callable[[str], Steer]
    max_tokens: int
    read: Callable[[Task, Question, Completion], str | None]
    share: bool = False
    """Whether a limit on tokens is dealt out in equal shares; else texts are bought whole, in
    order, for as long as it lasts."""
    tasks: frozenset[str] = frozenset({"chain"})

    async def solve(
        self, questions: Sequence[Question], bench: Workbench, on_round: OnRound | None = None
    ) -> list[Answer]:
        backend = bench.backends[0]
        self.check(questions, bench)
        steer = self.make(backend)
        works = [Work(q) for q in questions]
        room = self._room(len(works), bench) if works else 0.0
        calls = []
        for work in works:
            request = Request(
                prompt=work.question.prompt,
                max_tokens=self.max_tokens,
                question_id=work.question.id,
                temperature=bench.temperature,
                seed=bench.seed,
                steer=steer,
            )
            prompt = bench.purse.upper_bound(Call(backend, request)).tokens_in or 0.0
            most = max(1, min(self.max_tokens, math.floor(room - prompt)))
            calls.append(Call(backend, replace(request, max_tokens=most)))
        bought = 0
        for work, done in zip(works, await bench.purse.complete(calls), strict=True):
            if done is not None and not isinstance(done, BackendError):
                work.attempts.append(self._attempt(work, bench, done))
                work.stopped = "enough"
                bought += 1
        picks = tuple(Pick(w.attempts[-1].answer if w.attempts else None, None) for w in works)
        if on_round:
            on_round(Round(bench.purse.spent, None, bought, picks))
        return [to_answer(w, p) for w, p in zip(works, picks, strict=True)]

    def _room(self, count: int, bench: Workbench) -> float:
        """The most tokens, prompt and all, that one of `count` texts may use."""
        limited = self.share and "tokens" in bench.purse.limited
        return bench.purse.left("tokens") / count if limited else _PLENTY

    def _attempt(self, work: Work, bench: Workbench, done: Completion) -> Attempt:
        task = bench.tasks[work.question.task]
        answer = self.read(task, work.question, done)
        return Attempt(
            arm=Arm(bench.backends[0], bench.temperature),
            text=done.text,
            answer=answer,
            usage=done.usage,
            verified=task.check(work.question, answer) if bench.checker_at_hand(work) else None,
            logprob=done.logprob,
            truncated=done.stop_reason == "length",
        )

    def check(self, questions: Sequence[Question], bench: Workbench) -> None:
        """See `Picky.check`: it needs a model that can be steered, and tasks that it knows."""
        backend = bench.backends[0]
        if not getattr(bench.purse.backends[backend], "steers", False):
            raise BadInput(
                f"{self.name} needs the states and logits behind every token, which {backend} does "
                "not show: use a built-in model (tiny-1m), or adaptive_consistency"
            )
        other = {q.task for q in questions} - self.tasks
        if other:
            raise BadInput(
                f"{self.name} knows {', '.join(sorted(self.tasks))}, not "
                f"{', '.join(sorted(other))}: leave these questions out"
            )


def last_answer(task: Task, question: Question, done: Completion) -> str | None:
    """The last answer that a text states in any attempt: one cut short does not take back the
    answer before it."""
    attempts = reversed(done.text.split(REVISE_MARKER))
    found = (task.extract(question, attempt) for attempt in attempts)
    return next((answer for answer in found if answer is not None), None)
