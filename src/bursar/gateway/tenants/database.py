"""The database that tenants share with the ledger: one transaction at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import update
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from bursar.gateway.tenants.schema import CHANGES, migrate
from bursar.ledger.schema import open_engine, reading, storage_error, writing


class Database:
    """Tenants' tables at `place`, where a ledger is or will be; made or migrated when need be.

    Methods raise `BadInput` where the database can't be used, with what to do about it.
    """

    def __init__(self, place: str | os.PathLike[str], *, timeout_s: float = 30.0) -> None:
        migrate(place, timeout_s=timeout_s)
        self._engine = open_engine(os.fspath(place), timeout_s, create=False)
        self.place: str = self._engine.url.render_as_string(hide_password=True)

    def close(self) -> None:
        """Give back connections."""
        self._engine.dispose()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent state."""
        try:
            with reading(self._engine).begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise storage_error(self.place, error) from error

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction: all of it is written, or nothing."""
        try:
            with writing(self._engine).begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise storage_error(self.place, error) from error


def count_change(connection: Connection) -> int:
    """Tell directories that keys change here; whoever else is about to change any waits."""
    counted = update(CHANGES).values(count=CHANGES.c.count + 1).returning(CHANGES.c.count)
    return int(connection.execute(counted).scalar_one())
