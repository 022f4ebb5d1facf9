"""Why: what is known of a window, an instance, a deferral, a freeze or a release, as titled lines of text."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from maintsched.contract import Contract, Explained
from maintsched.deadlines import explain_deferral_limit, explain_reminder_deadline
from maintsched.errors import InvalidValue, UnknownName
from maintsched.facts import DeclaredWindow, Deferral, Facts, Freeze, Release, WindowKind
from maintsched.fleet import Fleet, instance_url
from maintsched.localtime import start_of_day, utc
from maintsched.notices import recipients
from maintsched.plan import Plan, PlanWindow, make_plan
from maintsched.readings import ReminderReading
from maintsched.releases import RunningDeferral, track_at, wave_of
from maintsched.spans import Span
from maintsched.version import Version
from maintsched.windows import declared_window, schedule

LOOK_AHEAD = timedelta(days=400)
"""How far ahead windows are looked for that concern an instance, a freeze or a release."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paragraph:
    """Some lines under a title."""

    title: str
    lines: tuple[str, ...]


def explain(contract: Contract, fleet: Fleet, facts: Facts, subject: str, *, now: datetime) -> list[Paragraph]:
    """Return why things are as they are for `subject`.

    A subject is the id of a window (monthly/2026-12), the key of an instance, deferral/<instance>/<release>,
    freeze/<key>, release/<version> or release/<component>/<version>. A version is known by its value: 12.1 names
    12.1.0. Raises `UnknownName` where nothing is called so.
    """
    kind, _, name = subject.partition("/")
    if schedule(contract).has(subject) or any(window.id == subject for window in facts.windows):
        return _explain_window(contract, fleet, facts, subject, now)
    if kind == "deferral" and (deferrals := _deferrals(facts, name)):
        return _explain_deferral(contract, fleet, facts, deferrals[0].id, now)
    if kind == "freeze" and any(freeze.key == name for freeze in facts.freezes):
        return _explain_freeze(contract, fleet, facts, name, now)
    if kind == "release" and (releases := _releases(facts, name)):
        return _explain_releases(contract, fleet, facts, releases, now)
    key = name if kind == "instance" else subject
    if key in fleet.owners:
        return _explain_instance(contract, fleet, facts, key, now)
    raise UnknownName("id", found=subject, known=_known(contract, fleet, facts, now))


def _deferrals(facts: Facts, name: str) -> list[Deferral]:
    instance, _, version = name.rpartition("/")
    return [each for each in facts.deferrals if each.instance == instance and _is_version(each.release, version)]


def _releases(facts: Facts, name: str) -> list[Release]:
    """Return the releases of a version, of each component or of the one that `name` begins with."""
    component, _, version = name.rpartition("/")
    return [
        each
        for each in facts.releases
        if _is_version(each.version, version) and (not component or each.component == component)
    ]


def _is_version(version: Version, text: str) -> bool:
    try:
        return Version.parse(text) == version
    except InvalidValue:
        return False


def _known(contract: Contract, fleet: Fleet, facts: Facts, now: datetime) -> list[str]:
    plan = make_plan(contract, Fleet(), Facts(), _ahead(now), now=now)
    return [
        *(planned.window.id for planned in plan.windows[:3]),
        *(window.id for window in facts.windows),
        *(f"deferral/{deferral.id}" for deferral in facts.deferrals),
        *(f"freeze/{freeze.key}" for freeze in facts.freezes),
        *dict.fromkeys(f"release/{release.version}" for release in facts.releases),
        *fleet.owners,
    ]


def _ahead(start: datetime) -> Span:
    return Span(start=start, end=utc(start) + LOOK_AHEAD)


def _explain_window(contract: Contract, fleet: Fleet, facts: Facts, subject: str, now: datetime) -> list[Paragraph]:
    """Explain a window, and where it was moved for some instances only, also the window of the others."""
    declared = next((window for window in facts.windows if window.id == subject), None)
    of_rule = schedule(contract).window(subject)
    found, starts = [], []
    if declared is not None and declared.cancelled:
        found.append(_cancelled(contract, declared))
    elif declared is not None:
        starts.append(declared_window(contract, declared).start)
    if of_rule is None and declared is None:
        found.append(_skipped(contract, subject))
    elif of_rule is not None and (declared is None or declared.instances):
        starts.append(of_rule.start)
    plans = [_plan_at(contract, fleet, facts, start, now) for start in dict.fromkeys(starts)]
    for plan in plans:
        for planned in plan.windows:
            if planned.window.id == subject:
                found += _of_window(contract, fleet, planned, _for_whom(planned, declared))
    return found + _conflicts(*plans)


