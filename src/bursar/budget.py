"""`Budget`: a limit on any subset of resources, in nested scopes; `Hold`: reserve, then settle.

Spending is reserved at an upper bound before it starts and settled with what was measured after.
A reservation charges its scope and every ancestor; the check runs from the root down, so that the
outermost limit speaks first. All arithmetic is in whole grains (`units.GRAINS`): sums are exact.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from bursar.errors import BadInput, BursarError, Unbounded
from bursar.limits import Charge, Limits, Scope, charge, key_parts, limit_grains, refusal
from bursar.units import LIMITABLE, NO_PERIODS, from_grains
from bursar.usage import Grains, Usage, grains_of, usage_of


@dataclass(frozen=True, slots=True)
class Line:
    """One settled spend. `estimated` names the resources charged at their bound, not measured."""

    path: str
    what: str
    usage: Usage
    bound: Usage
    predicted: Usage | None = None
    price: Mapping[str, float] | None = None
    estimated: tuple[str, ...] = ()


class Account(Protocol):
    """Where a root's holds are kept durably: an account of a `Ledger`."""

    def scopes(self) -> list[Scope]:
        """The account's ancestors and itself, outermost first."""
        ...

    def reserve(
        self,
        bounds: Sequence[Grains],
        whats: Sequence[str],
        predicted: Usage | None,
        price: Mapping[str, float] | None,
    ) -> tuple[list[int], BursarError | None]:
        """Hold ids of as many as fit, in order, and why the next did not."""
        ...

    def settle(self, holds: Sequence[int], charges: Sequence[Charge]) -> list[Charge]:
        """Charge holds by id; what was charged in the end. All or none, and so with `release`."""
        ...

    def release(self, holds: Sequence[int]) -> None:
        """Free holds by id."""
        ...


class Budget:
    """A scope of spending: limits, what was spent and what is held; scopes nest.

    Thread-safe: one lock per tree. With a ledger account behind the root, every reserve and settle
    also waits for its commit there; scopes inside the root stay in this process.
    """

    def __init__(
        self,
        limits: Limits = None,
        *,
        name: str = "budget",
        parent: Budget | None = None,
        account: Account | None = None,
    ) -> None:
        if not name:
            raise BadInput("a budget needs a name, such as 'job'")
        self.name, self.parent = name, parent
        self.path: str = f"{parent.path}/{name}" if parent else name
        self._account: Account | None = parent._account if parent else account
        own = limit_grains(limits)
        if periods := [key for key in own if key_parts(key)[1]]:
            raise BadInput(f"{self.path} is limited in {', '.join(periods)}: {NO_PERIODS}")
        self._scope = Scope(self.path, own)
        self._lines: list[Line] = []
        self._lock: threading.Lock = parent._lock if parent else threading.Lock()
        self._chain: tuple[Budget, ...] = (*(parent._chain if parent else ()), self)
        self._limited: set[str] = {r for node in self._chain for r in node._scope.limits}

    def child(self, name: str, limits: Limits = None) -> Budget:
        """A scope inside this one: its spending counts here too. In-process only, so cheap."""
        return Budget(limits, name=name, parent=self)

    @property
    def limits(self) -> dict[str, float]:
        """This scope's own limits by resource; for a ledger's root, the account's for all time."""
        own = self._scopes()[-1].limits.items()
        return {r: from_grains(r, g) for r, g in own if key_parts(r)[1] is None}

    @property
    def spent(self) -> Usage:
        """What was charged here and below; None where a part of it was not measured.

        For a ledger's root: by every process that spends from the account.
        """
        return usage_of(self._scopes()[-1].spent)

    @property
    def held(self) -> Usage:
        """The upper bounds of open holds here and below; None where one has no bound."""
        return usage_of(self._scopes()[-1].held)

    @property
    def lines(self) -> tuple[Line, ...]:
        """What was settled through this object and its children, in order."""
        with self._lock:
            return tuple(self._lines)

    @property
    def overrun(self) -> bool:
        """Whether an upstream used more than was held, past a limit of this scope or an outer one.

        While it is so, everything that is asked is refused.
        """
        return any(scope.left(key) < 0 for scope in self._scopes() for key in scope.limits)

    def remaining(self, resource: str) -> float | None:
        """What may still be reserved, outer limits considered; None where nothing limits it.

        Negative after an overrun. Raises `Unbounded` when what was spent of it is not known.
        """
        if resource not in LIMITABLE:
            raise BadInput(f"{resource!r} can't be limited; ask one of {', '.join(LIMITABLE)}")
        rooms = [
            scope.left(key)
            for scope in self._scopes()
            for key in scope.limits
            if key_parts(key)[0] == resource
        ]
        return from_grains(resource, min(rooms)) if rooms else None

    def fits(self, upper: Usage, most: int) -> int:
        """How many spends of `upper` each could be reserved now, at most `most`.

        Raises `Unbounded` when a limited resource is None in `upper`.
        """
        asked = grains_of(upper)
        for scope in self._scopes():
            times = scope.fitting(asked)
            most = most if times is None else min(most, times)
        return most

    def reserve(
        self,
        upper: Usage,
        what: str = "",
        *,
        predicted: Usage | None = None,
        price: Mapping[str, float] | None = None,
    ) -> Hold:
        """Set `upper` aside in this scope and every outer one, before it is spent.

        `predicted` and `price` (value per unit, by resource) are for the record. Raises
        `BudgetExceeded` with the outermost scope in which it does not fit, `Unbounded` when a
        limited resource is None in `upper`; then nothing was reserved anywhere.
        """
        holds, refused = self._take([upper], [what], predicted, price)
        if refused:
            raise refused
        return holds[0]

    def reserve_many(
        self,
        uppers: Sequence[Usage],
        what: str | Sequence[str] = "",
        *,
        predicted: Usage | None = None,
        price: Mapping[str, float] | None = None,
    ) -> list[Hold]:
        """Holds for as many of `uppers`, from the first on, as fit: maybe none.

        `what` is one for all or one for each; `predicted` is that of each. One commit when a
        ledger is behind. Raises `Unbounded` when the first has no bound.
        """
        whats = [what] * len(uppers) if isinstance(what, str) else what
        holds, refused = self._take(uppers, whats, predicted, price)
        if isinstance(refused, Unbounded) and not holds:
            raise refused
        return holds

    def settle_many(self, holds: Sequence[Hold], measured: Sequence[Usage | None]) -> list[Line]:
        """Settle holds of this tree (see `Hold.settle`), in one commit when a ledger is behind.

        All of them or, on an error, none.
        """
        charges = [h._charge(m) for h, m in zip(holds, measured, strict=True)]
        return self._settle(holds, charges)

    def _scopes(self) -> list[Scope]:
        """Every scope from the outermost to this one: one consistent view of this process."""
        durable = self._account.scopes() if self._account else []
        with self._lock:
            inner = self._chain[1:] if self._account else self._chain
            return durable + [node._scope.copy() for node in inner]

    def _take(
        self,
        uppers: Sequence[Usage],
        whats: Sequence[str],
        predicted: Usage | None,
        price: Mapping[str, float] | None,
    ) -> tuple[list[Hold], BursarError | None]:
        holds: list[Hold] = []
        refused: BursarError | None = None
        with self._lock:
            for upper, what in zip(uppers, whats, strict=True):
                bound = grains_of(upper)
                refused = refusal((node._scope for node in self._chain), bound)
                if refused:
                    break
                self._hold(bound)
                holds.append(Hold(self, upper, bound, what, predicted, price))
        if not self._account or not holds:
            return holds, refused
        try:
            ids, late = self._account.reserve(
                [h._bound for h in holds], [h.what for h in holds], predicted, price
            )
        except BaseException:
            self._drop(holds)
            raise
        self._drop(holds[len(ids) :])
        for hold, number in zip(holds, ids, strict=False):
            hold._number = number
        return holds[: len(ids)], late or refused

    def _hold(self, bound: Grains, sign: int = 1) -> None:
        for node in self._chain:
            node._scope.hold(bound, sign=sign)

    def _drop(self, holds: Sequence[Hold]) -> None:
        with self._lock:
            for hold in holds:
                self._hold(hold._bound, -1)
                hold.state = "released"

    def _settle(self, holds: Sequence[Hold], charges: Sequence[Charge]) -> list[Line]:
        lines = []
        with self._closing(holds, "settled") as numbers:
            if self._account:
                charges = self._account.settle(numbers, charges)
        with self._lock:
            for hold, (charged, estimated) in zip(holds, charges, strict=True):
                hold.scope._hold(hold._bound, -1)
                lines.append(hold._line(charged, estimated))
                for node in hold.scope._chain:
                    node._scope.spend(charged)
                    node._lines.append(lines[-1])
        return lines

    def _release(self, hold: Hold) -> None:
        with self._closing([hold], "released") as numbers:
            if self._account:
                self._account.release(numbers)
        self._drop([hold])

    @contextmanager
    def _closing(self, holds: Sequence[Hold], how: str) -> Iterator[list[int]]:
        """Nobody else can close these holds; they stay open if the ledger can't be written."""
        taken: list[Hold] = []
        try:
            with self._lock:
                for hold in holds:
                    if hold.scope._lock is not self._lock:
                        raise BadInput(f"{hold} is of another budget; settle it there")
                    if hold.state != "open":
                        raise BadInput(f"{hold} is not open: settle or release a hold once")
                    hold.state = how
                    taken.append(hold)
            yield [hold._number for hold in holds]
        except BaseException:
            for hold in taken:
                hold.state = "open"
            raise


