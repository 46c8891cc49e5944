"""Who knows what is true at this moment: running requests, limits, prices, upstreams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class Standing(Protocol):
    """One limit and how much of it is used, in the unit of `resource`."""

    @property
    def resource(self) -> str: ...
    @property
    def window(self) -> str:
        """ "day", "rolling 24 h"; empty for all time."""
        ...

    @property
    def limit(self) -> float: ...
    @property
    def spent(self) -> float: ...
    @property
    def held(self) -> float: ...
    @property
    def resets_at(self) -> float | None:
        """Epoch second at which the period ends."""
        ...


class AccountBudget(Protocol):
    """The limits of an account as people wrote them, and as they stand."""

    @property
    def account(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def limits(self) -> str: ...
    @property
    def standings(self) -> Sequence[Standing]: ...


class Now(Protocol):
    """Who knows. Called from threads, at most every second or two by each open dashboard."""

    def budgets(self, root: str) -> Sequence[AccountBudget]:
        """Accounts with limits at and below `root`, all where it is empty; a few hundred."""
        ...

    def price(self) -> Mapping[str, float]:
        """Resource -> the worth of a unit below which none is let in; empty: nothing is short."""
        ...

    def upstreams(self) -> Sequence[Mapping[str, Any]]:
        """Each with at least `name`, `model` and `state` ("up", "trying", "down").

        And, where known, `in_flight`, `queued`, `p50_s` and `failed_share`.
        """
        ...

    def running(self) -> Sequence[Mapping[str, Any]]:
        """Requests that run, in all workers.

        Each with `request_id`, `began_at`, `account`, `endpoint` and `model`.
        """
        ...
