"""The arithmetic of limits, pure: budgets in memory and accounts in a ledger check with the same.

Amounts are whole grains (`units.GRAINS`), so no sum drifts and no fifth of five spends is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bursar.errors import BadInput, BudgetExceeded, BursarError, Unbounded
from bursar.units import LIMITABLE, RESOURCES, from_grains, parse_amounts, to_grains
from bursar.usage import Grains, add_grains

Limits = str | Mapping[str, float] | None
"""Text such as ``"200k tokens, 2 USD"``, or resource -> amount, or None: no limit of its own."""


def limit_grains(limits: Limits) -> Grains:
    """Limits in whole grains; raises `BadInput` on bad text, an unknown resource or amount."""
    amounts = parse_amounts(limits) if isinstance(limits, str) else dict(limits or {})
    if unknown := sorted(set(amounts) - set(LIMITABLE)):
        raise BadInput(f"{unknown} can't be limited; limit one of {', '.join(LIMITABLE)}")
    return {name: to_grains(name, amount, limit=True) for name, amount in amounts.items()}


def amount_in(grains: Mapping[str, int], resource: str) -> int | None:
    """The grains of one limitable resource; None where a part of it is unknown."""
    parts = ("tokens_in", "tokens_out") if resource == "tokens" else (resource,)
    if any(grains.get(part + "?") for part in parts):
        return None
    return sum(grains.get(part, 0) for part in parts)


Charge = tuple[Grains, tuple[str, ...]]
"""What is charged, and the resources of which it is an estimate (the bound), not a measurement."""


def charge(measured: Grains | None, bound: Grains, limited: set[str]) -> Charge:
    """What to charge: `measured`, and the bound where a limited resource was not measured.

    None: nothing was measured, so the bound in every resource. More than the bound is charged as
    measured: an upstream that used more than it said has still used it.
    """
    if measured is None:
        return dict(bound), tuple(name for name in RESOURCES if not bound.get(name + "?"))
    names = {"tokens_in", "tokens_out"} | limited if "tokens" in limited else limited
    charged, estimated = dict(measured), []
    for name in RESOURCES:
        if name in names and charged.get(name + "?") and not bound.get(name + "?"):
            del charged[name + "?"]
            add_grains(charged, {name: bound.get(name, 0)})
            estimated.append(name)
    return charged, tuple(estimated)


@dataclass(slots=True)
class Scope:
    """One scope's limits, what was spent in it and below, and what is held, in grains."""

    path: str
    limits: Grains = field(default_factory=dict)
    spent: Grains = field(default_factory=dict)
    held: Grains = field(default_factory=dict)

    def add(self, grains: Mapping[str, int], *, held: int = 0, spent: int = 0) -> None:
        """Put `grains` in (1) or take them out (-1) of what is held or spent."""
        if held:
            add_grains(self.held, grains, held)
        if spent:
            add_grains(self.spent, grains, spent)

    def copy(self) -> Scope:
        """The same, not to be changed with it."""
        return Scope(self.path, self.limits, dict(self.spent), dict(self.held))

    def committed(self, resource: str) -> int:
        """What is spent or held; raises `Unbounded` when a part of it is not known."""
        spent, held = amount_in(self.spent, resource), amount_in(self.held, resource)
        if spent is None or held is None:
            raise Unbounded(self.path, resource, "some of it was spent unmeasured; use a new scope")
        return spent + held

    def left(self, resource: str) -> int:
        """What is neither spent nor held of a limited resource; negative after an overrun."""
        return self.limits[resource] - self.committed(resource)

    def fitting(self, asked: Mapping[str, int]) -> tuple[int | None, str]:
        """How many times `asked` fits, and the resource that binds; None: nothing asked is limited.

        None ever fits after an overrun. Raises `Unbounded` where a limited amount is unknown.
        """
        least: int | None = None
        binding = ""
        for resource in self.limits:
            amount = amount_in(asked, resource)
            if amount is None:
                raise Unbounded(self.path, resource, "give an upper bound, or drop the limit")
            room = self.left(resource)
            times = 0 if room < 0 else room // amount if amount else None
            if times is not None and (least is None or times < least):
                least, binding = times, resource
        return least, binding


def refusal(scopes: Iterable[Scope], asked: Mapping[str, int]) -> BursarError | None:
    """Why `asked` may not be spent: what the first of `scopes`, outermost first, has against it."""
    for scope in scopes:
        try:
            times, resource = scope.fitting(asked)
        except Unbounded as unbounded:
            return unbounded
        if times == 0:
            amounts = scope.limits[resource], scope.committed(resource), amount_in(asked, resource)
            return BudgetExceeded(
                scope.path, resource, *(from_grains(resource, amount or 0) for amount in amounts)
            )
    return None
