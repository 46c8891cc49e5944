"""`Ledger`: durable accounts with limits, shared by threads, processes and machines."""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from sqlalchemy import or_, select
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from bursar.budget import Budget, Line
from bursar.errors import BadInput, BursarError, LedgerCorrupt
from bursar.ledger.book import Book, read_accounts
from bursar.ledger.chain import Entry, Replay, ancestors, differences, entry_of
from bursar.ledger.schema import (
    ACCOUNTS,
    ENTRIES,
    HOLDS,
    META,
    open_engine,
    reading,
    storage_error,
    writing,
)
from bursar.ledger.views import OpenHold, Totals, Verified, lines_of, open_hold_of, totals_of
from bursar.ledger.writer import T, Ticket, Writer
from bursar.limits import Charge, Limits, Scope, limit_grains
from bursar.units import from_grains
from bursar.usage import Grains, Usage, grains_of, usage_of


class Ledger:
    """An append-only journal of what accounts reserve and spend, and the totals derived from it.

    `place` is a path, ``":memory:"`` or ``"postgresql+psycopg://user@host/database"``. An account
    ``"team/key/job"`` charges ``team`` and ``team/key`` as well; each may have limits. Callers that
    come at once share one transaction (at most `batch` of them), and each is told after its commit.

    A hold that its spender never settles expires `ttl_s` after it began; `recover` then charges it
    at its upper bound, because it may have been spent. A settle that comes after all corrects it.
    Without `create`, `place` must be a ledger already: for reading one that others keep.
    Processes that share a ledger need clocks that agree to well under `ttl_s`.
    """

    def __init__(
        self,
        place: str | os.PathLike[str] = ":memory:",
        *,
        clock: Callable[[], float] = time.time,
        ttl_s: float = 3600.0,
        batch: int = 256,
        timeout_s: float = 30.0,
        create: bool = True,
    ) -> None:
        self._ttl, self._process = ttl_s, os.getpid()
        self._engine = open_engine(os.fspath(place), timeout_s, create)
        self._reader = reading(self._engine)
        self.place: str = self._engine.url.render_as_string(hide_password=True)
        memory = self._engine.url.database in (None, "", ":memory:")
        self._using = threading.Lock() if memory else nullcontext()
        self._writer = Writer(
            writing(self._engine), self.place, clock, environment(), batch, self._using
        )

    def close(self) -> None:
        """Give back files and connections; open holds stay, and expire."""
        if os.getpid() == self._process:
            self._writer.close()
            self._engine.dispose()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def budget(self, account: str, limits: Limits = None) -> Budget:
        """A `Budget` whose reserves and settles also go through `account`.

        Makes the account with `limits` if there is none; raises `BadInput` if it has other limits.
        Expired holds are recovered first.
        """
        path, wanted = _path(account), limit_grains(limits)

        def open_account(book: Book) -> None:
            book.expire()
            found = book.limits(path)
            if found is None or (not found and wanted):
                book.set_limits(path, wanted)
            elif wanted and found != wanted:
                raise BadInput(
                    f"account {path} is limited to {_shown(found)}, not {_shown(wanted)}; "
                    "give no limits, or change them with set_limits"
                )

        self._submit(Ticket(open_account, [path]))
        return Budget(name=path, account=_LedgerAccount(self, path))

    def set_limits(self, account: str, limits: Limits) -> None:
        """Give `account` these limits in place of any it had; what is spent stays spent."""
        path, wanted = _path(account), limit_grains(limits)
        self._submit(Ticket(lambda book: book.set_limits(path, wanted), [path]))

    def reserve(
        self,
        account: str,
        uppers: Sequence[Usage],
        what: str | Sequence[str] = "",
        *,
        predicted: Usage | None = None,
        price: Mapping[str, float] | None = None,
    ) -> list[int]:
        """Ids of holds for as many of `uppers`, from the first on, as fit, in one commit.

        `what` is one for all or one for each; `predicted` is that of each.
        Raises `BudgetExceeded` or `Unbounded` when not even the first fits.
        """
        whats = [what] * len(uppers) if isinstance(what, str) else what
        bounds = [grains_of(upper) for upper in uppers]
        holds, refusal = self._reserve(_path(account), bounds, whats, predicted, price)
        if refusal and not holds:
            raise refusal
        return holds

    def settle(self, measured: Mapping[int, Usage | None]) -> list[Usage]:
        """Charge holds (by id) what was measured, in one commit; see `Hold.settle`.

        None: nothing was measured, so the bound. Returns what was charged. Raises `BadInput` when
        a hold is not open; then none of them is settled.
        """
        charges = [
            (number, None if usage is None else grains_of(usage), ())
            for number, usage in measured.items()
        ]
        return [usage_of(charged) for charged, _ in self._settle(charges)]

    def release(self, holds: Sequence[int]) -> None:
        """Give holds (by id) back, knowing that nothing was spent; all or none, as `settle`."""
        self._submit(Ticket(lambda book: book.release(holds), holds=holds))

    def recover(self) -> int:
        """Charge every expired hold at its upper bound; how many there were."""
        return self._submit(Ticket(lambda book: book.expire()))

    def accounts(self) -> list[Totals]:
        """Every account, by path."""
        with self._read() as connection:
            found = read_accounts(connection)
        return [totals_of(found[path]) for path in sorted(found)]

    def totals(self, account: str) -> Totals:
        """One account; zero everywhere when nothing was ever charged to it."""
        return totals_of(self._scopes(_path(account))[-1])

    def entries(self, account: str | None = None) -> list[Entry]:
        """The journal, or the part of it that charged `account`, in order."""
        query = select(ENTRIES).order_by(ENTRIES.c.seq)
        if account is not None:
            below = ENTRIES.c.account.startswith(_path(account) + "/", autoescape=True)
            query = query.where(or_(ENTRIES.c.account == account, below))
        with self._read() as connection:
            return [entry_of(dict(row)) for row in connection.execute(query).mappings()]

    def lines(self, account: str | None = None) -> list[Line]:
        """What a `Receipt` is made of: each hold that was charged, late corrections included."""
        return lines_of(self.entries(account))

    def open_holds(self) -> list[OpenHold]:
        """Holds that were not settled, oldest first."""
        query = select(HOLDS.c.state, ENTRIES).join(ENTRIES, ENTRIES.c.seq == HOLDS.c.id)
        with self._read() as connection:
            rows = [dict(r) for r in connection.execute(query.order_by(HOLDS.c.id)).mappings()]
        states = [row.pop("state") for row in rows]
        return [open_hold_of(entry_of(r), state) for r, state in zip(rows, states, strict=True)]

    @property
    def head(self) -> str:
        """The last hash of the journal: kept elsewhere, it shows whether history was rewritten."""
        with self._read() as connection:
            return str(connection.execute(select(META.c.head)).scalar_one())

    def problems(self, head: str | None = None) -> list[str]:
        """What is wrong, row by row: edited, removed or replaced entries, accounts and holds.

        Replays the journal and compares every derived row with it. With a `head` kept from before,
        also finds a journal that was rewritten as a whole or cut off at its end.
        """
        return self._inspect(head)[1]

    def verify(self, head: str | None = None) -> Verified:
        """Raises `LedgerCorrupt`, naming rows, unless the whole ledger holds (see `problems`)."""
        replay, found = self._inspect(head)
        if found:
            more = f"; and {len(found) - 10} more" if len(found) > 10 else ""
            raise LedgerCorrupt(
                f"{self.place}: {'; '.join(found[:10])}{more}. Restore it from a copy"
            )
        return Verified(replay.count, replay.head)

    def _inspect(self, head: str | None) -> tuple[Replay, list[str]]:
        with self._read() as connection:
            rows = connection.execute(select(ENTRIES).order_by(ENTRIES.c.seq)).mappings()
            replay = Replay.of(dict(row) for row in rows)
            accounts = {r[0]: (r[1], r[2], r[3]) for r in connection.execute(select(ACCOUNTS))}
            holds = {r["id"]: dict(r) for r in connection.execute(select(HOLDS)).mappings()}
            meta = connection.execute(select(META)).mappings().all()
        found = [*replay.problems, *differences(replay, accounts, holds, [dict(r) for r in meta])]
        if head is not None and head not in replay.hashes:
            found.append(f"the journal does not contain the entry with hash {head}")
        return replay, found

    def _reserve(
        self,
        account: str,
        bounds: Sequence[Grains],
        whats: Sequence[str],
        predicted: Usage | None,
        price: Mapping[str, float] | None,
    ) -> tuple[list[int], BursarError | None]:
        guess = None if predicted is None else grains_of(predicted)
        worth = None if price is None else dict(price)
        asked = [(bound, _clean(what)) for bound, what in zip(bounds, whats, strict=True)]

        def run(book: Book) -> tuple[list[int], BursarError | None]:
            return book.reserve(account, asked, guess, worth, book.now + self._ttl)

        return self._submit(Ticket(run, [account]))

    def _settle(
        self, measured: Sequence[tuple[int, Grains | None, tuple[str, ...]]]
    ) -> list[Charge]:
        numbers = [number for number, _, _ in measured]
        return self._submit(Ticket(lambda book: book.settle(measured), holds=numbers))

    def _scopes(self, account: str) -> list[Scope]:
        paths = ancestors(account)
        with self._read() as connection:
            found = read_accounts(connection, paths)
        return [found.get(path) or Scope(path) for path in paths]

    def _submit(self, ticket: Ticket[T]) -> T:
        self._same_process()
        return self._writer.submit(ticket)

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        """One consistent state; `BadInput` when it can't be read."""
        self._same_process()
        try:
            with self._using, self._reader.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise storage_error(self.place, error) from error

    def _same_process(self) -> None:
        if os.getpid() != self._process:
            raise BadInput("a ledger can't be used across a fork: open it again in the child")


