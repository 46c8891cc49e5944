"""Where a ledger lives: its tables, how to open SQLite or PostgreSQL, what their errors mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Engine,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    func,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from bursar.errors import BadInput

_METADATA = MetaData()
_NUMBER = BigInteger().with_variant(Integer(), "sqlite")  # SQLite: INTEGER keys are the row number

ENTRIES = Table(
    "bursar_entries",
    _METADATA,
    Column("seq", _NUMBER, primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),
    Column("account", String(512), nullable=False, index=True),
    Column("hold", _NUMBER),
    Column("what", Text, nullable=False),
    Column("bound", Text),
    Column("predicted", Text),
    Column("measured", Text),
    Column("estimated", Text, nullable=False),
    Column("price", Text),
    Column("expires_at", Float(53)),
    Column("environment", Text, nullable=False),
    Column("time", Float(53), nullable=False),
    Column("prev_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Column("worker", String(200), nullable=False, server_default=""),
)
"""The journal: all else is derived from it. Amounts are JSON objects of whole grains."""

HOLDS = Table(
    "bursar_holds",
    _METADATA,
    Column("id", _NUMBER, primary_key=True, autoincrement=False),
    Column("account", String(512), nullable=False),
    Column("bound", Text, nullable=False),
    Column("expires_at", Float(53), nullable=False, index=True),
    Column("state", String(8), nullable=False),
    Column("worker", String(200), nullable=False, server_default=""),
)
"""Holds that are open, or expired and not yet settled; `id` is the `seq` of the entry it began."""

ACCOUNTS = Table(
    "bursar_accounts",
    _METADATA,
    Column("path", String(512), primary_key=True),
    Column("limits", Text, nullable=False),
    Column("spent", Text, nullable=False),
    Column("held", Text, nullable=False),
    Column("windows", Text, nullable=False, server_default="{}"),
)
META = Table(
    "bursar_meta",
    _METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
    Column("count", _NUMBER, nullable=False),
    Column("head", String(64), nullable=False),
)
"""One row: the number of entries and the last hash. Writers lock it: the chain has one end."""

VERSION = 2
_ADDED = {2: (ENTRIES.c.worker, HOLDS.c.worker, ACCOUNTS.c.windows)}
"""Version -> the columns that it added to the one before; rows from before have their defaults."""
GENESIS = "0" * 64
_OPENING = 0x62757273  # PostgreSQL: whoever makes the tables holds this advisory lock


def open_engine(place: str, timeout_s: float, create: bool, behind: bool = False) -> Engine:
    """An engine for a path, ``":memory:"`` or a database URL; its tables made if `create`.

    `behind`: SQLite's commits do not wait for the disk, see `log_of`.

    Raises `BadInput` when `place` can't be opened as a ledger, or is none and not to become one.
    """
    url = _url(place)
    if not create and "://" not in place and not Path(place).is_file():
        raise BadInput(f"there is no ledger at {place!r}: {_PLACES}")
    memory = url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:")
    options: dict[str, Any] = {"poolclass": StaticPool} if memory else {}
    if url.get_backend_name() == "sqlite":
        options["connect_args"] = {"timeout": timeout_s, "check_same_thread": False}
    else:
        options["pool_pre_ping"] = True
    try:
        engine = create_engine(url, **options)
    except ModuleNotFoundError as missing:
        raise BadInput(
            f"{url.drivername} needs {missing.name}: pip install 'bursar[postgres]'"
        ) from missing
    if url.get_backend_name() == "sqlite":
        event.listen(engine, "connect", _behind if behind else _sqlite_connect)
        event.listen(engine, "begin", _sqlite_begin)
    try:
        _make_tables(engine, create)
    except SQLAlchemyError as error:
        engine.dispose()
        raise storage_error(url.render_as_string(hide_password=True), error) from error
    return engine


def writing(engine: Engine) -> Engine:
    """The same engine for transactions that write."""
    return engine.execution_options(bursar_writes=True)


def reading(engine: Engine) -> Engine:
    """The same engine for transactions that read one consistent state."""
    if engine.dialect.name == "postgresql":
        return engine.execution_options(isolation_level="REPEATABLE READ")
    return engine


def storage_error(place: str, error: Exception) -> BadInput:
    """What a database error means for a person, with what to do about it."""
    said = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
    fitting = [remedy for sign, remedy in _REMEDIES.items() if sign in said.lower()]
    remedy = (*fitting, "check that the database is there and may be written")[0]
    return BadInput(f"the ledger {place} can't be used: {said}; {remedy}. Nothing was recorded")


_REMEDIES = {
    "full": "free some space, then try again",
    "readonly": "make the file and its folder writable",
    "read-only": "make the file and its folder writable",
    "locked": "another process has held it for long; try again, or end that process",
    "not a database": "name another file, this one is no ledger",
    "malformed": "restore it from a copy",
    "unable to open": "check that the folder exists and may be written",
    "no such table": "name another file, this one is no ledger",
    "connection": "check the address and that the server is up",
    "password": "check the user and password in the address",
}


def _url(place: str) -> URL:
    if "://" not in place:
        return URL.create("sqlite", database=place)
    try:
        url = make_url(place)
        backend = url.get_backend_name()
    except (ArgumentError, ValueError) as error:
        raise BadInput(f"can't read the ledger's address: {_PLACES}") from error
    if backend not in ("sqlite", "postgresql"):
        raise BadInput(f"a ledger can't live on {backend!r}: {_PLACES}")
    return url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url


_PLACES = 'give a file such as "ledger.sqlite", or "postgresql+psycopg://user@host/database"'


def _sqlite_connect(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin where we say, not at the first insert
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")  # told is durable, even when the power fails


def _behind(connection: Any, record: Any) -> None:
    _sqlite_connect(connection, record)
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    if mode == "wal":  # where the file system allows no log, commits go on waiting
        connection.execute("PRAGMA synchronous=NORMAL")


def log_of(engine: Engine) -> str | None:
    """The file of an SQLite database's write-ahead log; None when it has none."""
    if engine.dialect.name != "sqlite":
        return None
    with engine.connect() as connection:
        file = connection.exec_driver_sql("PRAGMA database_list").first()
    return f"{file[2]}-wal" if file and file[2] else None


