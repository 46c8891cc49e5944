"""The ledger inside one transaction: rows read once, changed in memory, written together.

An operation that is refused has changed nothing, so that many callers can share one transaction.
What was read stays on the `Shelf` for the next one, as long as nobody else has written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bursar.errors import BadInput, BursarError
from bursar.ledger.chain import ancestors, dump, seal_columns, windows_text
from bursar.ledger.shelf import Held, Shelf, scope_of
from bursar.ledger.transaction import Row, Transaction
from bursar.limits import Charge, Scope, charge, refusal
from bursar.usage import Grains, add_grains
from bursar.windows import micros


class Book:
    """What one transaction reads and will write; `flush` writes it.

    Its time never goes back behind the last entry's, whatever the clocks of several machines say:
    a window that has ended does not come again.
    """

    def __init__(
        self, rows: Transaction, shelf: Shelf, now: float, environment: str, worker: str
    ) -> None:
        self._rows, self._shelf = rows, shelf
        self._environment, self._worker = environment, worker
        self._seq, self._head = rows.head()
        shelf.catch_up(rows, self._seq, self._head)
        self.now = max(now, shelf.time)
        self._at = micros(self.now)
        self._changed: set[str] = set()
        self._limited: set[str] = set()
        self._touched: dict[int, Held] = {}
        self._entries: list[Row] = []

    def load(self, accounts: Iterable[str], holds: Iterable[int]) -> None:
        """Read what operations are about to use and the shelf lacks, with one query each."""
        known = self._shelf.holds
        for some in _chunks({number for number in holds if number not in known}):
            self._load_holds(f"{_BEGAN} WHERE h.id IN ({_marks(some)})", some)
        paths = {*accounts, *(known[n].account for n in holds if n in known)}
        self._load_accounts(paths)

    def set_limits(self, account: str, limits: Grains) -> None:
        """From now on `account` has these limits and no others."""
        self._load_accounts([account])
        self._write("limit", account, bound=dump(limits))
        self._shelf.accounts[account].set_limits(limits, self._seq)
        self._limited.add(account)

    def limits(self, account: str) -> Grains | None:
        """The limits of `account`, None when there is no such account."""
        self._load_accounts([account])
        known = account in self._shelf.stored or account in self._changed
        return self._shelf.accounts[account].limits if known else None

    def reserve(
        self,
        account: str,
        asked: Sequence[tuple[Grains, str]],
        predicted: Grains | None,
        price: Mapping[str, float] | None,
        expires_at: float,
    ) -> tuple[list[int], BursarError | None]:
        """Holds for as many (bound, what) as fit, from the first on; why the next does not."""
        self._load_accounts([account])
        scopes = [self._shelf.accounts[path] for path in ancestors(account)]
        for scope in scopes:
            scope.advance(self._at)
        guess, worth = dump(predicted), dump(price)
        numbers: list[int] = []
        for bound, what in asked:
            if refused := refusal(scopes, bound):
                return numbers, refused
            text = dump(bound) or ""
            self._write(
                "hold",
                account,
                what=what,
                bound=text,
                predicted=guess,
                price=worth,
                expires_at=expires_at,
            )
            hold = Held(
                self._seq, account, what, bound, text, guess, worth, expires_at, self._at,
                self._worker, "open", False,
            )  # fmt: skip
            self._shelf.holds[hold.seq] = self._touched[hold.seq] = hold
            for scope in scopes:
                scope.hold(bound, hold.began)
            numbers.append(hold.seq)
        return numbers, None

    def settle(
        self, measured: Sequence[tuple[int, Grains | None, tuple[str, ...]]]
    ) -> list[Charge]:
        """Charge each hold (id, measured, what of it is estimated already); all or none.

        Unmeasured (None) is charged at the bound, and so is what is unknown but limited here. A
        hold that expired meanwhile was charged at its bound: that is corrected.
        """
        charges: list[Charge] = []
        holds = self._opened([number for number, _, _ in measured])
        for hold, (_, grains, before) in zip(holds, measured, strict=True):
            limited = {resource for scope in self._charged(hold) for resource in scope.limited}
            charged, estimated = charge(grains, hold.bound, limited)
            charges.append((charged, (*before, *estimated)))
            self._close(hold, "spend", *charges[-1])
        return charges

    def release(self, numbers: Sequence[int]) -> None:
        """Free holds of which nothing was spent; all or none."""
        for hold in self._opened(numbers):
            self._close(hold, "release", {}, ())

    def expire(self, worker: str | None = None) -> int:
        """Charge holds at their bound, for they may have been spent; how many there were.

        Those whose time has passed, or all open ones of `worker`.
        """
        if worker is None:
            self._load_holds(f"{_BEGAN} WHERE h.expires_at <= ? AND h.state = 'open'", (self.now,))
        else:
            self._load_holds(f"{_BEGAN} WHERE h.worker = ? AND h.state = 'open'", (worker,))
        late = [
            hold
            for _, hold in sorted(self._shelf.holds.items())
            if hold.state == "open"
            and (hold.expires_at <= self.now if worker is None else hold.worker == worker)
        ]
        self._load_accounts({hold.account for hold in late})
        for hold in late:
            charged, estimated = charge(None, hold.bound, set())
            self._after(hold, "expired", charged, estimated)
            for scope in self._charged(hold):
                scope.hold(hold.bound, hold.began, -1)
                scope.spend(charged, hold.began)
            self._move(hold, "expired")
        return len(late)

    def flush(self) -> None:
        """Write what changed."""
        if not self._entries:
            return
        run, shelf = self._rows.run, self._shelf
        run(_INSERT_ENTRY, self._entries)
        touched = self._touched.values()
        new = [hold for hold in touched if not hold.stored and hold.state != "closed"]
        run(
            _INSERT_HOLD,
            [(h.seq, h.account, h.bound_text, h.expires_at, h.state, h.worker) for h in new],
        )
        late = [hold for hold in touched if hold.stored and hold.state == "expired"]
        run(_EXPIRE_HOLD, [(hold.seq,) for hold in late])
        closed = [hold for hold in touched if hold.state == "closed"]
        run(_DELETE_HOLD, [(hold.seq,) for hold in closed if hold.stored])
        made = self._changed - shelf.stored
        run(_INSERT_ACCOUNT, [self._account(path) for path in sorted(made)])
        run(_UPDATE_ACCOUNT, [self._account(path) for path in sorted(self._changed - made)])
        limits = {path: dump(shelf.accounts[path].limits) for path in sorted(self._limited)}
        run(_LIMIT_ACCOUNT, [(text, path) for path, text in limits.items()])
        run(_MOVE_HEAD, [(self._seq, self._head)])
        for hold in new:
            hold.stored = True
        for hold in closed:
            del shelf.holds[hold.seq]
        shelf.stored |= made
        shelf.seq, shelf.head, shelf.time = self._seq, self._head, self.now

    def _account(self, path: str) -> Row:
        scope = self._shelf.accounts[path]
        return dump(scope.spent), dump(scope.held), windows_text(scope), path

    def _load_accounts(self, accounts: Iterable[str]) -> None:
        known = self._shelf.accounts
        missing = {path for account in accounts for path in ancestors(account)} - known.keys()
        for some in _chunks(missing):
            query = f"SELECT {_COLUMNS} FROM bursar_accounts WHERE path IN ({_marks(some)})"
            known.update({path: Scope(path) for path in some})
            for row in self._rows.rows(query, some):
                known[row[0]] = scope_of(*row)
                self._shelf.stored.add(row[0])

    def _load_holds(self, query: str, values: Row) -> None:
        for row in self._rows.rows(query, values):
            seq, account, what, bound, predicted, price, expires_at, time, worker, state = row
            if seq not in self._shelf.holds:
                self._shelf.holds[seq] = Held(
                    seq, account, what, json.loads(bound), bound, predicted, price, expires_at,
                    micros(time), worker, state, True,
                )  # fmt: skip

    def _charged(self, hold: Held) -> list[Scope]:
        return [self._shelf.accounts[path] for path in ancestors(hold.account)]

    def _opened(self, numbers: Sequence[int]) -> list[Held]:
        """These holds; raises `BadInput` unless all are to be closed."""
        self.load([], numbers)
        holds: dict[int, Held] = {}
        for number in numbers:
            hold = self._shelf.holds.get(number)
            if hold is None or hold.state == "closed" or number in holds:
                raise BadInput(f"hold {number} is not open; settle or release a hold once")
            holds[number] = hold
        return list(holds.values())

    def _close(self, hold: Held, kind: str, charged: Grains, estimated: tuple[str, ...]) -> None:
        delta = dict(charged)
        if late := hold.state == "expired":
            add_grains(delta, hold.bound, -1)
            kind = "correction"
        self._after(hold, kind, None if kind == "release" else delta, estimated)
        for scope in self._charged(hold):
            if not late:
                scope.hold(hold.bound, hold.began, -1)
            if delta:
                scope.spend(delta, hold.began)
        self._move(hold, "closed")

    def _move(self, hold: Held, state: str) -> None:
        hold.state = state
        self._touched[hold.seq] = hold

    def _after(
        self, hold: Held, kind: str, measured: Grains | None, estimated: Sequence[str]
    ) -> None:
        self._write(
            kind,
            hold.account,
            hold=hold.seq,
            what=hold.what,
            bound=hold.bound_text,
            predicted=hold.predicted,
            measured=dump(measured),
            estimated=",".join(estimated),
            price=hold.price,
        )

    def _write(
        self,
        kind: str,
        account: str,
        *,
        bound: str | None,
        hold: int | None = None,
        what: str = "",
        predicted: str | None = None,
        measured: str | None = None,
        estimated: str = "",
        price: str | None = None,
        expires_at: float | None = None,
    ) -> None:
        """Add an entry to the chain; the windows of all whom it charges are moved to its time."""
        self._seq += 1
        row = (
            self._seq, kind, account, hold, what, bound, predicted, measured, estimated, price,
            expires_at, self._environment, self.now, self._head,
        )  # fmt: skip
        self._head = seal_columns(row, self._worker)
        self._entries.append((*row, self._head, self._worker))
        for path in ancestors(account):
            self._shelf.accounts[path].advance(self._at)
            self._changed.add(path)


def _chunks(items: Iterable[Any], size: int = 1000) -> Iterator[list[Any]]:
    """Lists short enough for the parameters that one statement may have."""
    items = list(items)
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _marks(items: Sequence[Any]) -> str:
    return ",".join("?" * len(items))


_COLUMNS = "path, limits, spent, held, windows"
_BEGAN = (
    "SELECT h.id, e.account, e.what, e.bound, e.predicted, e.price, e.expires_at, e.time, e.worker,"
    " h.state FROM bursar_holds h JOIN bursar_entries e ON e.seq = h.id"
)
_INSERT_ENTRY = (
    "INSERT INTO bursar_entries (seq, kind, account, hold, what, bound, predicted, measured,"
    " estimated, price, expires_at, environment, time, prev_hash, hash, worker)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_INSERT_HOLD = (
    "INSERT INTO bursar_holds (id, account, bound, expires_at, state, worker)"
    " VALUES (?, ?, ?, ?, ?, ?)"
)
_EXPIRE_HOLD = "UPDATE bursar_holds SET state = 'expired' WHERE id = ?"
_DELETE_HOLD = "DELETE FROM bursar_holds WHERE id = ?"
_INSERT_ACCOUNT = (
    "INSERT INTO bursar_accounts (limits, spent, held, windows, path) VALUES ('{}', ?, ?, ?, ?)"
)
_UPDATE_ACCOUNT = "UPDATE bursar_accounts SET spent = ?, held = ?, windows = ? WHERE path = ?"
_LIMIT_ACCOUNT = "UPDATE bursar_accounts SET limits = ? WHERE path = ?"
_MOVE_HEAD = "UPDATE bursar_meta SET count = ?, head = ?"
