"""Records of requests, and their sums by hour and day."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TEXT = sa.String(512)
_AMOUNT = sa.Float(53)
_RESOURCES = (
    *("tokens_in", "tokens_out", "flops", "bytes_moved", "seconds", "joules", "usd"),
    *("tool_calls", "grams_co2e", "requests"),
)
_SUMS = (
    *("ended", "calls", "estimated", "duration_ns", "queued_ns", "saved", "no_saved"),
    *_RESOURCES,
    *("flops_t", "bytes_moved_t"),
    *(f"no_{name}" for name in _RESOURCES),
    *(f"bucket_{i}" for i in range(18)),
    *("slowest_ns", "dearest"),
)


def upgrade() -> None:
    """From tenants and answers. Tables of before this revision stay as they are."""
    if sa.inspect(op.get_bind()).has_table("bursar_requests"):
        return
    op.create_table(
        "bursar_requests",
        sa.Column("id", _NUMBER, primary_key=True),
        sa.Column("request_id", _TEXT, nullable=False),
        sa.Column("began_at", _AMOUNT, nullable=False),
        sa.Column("hour", _NUMBER, nullable=False),
        *(
            sa.Column(name, _TEXT, nullable=False)
            for name in ("team", "account", "key_id", "endpoint", "model", "served_by", "strategy")
        ),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("error", _TEXT, nullable=False),
        sa.Column("seconds", _AMOUNT, nullable=False),
        sa.Column("first_token_s", _AMOUNT),
        sa.Column("queued_s", _AMOUNT, nullable=False),
        sa.Column("calls", sa.Integer, nullable=False),
        *(sa.Column(name, _AMOUNT) for name in ("allowed_usd", "allowed_tokens", "saved_usd")),
        sa.Column("estimated", sa.Boolean, nullable=False),
        sa.Column("streamed", sa.Boolean, nullable=False),
        sa.Column("hold", _NUMBER, nullable=False),
        *(sa.Column(f"spent_{name}", _AMOUNT) for name in _RESOURCES),
    )
    for name, column in (("dearest", "spent_usd"), ("slowest", "seconds")):
        op.create_index(f"bursar_requests_{name}", "bursar_requests", ["team", "hour", column])
    op.create_index("bursar_requests_latest", "bursar_requests", ["team", "id"])
    for table in ("bursar_hours", "bursar_days"):
        op.create_table(
            table,
            sa.Column("level", sa.String(4), primary_key=True),
            sa.Column("team", _TEXT, primary_key=True),
            sa.Column("start", _NUMBER, primary_key=True, autoincrement=False),
            *(sa.Column(name, _TEXT, primary_key=True) for name in ("key", "model", "strategy")),
            sa.Column("outcome", sa.String(3), primary_key=True),
            *(sa.Column(name, sa.BigInteger, nullable=False, server_default="0") for name in _SUMS),
        )
