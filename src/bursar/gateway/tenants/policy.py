"""What to do near a limit, before anything is refused: pure, one decision for each request.

In this order: the cheaper model that the key names; a smaller budget, for requests that can do with
fewer samples; to wait, where the limit's period ends soon. Hard limits are the ledger's: this only
chooses what is asked of it, so standings may be a second old.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bursar.gateway.principal import Principal
from bursar.gateway.tenants.budgets import Standing
from bursar.usage import Usage


@dataclass(frozen=True, slots=True)
class Degrading:
    """When to spend less: from `near` of a limit on, budgets are cut to the share `fewer`, and a
    request that does not fit waits up to `wait_s` for a period to end."""

    near: float = 0.9
    fewer: float = 0.5
    wait_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Decision:
    """How to serve a request: by `model`, with the share `scale` of its budget, once `wait_s`
    seconds have passed (then decide again). `why` is for the response; empty: just as asked.

    `refused`: nothing of this fits; what the ledger says when asked all the same is the reason.
    """

    model: str
    scale: float = 1.0
    wait_s: float = 0.0
    why: str = ""
    refused: bool = False


def degrade(
    policy: Degrading,
    principal: Principal,
    standings: Sequence[Standing],
    model: str,
    upper: Callable[[str, float], Usage],
    *,
    divisible: bool,
    now: float,
) -> Decision:
    """How to serve a request for `model`, given how full the limits are that it counts in.

    `upper(model, scale)` bounds what it uses; `divisible` requests can do with a smaller budget.
    `now` is in epoch seconds.
    """
    asked = upper(model, 1.0)
    tight = [s for s in standings if _used(s) >= policy.near] + _blocking(standings, asked)

    def helps(way: Decision) -> bool:
        """Whether it takes less of what is short: a cheaper model is no fewer requests."""
        less = upper(way.model, way.scale)
        return any((less.get(s.resource) or 0.0) < (asked.get(s.resource) or 0.0) for s in tight)

    ways = [way for way in _cheaper_ways(policy, principal, model, divisible) if helps(way)]
    for way in ways or [Decision(model)]:
        if not _blocking(standings, upper(way.model, way.scale)):
            return way
    least = (ways or [Decision(model)])[-1]
    wait = _wait(standings, upper(least.model, least.scale), now)
    if wait is not None and wait <= policy.wait_s:
        return Decision(model, wait_s=wait, why="waits for the period of a limit to end")
    return Decision(model, refused=True)


def _cheaper_ways(
    policy: Degrading, principal: Principal, model: str, divisible: bool
) -> Iterator[Decision]:
    """From the one that takes least away to the least that is worth doing."""
    cheaper = principal.degrade.get(model, model)
    if cheaper != model and principal.may_use(cheaper):
        yield Decision(cheaper, why=f"near a limit: {cheaper} in place of {model}")
    else:
        cheaper = model
    if divisible:
        instead = "" if cheaper == model else f", and {cheaper} in place of {model}"
        why = f"near a limit: {policy.fewer:.0%} of its budget{instead}"
        yield Decision(cheaper, policy.fewer, why=why)


def _used(standing: Standing) -> float:
    used = standing.spent + standing.held
    return used / standing.limit if standing.limit else 1.0


def _blocking(standings: Sequence[Standing], asked: Usage) -> list[Standing]:
    """The limits that `asked` would pass; what is not known is the ledger's to refuse."""
    return [s for s in standings if (asked.get(s.resource) or 0.0) > max(0.0, s.left)]


_MOMENT_S = 0.01
"""A period that ends just now has not ended yet."""


def _wait(standings: Sequence[Standing], asked: Usage, now: float) -> float | None:
    """Seconds until the periods end that `asked` does not fit in; None when that does not help."""
    waits = [0.0]
    for s in _blocking(standings, asked):
        if s.resets_at is None or (asked.get(s.resource) or 0.0) > s.limit:
            return None
        waits.append(max(_MOMENT_S, s.resets_at - now))
    return max(waits)
