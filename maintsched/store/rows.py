"""The tables, as SQLModel rows. Rows stay in this folder: what leaves it are values (`from_row`)."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, MetaData, Text, text
from sqlmodel import Field, SQLModel

from maintsched.store.columns import Instant, json_column

NAMES = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "pk": "pk_%(table_name)s",
}


class Row(SQLModel):
    """Base of all rows: their tables make up the schema, which the migrations add up to."""

    metadata = MetaData(naming_convention=NAMES)


def at(*, null: bool = False) -> Any:
    """Return a column that holds an instant."""
    return Field(sa_column=Column(Instant(), nullable=null))


def values(*, null: bool = False) -> Any:
    """Return a column that holds JSON values."""
    return Field(sa_column=Column(json_column(), nullable=null))


# --- the fleet --------------------------------------------------------------------------------------------------------


class CustomerRow(Row, table=True):
    """A customer."""

    __tablename__ = "customer"
    key: str = Field(primary_key=True)
    position: int
    name: str
    language: str
    package: str
    sender: str | None = None
    work_notices: list[str] | None = values(null=True)


class ContactRow(Row, table=True):
    """A contact: the only place where its name and address stand. `salt` belongs to the hash that evidence keeps."""

    __tablename__ = "contact"
    customer: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    position: int
    name: str
    email: str
    roles: list[str] = values()
    zone: str
    calendar: str
    language: str | None = None
    salt: str
    erased_at: datetime | None = at(null=True)


class InstanceRow(Row, table=True):
    """An instance."""

    __tablename__ = "instance"
    key: str = Field(primary_key=True)
    customer: str = Field(index=True)
    position: int
    host: str = Field(index=True)
    environment: str
    url: str | None = None
    track: str | None = None
    components: list[str] = values()
    executor: str
    wave: int | None = None
    managed: bool
    backup: dict[str, Any] | None = values(null=True)
    versions: dict[str, str] = values()
    starts_on: date | None = None
    ends_on: date | None = None


# --- what was declared ------------------------------------------------------------------------------------------------


class WindowRow(Row, table=True):
    """A window that was announced, or entered to be. `id` is kind and key."""

    __tablename__ = "window"
    id: str = Field(primary_key=True)
    kind: str
    key: str
    state: str
    starts_at: datetime = Field(sa_column=Column(Instant(), nullable=False, index=True))
    ends_at: datetime = at()
    instances: list[str] = values()
    reason: str
    impact: str
    releases: list[str] = values()
    alternatives: list[list[str]] = values()
    origin: str | None = None
    hurry: str
    mailed: bool
    by_rule: bool
    entered_at: datetime = at()


class ReleaseRow(Row, table=True):
    """A release. `withdrawn` is why somebody took it back."""

    __tablename__ = "release"
    component: str = Field(primary_key=True)
    version: str = Field(primary_key=True)
    change_class: str
    available_at: datetime = at()
    tracks: list[str] = values()
    changes: str
    estimate: str | None = None
    carries: list[str] = values()
    withdrawn: str | None = None


class DeferralRow(Row, table=True):
    """A deferral. `withdrawn_at` is when somebody withdrew it."""

    __tablename__ = "deferral"
    instance: str = Field(primary_key=True)
    release: str = Field(primary_key=True)
    until: datetime = at()
    starts_at: datetime | None = at(null=True)
    granted_at: datetime | None = at(null=True)
    withdrawn_at: datetime | None = at(null=True)


class PinRow(Row, table=True):
    """A version that a component of an instance stays at."""

    __tablename__ = "pin"
    instance: str = Field(primary_key=True)
    component: str = Field(primary_key=True)
    version: str
    starts_at: datetime = at()
    until: datetime | None = at(null=True)
    reason: str
    security: bool


class FreezeRow(Row, table=True):
    """A freeze. `ended_at` is when somebody ended it before its time."""

    __tablename__ = "freeze"
    key: str = Field(primary_key=True)
    starts_at: datetime = at()
    ends_at: datetime = at()
    reason: str
    classes: list[str] = values()
    customers: list[str] = values()
    instances: list[str] = values()
    ended_at: datetime | None = at(null=True)


class OutageRow(Row, table=True):
    """An outage of one instance."""

    __tablename__ = "outage"
    key: str = Field(primary_key=True)
    instance: str = Field(index=True)
    starts_at: datetime = at()
    ends_at: datetime | None = at(null=True)
    critical: bool
    customer_caused: bool
    data_restore: bool
    cause: str | None = None
    note: str


class ConsentRow(Row, table=True):
    """A recorded consent to work on an unmanaged instance."""

    __tablename__ = "consent"
    id: int | None = Field(default=None, primary_key=True)
    instance: str
    given_by: str
    given_at: datetime = at()
    until: datetime | None = at(null=True)


class TrackSwitchRow(Row, table=True):
    """A recorded change of an instance's track."""

    __tablename__ = "track_switch"
    id: int | None = Field(default=None, primary_key=True)
    instance: str
    track: str
    at: datetime = at()


# --- what is to be done, and was --------------------------------------------------------------------------------------


class ThreadRow(Row, table=True):
    """What an account knows of a subject."""

    __tablename__ = "thread"
    subject: str = Field(primary_key=True)
    customer: str = Field(primary_key=True)
    revision: int
    lead: int
    sequence: int
    kind: str
    terms: dict[str, Any] | None = values(null=True)


