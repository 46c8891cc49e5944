"""Organisations, teams, keys, budgets, webhooks and their deliveries, audit log."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.Float(53)


def upgrade() -> None:
    """From a ledger without tenants."""
    op.create_table(
        "bursar_organisations",
        sa.Column("slug", sa.String(64), primary_key=True),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("closed_at", TIME),
    )
    op.create_table(
        "bursar_teams",
        sa.Column("organisation", sa.String(64), primary_key=True),
        sa.Column("slug", sa.String(64), primary_key=True),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("closed_at", TIME),
        sa.ForeignKeyConstraint(["organisation"], ["bursar_organisations.slug"]),
    )
    op.create_table(
        "bursar_keys",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column("team", sa.String(64), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("shown", sa.String(24), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False, unique=True),
        sa.Column("old_digest", sa.String(64)),
        sa.Column("old_until", TIME),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("models", sa.Text, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("weight", TIME, nullable=False),
        sa.Column("user_limits", sa.Text, nullable=False),
        sa.Column("degrade", sa.Text, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("expires_at", TIME),
        sa.Column("revoked_at", TIME),
        sa.Column("last_used_at", TIME),
        sa.Column("changed", NUMBER, nullable=False, index=True),
        sa.ForeignKeyConstraint(
            ["organisation", "team"], ["bursar_teams.organisation", "bursar_teams.slug"]
        ),
    )
    op.create_index(
        "bursar_keys_name", "bursar_keys", ["organisation", "team", "name"], unique=True
    )
    op.create_table(
        "bursar_budgets",
        sa.Column("account", sa.String(512), primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("limits", sa.Text, nullable=False),
        sa.Column("thresholds", sa.Text, nullable=False),
        sa.Column("applied", sa.Integer, nullable=False),
    )
    op.create_table(
        "bursar_webhooks",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("organisation", sa.String(64), nullable=False, index=True),
        sa.Column("account", sa.String(512), nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("removed_at", TIME),
    )
    op.create_table(
        "bursar_deliveries",
        sa.Column("id", NUMBER, primary_key=True, autoincrement=True),
        sa.Column("webhook", sa.String(40), nullable=False),
        sa.Column("event", sa.String(64), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_at", TIME, nullable=False),
        sa.Column("done_at", TIME),
        sa.Column("delivered", sa.Boolean, nullable=False),
        sa.Column("said", sa.Text, nullable=False),
    )
    op.create_index(
        "bursar_deliveries_event", "bursar_deliveries", ["webhook", "event"], unique=True
    )
    op.create_index("bursar_deliveries_due", "bursar_deliveries", ["done_at", "due_at"])
    op.create_table(
        "bursar_audit",
        sa.Column("seq", NUMBER, primary_key=True, autoincrement=True),
        sa.Column("time", TIME, nullable=False),
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("before", sa.Text, nullable=False),
        sa.Column("after", sa.Text, nullable=False),
    )
    op.create_index("bursar_audit_organisation", "bursar_audit", ["organisation", "seq"])
    changes = op.create_table(
        "bursar_changes",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("count", NUMBER, nullable=False),
    )
    op.bulk_insert(changes, [{"id": 1, "count": 0}])
