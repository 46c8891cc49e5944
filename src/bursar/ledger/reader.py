"""What can be read of a ledger: accounts, the journal, open holds, and whether it all holds."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from bursar.budget import Line
from bursar.errors import BadInput, LedgerCorrupt
from bursar.ledger.chain import Entry, Replay, ancestors, differences, entry_of
from bursar.ledger.schema import ACCOUNTS, ENTRIES, HOLDS, META, storage_error
from bursar.ledger.shelf import scope_of
from bursar.ledger.views import OpenHold, Totals, Verified, lines_of, open_hold_of, totals_of
from bursar.limits import Scope
from bursar.windows import micros


class Reader:
    """Reads one consistent state at a time; `using` is held meanwhile."""

    def __init__(
        self,
        engine: Engine,
        place: str,
        clock: Callable[[], float],
        using: AbstractContextManager[Any],
    ) -> None:
        self._reader, self.place, self._clock, self._using = engine, place, clock, using
        self._process = os.getpid()

    def accounts(self, paths: Iterable[str] | None = None) -> list[Totals]:
        """Every account, or those of at most 1000 `paths` that exist, by path."""
        return [totals_of(scope) for _, scope in sorted(self._found(paths).items())]

    def totals(self, account: str) -> Totals:
        """One account; zero everywhere when nothing was ever charged to it."""
        return totals_of(self._scopes(account_path(account))[-1])

    def entries(self, account: str | None = None) -> list[Entry]:
        """The journal, or the part of it that charged `account`, in order."""
        query = select(ENTRIES).order_by(ENTRIES.c.seq)
        if account is not None:
            below = ENTRIES.c.account.startswith(account_path(account) + "/", autoescape=True)
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

    def workers(self) -> list[str]:
        """Names of the workers whose holds are open."""
        query = select(HOLDS.c.worker).where(HOLDS.c.state == "open", HOLDS.c.worker != "")
        with self._read() as connection:
            return sorted(connection.execute(query.distinct()).scalars())

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
            accounts = {
                r[0]: (r[1], r[2], r[3], r[4]) for r in connection.execute(select(ACCOUNTS))
            }
            holds = {r["id"]: dict(r) for r in connection.execute(select(HOLDS)).mappings()}
            meta = connection.execute(select(META)).mappings().all()
        found = [*replay.problems, *differences(replay, accounts, holds, [dict(r) for r in meta])]
        if head is not None and head not in replay.hashes:
            found.append(f"the journal does not contain the entry with hash {head}")
        return replay, found

    def _scopes(self, account: str) -> list[Scope]:
        paths = ancestors(account)
        found = self._found(paths)
        return [found.get(path) or Scope(path) for path in paths]

    def _found(self, paths: Iterable[str] | None) -> dict[str, Scope]:
        """The accounts of `paths` that exist, all when None, with their windows as of now."""
        query = select(ACCOUNTS)
        if paths is not None:
            query = query.where(ACCOUNTS.c.path.in_(list(paths)))
        with self._read() as connection:
            found = {row[0]: scope_of(*row) for row in connection.execute(query)}
        now = micros(self._clock())
        for scope in found.values():
            scope.advance(now)
        return found

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


def account_path(account: str) -> str:
    """`account`, if it may be one's path; raises `BadInput`."""
    parts = account.split("/")
    if not all(part.strip() and part.isprintable() for part in parts) or len(account) > 500:
        raise BadInput(
            f"{account[:80]!r} is no account; join printable names with '/', such as "
            "'team/key/job', at most 500 characters"
        )
    return account
