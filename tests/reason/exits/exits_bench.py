"""A workbench on the small built-in model, and one on a model that only answers."""

from collections.abc import Sequence

from bursar.backends import open_backend
from bursar.backends.base import Completion, Request
from bursar.budget import Budget
from bursar.reason.purse import Purse
from bursar.reason.workbench import Workbench
from bursar.usage import Usage
from bursar.workload.tasks import TASKS
from bursar.workload.tasks.base import Question


def bench(tokens: float | None, strategy: str = "") -> Workbench:
    limits = None if tokens is None else {"tokens": tokens}
    model = "tiny-0.3m-checks" if strategy == "budget_guidance" else "tiny-0.3m"
    return Workbench(Purse(Budget(limits), {model: open_backend(model)}), TASKS)


class Answering:
    """Gives the reference as its text; shows no states."""

    name = "answering"

    def __init__(self, questions: Sequence[Question]) -> None:
        self._answers = {q.id: f"#{q.answer}\n" for q in questions}

    def upper_bound(self, request: Request) -> Usage:
        return Usage(tokens_in=10, tokens_out=request.max_tokens)

    async def complete(self, requests: Sequence[Request]) -> list[Completion]:
        return [
            Completion(self._answers[r.question_id], Usage(tokens_in=10, tokens_out=5), "stop")
            for r in requests
        ]

    async def aclose(self) -> None:
        pass


def replayed(questions: Sequence[Question]) -> Workbench:
    return Workbench(Purse(Budget(None), {"answering": Answering(questions)}), TASKS)
