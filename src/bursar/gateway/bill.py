"""The bill of a request: what it was allowed, what it used, call by call, and what was saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bursar.units import format_amount
from bursar.usage import Usage


@dataclass(frozen=True, slots=True)
class Charged:
    """One call to an upstream and what it is charged. `estimated`: the upstream did not say."""

    model: str
    upstream: str
    usage: Usage
    estimated: bool = False

    def to_dict(self) -> dict[str, Any]:
        shown = {"model": self.model, "upstream": self.upstream, **_known(self.usage)}
        return shown | ({"estimated": True} if self.estimated else {})


@dataclass(slots=True)
class Bill:
    """What becomes of a request's hold.

    `spent` is what the ledger charged, the sum of `calls` and, where an upstream could not say, of
    bounds. `stopped` says why an answer is not what it might have been: "budget", "seconds",
    "length"; empty when it is whole.
    """

    request_id: str
    account: str
    hold: int
    allowed: Usage
    limit: Mapping[str, float]
    calls: list[Charged] = field(default_factory=list)
    spent: Usage = field(default_factory=Usage.zero)
    estimated: bool = False
    stopped: str = ""
    strategy: str = ""
    why: dict[str, Any] = field(default_factory=dict)
    """What a strategy says of its answer: attempts, belief, price."""
    notes: list[str] = field(default_factory=list)
    """What was done to the request to stay within a budget."""
    closed: bool = False
    """Whether `spent` and `calls` are final."""

    @property
    def saved_usd(self) -> float | None:
        """Dollars left of what the naive strategy, all that was allowed, would have spent."""
        if self.allowed.usd is None or self.spent.usd is None:
            return None
        return max(0.0, self.allowed.usd - self.spent.usd)

    def to_dict(self) -> dict[str, Any]:
        """The `bursar` field of a reply."""
        shown: dict[str, Any] = {
            "request_id": self.request_id,
            "account": self.account,
            "entry": self.hold,
            "spent": _known(self.spent),
            "allowed": _known(self.allowed),
            "calls": _shown(self.calls),
            "saved_usd": self.saved_usd,
            "estimated": self.estimated,
        }
        if self.limit:
            shown["limit"] = dict(self.limit)
        if self.strategy:
            shown["strategy"] = self.strategy
            shown["why"] = self.why
        if self.stopped:
            shown["stopped"] = self.stopped
        if self.notes:
            shown["notes"] = self.notes
        return shown

    def headers(self) -> dict[str, str]:
        """The same in short, for clients that read no unknown fields."""
        spent = [
            format_amount(name, amount)
            for name, amount in (("tokens", self.spent.tokens), ("usd", self.spent.usd))
            if amount is not None
        ]
        return {
            "x-request-id": self.request_id,
            "x-bursar-spent": ", ".join(spent),
            "x-bursar-entry": str(self.hold),
        }


MOST_SHOWN = 32


def _shown(calls: list[Charged]) -> list[dict[str, Any]]:
    """Each call, or where there are many, each upstream's together."""
    if len(calls) <= MOST_SHOWN:
        return [call.to_dict() for call in calls]
    together: dict[tuple[str, str, bool], list[Usage]] = {}
    for call in calls:
        together.setdefault((call.model, call.upstream, call.estimated), []).append(call.usage)
    return [
        {**Charged(model, upstream, Usage.total(usages), estimated).to_dict(), "calls": len(usages)}
        for (model, upstream, estimated), usages in together.items()
    ]


def _known(usage: Usage) -> dict[str, float]:
    return {name: amount for name, amount in usage.known().items() if amount}
