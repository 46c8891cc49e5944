"""The driver of steered strategies: one text per question, steered while it is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bursar.answer import Answer
from bursar.backends.base import Completion, Request, Steer
from bursar.errors import BackendError, BadInput
from bursar.reason.base import Arm, Attempt, OnRound, Pick, Round, Work, to_answer
from bursar.reason.purse import Call
from bursar.reason.workbench import Workbench
from bursar.workload.tasks.base import Question, Task
from bursar.workload.tasks.verdicts import REVISE_MARKER


@dataclass(frozen=True, slots=True)
class SteeredTexts:
    """Buys each question one text of at most `max_tokens` under the steer that `make` gives for
    the first model's name; its answer is the last one that the text states.

    `tasks`: what the steer was made for. Raises `BadInput` on another task, and on a model that
    can't be steered.
    """

    name: str
    make: Callable[[str], Steer]
    max_tokens: int
    tasks: frozenset[str] = frozenset({"chain"})

    async def solve(
        self, questions: Sequence[Question], bench: Workbench, on_round: OnRound | None = None
    ) -> list[Answer]:
        backend = bench.backends[0]
        self._check(questions, bench)
        steer = self.make(backend)
        works = [Work(q) for q in questions]
        calls = [
            Call(
                backend,
                Request(
                    prompt=w.question.prompt,
                    max_tokens=self.max_tokens,
                    question_id=w.question.id,
                    temperature=bench.temperature,
                    seed=bench.seed,
                    steer=steer,
                ),
            )
            for w in works
        ]
        bought = 0
        for work, done in zip(works, await bench.purse.complete(calls), strict=True):
            if done is not None and not isinstance(done, BackendError):
                work.attempts.append(_read(work, backend, bench, done))
                work.stopped = "enough"
                bought += 1
        picks = tuple(Pick(w.attempts[-1].answer if w.attempts else None, None) for w in works)
        if on_round:
            on_round(Round(bench.purse.spent, None, bought, picks))
        return [to_answer(w, p) for w, p in zip(works, picks, strict=True)]

    def _check(self, questions: Sequence[Question], bench: Workbench) -> None:
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


def _read(work: Work, backend: str, bench: Workbench, done: Completion) -> Attempt:
    task = bench.tasks[work.question.task]
    answer = last_answer(task, work.question, done.text)
    return Attempt(
        arm=Arm(backend, bench.temperature),
        text=done.text,
        answer=answer,
        usage=done.usage,
        verified=task.check(work.question, answer) if bench.checker_at_hand(work) else None,
        logprob=done.logprob,
        truncated=done.stop_reason == "length",
    )


def last_answer(task: Task, question: Question, text: str) -> str | None:
    """The last answer that `text` states in any attempt: one cut short does not take back the
    answer before it."""
    attempts = reversed(text.split(REVISE_MARKER))
    found = (task.extract(question, attempt) for attempt in attempts)
    return next((answer for answer in found if answer is not None), None)
