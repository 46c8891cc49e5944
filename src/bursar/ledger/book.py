"""The ledger inside one transaction: rows read once, changed in memory, written together.

An operation that is refused has changed nothing, so that many callers can share one transaction.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BindParameter, Select, bindparam, delete, insert, select, update
from sqlalchemy.engine import Connection, Row

from bursar.errors import BadInput, BursarError
from bursar.ledger.chain import Entry, ancestors, dump, entry_of, seal
from bursar.ledger.schema import ACCOUNTS, ENTRIES, HOLDS, META
from bursar.limits import Charge, Scope, charge, refusal
from bursar.usage import Grains, add_grains


@dataclass(slots=True)
class _Hold:
    began: Entry
    state: str
    stored: bool


def read_accounts(connection: Connection, paths: Iterable[str] | None = None) -> dict[str, Scope]:
    """The accounts of `paths` that exist; all accounts when None."""
    rows: list[Row[Any]] = []
    if paths is None:
        rows += connection.execute(select(ACCOUNTS)).all()
    else:
        for some in _chunks(paths):
            rows += connection.execute(_SELECT_ACCOUNTS, {"paths": some}).all()
    return {r[0]: Scope(r[0], *(json.loads(r[i]) for i in (1, 2, 3))) for r in rows}


class Book:
    """What one transaction of `connection` reads and will write; `flush` writes it."""

    def __init__(self, connection: Connection, now: float, environment: str) -> None:
        self._connection, self.now, self._environment = connection, now, environment
        row = connection.execute(_LOCK_HEAD).one()
        self._seq: int = row[0]
        self._head: str = row[1]
        self._accounts: dict[str, Scope] = {}
        self._stored: set[str] = set()
        self._changed: set[str] = set()
        self._holds: dict[int, _Hold | None] = {}
        self._entries: list[dict[str, Any]] = []

    def load(self, accounts: Iterable[str], holds: Iterable[int]) -> None:
        """Read what operations are about to use, with one query each."""
        for numbers in _chunks(n for n in set(holds) if n not in self._holds):
            self._load_holds(_SELECT_HOLDS, {"numbers": numbers})
            self._holds.update({n: None for n in numbers if n not in self._holds})
        began = [hold.began.account for hold in self._holds.values() if hold]
        paths = {p for account in (*accounts, *began) for p in ancestors(account)}
        paths -= self._accounts.keys()
        if not paths:
            return
        found = read_accounts(self._connection, paths)
        self._stored |= found.keys()
        self._accounts.update({path: found.get(path) or Scope(path) for path in paths})

    def set_limits(self, account: str, limits: Grains) -> None:
        """From now on `account` has these limits and no others."""
        self.load([account], [])
        self._accounts[account].limits = limits
        self._changed.update(ancestors(account))
        self._write("limit", account, bound=limits)

    def limits(self, account: str) -> Grains | None:
        """The limits of `account`, None when there is no such account."""
        self.load([account], [])
        known = account in self._stored or account in self._changed
        return self._accounts[account].limits if known else None

    def reserve(
        self,
        account: str,
        asked: Sequence[tuple[Grains, str]],
        predicted: Grains | None,
        price: Mapping[str, float] | None,
        expires_at: float,
    ) -> tuple[list[int], BursarError | None]:
        """Holds for as many (bound, what) as fit, from the first on; why the next does not."""
        self.load([account], [])
        scopes = [self._accounts[path] for path in ancestors(account)]
        numbers: list[int] = []
        for bound, what in asked:
            if refused := refusal(scopes, bound):
                return numbers, refused
            row = self._write(
                "hold",
                account,
                what=what,
                bound=bound,
                predicted=predicted,
                price=price,
                expires_at=expires_at,
            )
            numbers.append(row["seq"])
            self._holds[row["seq"]] = _Hold(entry_of(row), "open", False)
            self._add(account, bound, held=1)
        return numbers, None

    def settle(
        self, measured: Sequence[tuple[int, Grains | None, tuple[str, ...]]]
    ) -> list[Charge]:
        """Charge each hold (id, measured, what of it is estimated already); all or none.

        Unmeasured (None) is charged at the bound, and so is what is unknown but limited here. A
        hold that expired meanwhile was charged at its bound: that is corrected.
        """
        charges: list[Charge] = []
        for began, (_, grains, before) in zip(
            self._opened([number for number, _, _ in measured]), measured, strict=True
        ):
            limited = {r for path in ancestors(began.account) for r in self._accounts[path].limits}
            charged, estimated = charge(grains, began.bound or {}, limited)
            charges.append((charged, (*before, *estimated)))
            self._close(began, "spend", *charges[-1])
        return charges

    def release(self, numbers: Sequence[int]) -> None:
        """Free holds of which nothing was spent; all or none."""
        for began in self._opened(numbers):
            self._close(began, "release", {}, ())

    def expire(self) -> int:
        """Charge every hold whose time has passed at its bound: it may have been spent."""
        self._load_holds(_SELECT_LATE, {"now": self.now})
        self.load([], [])
        late = [
            (number, hold)
            for number, hold in self._holds.items()
            if hold and hold.state == "open" and (hold.began.expires_at or 0.0) <= self.now
        ]
        for number, hold in late:
            bound = hold.began.bound or {}
            self._after(hold.began, "expired", *charge(None, bound, set()))
            self._add(hold.began.account, bound, held=-1, spent=1)
            self._holds[number] = _Hold(hold.began, "expired", hold.stored)
        return len(late)

    def flush(self) -> None:
        """Write what changed."""
        if not self._entries:
            return
        run = self._connection.execute
        run(_INSERT_ENTRY, self._entries)
        self._flush_holds()
        for statement, paths in (
            (_INSERT_ACCOUNT, self._changed - self._stored),
            (_UPDATE_ACCOUNT, self._changed & self._stored),
        ):
            rows = [
                {"at": a.path, "l": dump(a.limits), "s": dump(a.spent), "h": dump(a.held)}
                for a in (self._accounts[path] for path in sorted(paths))
            ]
            if rows:
                run(statement, rows)
        run(_MOVE_HEAD, {"n": self._seq, "h": self._head})

    def _flush_holds(self) -> None:
        run = self._connection.execute
        holds = {number: hold for number, hold in self._holds.items() if hold}
        kept = [(n, h) for n, h in holds.items() if h.state != "closed"]
        if new := [
            {
                "id": number,
                "account": hold.began.account,
                "bound": dump(hold.began.bound),
                "expires_at": hold.began.expires_at,
                "state": hold.state,
            }
            for number, hold in kept
            if not hold.stored
        ]:
            run(_INSERT_HOLD, new)
        if late := [{"n": n} for n, h in kept if h.stored and h.state == "expired"]:
            run(_EXPIRE_HOLD, late)
        if closed := [{"n": n} for n, h in holds.items() if h.stored and h.state == "closed"]:
            run(_DELETE_HOLD, closed)

    def _load_holds(self, query: Select[Any], which: Mapping[str, Any]) -> None:
        for row in self._connection.execute(query, which).mappings():
            columns = dict(row)
            state = columns.pop("state")
            self._holds.setdefault(row["seq"], _Hold(entry_of(columns), state, True))

    def _add(self, account: str, grains: Grains, *, held: int = 0, spent: int = 0) -> None:
        for path in ancestors(account):
            self._accounts[path].add(grains, held=held, spent=spent)
            self._changed.add(path)

    def _opened(self, numbers: Sequence[int]) -> list[Entry]:
        """The entries that began these holds; raises `BadInput` unless all are to be closed."""
        self.load([], numbers)
        holds: dict[int, Entry] = {}
        for number in numbers:
            hold = self._holds[number]
            if hold is None or hold.state == "closed" or number in holds:
                raise BadInput(f"hold {number} is not open; settle or release a hold once")
            holds[number] = hold.began
        return list(holds.values())

    def _close(self, began: Entry, kind: str, charged: Grains, estimated: tuple[str, ...]) -> None:
        hold, bound = self._holds[began.seq], began.bound or {}
        delta = dict(charged)
        if hold and hold.state == "expired":
            add_grains(delta, bound, -1)
            kind = "correction"
        else:
            self._add(began.account, bound, held=-1)
        self._after(began, kind, None if kind == "release" else delta, estimated)
        self._add(began.account, delta, spent=1)
        self._holds[began.seq] = _Hold(began, "closed", bool(hold and hold.stored))

    def _after(
        self, began: Entry, kind: str, measured: Grains | None, estimated: Sequence[str]
    ) -> None:
        self._write(
            kind,
            began.account,
            hold=began.seq,
            what=began.what,
            bound=began.bound,
            predicted=began.predicted,
            measured=measured,
            estimated=",".join(estimated),
            price=began.price,
        )

    def _write(self, kind: str, account: str, **columns: Any) -> dict[str, Any]:
        amounts = ("bound", "predicted", "measured", "price")
        self._seq += 1
        row: dict[str, Any] = {
            "seq": self._seq,
            "kind": kind,
            "account": account,
            "hold": None,
            "what": "",
            "estimated": "",
            "expires_at": None,
            "environment": self._environment,
            "time": self.now,
            "prev_hash": self._head,
            **columns,
            **{name: dump(columns.get(name)) for name in amounts},
        }
        self._head = row["hash"] = seal(row)
        self._entries.append(row)
        return row


def _chunks(items: Iterable[Any], size: int = 1000) -> Iterator[list[Any]]:
    """Lists short enough for the parameters that one statement may have."""
    items = list(items)
    for start in range(0, len(items), size):
        yield items[start : start + size]


# Statements are made once: to build one anew takes longer than SQLite takes to run it.
_NUMBERS: BindParameter[Any] = bindparam("numbers", expanding=True)
_LOCK_HEAD = select(META.c.count, META.c.head).with_for_update()
_MOVE_HEAD = update(META).values(count=bindparam("n"), head=bindparam("h"))
_INSERT_ENTRY = insert(ENTRIES)
_BEGAN = select(HOLDS.c.state, ENTRIES).join(ENTRIES, ENTRIES.c.seq == HOLDS.c.id)
_SELECT_HOLDS = _BEGAN.where(HOLDS.c.id.in_(_NUMBERS))
_SELECT_LATE = _BEGAN.where(HOLDS.c.expires_at <= bindparam("now"), HOLDS.c.state == "open")
_INSERT_HOLD = insert(HOLDS)
_EXPIRE_HOLD = update(HOLDS).where(HOLDS.c.id == bindparam("n")).values(state="expired")
_DELETE_HOLD = delete(HOLDS).where(HOLDS.c.id == bindparam("n"))
_SELECT_ACCOUNTS = select(ACCOUNTS).where(ACCOUNTS.c.path.in_(bindparam("paths", expanding=True)))
_AMOUNTS: dict[str, BindParameter[Any]] = {
    "limits": bindparam("l"),
    "spent": bindparam("s"),
    "held": bindparam("h"),
}
_INSERT_ACCOUNT = insert(ACCOUNTS).values(path=bindparam("at"), **_AMOUNTS)
_UPDATE_ACCOUNT = update(ACCOUNTS).where(ACCOUNTS.c.path == bindparam("at")).values(_AMOUNTS)
