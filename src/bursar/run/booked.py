"""Booked: what a model of a server really used, in a ledger, whoever's limit it was charged to.

A comparison gives every strategy a limit of its own and lets them share their draws. What the
provider bills is each draw once, and that is what is booked here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from bursar.backends.base import Backend, Completion, Request, spent_by
from bursar.budget import Budget
from bursar.ledger import Ledger
from bursar.run.folder import new_folder
from bursar.usage import Usage


class Booked:
    """Wraps a backend; charges `budget` what it used, its bound where that is not known."""

    def __init__(self, backend: Backend, budget: Budget) -> None:
        self.name = backend.name
        self._backend, self._budget = backend, budget

    def upper_bound(self, request: Request) -> Usage:
        return self._backend.upper_bound(request)

    async def complete(self, requests: Sequence[Request]) -> list[Completion]:
        uppers = [self.upper_bound(r) for r in requests]
        holds = self._budget.reserve_many(
            uppers, [f"{self.name} {r.question_id}" for r in requests]
        )
        measured: list[Usage | None] = [None] * len(holds)
        try:
            done = await self._backend.complete(requests)
            measured = [completion.usage for completion in done]
            return done
        except BaseException as ended:
            if len(requests) == 1:  # else nobody knows whose it is
                measured = [spent_by(ended)]
            raise
        finally:
            self._budget.settle_many(holds, measured)

    async def aclose(self) -> None:
        await self._backend.aclose()


def is_hosted(name: str) -> bool:
    """Whether using the model of this name may cost somebody money."""
    return name.startswith("openai:")


@contextmanager
def booking(models: Mapping[str, Backend], out: Path | None) -> Iterator[dict[str, Backend]]:
    """The models, those of servers booked in `out`/ledger.sqlite; local ones cost nobody money."""
    hosted = [name for name in models if is_hosted(name)]
    if out is None or not hosted:
        yield dict(models)
        return
    with new_folder(out), Ledger(str(out / "ledger.sqlite")) as book:
        budget = book.budget(f"compare/{out.name}")
        yield {name: Booked(m, budget) if name in hosted else m for name, m in models.items()}
