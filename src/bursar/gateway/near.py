"""Near a limit: what `tenants.policy` decides, carried out on a request before anything is held."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bursar.gateway.ask import Ask
from bursar.gateway.tenants.policy import Decision, Degrading, degrade
from bursar.gateway.tenants.watch import Watch
from bursar.usage import Usage

Upper = Callable[[str, float], Usage]


@dataclass(slots=True)
class Near:
    """Asked for every request; where no limit is near it costs a look into memory."""

    watch: Watch
    policy: Degrading
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    clock: Callable[[], float] = time.time
    _looked_at: float = 0.0

    async def way(self, ask: Ask, model: str, upper: Upper, *, divisible: bool) -> Decision:
        """How to serve `ask`, once it has waited as long as is decided; what then does not fit is
        the ledger's to refuse."""
        decision = self._decide(ask, model, upper, divisible)
        if decision.wait_s:
            await self.sleep(decision.wait_s + _BEAT_S)
            again = self._decide(ask, model, upper, divisible)
            if not again.wait_s:
                return again
        return decision

    async def look_again(self, account: str) -> bool:
        """Sees how full limits are now; False where that was done just before, or is no help."""
        if not self.watch.standings(account) or self.clock() - self._looked_at < _AGAIN_S:
            return False
        self._looked_at = self.clock()
        await asyncio.to_thread(self.watch.look)
        return True

    def _decide(self, ask: Ask, model: str, upper: Upper, divisible: bool) -> Decision:
        standings = self.watch.standings(ask.account)
        if not standings:
            return Decision(model)
        now = self.clock()
        return degrade(
            self.policy, ask.principal, standings, model, upper, divisible=divisible, now=now
        )


_BEAT_S = 1.5
"""Longer than the watch takes to look again."""
_AGAIN_S = 0.1
"""Least time between two looks that refusals set off: a flood of them must not cost more."""