@dataclass(frozen=True, slots=True)
class _LedgerAccount:
    """What stands behind the root of a `Budget`."""

    ledger: Ledger
    path: str

    def scopes(self) -> list[Scope]:
        return self.ledger._scopes(self.path)

    def reserve(
        self,
        bounds: Sequence[Grains],
        whats: Sequence[str],
        predicted: Usage | None,
        price: Mapping[str, float] | None,
    ) -> tuple[list[int], BursarError | None]:
        return self.ledger._reserve(self.path, bounds, whats, predicted, price)

    def settle(self, holds: Sequence[int], charges: Sequence[Charge]) -> list[Charge]:
        return self.ledger._settle([(n, *c) for n, c in zip(holds, charges, strict=True)])

    def release(self, holds: Sequence[int]) -> None:
        self.ledger.release(holds)


def environment() -> str:
    """What spent: our version, Python's, and the kind of machine."""
    try:
        ours = version("bursar")
    except PackageNotFoundError:
        ours = "unknown"
    machine = f"{platform.system()} {platform.machine()}"
    return f"bursar {ours}; Python {platform.python_version()}; {machine}"


def _path(account: str) -> str:
    parts = account.split("/")
    if not all(part.strip() and part.isprintable() for part in parts) or len(account) > 500:
        raise BadInput(
            f"{account[:80]!r} is no account; join printable names with '/', such as "
            "'team/key/job', at most 500 characters"
        )
    return account


def _clean(what: str) -> str:
    """Text that both databases can hold: no NUL (PostgreSQL), no lone surrogate (neither)."""
    return what[:2000].replace("\0", "").encode("utf-8", "replace").decode()


def _shown(limits: Grains) -> str:
    return ", ".join(f"{from_grains(r, g):g} {r}" for r, g in limits.items()) or "nothing"