def _plan_at(contract: Contract, fleet: Fleet, facts: Facts, start: datetime, now: datetime) -> Plan:
    span = Span(start=start, end=utc(start) + timedelta(microseconds=1))
    return make_plan(contract, fleet, facts, span, now=now)


def _cancelled(contract: Contract, declared: DeclaredWindow) -> Paragraph:
    window = declared_window(contract, declared)
    lines = (
        f"reason: {declared.reason}",
        f"it was to start {_instant(window.start)}",
        f"kind {declared.kind}, clause {window.clause}",
        *((f"for {', '.join(declared.instances)}",) if declared.instances else ()),
    )
    return Paragraph(title=f"{declared.id} is cancelled", lines=lines)


def _skipped(contract: Contract, subject: str) -> Paragraph:
    override = next(each for each in contract.monthly.override if each.window == subject)
    lines = (f"reason: {override.reason}", f"by monthly.override of the contract, clause {contract.clauses.monthly}")
    return Paragraph(title=f"{subject} is skipped", lines=lines)


def _for_whom(planned: PlanWindow, declared: DeclaredWindow | None) -> str:
    if declared is None or not declared.instances:
        return ""
    return f" for {', '.join(declared.instances)}" if planned.declared else " for all others"


def _of_window(contract: Contract, fleet: Fleet, planned: PlanWindow, for_whom: str) -> list[Paragraph]:
    window = planned.window
    found = [
        Paragraph(title=f"{window.id}{for_whom} starts", lines=tuple(_said(window.explained))),
        Paragraph(title="ends", lines=(_instant(window.end),)),
    ]
    for notice in planned.notices:
        margin = f"in support hours, {contract.notice.margin} or more before the deadline (notice.margin)"
        at_once = "at once: emergency work is told as soon as it is planned"
        why = at_once if window.kind is WindowKind.EMERGENCY else margin
        found.append(Paragraph(title=f"{notice.kind} is due", lines=tuple(_said(notice.due))))
        found.append(Paragraph(title=f"{notice.kind} goes out", lines=(_instant(notice.send_at), why)))
    if window.kind is WindowKind.MONTHLY:
        found.append(Paragraph(title="other readings", lines=tuple(_other_readings(contract, window.start))))
    if planned.clock_change is not None:
        found.append(Paragraph(title="clock change", lines=(str(planned.clock_change),)))
    nothing = "nothing" if fleet.owners else "not known: no fleet was given"
    found.append(Paragraph(title="goes in", lines=tuple(_work(planned)) or (nothing,)))
    return found


def _instant(at: datetime) -> str:
    return f"{at.isoformat()} ({at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC)"


def _said(explained: Explained) -> Iterator[str]:
    yield ("before " if explained.exclusive else "") + _instant(explained.at)
    yield f"clause {explained.clause}, reading {explained.reading}"
    yield from (f"{name}: {value}" for name, value in explained.facts)


def _other_readings(contract: Contract, start: datetime) -> Iterator[str]:
    for reading in ReminderReading:
        if reading is not contract.monthly.reminder_reading:
            explained = explain_reminder_deadline(contract, start, reading)
            bound = "before" if explained.exclusive else "by"
            yield f"monthly.reminder_reading = {reading}: {bound} {_instant(explained.at)}"


def _work(planned: PlanWindow, only: str | None = None) -> Iterator[str]:
    for assignment in planned.assignments:
        keys = [key for key in assignment.instances if only is None or key == only]
        if not keys:
            continue
        names = ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
        for item in assignment.work:
            what = f"{item.component} {item.release}" if item.release else item.component
            yield f"{names}: {what} ({item.change_class}): {item.why}"
        for held in assignment.held_back:
            yield f"{names}: not {held.release.id} ({held.release.change_class}): {held.why}"


def _conflicts(*plans: Plan) -> list[Paragraph]:
    found = dict.fromkeys(conflict for plan in plans for conflict in plan.all_conflicts)
    lines = tuple(
        f"{conflict.kind.replace('_', ' ')}, {conflict.subject}: {conflict.message} (clause {conflict.clause})"
        for conflict in found
    )
    return [Paragraph(title="conflicts", lines=lines)] if lines else []