def _sqlite_begin(connection: Connection) -> None:
    # A writer takes its lock first: to read and only then ask to write could never be granted.
    writes = connection.get_execution_options().get("bursar_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _make_tables(engine: Engine, create: bool) -> None:
    if inspect(engine).has_table(META.name):
        with engine.connect() as connection:
            version = connection.execute(select(META.c.version)).scalar()
        if version != VERSION:
            _migrate(engine)
        return
    if not create:
        raise BadInput(f"{engine.url.render_as_string()} is no ledger: {_PLACES}")
    with writing(engine).begin() as connection:
        _lock_tables(connection)
        _METADATA.create_all(connection)
        if connection.execute(select(META.c.id)).first() is None:
            connection.execute(insert(META).values(id=1, version=VERSION, count=0, head=GENESIS))


def _migrate(engine: Engine) -> None:
    """Bring an older ledger's tables to this version, in place: rows keep their hashes."""
    with writing(engine).begin() as connection:
        _lock_tables(connection)
        version = connection.execute(select(META.c.version)).scalar()
        if version is None or version > VERSION:
            raise BadInput(
                f"{engine.url.render_as_string()} was written by another bursar, as version "
                f"{version} of the tables; this one knows up to {VERSION}: use the newer bursar"
            )
        for step in range(version + 1, VERSION + 1):
            for column in _ADDED[step]:
                kind = column.type.compile(engine.dialect)
                default = column.server_default.arg  # type: ignore[union-attr]
                connection.exec_driver_sql(
                    f"ALTER TABLE {column.table.name} ADD COLUMN {column.name} {kind} "
                    f"DEFAULT '{default}' NOT NULL"
                )
        connection.execute(update(META).values(version=VERSION))


def _lock_tables(connection: Connection) -> None:
    """Only one process at a time makes or changes tables."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_OPENING)))
