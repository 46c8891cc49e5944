"""Where tenants live: tables beside the ledger's, in the same database, and how they are migrated.

No key is here, and no webhook's secret: digests, and what is derived from the gateway's own secret.
"""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    func,
    inspect,
    select,
    text,
)
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from bursar.errors import BadInput
from bursar.ledger.schema import open_engine, storage_error, writing

METADATA = MetaData()
_NUMBER = BigInteger().with_variant(Integer(), "sqlite")

ORGANISATIONS = Table(
    "bursar_organisations",
    METADATA,
    Column("slug", String(64), primary_key=True),
    Column("title", Text, nullable=False),
    Column("created_at", Float(53), nullable=False),
    Column("closed_at", Float(53)),
)
TEAMS = Table(
    "bursar_teams",
    METADATA,
    Column("organisation", String(64), primary_key=True),
    Column("slug", String(64), primary_key=True),
    Column("title", Text, nullable=False),
    Column("created_at", Float(53), nullable=False),
    Column("closed_at", Float(53)),
    ForeignKeyConstraint(["organisation"], ["bursar_organisations.slug"]),
)
KEYS = Table(
    "bursar_keys",
    METADATA,
    Column("id", String(40), primary_key=True),
    Column("organisation", String(64), nullable=False),
    Column("team", String(64), nullable=False),
    Column("name", String(64), nullable=False),
    Column("shown", String(24), nullable=False),
    Column("digest", String(64), nullable=False, unique=True),
    Column("old_digest", String(64)),
    Column("old_until", Float(53)),
    Column("role", String(16), nullable=False),
    Column("models", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("weight", Float(53), nullable=False),
    Column("user_limits", Text, nullable=False),
    Column("degrade", Text, nullable=False),
    Column("created_at", Float(53), nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires_at", Float(53)),
    Column("revoked_at", Float(53)),
    Column("last_used_at", Float(53)),
    Column("changed", _NUMBER, nullable=False, index=True),
    ForeignKeyConstraint(
        ["organisation", "team"], ["bursar_teams.organisation", "bursar_teams.slug"]
    ),
    Index("bursar_keys_name", "organisation", "team", "name", unique=True),
)
"""`digest` and, until `old_until`, `old_digest` (of the key before a rotation) open this key.
`models` and `degrade` are JSON. `changed` is `CHANGES.count` as of the row's last change."""

BUDGETS = Table(
    "bursar_budgets",
    METADATA,
    Column("account", String(512), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("limits", Text, nullable=False),
    Column("thresholds", Text, nullable=False),
    Column("applied", Integer, nullable=False),
)
"""What people last wrote: limits as text (the ledger enforces them), soft thresholds as a JSON list
of shares. `version` counts edits, so that no one overwrites an edit unseen; `applied` is the last
one that the ledger was told."""

WEBHOOKS = Table(
    "bursar_webhooks",
    METADATA,
    Column("id", String(40), primary_key=True),
    Column("organisation", String(64), nullable=False, index=True),
    Column("account", String(512), nullable=False),
    Column("url", Text, nullable=False),
    Column("created_at", Float(53), nullable=False),
    Column("removed_at", Float(53)),
)
"""Told of crossings at `account` and below."""

DELIVERIES = Table(
    "bursar_deliveries",
    METADATA,
    Column("id", _NUMBER, primary_key=True, autoincrement=True),
    Column("webhook", String(40), nullable=False),
    Column("event", String(64), nullable=False),
    Column("body", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Float(53), nullable=False),
    Column("done_at", Float(53)),
    Column("delivered", Boolean, nullable=False),
    Column("said", Text, nullable=False),
    Index("bursar_deliveries_event", "webhook", "event", unique=True),
    Index("bursar_deliveries_due", "done_at", "due_at"),
)
"""One row for each crossing and webhook: `event` is a digest of account, limit, window and share.
Whoever moves `due_at` forward has claimed it until then."""

AUDIT = Table(
    "bursar_audit",
    METADATA,
    Column("seq", _NUMBER, primary_key=True, autoincrement=True),
    Column("time", Float(53), nullable=False),
    Column("organisation", String(64), nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", String(32), nullable=False),
    Column("subject", Text, nullable=False),
    Column("before", Text, nullable=False),
    Column("after", Text, nullable=False),
    Index("bursar_audit_organisation", "organisation", "seq"),
)
ANSWERS = Table(
    "bursar_answers",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("request", String(64), nullable=False),
    Column("owner", String(64), nullable=False),
    Column("worker", String(200), nullable=False),
    Column("began_at", Float(53), nullable=False, index=True),
    Column("until", Float(53), nullable=False),
    Column("headers", Text),
    Column("content", LargeBinary),
)
"""What requests with an idempotency key were answered; see `gateway.idempotency`. `id` is a digest
of account and key, `request` one of what was asked. `headers` is NULL while `owner` is at it, which
is believed until `until`."""
CHANGES = Table(
    "bursar_changes",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("count", _NUMBER, nullable=False),
)
"""One row. Whoever changes a key counts it up first, and so waits for whoever did before: a
directory that has seen `count` has seen every change up to it."""

REVISION = "0003"
"""The migration that these tables are the outcome of."""
REVISION_TABLE = "bursar_tenants_revision"
MIGRATIONS = Path(__file__).parent / "migrations"
_MIGRATING = 0x62757274  # PostgreSQL: whoever migrates holds this advisory lock


def migrate(place: str | os.PathLike[str], *, timeout_s: float = 30.0) -> None:
    """Make the tables in the ledger at `place`, or bring them to what this version needs.

    May be called by many processes at once, and again: one does it, the others wait and find it
    done. Raises `BadInput` when the tables were made by a newer version, or can't be made.
    """
    engine = open_engine(os.fspath(place), timeout_s, create=True)
    shown = engine.url.render_as_string(hide_password=True)
    try:
        with engine.begin() as connection:
            if revision(connection) == REVISION:
                return
        with writing(engine).begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(select(func.pg_advisory_xact_lock(_MIGRATING)))
            _upgrade(connection, shown)
    except SQLAlchemyError as error:
        raise storage_error(shown, error) from error
    finally:
        engine.dispose()


def revision(connection: Connection) -> str | None:
    """The last migration that was run here; None before the first."""
    if not inspect(connection).has_table(REVISION_TABLE):
        return None
    found = connection.execute(text(f"SELECT version_num FROM {REVISION_TABLE}")).scalar()
    return None if found is None else str(found)


def _upgrade(connection: Connection, place: str) -> None:
    from alembic import command  # a third of a second, and only the first start needs it
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    known = {step.revision for step in ScriptDirectory.from_config(config).walk_revisions()}
    found = revision(connection)
    if found is not None and found not in known:
        raise BadInput(
            f"{place} was migrated to {found} by a newer bursar, this one knows {REVISION}; "
            "start that version, or go back to a copy of the database from before"
        )
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
