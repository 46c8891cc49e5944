"""A strategy as a source of attempts: one call runs it on one question, within the call's bound.

So a strategy that decides between sources, `auto` above all, can choose between searching and
sampling by price, knowing of either only what it costs and how often it is right.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from bursar.backends.base import Completion, Request, Source
from bursar.backends.draws import whole_number
from bursar.budget import Budget
from bursar.reason.base import Arm, Strategy, Work
from bursar.reason.purse import Call, Purse
from bursar.reason.workbench import Workbench
from bursar.usage import Usage
from bursar.workload.tasks.base import Question


@dataclass(frozen=True, slots=True)
class StrategyBackend:
    """Runs `strategy` with the first model of `bench` on the question of each request.

    A call may use as much as `attempts` whole attempts, and not more: that is its own purse. Its
    answer is in `meta["answer"]`, in canonical form; it has no text and no log-probabilities.
    """

    name: str
    strategy: Strategy
    bench: Workbench
    questions: Mapping[str, Question]
    attempts: float = 4.0

    def upper_bound(self, request: Request) -> Usage:
        """That of `attempts` whole attempts at the question."""
        return self._whole(request) * self.attempts

    async def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """One answer per request; the same request, the same answer."""
        return await asyncio.gather(*(self._solve(request) for request in requests))

    async def aclose(self) -> None:
        """Nothing of its own to give back."""

    async def _solve(self, request: Request) -> Completion:
        limits = {
            resource: amount
            for resource in ("tokens", *self.bench.purse.limited)
            if resource != "seconds" and (amount := self.upper_bound(request).get(resource))
        }
        inner = replace(
            self.bench,
            purse=Purse(Budget(limits), self._models()),
            seed=whole_number(request.seed, self.name, request.sample),
        )
        question = self.questions[request.question_id]
        (answer,) = await self.strategy.solve([question], inner)
        return Completion(
            text="",
            usage=inner.purse.spent,
            stop_reason="stop",
            meta={} if answer.text is None else {"answer": answer.text},
        )

    def _whole(self, request: Request) -> Usage:
        model = self.bench.backends[0]
        work = Work(self.questions[request.question_id])
        asked = self.bench.request(work, Arm(model, self.bench.temperature), 0)
        return self.bench.purse.upper_bound(Call(model, asked))

    def _models(self) -> dict[str, Source[Request, Completion]]:
        model = self.bench.backends[0]
        return {model: self.bench.purse.backends[model]}


@contextmanager
def offering(
    searches: Mapping[str, Strategy], works: Sequence[Work], bench: Workbench
) -> Iterator[None]:
    """For a while, `bench` has a source of attempts for each of `searches`, by its name."""
    purse, plain = bench.purse, bench.purse.backends
    questions = {work.question.id: work.question for work in works}
    alone = replace(bench, purse=Purse(purse.budget, plain))
    purse.backends = {
        **plain,
        **{name: StrategyBackend(name, how, alone, questions) for name, how in searches.items()},
    }
    try:
        yield
    finally:
        purse.backends = plain
