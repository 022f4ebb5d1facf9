"""Releases that were taken back, deferrals that were withdrawn, versions that instances stay at.

Written out, and free of the code that will change later: a migration stays what it was when it was released.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

INSTANT = sa.DateTime(timezone=True).with_variant(sa.String(27), "sqlite")


def upgrade() -> None:
    """Add what `release withdraw`, `defer withdraw` and `release pin` write down."""
    op.add_column("release", sa.Column("withdrawn", sa.String()))
    op.add_column("deferral", sa.Column("withdrawn_at", INSTANT))
    op.create_table(
        "pin",
        sa.Column("instance", sa.String(), nullable=False),
        sa.Column("component", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("starts_at", INSTANT, nullable=False),
        sa.Column("until", INSTANT),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("security", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("instance", "component", name=op.f("pk_pin")),
    )
