"""The first schema: the fleet, what was declared, the ledger, and the journal, which nobody may change.

Written out, and free of the code that will change later: a migration stays what it was when it was released.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

INSTANT = sa.DateTime(timezone=True).with_variant(sa.String(27), "sqlite")
VALUES = sa.JSON().with_variant(JSONB(), "postgresql")
STATES = "state in ('ready', 'running', 'done', 'failed', 'cancelled')"
RUNS = sa.text("kind = 'run' AND state = 'running'")


def upgrade() -> None:
    """Make every table, and close the journal against changes."""
    _fleet()
    _windows()
    _declared()
    _ledger()
    _notices()
    _journal()
    if op.get_bind().dialect.name == "sqlite":
        _close_journal_on_sqlite()
    else:
        _close_journal_on_postgresql()


def _fleet() -> None:
    op.create_table(
        "customer",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("language", sa.String(), nullable=False),
        sa.Column("package", sa.String(), nullable=False),
        sa.Column("sender", sa.String()),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_customer")),
    )
    op.create_table(
        "contact",
        sa.Column("customer", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("roles", VALUES, nullable=False),
        sa.Column("zone", sa.String(), nullable=False),
        sa.Column("calendar", sa.String(), nullable=False),
        sa.Column("language", sa.String()),
        sa.Column("salt", sa.String(), nullable=False),
        sa.Column("erased_at", INSTANT),
        sa.PrimaryKeyConstraint("customer", "key", name=op.f("pk_contact")),
    )
    op.create_table(
        "instance",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("customer", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("environment", sa.String(), nullable=False),
        sa.Column("url", sa.String()),
        sa.Column("track", sa.String()),
        sa.Column("components", VALUES, nullable=False),
        sa.Column("executor", sa.String(), nullable=False),
        sa.Column("wave", sa.Integer()),
        sa.Column("managed", sa.Boolean(), nullable=False),
        sa.Column("backup", VALUES),
        sa.Column("versions", VALUES, nullable=False),
        sa.Column("starts_on", sa.Date()),
        sa.Column("ends_on", sa.Date()),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_instance")),
    )
    op.create_index(op.f("ix_instance_customer"), "instance", ["customer"])
    op.create_index(op.f("ix_instance_host"), "instance", ["host"])


def _windows() -> None:
    op.create_table(
        "window",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("starts_at", INSTANT, nullable=False),
        sa.Column("ends_at", INSTANT, nullable=False),
        sa.Column("instances", VALUES, nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("impact", sa.String(), nullable=False),
        sa.Column("releases", VALUES, nullable=False),
        sa.Column("alternatives", VALUES, nullable=False),
        sa.Column("origin", sa.String()),
        sa.Column("hurry", sa.String(), nullable=False),
        sa.Column("mailed", sa.Boolean(), nullable=False),
        sa.Column("by_rule", sa.Boolean(), nullable=False),
        sa.Column("entered_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_window")),
    )
    op.create_index(op.f("ix_window_starts_at"), "window", ["starts_at"])


def _declared() -> None:
    op.create_table(
        "release",
        sa.Column("component", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("change_class", sa.String(), nullable=False),
        sa.Column("available_at", INSTANT, nullable=False),
        sa.Column("tracks", VALUES, nullable=False),
        sa.Column("changes", sa.String(), nullable=False),
        sa.Column("estimate", sa.String()),
        sa.Column("carries", VALUES, nullable=False),
        sa.PrimaryKeyConstraint("component", "version", name=op.f("pk_release")),
    )
    op.create_table(
        "deferral",
        sa.Column("instance", sa.String(), nullable=False),
        sa.Column("release", sa.String(), nullable=False),
        sa.Column("until", INSTANT, nullable=False),
        sa.Column("starts_at", INSTANT),
        sa.Column("granted_at", INSTANT),
        sa.PrimaryKeyConstraint("instance", "release", name=op.f("pk_deferral")),
    )
    op.create_table(
        "freeze",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("starts_at", INSTANT, nullable=False),
        sa.Column("ends_at", INSTANT, nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("classes", VALUES, nullable=False),
        sa.Column("customers", VALUES, nullable=False),
        sa.Column("instances", VALUES, nullable=False),
        sa.Column("ended_at", INSTANT),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_freeze")),
    )
    op.create_table(
        "outage",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("instance", sa.String(), nullable=False),
        sa.Column("starts_at", INSTANT, nullable=False),
        sa.Column("ends_at", INSTANT),
        sa.Column("critical", sa.Boolean(), nullable=False),
        sa.Column("customer_caused", sa.Boolean(), nullable=False),
        sa.Column("data_restore", sa.Boolean(), nullable=False),
        sa.Column("cause", sa.String()),
        sa.Column("note", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_outage")),
    )
    op.create_index(op.f("ix_outage_instance"), "outage", ["instance"])
    op.create_table(
        "consent",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("instance", sa.String(), nullable=False),
        sa.Column("given_by", sa.String(), nullable=False),
        sa.Column("given_at", INSTANT, nullable=False),
        sa.Column("until", INSTANT),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consent")),
    )
    op.create_table(
        "track_switch",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("instance", sa.String(), nullable=False),
        sa.Column("track", sa.String(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_track_switch")),
    )


def _ledger() -> None:
    op.create_table(
        "action",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("instance", sa.String()),
        sa.Column("not_before", INSTANT, nullable=False),
        sa.Column("deadline", INSTANT),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String()),
        sa.Column("lease_until", INSTANT),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.CheckConstraint(STATES, name=op.f("ck_action_state")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_action")),
    )
    op.create_index(op.f("ix_action_due"), "action", ["state", "not_before"])
    op.create_index(
        op.f("uq_action_one_run_an_instance"),
        "action",
        ["instance"],
        unique=True,
        sqlite_where=RUNS,
        postgresql_where=RUNS,
    )


def _notices() -> None:
    op.create_table(
        "thread",
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("customer", sa.String(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("lead", sa.Integer(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("terms", VALUES),
        sa.PrimaryKeyConstraint("subject", "customer", name=op.f("pk_thread")),
    )
    op.create_table(
        "notice",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("customer", sa.String(), nullable=False),
        sa.Column("contact", sa.String(), nullable=False),
        sa.Column("required", sa.Boolean(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("stamp", INSTANT, nullable=False),
        sa.Column("deadline", INSTANT),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("facts", VALUES, nullable=False),
        sa.Column("instances", VALUES, nullable=False),
        sa.Column("templates", sa.String()),
        sa.Column("digest", sa.String()),
        sa.Column("result", sa.String()),
        sa.Column("accepted_at", INSTANT),
        sa.Column("delivered_at", INSTANT),
        sa.Column("bounced_at", INSTANT),
        sa.Column("server", sa.String()),
        sa.Column("reply", sa.String()),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_notice")),
    )
    op.create_index(op.f("ix_notice_subject"), "notice", ["subject", "customer"])
    op.create_index(op.f("ix_notice_contact"), "notice", ["customer", "contact"])
    op.create_table(
        "suppression",
        sa.Column("customer", sa.String(), nullable=False),
        sa.Column("contact", sa.String(), nullable=False),
        sa.Column("address_hash", sa.String(), nullable=False),
        sa.Column("since", INSTANT, nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("customer", "contact", name=op.f("pk_suppression")),
    )


def _journal() -> None:
    op.create_table(
        "journal",
        sa.Column("chain", sa.String(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("previous", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("chain", "seq", name=op.f("pk_journal")),
    )
    op.create_index(op.f("ix_journal_subject"), "journal", ["subject"])
    op.create_table(
        "head",
        sa.Column("chain", sa.String(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("chain", name=op.f("pk_head")),
    )
    op.create_table(
        "meta",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_meta")),
    )


def _close_journal_on_sqlite() -> None:
    refuse = "BEGIN SELECT RAISE(ABORT, 'the journal is evidence: entries are added, never changed or removed'); END"
    # INSERT OR REPLACE removes the entry that is in its way without asking the trigger of DELETE.
    known = "EXISTS (SELECT 1 FROM journal WHERE chain = NEW.chain AND seq = NEW.seq)"
    op.execute(f"CREATE TRIGGER journal_no_update BEFORE UPDATE ON journal {refuse}")
    op.execute(f"CREATE TRIGGER journal_no_delete BEFORE DELETE ON journal {refuse}")
    op.execute(f"CREATE TRIGGER journal_no_replace BEFORE INSERT ON journal WHEN {known} {refuse}")


def _close_journal_on_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION journal_is_evidence() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION 'the journal is evidence: entries are added, never changed or removed' "
        "USING ERRCODE = 'integrity_constraint_violation'; END $$"
    )
    # Once a statement, so that it is refused whatever it would hit; always, also where a replica's triggers rest.
    op.execute(
        "CREATE TRIGGER journal_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON journal "
        "FOR EACH STATEMENT EXECUTE FUNCTION journal_is_evidence()"
    )
    op.execute("ALTER TABLE journal ENABLE ALWAYS TRIGGER journal_no_change")
