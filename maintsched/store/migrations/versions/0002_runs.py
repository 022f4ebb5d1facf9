"""The work itself: runs and their steps, approvals, pauses, locks of hosts, calls of hooks.

Written out, and free of the code that will change later: a migration stays what it was when it was released.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"

INSTANT = sa.DateTime(timezone=True).with_variant(sa.String(27), "sqlite")
VALUES = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    """Add the tables of work, and which notices of it a customer gets."""
    op.add_column("customer", sa.Column("work_notices", VALUES))
    _runs()
    _steps()
    _operators()
    _hosts()


def _runs() -> None:
    op.create_table(
        "run",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("window", sa.String(), nullable=False),
        sa.Column("instance", sa.String(), nullable=False),
        sa.Column("customer", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("executor", sa.String(), nullable=False),
        sa.Column("starts_at", INSTANT, nullable=False),
        sa.Column("ends_at", INSTANT, nullable=False),
        sa.Column("items", VALUES, nullable=False),
        sa.Column("wave", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("gate", sa.String()),
        sa.Column("why", sa.String(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("started_at", INSTANT),
        sa.Column("ended_at", INSTANT),
        sa.Column("expected_seconds", sa.Integer(), nullable=False),
        sa.Column("silent_since", INSTANT),
        sa.Column("plans", VALUES, nullable=False),
        sa.Column("applied", VALUES, nullable=False),
        sa.Column("entered_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_run")),
    )
    for column in ("window", "instance", "state"):
        op.create_index(op.f(f"ix_run_{column}"), "run", [column])


def _steps() -> None:
    op.create_table(
        "step",
        sa.Column("run", sa.String(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("phase", sa.String(), nullable=False),
        sa.Column("part", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("idempotent", sa.Boolean(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("job", sa.String()),
        sa.Column("argv", VALUES, nullable=False),
        sa.Column("started_at", INSTANT),
        sa.Column("ended_at", INSTANT),
        sa.Column("exit_code", sa.Integer()),
        sa.Column("tail", sa.Text(), nullable=False),
        sa.Column("expected_seconds", sa.Integer(), nullable=False),
        sa.Column("data", VALUES, nullable=False),
        sa.PrimaryKeyConstraint("run", "attempt", "number", name=op.f("pk_step")),
    )


def _operators() -> None:
    op.create_table(
        "approval",
        sa.Column("run", sa.String(), nullable=False),
        sa.Column("gate", sa.String(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("run", "gate", name=op.f("pk_approval")),
    )
    op.create_table(
        "pause",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("since", INSTANT, nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("customers", VALUES, nullable=False),
        sa.Column("instances", VALUES, nullable=False),
        sa.Column("resumed_at", INSTANT),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_pause")),
    )


def _hosts() -> None:
    op.create_table(
        "host_lock",
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("run", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("since", INSTANT, nullable=False),
        sa.Column("heartbeat_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("host", name=op.f("pk_host_lock")),
    )
    op.create_table(
        "hook_call",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.Column("said", sa.String(), nullable=False),
        sa.Column("kept", VALUES, nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_hook_call")),
    )
    op.create_index(op.f("ix_hook_call_subject"), "hook_call", ["subject"])
