"""What is true now, for the dashboard: limits as they stand, upstreams, what runs, the price."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bursar.gateway.counter import Counter
from bursar.gateway.principal import OpenDoor
from bursar.gateway.seen.metrics import Metrics
from bursar.gateway.seen.now import AccountBudget
from bursar.gateway.tenants.actor import COMMAND_LINE
from bursar.gateway.tenants.budgets import AccountBudget as Budget
from bursar.gateway.tenants.budgets import standings
from bursar.gateway.tenants.store import Tenants
from bursar.gateway.upstream.in_turn import InTurn

MOST_BUDGETS = 300
RUNNING = "running"
_STATES = {"closed": "up", "half open": "trying", "open": "down"}


@dataclass(frozen=True, slots=True)
class Present:
    """Implements `seen.now.Now` over a gateway's parts; called from threads."""

    counter: Counter
    tenants: Tenants
    metrics: Metrics

    def budgets(self, root: str) -> Sequence[AccountBudget]:
        """See `Now.budgets`; without keys everybody's limits are those of the configuration."""
        listed = self.tenants.budgets.listed(COMMAND_LINE, under=root, most=MOST_BUDGETS)
        limits = self.counter.config.access.limits
        if not limits or not isinstance(self.counter.directory, OpenDoor):
            return listed
        account = self.counter.directory.principal.account
        now = standings(self.tenants.ledger.totals(account))
        return [*listed, Budget(account, 0, limits, (), now)]

    def price(self) -> Mapping[str, float]:
        """See `Now.price`: the highest of any model's, per token, relative to what is usual."""
        turns = [m.upstream for m in self.counter.desk.models.values()]
        prices = [turn.schedule.price_now() for turn in turns if isinstance(turn, InTurn)]
        return {"tokens": max(prices)} if any(prices) else {}

    def upstreams(self) -> Sequence[Mapping[str, Any]]:
        """See `Now.upstreams`."""
        found = []
        for model in list(self.counter.desk.models.values()):
            if isinstance(model.upstream, InTurn):
                found += [_seat(model.name, s) for s in model.upstream.snapshot()["upstreams"]]
            else:
                found.append({"name": model.upstream.name, "model": model.name, "state": "up"})
        return found

    def waiting(self) -> list[tuple[tuple[str], float]]:
        """Requests that wait for their turn here, by model, for the metrics."""
        models = list(self.counter.desk.models.values())
        return [
            ((model.name,), model.upstream.snapshot()["queue"]["waiting"])
            for model in models
            if isinstance(model.upstream, InTurn)
        ]

    def running(self) -> Sequence[Mapping[str, Any]]:
        """See `Now.running`."""
        return self.metrics.gathered(RUNNING)

    def running_here(self) -> list[dict[str, Any]]:
        """What this worker tells the others."""
        visits = list(self.counter.live.values())[:50]
        return [
            {
                "request_id": visit.request_id,
                "began_at": visit.began_at,
                "account": visit.ask.account if visit.ask else "",
                "endpoint": visit.endpoint,
                "model": visit.ask.model[:200] if visit.ask else "",
            }
            for visit in visits
        ]


def _seat(model: str, seat: Mapping[str, Any]) -> dict[str, Any]:
    """One upstream of a pool, as the dashboard names things."""
    return {
        **seat,
        "name": seat["upstream"],
        "model": model,
        "state": _STATES[seat["state"]],
        "in_flight": seat["calls"],
        "failed_share": seat["failed"] / seat["sent"] if seat["sent"] else 0.0,
    }
