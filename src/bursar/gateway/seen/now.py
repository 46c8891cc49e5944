"""What is true at this moment, and not yet history: running requests, limits, prices, upstreams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
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
        """Resource -> what one more unit is worth now, in dollars; empty while nothing is short."""
        ...

    def upstreams(self) -> Sequence[Mapping[str, Any]]:
        """Each with at least `name`, `model` and `state` ("up", "trying", "down").

        And, where known, `in_flight`, `queued`, `p50_s` and `failed_share`.
        """
        ...

    def running(self) -> Sequence[Mapping[str, Any]]:
        """Requests that run, in all workers: `Running.listed`."""
        ...


@dataclass(frozen=True, slots=True)
class Run:
    """A request that has begun and not ended."""

    request_id: str
    began_at: float
    account: str
    endpoint: str
    model: str


class Running:
    """The requests that run in this worker."""

    def __init__(self, most: int = 50) -> None:
        self._runs: dict[str, Run] = {}
        self._most = most

    def __len__(self) -> int:
        return len(self._runs)

    def begin(self, run: Run) -> None:
        """A request has begun."""
        self._runs[run.request_id] = run

    def end(self, request_id: str) -> None:
        """And ended; what never began may end too."""
        self._runs.pop(request_id, None)

    def listed(self) -> list[dict[str, Any]]:
        """Those that run longest, as JSON objects; from any thread."""
        runs = [asdict(run) for run in list(self._runs.values())[: self._most]]
        return [{**run, "model": run["model"][:200]} for run in runs]
