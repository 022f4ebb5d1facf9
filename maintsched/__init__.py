"""maintsched keeps the time promises of a managed-hosting contract.

Read from top to bottom, the package follows the data. A file is thought (pure: no clock, no files, no network), a
folder is contact with the world.

    contract, fleet, facts            what was promised, to whom, and what was declared
    windows, deadlines, releases      what follows from it
    notices, profiles, conflicts
    plan                              all of it together
    support, availability             what can be proved

    intake/  reads files              report/  writes pages, feeds and tables
    worker/  reads the clock          cli/     the command line

    import maintsched as ms
    contract = ms.load_contract()                # the built-in "intrexx-paas"; or the path of a TOML file
    window = ms.next_window(contract, now)
    ms.reminder_deadline(contract, window.start)

Datetimes in are aware; datetimes out are aware and in the contract's zone. Spans hold their start and not their end.
"""

from maintsched.availability import Availability, availability, month_span
from maintsched.conflicts import Conflict, ConflictKind
from maintsched.contract import Contract, Explained
from maintsched.deadlines import (
    Classification,
    classify,
    deferral_limit,
    earliest_start,
    explain_deferral_limit,
    explain_earliest_start,
    explain_reminder_deadline,
    offered_start,
    reminder_deadline,
    send_at,
)
from maintsched.errors import (
    DeferralRefused,
    FileError,
    HolidaysUnknown,
    InvalidValue,
    MaintschedError,
    NaiveDatetime,
    NoWindow,
    OutOfRange,
    RuleRefused,
    UnknownName,
)
from maintsched.facts import (
    ChangeClass,
    Consent,
    DeclaredWindow,
    Deferral,
    Facts,
    Freeze,
    Impact,
    Maintenance,
    Outage,
    OutageCause,
    Release,
    TrackSwitch,
    WindowKind,
)
from maintsched.fleet import BackupRule, Contact, Customer, Fleet, Instance, instance_url
from maintsched.intake import builtin_contracts, load_contract, load_fleet
from maintsched.localtime import Elapsed, Period
from maintsched.plan import Plan, PlanWindow, make_plan
from maintsched.recurrence import Rule
from maintsched.spans import Span
from maintsched.support import (
    ReactionDue,
    Scope,
    Severity,
    Standstill,
    concurrent_severity,
    explain_handover_due,
    explain_provisioning_due,
    handover_due,
    provisioning_due,
    reaction_due,
    severity,
)
from maintsched.version import Version
from maintsched.windows import Window, last_window, monthly_windows, next_window

__version__ = "0.1.0"

__all__ = [
    "Availability",
    "BackupRule",
    "ChangeClass",
    "Classification",
    "Conflict",
    "ConflictKind",
    "Consent",
    "Contact",
    "Contract",
    "Customer",
    "DeclaredWindow",
    "Deferral",
    "DeferralRefused",
    "Elapsed",
    "Explained",
    "Facts",
    "FileError",
    "Fleet",
    "Freeze",
    "HolidaysUnknown",
    "Impact",
    "Instance",
    "InvalidValue",
    "Maintenance",
    "MaintschedError",
    "NaiveDatetime",
    "NoWindow",
    "OutOfRange",
    "Outage",
    "OutageCause",
    "Period",
    "Plan",
    "PlanWindow",
    "ReactionDue",
    "Release",
    "Rule",
    "RuleRefused",
    "Scope",
    "Severity",
    "Span",
    "Standstill",
    "TrackSwitch",
    "UnknownName",
    "Version",
    "Window",
    "WindowKind",
    "availability",
    "builtin_contracts",
    "classify",
    "concurrent_severity",
    "deferral_limit",
    "earliest_start",
    "explain_deferral_limit",
    "explain_earliest_start",
    "explain_handover_due",
    "explain_provisioning_due",
    "explain_reminder_deadline",
    "handover_due",
    "instance_url",
    "last_window",
    "load_contract",
    "load_fleet",
    "make_plan",
    "month_span",
    "monthly_windows",
    "next_window",
    "offered_start",
    "provisioning_due",
    "reaction_due",
    "reminder_deadline",
    "send_at",
    "severity",
]
