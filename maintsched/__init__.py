"""maintsched keeps the time promises of a managed-hosting contract.

Read from top to bottom, the package follows the data. A file is thought (pure: no clock, no files, no network), a
folder is contact with the world.

    contract, fleet, facts            what was promised, to whom, and what was declared
    windows, deadlines, releases      what follows from it
    notices, profiles, conflicts
    plan                              all of it together
    announcements, due                what is to be done, and what was told
    journal, proof                    what happened, and what it proves
    support, availability             what can be proved

    intake/  reads files              report/  writes pages, feeds and tables
    store/   keeps it all             mail/    composes and sends
    worker/  the recipe of a pass     cli/     the command line

    import maintsched as ms
    contract = ms.load_contract()                # the built-in "intrexx-paas"; or the path of a TOML file
    window = ms.next_window(contract, now)
    ms.reminder_deadline(contract, window.start)

Datetimes in are aware; datetimes out are aware and in the contract's zone. Spans hold their start and not their end.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
        explain_offered_start,
        explain_reminder_deadline,
        explain_send_at,
        offered_start,
        reminder_deadline,
        send_at,
    )
    from maintsched.errors import (
        ChangeRefused,
        DeferralRefused,
        FileError,
        HolidaysUnknown,
        InvalidValue,
        MaintschedError,
        NaiveDatetime,
        NoWindow,
        OutOfRange,
        RuleRefused,
        StartTooNear,
        StoreError,
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
        Pin,
        Release,
        TrackSwitch,
        WindowKind,
    )
    from maintsched.fleet import (
        BackupRule,
        CalendarMethod,
        Contact,
        Customer,
        Fleet,
        Instance,
        Language,
        instance_url,
    )
    from maintsched.intake import builtin_contracts, load_contract, load_fleet
    from maintsched.localtime import Elapsed, Period
    from maintsched.notices import NoticeKind
    from maintsched.plan import Plan, PlanWindow, WorkRow, make_plan
    from maintsched.recurrence import Rule
    from maintsched.spans import Span
    from maintsched.support import (
        Clock,
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
    from maintsched.terms import ReactionTime
    from maintsched.version import Version
    from maintsched.windows import Window, last_window, monthly_windows, next_window

__version__ = "0.1.0"

_HOMES = {
    "maintsched.availability": "Availability availability month_span",
    "maintsched.conflicts": "Conflict ConflictKind",
    "maintsched.contract": "Contract Explained",
    "maintsched.deadlines": (
        "Classification classify deferral_limit earliest_start explain_deferral_limit explain_earliest_start "
        "explain_offered_start explain_reminder_deadline explain_send_at offered_start reminder_deadline send_at "
    ),
    "maintsched.errors": (
        "ChangeRefused DeferralRefused FileError HolidaysUnknown InvalidValue MaintschedError NaiveDatetime "
        "NoWindow OutOfRange RuleRefused StartTooNear StoreError UnknownName "
    ),
    "maintsched.facts": (
        "ChangeClass Consent DeclaredWindow Deferral Facts Freeze "
        "Impact Maintenance Outage OutageCause Pin Release TrackSwitch "
        "WindowKind "
    ),
    "maintsched.fleet": "BackupRule CalendarMethod Contact Customer Fleet Instance Language instance_url",
    "maintsched.intake": "builtin_contracts load_contract load_fleet",
    "maintsched.localtime": "Elapsed Period",
    "maintsched.notices": "NoticeKind",
    "maintsched.plan": "Plan PlanWindow WorkRow make_plan",
    "maintsched.recurrence": "Rule",
    "maintsched.spans": "Span",
    "maintsched.support": (
        "Clock ReactionDue Scope Severity Standstill concurrent_severity explain_handover_due "
        "explain_provisioning_due handover_due provisioning_due reaction_due severity "
    ),
    "maintsched.terms": "ReactionTime",
    "maintsched.version": "Version",
    "maintsched.windows": "Window last_window monthly_windows next_window",
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """Import a public name from its module when it is first asked for: a command pays for what it uses."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME_OF[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """This package. Its name `availability` is the function, also once the module of that name has been imported."""

    @property
    def availability(self) -> Any:
        return import_module("maintsched.availability").availability

    @availability.setter
    def availability(self, module: ModuleType) -> None:
        """Drop what the import system binds to the name of a module that it has loaded."""


sys.modules[__name__].__class__ = _Package

__all__ = [
    "Availability",
    "BackupRule",
    "CalendarMethod",
    "ChangeClass",
    "ChangeRefused",
    "Classification",
    "Clock",
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
    "Language",
    "Maintenance",
    "MaintschedError",
    "NaiveDatetime",
    "NoWindow",
    "NoticeKind",
    "OutOfRange",
    "Outage",
    "OutageCause",
    "Period",
    "Pin",
    "Plan",
    "PlanWindow",
    "ReactionDue",
    "ReactionTime",
    "Release",
    "Rule",
    "RuleRefused",
    "Scope",
    "Severity",
    "Span",
    "Standstill",
    "StartTooNear",
    "StoreError",
    "TrackSwitch",
    "UnknownName",
    "Version",
    "Window",
    "WindowKind",
    "WorkRow",
    "availability",
    "builtin_contracts",
    "classify",
    "concurrent_severity",
    "deferral_limit",
    "earliest_start",
    "explain_deferral_limit",
    "explain_earliest_start",
    "explain_handover_due",
    "explain_offered_start",
    "explain_provisioning_due",
    "explain_reminder_deadline",
    "explain_send_at",
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
