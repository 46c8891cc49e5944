"""Everything bursar raises on purpose, with the exit code of the command line.

    BursarError
    ├── BadInput           2  a value we were given can't be used: which, the rule, a remedy
    ├── BudgetExceeded     1  a spend would pass a limit: scope, resource, limit, asked
    ├── Unbounded          1  a spend can't be bounded before it is spent, so it isn't started
    ├── SpentElsewhere     1  a strategy used a model without the purse: who, what, how much
    ├── Infeasible         1  the request can't be met: what binds, and by how much
    ├── LedgerCorrupt      1  the hash chain or the derived totals don't hold
    └── BackendError       3  an upstream failed: which, what it answered, what to try
        └── Exhausted      3  a replay has no recorded sample left

A message gives the value, the rule and a remedy. No message holds a secret.
"""

import math
from typing import Any


class BursarError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what the command line ends with."""

    exit_code = 1


class BadInput(BursarError, ValueError):
    """A value we were given can't be used."""

    exit_code = 2


class BudgetExceeded(BursarError):
    """A spend would pass the limit of `scope`. Amounts are in the unit of `resource`.

    `window` names the period of the limit, None for all time. `resets_at` is the epoch second at
    which it fits at the latest, if nothing else is spent meanwhile; None when never.
    """

    def __init__(
        self,
        scope: str,
        resource: str,
        limit: float,
        committed: float,
        asked: float,
        window: str | None = None,
        resets_at: float | None = None,
        now: float = 0.0,
    ) -> None:
        self.scope, self.resource = scope, resource
        self.limit, self.committed, self.asked = limit, committed, asked
        self.window, self.resets_at, self.now = window, resets_at, now
        per = "" if window is None else f" per {window}"
        resets = "" if resets_at is None else f"; resets in {_span(resets_at - now)}"
        super().__init__(
            f"{scope}: {asked:g} {resource} asked with {committed:g} of {limit:g}{per} spent or "
            f"held{resets}; raise the limit, or ask for at most {max(0.0, limit - committed):g}"
        )

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        amounts = self.limit, self.committed, self.asked
        when = self.window, self.resets_at, self.now
        return type(self), (self.scope, self.resource, *amounts, *when)


def _span(seconds: float) -> str:
    """Seconds for people, rounded up: ``"3 h"``."""
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds > 1.5 * size:
            return f"{math.ceil(seconds / size)} {unit}"
    return f"{max(1, math.ceil(seconds))} s"


class Unbounded(BursarError):
    """A spend has no known upper bound in a limited resource, so it is not started."""

    def __init__(self, scope: str, resource: str, remedy: str = "") -> None:
        self.scope, self.resource, self.remedy = scope, resource, remedy
        super().__init__(
            f"{scope}: {resource} is limited but can't be bounded before it is spent"
            + (f"; {remedy}" if remedy else "")
        )

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        return type(self), (self.scope, self.resource, self.remedy)


class SpentElsewhere(BursarError):
    """`spender` used models for more than the purse booked: its results are not at equal budget."""

    def __init__(self, spender: str, resource: str, booked: float, counted: float) -> None:
        self.spender, self.resource = spender, resource
        self.booked, self.counted = booked, counted
        super().__init__(
            f"{spender}: its models counted {counted:g} {resource}, its purse booked {booked:g}; "
            "whatever is spent on a model must go through bench.purse.complete"
        )

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        return type(self), (self.spender, self.resource, self.booked, self.counted)


class Infeasible(BursarError):
    """What was asked can't be met."""


class LedgerCorrupt(BursarError):
    """An entry was edited, or totals do not add up."""


class BackendError(BursarError):
    """An upstream failed. `usage` is what was spent all the same, so that the caller settles it.

    `usage` (a `bursar.usage.Usage`) is None when the source can't say; then the caller charges
    what it had reserved. `estimated` is True when `usage` is a bound instead of a reported amount.
    """

    exit_code = 3

    def __init__(self, message: str, *, usage: Any = None, estimated: bool = False) -> None:
        super().__init__(message)
        self.usage, self.estimated = usage, estimated


class Exhausted(BackendError):
    """No recorded sample is left for a question."""