def _explain_instance(contract: Contract, fleet: Fleet, facts: Facts, key: str, now: datetime) -> list[Paragraph]:
    instance, customer = fleet.instance(key), fleet.owners[key]
    told = ", ".join(contact.name for contact in recipients(contract, customer)) or "nobody"
    plan = make_plan(contract, fleet, facts, _ahead(now), now=now, only=frozenset({key}))
    lines = (
        f"customer {customer.name}, package {customer.package}, told: {told}",
        f"environment {instance.environment}, {instance_url(contract, customer, instance) or 'no URL'}",
        f"track {track_at(contract, instance, facts.track_switches, now)}, wave {wave_of(contract, instance)}",
        f"host {instance.host}, executor {instance.executor}" + ("" if instance.managed else ", unmanaged"),
        f"installed: {', '.join(f'{name} {version}' for name, version in instance.versions.items()) or 'not known'}",
    )
    windows = [
        Paragraph(title=planned.window.id, lines=(_instant(planned.window.start), *_work(planned, key)))
        for planned in plan.windows[:6]
    ]
    return [Paragraph(title=f"instance {key}", lines=lines), *windows, *_conflicts(plan)]


def _explain_deferral(contract: Contract, fleet: Fleet, facts: Facts, name: str, now: datetime) -> list[Paragraph]:
    plan = make_plan(contract, fleet, facts, _ahead(now), now=now)
    running: RunningDeferral = next(each for each in plan.deferrals if each.deferral.id == name)
    into = f"{running.window.id}, {_instant(running.window.start)}" if running.window else "no window"
    reminders = tuple(
        f"{period} before: {_instant(period.before_instant(running.end, contract.zone, contract.clock_change).at)}"
        for period in contract.deferral.remind
    )
    about = (
        *(("withdrawn",) if running.deferral.withdrawn_at is not None else ()),
        f"asked for until {_instant(running.deferral.until.astimezone(contract.zone))}",
        f"reading deferral.after = {contract.deferral.after}",
    )
    return [
        Paragraph(title=f"deferral {name} starts", lines=(_instant(running.start), "the window it would have gone in")),
        Paragraph(title="latest possible end", lines=tuple(_said(explain_deferral_limit(contract, running.start)))),
        Paragraph(title="ends", lines=(_instant(running.end), *about)),
        *(
            [Paragraph(title="the customer is reminded", lines=reminders)]
            if running.deferral.withdrawn_at is None
            else ()
        ),
        Paragraph(title="goes in with", lines=(into,)),
        *_conflicts(plan),
    ]


def _explain_freeze(contract: Contract, fleet: Fleet, facts: Facts, name: str, now: datetime) -> list[Paragraph]:
    freeze: Freeze = next(each for each in facts.freezes if each.key == name)
    begin = start_of_day(freeze.start.astimezone(contract.zone).date() - timedelta(days=7), contract.zone)
    plan = make_plan(contract, fleet, facts, Span(start=begin, end=freeze.end), now=now)
    scope = ", ".join((*freeze.customers, *freeze.instances)) or "the whole fleet"
    state = "over" if utc(freeze.end) <= utc(now) else "running" if utc(freeze.start) <= utc(now) else "ahead"
    over = tuple(
        f"{planned.window.id}: {conflict.message}"
        for planned in plan.windows
        for conflict in planned.conflicts
        if conflict.kind == "freeze_over_window" and f"freeze {name} " in conflict.message
    )
    lines = (
        f"from {_instant(freeze.start.astimezone(contract.zone))}",
        f"until {_instant(freeze.end.astimezone(contract.zone))}, when it ends by itself",
        f"keeps {', '.join(freeze.classes)} changes out of {scope}",
        f"reason: {freeze.reason}",
    )
    return [
        Paragraph(title=f"freeze {name} is {state}", lines=lines),
        Paragraph(title="over windows", lines=over or ("none",)),
    ]


def _explain_releases(
    contract: Contract, fleet: Fleet, facts: Facts, releases: list[Release], now: datetime
) -> list[Paragraph]:
    plan = make_plan(contract, fleet, facts, _ahead(now), now=now)
    return [paragraph for release in releases for paragraph in _of_release(contract, plan, release)]


def _of_release(contract: Contract, plan: Plan, release: Release) -> Iterator[Paragraph]:
    lines = (
        f"{release.component}, {release.change_class}, on {', '.join(release.tracks) or 'every track'}",
        f"available since {_instant(release.available_at.astimezone(contract.zone))}",
        *((release.changes,) if release.changes else ()),
        *((f"withdrawn: {release.withdrawn}",) if release.withdrawn else ()),
    )
    yield Paragraph(title=f"release {release.id}", lines=lines)
    for planned in plan.windows:
        said = tuple(line for line in _work(planned) if f" {release.id} (" in line)
        if said:
            yield Paragraph(title=planned.window.id, lines=said)
