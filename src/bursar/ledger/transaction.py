"""One writing transaction on a plain database connection: no statement is built or compiled.

SQLAlchemy opens, pools and reads; what every request waits for goes straight to the driver.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError

Row = Sequence[Any]


class Transaction:
    """Runs statements written with ``?`` in the driver's own style."""

    def __init__(self, cursor: Any, numbered: bool) -> None:
        self._cursor, self._sqlite = cursor, numbered

    def rows(self, statement: str, values: Row = ()) -> list[Row]:
        """What a query finds."""
        self._cursor.execute(self._said(statement), values)
        return self._cursor.fetchall()  # type: ignore[no-any-return]

    def head(self) -> Row:
        """The chain's end, (count, hash), locked: SQLite has locked the whole file already."""
        (row,) = self.rows(_HEAD if self._sqlite else _HEAD + " FOR UPDATE")
        return row

    def run(self, statement: str, rows: Sequence[Row]) -> None:
        """One statement for each of `rows`, if any."""
        if len(rows) == 1:
            self._cursor.execute(self._said(statement), rows[0])
        elif rows:
            self._cursor.executemany(self._said(statement), rows)

    def _said(self, statement: str) -> str:
        return statement if self._sqlite else statement.replace("?", "%s")


_HEAD = "SELECT count, head FROM bursar_meta"


RETRY_S = 0.0003, 0.001
"""The first and the longest sleep of a writer that waits for another process's transaction."""


@contextmanager
def writing_on(engine: Engine, timeout_s: float) -> Iterator[Transaction]:
    """A transaction that is committed at the end, or rolled back on an error.

    Waits at most `timeout_s` for that of another process to end.

    The driver's errors are raised as SQLAlchemy's, as those of readers are.
    """
    sqlite = engine.dialect.name == "sqlite"
    pooled = engine.raw_connection()
    try:
        cursor = pooled.cursor()
        if sqlite:
            _begin(cursor, timeout_s)
        yield Transaction(cursor, sqlite)
        pooled.commit()
        cursor.close()
    except engine.dialect.loaded_dbapi.Error as error:
        if engine.dialect.is_disconnect(error, pooled.dbapi_connection, None):
            pooled.invalidate(error)
        else:
            pooled.rollback()
        raise DBAPIError("a write to the ledger", None, error) from error
    except BaseException:
        pooled.rollback()
        raise
    finally:
        pooled.close()


def _begin(cursor: Any, timeout_s: float) -> None:
    """Take SQLite's one lock for writers at once: to ask for it later could never be granted.

    SQLite's own waiting sleeps up to 100 ms at a time, while a transaction takes one or ten.
    """
    until, sleep = time.monotonic() + timeout_s, RETRY_S[0]
    cursor.execute("PRAGMA busy_timeout = 0")
    try:
        while True:
            try:
                cursor.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if not _busy(error) or time.monotonic() > until:
                    raise
            time.sleep(sleep)
            sleep = min(2 * sleep, RETRY_S[1])
    finally:
        cursor.execute(f"PRAGMA busy_timeout = {round(1000 * timeout_s)}")


def _busy(error: sqlite3.OperationalError) -> bool:
    return error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY  # the rest says busy with what
