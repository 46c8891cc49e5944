"""An upstream whose calls take turns: fair between tenants where there are more calls than places.

The unit of cost is a token, input or output: what a tenant's share is counted in.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bursar.gateway.schedule import Asking, Saturated, Schedule, Turn
from bursar.gateway.upstream.base import Call, Chunks, Reply, Tokens, UpstreamFailed
from bursar.gateway.upstream.pool import Pool


class InTurn:
    """`pool`, whose calls go as `schedule` says. A call that is not let in fails with 429, free."""

    def __init__(self, pool: Pool, schedule: Schedule) -> None:
        self.pool, self.schedule = pool, schedule
        self.name = pool.name

    @property
    def most_billed(self) -> int:
        """See `Upstream.most_billed`."""
        return self.pool.most_billed

    async def complete(self, call: Call) -> Reply:
        """See `Upstream.complete`."""
        async with self._turn(call) as turn:
            reply = await self.pool.complete(call)
            turn.cost = _cost(reply.tokens)
            return reply

    @asynccontextmanager
    async def stream(self, call: Call) -> AsyncIterator[Chunks]:
        """See `Upstream.stream`."""
        async with self._turn(call) as turn, self.pool.stream(call) as chunks:
            yield chunks
            turn.cost = _cost(chunks.tokens)

    async def probe(self) -> None:
        """See `Upstream.probe`."""
        await self.pool.probe()

    async def aclose(self) -> None:
        """See `Upstream.aclose`."""
        await self.pool.aclose()

    def snapshot(self) -> dict[str, Any]:
        """The pool's, and how its queue goes."""
        return {**self.pool.snapshot(), "queue": self.schedule.snapshot()}

    @asynccontextmanager
    async def _turn(self, call: Call) -> AsyncIterator[Turn]:
        who = call.who
        asking = Asking(
            who.tenant, float(who.cost), call.deadline, who.weight, who.priority, who.worth
        )
        let_in = False
        try:
            async with self.schedule.turn(asking) as turn:
                let_in = True
                if turn.queued_s and who.waited is not None:
                    who.waited(turn.queued_s)
                yield turn
        except Saturated as busy:
            if let_in:
                raise
            raise UpstreamFailed(
                str(busy),
                status=429,
                may_be_billed=False,
                repeatable=True,
                retry_after_s=busy.retry_after_s,
            ) from None


def _cost(tokens: Tokens | None) -> float | None:
    return None if tokens is None else float(tokens.tokens_in + tokens.tokens_out)
