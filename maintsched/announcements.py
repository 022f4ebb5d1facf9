"""Windows that were announced: their states, what may be done to them, and what a change asks for.

A window is entered *tentative* or *confirmed*, may be moved, and ends *cancelled* or by taking place. Every change is
typed: a *significant* one has to be told with a lead of its own, a *trivial* one takes nothing from the announcement.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from maintsched.birth import settle_fields
from maintsched.contract import Contract, Explained
from maintsched.deadlines import explain_earliest_start, explain_offered_start
from maintsched.errors import ChangeRefused, InvalidValue, StartTooNear
from maintsched.facts import DeclaredWindow, Impact, WindowKind
from maintsched.grammar import require_text
from maintsched.localtime import utc
from maintsched.spans import Span
from maintsched.terms import WINDOW_MAX

ALTERNATIVES_MAX = 19
"""Other times that a window may offer; with its own, twenty."""


class WindowState(StrEnum):
    """How far the announcement of a window has come."""

    TENTATIVE = "tentative"  # offered; it tells nobody
    CONFIRMED = "confirmed"  # it will take place, and was or is to be announced
    CANCELLED = "cancelled"  # it does not take place; its calendar entry is never revived


class Significance(StrEnum):
    """What a change of an announced window asks for."""

    SIGNIFICANT = "significant"  # people are told again, and the lead time starts anew
    TRIVIAL = "trivial"  # less than what was announced: the announcement stands


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """A declared window as the store keeps it. `window.cancelled` follows from `state`."""

    window: DeclaredWindow
    state: WindowState = WindowState.CONFIRMED
    entered_at: datetime
    alternatives: tuple[Span, ...] = ()
    """Other times that a customer may choose; the window's own is number 1, these count from 2."""
    origin: str | None = None
    """Id of the window that offered this time, where a customer chose it: account and calendar entry stay the same."""
    hurry: str = ""
    """Why more than 24 hours' notice were not practicable (emergencies)."""
    mailed: bool = True
    """False: published without mail. That tells nobody and proves nothing."""
    by_rule: bool = False
    """A window of the rule, kept as it was announced: it no longer follows the rule."""

    def __post_init__(self) -> None:
        """Refuse alternatives of a window that is not tentative."""
        settle_fields(self)
        require_text("hurry", self.hurry, empty=True)
        if len(self.alternatives) > ALTERNATIVES_MAX:
            found = f"{len(self.alternatives)}"
            expected = f"at most {ALTERNATIVES_MAX} alternatives"
            raise InvalidValue("alternative", expected=expected, found=found, field="alternatives")
        for span in self.alternatives:
            if not span.start < span.end or span.end - span.start > WINDOW_MAX:
                expected = f"a time of at most {WINDOW_MAX}"
                raise InvalidValue("alternative", expected=expected, found=span.start.isoformat(), field="alternatives")

    @property
    def id(self) -> str:
        """The window's id."""
        return self.window.id

    @property
    def thread(self) -> str:
        """Id under which accounts know the window: that of its origin."""
        return self.origin or self.window.id

    @property
    def span(self) -> Span:
        """The announced time."""
        return self.window.span

    def alternative(self, number: int) -> Span:
        """Return the time that a customer chooses by `number`, from 1 on."""
        offered = (self.span, *self.alternatives)
        if not 1 <= number <= len(offered):
            raise InvalidValue("alternative", expected=f"a number from 1 to {len(offered)}", found=number)
        return offered[number - 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a change of an announced window amounts to, and in words why."""

    significance: Significance
    reasons: tuple[str, ...]

    @property
    def significant(self) -> bool:
        """Say whether people have to be told with a lead of its own."""
        return self.significance is Significance.SIGNIFICANT


_IMPACTS = tuple(Impact)


def change_between(before: DeclaredWindow, after: DeclaredWindow, covered: Collection[str] | None = None) -> Change:
    """Return what it takes to turn `before` into `after` (clause 2.4.3.2).

    Time added at either end, another instance and a worse impact are significant; everything less is trivial. `covered`
    holds the instances that `before` was announced for, where it named none.
    """
    reasons = []
    if utc(after.span.start) < utc(before.span.start):
        reasons.append("it starts earlier")
    if utc(after.span.end) > utc(before.span.end):
        reasons.append("it ends later")
    known = frozenset(before.instances or (covered or ()))
    added = sorted(frozenset(after.instances) - known) if before.instances or covered is not None else []
    if added:
        reasons.append(f"another instance: {', '.join(added)}")
    if _IMPACTS.index(after.impact) > _IMPACTS.index(before.impact):
        reasons.append(f"a worse impact: {after.impact} instead of {before.impact}")
    significance = Significance.SIGNIFICANT if reasons else Significance.TRIVIAL
    return Change(significance=significance, reasons=tuple(reasons) or ("nothing is added to what was announced",))


def require_start(contract: Contract, window: DeclaredWindow, now: datetime, *, hurry: str = "") -> Explained:
    """Refuse a start that the contract does not allow to be announced at `now`; return the earliest one.

    A critical window needs its lead after now, hold and delivery margin (clause 2.4.3.2): `StartTooNear` names the
    earliest start to offer. An emergency may start at any time, but less than its lead ahead it needs the reason why
    more was not practicable (clause 2.4.3.3). Nothing may start in the past.
    """
    start = utc(window.span.start)
    if start < utc(now):
        raise InvalidValue("start", expected=f"an instant from {now.isoformat()} on", found=window.start.isoformat())
    if window.kind is WindowKind.CRITICAL:
        offered = explain_offered_start(contract, now)
        least = utc(now) + contract.critical.lead + contract.notice.hold + contract.notice.delivery_margin
        if start < least:
            raise StartTooNear(window.start.astimezone(contract.zone), offered.at, clause=offered.clause)
        return offered
    if window.kind is WindowKind.EMERGENCY and start < utc(now) + contract.emergency.lead and not hurry:
        expected = (
            f"the reason why more than {contract.emergency.lead} were not practicable "
            f"(clause {contract.clauses.emergency})"
        )
        raise InvalidValue("why-short", expected=expected, found="none", field="hurry")
    return explain_earliest_start(contract, now)


def moved(announcement: Announcement, span: Span) -> Announcement:
    """Return the announcement with another time; a cancelled window cannot be moved."""
    _require_living(announcement, "moved")
    window = replace(announcement.window, start=span.start, end=span.end, duration=None)
    return replace(announcement, window=window, alternatives=())


def confirmed(announcement: Announcement) -> Announcement:
    """Return the announcement as confirmed; only a tentative one can be."""
    if announcement.state is not WindowState.TENTATIVE:
        raise ChangeRefused(announcement.id, expected="a tentative window to confirm", found=announcement.state)
    return replace(announcement, state=WindowState.CONFIRMED, alternatives=())


def cancelled(announcement: Announcement) -> Announcement:
    """Return the announcement as cancelled; a cancelled one is never revived."""
    _require_living(announcement, "cancelled")
    window = replace(announcement.window, cancelled=True)
    return replace(announcement, window=window, state=WindowState.CANCELLED)


def chosen(announcement: Announcement, number: int, instances: tuple[str, ...]) -> Announcement:
    """Return the window of the time that a customer chose for `instances`: confirmed, with the account's old thread.

    Number 1 is the window's own time. Each other time is a window of its own, `<key>.<number>`.
    """
    if announcement.state is not WindowState.TENTATIVE or announcement.origin is not None:
        expected = "a tentative window with alternatives"
        raise ChangeRefused(announcement.id, expected=expected, found=announcement.state)
    span = announcement.alternative(number)
    old = announcement.window
    window = replace(old, key=f"{old.key}.{number}", start=span.start, end=span.end, duration=None, instances=instances)
    return replace(
        announcement, window=window, state=WindowState.CONFIRMED, alternatives=(), origin=announcement.thread
    )


def _require_living(announcement: Announcement, done: str) -> None:
    if announcement.state is WindowState.CANCELLED:
        expected = f"a window that is not cancelled yet to be {done} (announce a new one)"
        raise ChangeRefused(announcement.id, expected=expected, found="a cancelled one")
