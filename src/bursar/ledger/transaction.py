"""One writing transaction on a plain database connection: no statement is built or compiled.

SQLAlchemy opens, pools and reads; what every request waits for goes straight to the driver.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy.engine import Connection, Engine

from bursar.ledger.schema import writing

Row = Sequence[Any]


class Transaction:
    """Runs statements written with ``?`` in the driver's own style."""

    def __init__(self, cursor: Any, numbered: bool, connection: Connection) -> None:
        self._cursor, self._sqlite = cursor, numbered
        self.connection = connection
        """The same transaction, for what is not in every request's way."""

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


@contextmanager
def writing_on(engine: Engine) -> Iterator[Transaction]:
    """A transaction that is committed at the end, or rolled back on an error."""
    with writing(engine).begin() as connection:
        cursor = connection.connection.cursor()
        try:
            yield Transaction(cursor, engine.dialect.name == "sqlite", connection)
        except engine.dialect.loaded_dbapi.Error as error:
            if engine.dialect.is_disconnect(error, connection.connection.dbapi_connection, None):
                connection.invalidate(error)
            raise
        finally:
            cursor.close()
