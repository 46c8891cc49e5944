"""Memo: remembers what a backend answered, so that strategies are compared on the same draws.

A draw is fixed by (seed, question, sample number), so two strategies that ask for the same sample
get the same text at the same measured cost, generated once. What each pays is what it asked for.
Texts that are kept to go on from are not remembered: that would hold them all.
"""

from __future__ import annotations

from collections.abc import Sequence

from bursar.backends.base import Backend, Completion, Request
from bursar.usage import Usage


class Memo:
    """Wraps a backend; its answers are kept for the life of this object."""

    def __init__(self, backend: Backend) -> None:
        self.name = backend.name
        self.steers = bool(getattr(backend, "steers", False))
        self._backend = backend
        self._known: dict[Request, Completion] = {}

    def upper_bound(self, request: Request) -> Usage:
        return self._backend.upper_bound(request)

    async def complete(self, requests: Sequence[Request]) -> list[Completion]:
        if any(r.keep or r.after for r in requests):
            return await self._backend.complete(requests)
        fresh = [r for r in dict.fromkeys(requests) if r not in self._known]
        if fresh:
            for request, done in zip(fresh, await self._backend.complete(fresh), strict=True):
                self._known[request] = done
        return [self._known[r] for r in requests]

    async def aclose(self) -> None:
        await self._backend.aclose()
