"""Where finished requests are kept, beside the ledger: one row each, and sums by hour and day."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Engine,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    event,
    func,
    select,
)
from sqlalchemy.engine import Connection

from bursar.gateway.record import Record
from bursar.gateway.seen.sums import COLUMNS, HIGHEST, HOUR_S, Cell, Sums, team_of
from bursar.gateway.tenants.schema import migrate
from bursar.ledger.schema import open_engine
from bursar.units import RESOURCES

METADATA = MetaData()
_NUMBER = BigInteger().with_variant(Integer(), "sqlite")  # SQLite: INTEGER keys are the row number
_TEXT = String(512)

REQUESTS = Table(
    "bursar_requests",
    METADATA,
    Column("id", _NUMBER, primary_key=True),
    Column("request_id", _TEXT, nullable=False),
    Column("began_at", Float(53), nullable=False),
    Column("hour", _NUMBER, nullable=False),
    Column("team", _TEXT, nullable=False),
    Column("account", _TEXT, nullable=False),
    Column("key_id", _TEXT, nullable=False),
    Column("endpoint", _TEXT, nullable=False),
    Column("model", _TEXT, nullable=False),
    Column("served_by", _TEXT, nullable=False),
    Column("strategy", _TEXT, nullable=False),
    Column("status", Integer, nullable=False),
    Column("error", _TEXT, nullable=False),
    Column("seconds", Float(53), nullable=False),
    Column("first_token_s", Float(53)),
    Column("queued_s", Float(53), nullable=False),
    Column("calls", Integer, nullable=False),
    Column("allowed_usd", Float(53)),
    Column("allowed_tokens", Float(53)),
    Column("saved_usd", Float(53)),
    Column("estimated", Boolean, nullable=False),
    Column("streamed", Boolean, nullable=False),
    Column("hold", _NUMBER, nullable=False),
    *(Column(f"spent_{name}", Float(53)) for name in RESOURCES),
)
"""Amounts in units, NULL where unknown. `team` and `hour` are taken from `account` and time."""

_DEAREST = Index("bursar_requests_dearest", REQUESTS.c.team, REQUESTS.c.hour, REQUESTS.c.spent_usd)
_SLOWEST = Index("bursar_requests_slowest", REQUESTS.c.team, REQUESTS.c.hour, REQUESTS.c.seconds)
_LATEST = Index("bursar_requests_latest", REQUESTS.c.team, REQUESTS.c.id)


def _sums_table(name: str) -> Table:
    return Table(
        name,
        METADATA,
        Column("level", String(4), primary_key=True),
        Column("team", _TEXT, primary_key=True),
        Column("start", _NUMBER, primary_key=True, autoincrement=False),
        *(Column(n, _TEXT, primary_key=True) for n in ("key", "model", "strategy")),
        Column("outcome", String(3), primary_key=True),
        *(Column(n, BigInteger, nullable=False, server_default="0") for n in COLUMNS),
    )


HOURS = _sums_table("bursar_hours")
DAYS = _sums_table("bursar_days")
"""Sums (see `sums.COLUMNS`) from `start` on, in epoch seconds; each team's, and each key's."""


def open_records(place: str, timeout_s: float = 30.0) -> Engine:
    """An engine on the ledger's database (path or URL) that has these tables.

    A record may be lost in a power cut, money may not: so SQLite need not wait for the disk here.
    """
    migrate(place, timeout_s=timeout_s)
    engine = open_engine(place, timeout_s, create=True)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _not_synchronous)
        engine.dispose()
    return engine


def insert_records(connection: Connection, records: Iterable[Record]) -> None:
    """One row for each record."""
    _many(connection, _insert(connection, REQUESTS, _REQUEST_COLUMNS), map(_row, records))


def add_sums(connection: Connection, table: Table, sums: Sums) -> None:
    """Add `sums` to what `table` has; in the order of the key, so that no two workers deadlock."""
    names = (*Cell._fields, *COLUMNS)
    keys = ", ".join(column.name for column in table.primary_key)
    highest = "max" if connection.dialect.name == "sqlite" else "greatest"
    kept = ", ".join(
        f"{n} = {highest}({table.name}.{n}, excluded.{n})"
        if n in HIGHEST
        else f"{n} = {table.name}.{n} + excluded.{n}"
        for n in COLUMNS
    )
    sql = f"{_insert(connection, table, names)} ON CONFLICT ({keys}) DO UPDATE SET {kept}"
    _many(connection, sql, ((*cell, *row) for cell, row in sorted(sums.items())))


def known_teams(connection: Connection) -> list[str]:
    """The accounts of all teams that ever asked, by name; a step in the index for each."""
    at = DAYS.alias().c
    first = select(func.min(at.team).label("team")).where(at.level == "team").cte(recursive=True)
    following = select(func.min(at.team)).where(at.level == "team", at.team > first.c.team)
    step = select(following.scalar_subquery()).where(first.c.team.is_not(None))
    found = first.union_all(step)
    return list(connection.execute(select(found.c.team).where(found.c.team.is_not(None))).scalars())


_REQUEST_COLUMNS = tuple(c.name for c in REQUESTS.columns if c.name != "id")


def _row(record: Record) -> tuple[Any, ...]:
    spent, allowed = record.spent, record.allowed
    return (
        _clean(record.request_id),
        record.began_at,
        int(record.began_at) // HOUR_S * HOUR_S,
        team_of(record.account),
        record.account,
        record.key_id,
        record.endpoint,
        _clean(record.model),
        record.served_by,
        _clean(record.strategy),
        record.status,
        record.error,
        record.seconds,
        record.first_token_s,
        record.queued_s,
        record.calls,
        allowed.usd,
        allowed.tokens,
        record.saved_usd,
        record.estimated,
        record.streamed,
        record.hold,
        *(spent.get(name) for name in RESOURCES),
    )


def _clean(text: str) -> str:
    """What a client wrote, as both databases can hold it."""
    return text[:200].replace("\0", "").encode("utf-8", "replace").decode()


def _insert(connection: Connection, table: Table, names: Iterable[str]) -> str:
    columns = tuple(names)
    mark = "?" if connection.dialect.name == "sqlite" else "%s"
    marks = ", ".join([mark] * len(columns))
    return f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({marks})"


def _many(connection: Connection, sql: str, rows: Iterable[tuple[Any, ...]]) -> None:
    """By the driver itself: SQLAlchemy's own way takes several times as long for wide rows."""
    if found := list(rows):
        connection.exec_driver_sql(sql, found)


def _not_synchronous(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA synchronous=NORMAL")