class ActionRow(Row, table=True):
    """The ledger: one row for each thing that is to be done once. A notice has its contents in another table."""

    __tablename__ = "action"
    key: str = Field(primary_key=True)
    kind: str
    instance: str | None = None
    not_before: datetime = at()
    deadline: datetime | None = at(null=True)
    state: str
    attempt: int
    owner: str | None = None
    lease_until: datetime | None = at(null=True)
    changed_at: datetime = at()
    __table_args__ = (
        CheckConstraint("state in ('ready', 'running', 'done', 'failed', 'cancelled')", name="state"),
        Index("ix_action_due", "state", "not_before"),
        Index(
            "uq_action_one_run_an_instance",
            "instance",
            unique=True,
            sqlite_where=text("kind = 'run' AND state = 'running'"),
            postgresql_where=text("kind = 'run' AND state = 'running'"),
        ),
    )


class NoticeRow(Row, table=True):
    """The contents of a notice: everything that varies from mail to mail, fixed when it was stored."""

    __tablename__ = "notice"
    key: str = Field(primary_key=True)
    kind: str
    label: str
    subject: str
    revision: int
    customer: str
    contact: str
    required: bool
    sequence: int
    stamp: datetime = at()
    deadline: datetime | None = at(null=True)
    late: bool
    facts: dict[str, Any] = values()
    instances: list[str] = values()
    templates: str | None = None
    digest: str | None = None
    result: str | None = None
    accepted_at: datetime | None = at(null=True)
    delivered_at: datetime | None = at(null=True)
    bounced_at: datetime | None = at(null=True)
    server: str | None = None
    reply: str | None = None
    __table_args__ = (
        Index("ix_notice_subject", "subject", "customer"),
        Index("ix_notice_contact", "customer", "contact"),
    )


class SuppressionRow(Row, table=True):
    """An address that a server refused for good; known by its salted hash only."""

    __tablename__ = "suppression"
    customer: str = Field(primary_key=True)
    contact: str = Field(primary_key=True)
    address_hash: str
    since: datetime = at()
    reason: str


# --- work -------------------------------------------------------------------------------------------------------------


class RunRow(Row, table=True):
    """A run: the work of one instance in one window. Its place in the ledger is the action of the same key."""

    __tablename__ = "run"
    key: str = Field(primary_key=True)
    window: str = Field(index=True)
    instance: str = Field(index=True)
    customer: str
    host: str
    executor: str
    starts_at: datetime = at()
    ends_at: datetime = at()
    items: list[dict[str, Any]] = values()
    wave: int
    state: str = Field(index=True)
    gate: str | None = None
    why: str
    attempt: int
    started_at: datetime | None = at(null=True)
    ended_at: datetime | None = at(null=True)
    expected_seconds: int
    silent_since: datetime | None = at(null=True)
    plans: list[dict[str, Any]] = values()
    applied: list[dict[str, Any]] = values()
    entered_at: datetime = at()


class StepRow(Row, table=True):
    """One step of an attempt of a run."""

    __tablename__ = "step"
    run: str = Field(primary_key=True)
    attempt: int = Field(primary_key=True)
    number: int = Field(primary_key=True)
    name: str
    phase: str
    part: str
    state: str
    idempotent: bool
    tries: int
    job: str | None = None
    argv: list[str] = values()
    started_at: datetime | None = at(null=True)
    ended_at: datetime | None = at(null=True)
    exit_code: int | None = None
    tail: str = Field(sa_column=Column(Text, nullable=False))
    expected_seconds: int
    data: dict[str, Any] = values()


class ApprovalRow(Row, table=True):
    """An operator's leave to pass a gate that no promise to a customer depends on."""

    __tablename__ = "approval"
    run: str = Field(primary_key=True)
    gate: str = Field(primary_key=True)
    at: datetime = at()
    reason: str


class PauseRow(Row, table=True):
    """An operator's halt."""

    __tablename__ = "pause"
    key: str = Field(primary_key=True)
    since: datetime = at()
    reason: str
    customers: list[str] = values()
    instances: list[str] = values()
    resumed_at: datetime | None = at(null=True)


class HostLockRow(Row, table=True):
    """The one run that is at a host. It is freed by that run's end alone, never by its age."""

    __tablename__ = "host_lock"
    host: str = Field(primary_key=True)
    run: str
    owner: str
    reason: str
    since: datetime = at()
    heartbeat_at: datetime = at()


class HookCallRow(Row, table=True):
    """What became of the call of a hook."""

    __tablename__ = "hook_call"
    key: str = Field(primary_key=True)
    subject: str = Field(index=True)
    state: str
    tries: int
    changed_at: datetime = at()
    said: str
    kept: dict[str, Any] = values()


# --- proof ------------------------------------------------------------------------------------------------------------


class JournalRow(Row, table=True):
    """The journal. A trigger refuses every change of what stands in it."""

    __tablename__ = "journal"
    chain: str = Field(primary_key=True)
    seq: int = Field(primary_key=True)
    at: datetime = at()
    kind: str
    subject: str
    data: str = Field(sa_column=Column(Text, nullable=False))
    previous: str
    digest: str
    __table_args__ = (Index("ix_journal_subject", "subject"),)


class HeadRow(Row, table=True):
    """The head of each chain, so that appending need not look for it."""

    __tablename__ = "head"
    chain: str = Field(primary_key=True)
    seq: int = Field(sa_column=Column(BigInteger, nullable=False))
    digest: str


class FactRow(Row, table=True):
    """Facts about the database itself: its epoch, when the last pass was."""

    __tablename__ = "meta"
    name: str = Field(primary_key=True)
    value: str
