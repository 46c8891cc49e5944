"""Counted: backends that count what they are asked for, so that no spend stays out of the books.

A strategy must spend through the purse. One that calls a model directly would have more than it
pays for, and every comparison at equal budgets would be void. So what the backends counted
themselves is set against what the purse booked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bursar.backends.base import Backend, Completion, Request, spent_by
from bursar.errors import SpentElsewhere
from bursar.reason.purse import Purse
from bursar.usage import Usage


class Counted:
    """Wraps a backend; `used` is the sum of all that it generated for anybody."""

    def __init__(self, backend: Backend) -> None:
        self.name = backend.name
        self.steers = bool(getattr(backend, "steers", False))
        self._backend = backend
        self.used = Usage.zero()

    def upper_bound(self, request: Request) -> Usage:
        return self._backend.upper_bound(request)

    async def complete(self, requests: Sequence[Request]) -> list[Completion]:
        try:
            done = await self._backend.complete(requests)
        except BaseException as ended:
            self.used += spent_by(ended) or Usage.zero()
            raise
        self.used += Usage.total(c.usage for c in done)
        return done

    async def aclose(self) -> None:
        await self._backend.aclose()


def check_books(purse: Purse, backends: Iterable[Counted], spender: str) -> None:
    """Raises `SpentElsewhere` when the backends were used for more than the purse booked.

    Seconds are left out: the purse books those of a wave, not of a call. Booked may be more than
    counted: a call that failed without saying what it used is charged its whole hold.
    """
    used = Usage.total(b.used for b in backends)
    for resource, booked in purse.spent.known().items():
        counted = used.get(resource)
        # a millionth for the sum of floats in another order
        if resource != "seconds" and counted is not None and counted > booked * (1 + 1e-6):
            raise SpentElsewhere(spender, resource, booked, counted)