class Hold:
    """An upper bound set aside in a scope. Settle it with what was measured, or release it.

    As a context manager it never hides spend: left without either, it is charged at its bound.
    """

    __slots__ = ("_bound", "_number", "predicted", "price", "scope", "state", "upper", "what")

    def __init__(
        self,
        scope: Budget,
        upper: Usage,
        bound: Grains,
        what: str,
        predicted: Usage | None,
        price: Mapping[str, float] | None,
    ) -> None:
        self.scope, self.upper, self.what = scope, upper, what
        self.predicted, self.price = predicted, price
        self.state = "open"
        self._bound, self._number = bound, 0

    def settle(self, measured: Usage | None = None) -> Line:
        """Charge what was measured, in full, even past the bound; the rest of the hold is freed.

        A limited resource that was not measured is charged at its bound and named in the line's
        `estimated`; with no measurement at all, every resource is. Raises `BadInput` on a negative
        amount, when already closed, or when the ledger can't be written: in the first and last
        case the hold stays, and may be settled again.
        """
        return self.scope._settle([self], [self._charge(measured)])[0]

    def release(self) -> None:
        """Give the hold back, knowing that nothing was spent."""
        self.scope._release(self)

    def __enter__(self) -> Hold:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.state == "open":
            self.settle()

    def __repr__(self) -> str:
        return f"<Hold {self.scope.path} {self.what!r} {self.state}>"

    def _charge(self, measured: Usage | None) -> Charge:
        grains = None if measured is None else grains_of(measured)
        return charge(grains, self._bound, self.scope._limited)

    def _line(self, charged: Grains, estimated: tuple[str, ...]) -> Line:
        return Line(
            self.scope.path,
            self.what,
            usage_of(charged),
            self.upper,
            self.predicted,
            self.price,
            estimated,
        )
