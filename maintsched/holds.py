"""The fifteen gates, one by one: what closes each of them for a run, and the way out.

They are asked before each step that changes something, in the order of `Gate`. What cannot be known closes a gate.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from maintsched.birth import FrozenMapping
from maintsched.contract import Contract
from maintsched.errors import InvalidValue
from maintsched.facts import ChangeClass, WindowKind
from maintsched.localtime import Elapsed, elapsed, utc
from maintsched.releases import RunningDeferral
from maintsched.residents import told_in_time
from maintsched.runs import APPROVABLE, Gate, Hold, Resident, Run, RunItem, RunTerms, Standing
from maintsched.turns import names_of
from maintsched.version import Version

# --- the cut-off ------------------------------------------------------------------------------------------------------


def latest_start(terms: RunTerms, run: Run, *, now: datetime | None = None, end: datetime | None = None) -> datetime:
    """Return the cut-off in UTC: the last instant at which a change may be started, itself held.

    What is left of the window after it is enough for the work, a reboot and a rollback. Once the run has begun, what
    has passed since counts as work done. `end` is an earlier end than that of the run's window, such as the end of the
    window of another instance on its host.
    """
    last = run.end.astimezone(UTC) if end is None else min(run.end.astimezone(UTC), end.astimezone(UTC))
    seconds = run.expected_seconds
    if now is not None and run.begun and run.started_at is not None:
        gone = elapsed(run.started_at, now).total_seconds()
        seconds -= min(seconds, max(0, int(gone)))
    return last - timedelta(seconds=seconds + terms.reserve_seconds)


# --- one run ----------------------------------------------------------------------------------------------------------


class Case(NamedTuple):
    """A run before its gates."""

    contract: Contract
    terms: RunTerms
    standing: Standing
    now: datetime
    concerned: tuple[Resident, ...]
    """The run's own instance, and those beside it that are promised something of work on their host."""

    @property
    def run(self) -> Run:
        """The run itself."""
        return self.standing.run

    @property
    def classes(self) -> set[ChangeClass]:
        """Classes of everything that would change."""
        return {item.change_class for item in self.run.items} | self.standing.carried

    @property
    def clause(self) -> str:
        """The clause of the run's window."""
        clauses = self.contract.clauses
        others: dict[str, str] = {WindowKind.CRITICAL: clauses.critical, WindowKind.EMERGENCY: clauses.emergency}
        return others.get(self.run.window.partition("/")[0], clauses.monthly)

    def when(self, at: datetime) -> str:
        """Write an instant as people of the contract's zone read it."""
        return f"{at.astimezone(self.contract.zone):%Y-%m-%d %H:%M %Z}"

    def names(self, found: Iterable[Resident]) -> str:
        """Name instances; those that are not the run's own are said to live on the same host."""
        keys = [each.instance for each in found]
        beside = "" if keys == [self.run.instance] else f" on {self.run.host}"
        return f"{names_of(keys)}{beside}"


def holds(contract: Contract, terms: RunTerms, standing: Standing, *, now: datetime) -> tuple[Hold, ...]:
    """Return every gate that is closed for a run, in the order of `Gate`; none: a change may be started at `now`."""
    return tuple(closed_gates(contract, terms, standing, utc(now, "now")))


def closed_gates(contract: Contract, terms: RunTerms, standing: Standing, now: datetime) -> Iterator[Hold]:
    """Return the holds of a run one by one: who only wants to know the first one need not ask the others."""
    own, others, approved = standing.residents[:1], standing.residents[1:], standing.approved
    concerned = (*own, *(each for each in others if each.runs and each.touchable)) if others else own
    case = Case(contract, terms, standing, now, concerned)
    for gate, look in GATES.items():
        hold = look(case)
        if hold is not None and not (gate in approved and gate in APPROVABLE):
            yield hold


def _window(case: Case) -> Hold | None:
    run, now = case.run, case.now
    if not case.concerned or case.concerned[0].instance != run.instance:
        fact = f"it is not known which instances are on {run.host}"
        return Hold(Gate.WINDOW, fact, case.clause, "`maintsched fleet sync` brings the fleet up to date")
    if not case.standing.confirmed:
        fact = f"{run.window} is not confirmed, or not at the time that the run was entered for"
        return Hold(Gate.WINDOW, fact, case.clause, f"`maintsched window show {run.window}` says how it stands")
    if now < run.start.astimezone(UTC):
        return Hold(Gate.WINDOW, f"{run.window} opens {case.when(run.start)}", case.clause, "wait for it", run.start)
    if now >= run.end.astimezone(UTC):
        fact = f"{run.window} ended {case.when(run.end)}"
        return Hold(Gate.WINDOW, fact, case.clause, "announce another: `maintsched window announce`")
    shut = [each for each in case.concerned if each.window is None or not each.window.start <= now < each.window.end]
    if shut:
        others = ",".join(each.instance for each in shut)
        way_out = f"announce a window for it: `maintsched window announce critical --instances {others}`"
        return Hold(Gate.WINDOW, f"no window is open for {case.names(shut)}", case.clause, way_out)
    return None


def _subscription(case: Case) -> Hold | None:
    run = case.run
    if case.standing.residents and case.standing.residents[0].runs:
        return None
    fact = f"the subscription of {run.instance} on {run.host} does not run"
    way_out = f"`maintsched fleet show {run.instance}` says from when to when it does"
    return Hold(Gate.SUBSCRIPTION, fact, case.contract.clauses.handover, way_out)


def _consent(case: Case) -> Hold | None:
    if not case.standing.residents or case.standing.residents[0].touchable:
        return None
    fact = f"{case.run.instance} is on the customer's own system, and no consent holds"
    way_out = f"record a consent: `maintsched consent add {case.run.instance}`"
    return Hold(Gate.CONSENT, fact, case.contract.clauses.remote_access, way_out)


def _executor(case: Case) -> Hold | None:
    if case.standing.known_executor:
        return None
    fact = f"the configuration does not say how {case.run.instance} is updated"
    return Hold(Gate.EXECUTOR, fact, "", f"write a table [executor.{case.run.executor}] into maintsched.toml")


def _pause(case: Case) -> Hold | None:
    for each in case.standing.residents:
        for pause in each.pauses:
            fact = f"pause {pause.key} since {case.when(pause.since)} holds {case.names([each])}: {pause.reason}"
            return Hold(Gate.PAUSE, fact, "", f"`maintsched resume {pause.key}`")
    return None


def _notice(case: Case) -> Hold | None:
    contract = case.contract
    for each in case.concerned:
        if each.window is None:
            continue  # the gate of the window says so
        start = each.window.start
        if not told_in_time(contract, start, each.told_at, emergency=each.emergency, now=case.now):
            window = each.window_id or case.run.window
            fact = f"customer {each.customer} was not told of {window} for {case.names([each])}"
            if each.told_at is not None:
                late = f"less than {contract.critical.lead} before {case.when(start)}"
                fact = f"{fact} in time: {case.when(each.told_at)} is {'still ahead' if each.emergency else late}"
            way_out = (
                f"`maintsched notice list --window {window}` shows its mails; what cannot wait for another window is "
                "an emergency: `maintsched window announce emergency`"
            )
            return Hold(Gate.NOTICE, fact, contract.clauses.told, way_out)
    return None


def _freeze(case: Case) -> Hold | None:
    frozen = [each for each in case.standing.residents if each.freezes]
    if not frozen:
        return None
    classes = case.classes
    found = [
        (freeze, each)
        for each in frozen
        for freeze in each.freezes
        if not classes.isdisjoint(freeze.classes) and case.now in freeze.span
    ]
    if not found:
        return None
    freeze, resident = found[0]
    until = max((each.end for each, _ in found), key=utc)
    kept_out = ", ".join(sorted(classes.intersection(freeze.classes)))
    fact = f"freeze {freeze.key} keeps {kept_out} changes out of {case.names([resident])}: {freeze.reason}"
    return Hold(Gate.FREEZE, fact, "", f"wait, or `maintsched freeze end {freeze.key}`", until)


def _deferral(case: Case) -> Hold | None:
    if case.standing.kept_back:
        way_out = f"the next window takes another: `maintsched release list --instance {case.run.instance}` says which"
        return Hold(Gate.DEFERRAL, case.standing.kept_back, "", way_out)
    deferring = [each for each in case.standing.residents if each.deferrals]
    component = case.contract.deferral.component
    items = [item for item in case.run.items if item.component == component] if deferring else []
    for each in deferring:
        for running in each.deferrals:
            if not (each.runs and running.runs_at(case.now)):
                continue
            for item in items:
                why = _deferred(case, item, running)
                if why:
                    fact = f"{why}, for {case.names([each])}, until {case.when(running.end)}"
                    names = f"{running.deferral.instance} {running.deferral.release}"
                    way_out = f"wait, or withdraw the deferral: `maintsched defer withdraw {names}`"
                    return Hold(Gate.DEFERRAL, fact, case.contract.clauses.updates, way_out, running.end)
    return None


def _deferred(case: Case, item: RunItem, running: RunningDeferral) -> str:
    """Return why a deferral keeps an item out; empty: it does not."""
    deferred = running.deferral.release
    if item.change_class is not ChangeClass.SECURITY:
        return f"{item.component} {deferred} is deferred, and only its security releases go in"
    if item.release is None or _holds(case, item.release, deferred):
        return f"{item.component} {item.release or 'with all its updates'} holds {deferred}, which is deferred"
    return ""


def _holds(case: Case, text: str, deferred: Version) -> bool:
    """Say whether a release brings the changes of a deferred version; what cannot be read might."""
    try:
        version = Version.parse(text)
    except InvalidValue:
        return True
    carried = (each for each in case.standing.releases if each.version == version)
    return version >= deferred or any(each.holds(deferred) for each in carried)


def _cut_off(case: Case) -> Hold | None:
    run, terms = case.run, case.terms
    ends = [each.window.end.astimezone(UTC) for each in case.concerned if each.window is not None]
    end = min(ends, default=run.end)
    last = latest_start(terms, run, now=case.now, end=end)
    if case.now <= last:
        return None
    work, reserve = Elapsed(seconds=run.expected_seconds), Elapsed(seconds=terms.reserve_seconds)
    end = min(run.end, end, key=utc)
    fact = f"it had to be started by {case.when(last)}: {work} of work and {reserve} of reserve before {case.when(end)}"
    return Hold(Gate.CUT_OFF, fact, case.clause, "it goes into the next window; a longer one would hold it")


def _approval(case: Case) -> Hold | None:
    wanted = case.classes.intersection(case.terms.approval) if case.terms.approval else None
    if not wanted:
        return None
    fact = f"{', '.join(sorted(wanted))} changes wait for an operator (runs.approval)"
    return Hold(Gate.APPROVAL, fact, "", f"`maintsched run approve {case.run.key} --reason WHY`")


def _brake(case: Case) -> Hold | None:
    found = case.standing.brake
    approve = f"`maintsched run approve {case.run.key} --reason WHY`"
    way_out = f"look at them, then `maintsched run retry` or, for this one, {approve}"
    return Hold(Gate.BRAKE, found, "", way_out) if found else None


def _wave(case: Case) -> Hold | None:
    standing = case.standing
    approve = f"`maintsched run approve {case.run.key} --gate wave --reason WHY`"
    way_out = f"wait; `maintsched run list` shows the others; or {approve}"
    return Hold(Gate.WAVE, standing.wave, "", way_out, standing.wave_until) if standing.wave else None


def _hook(case: Case) -> Hold | None:
    found = case.standing.hook
    way_out = f"mend it, it is called again; or `maintsched run approve {case.run.key} --reason WHY`"
    return Hold(Gate.HOOK, found, "", way_out) if found else None


def _host(case: Case) -> Hold | None:
    return host_taken(case.standing.host, case.run) if case.standing.host else None


def host_taken(other: str, run: Run) -> Hold:
    """Return the hold of a run at whose host another one is."""
    return Hold(Gate.HOST, f"{other} is at {run.host}", "", "wait: one run at a time touches a host")


def _limit(case: Case) -> Hold | None:
    return limit_reached(case.standing.limit) if case.standing.limit else None


def limit_reached(limit: str) -> Hold:
    """Return the hold of a run that a limit keeps from beginning."""
    return Hold(Gate.LIMIT, limit, "", "wait until one of them ends")


GATES: Mapping[Gate, Callable[[Case], Hold | None]] = FrozenMapping(
    {
        Gate.WINDOW: _window,
        Gate.SUBSCRIPTION: _subscription,
        Gate.CONSENT: _consent,
        Gate.EXECUTOR: _executor,
        Gate.PAUSE: _pause,
        Gate.NOTICE: _notice,
        Gate.FREEZE: _freeze,
        Gate.DEFERRAL: _deferral,
        Gate.CUT_OFF: _cut_off,
        Gate.APPROVAL: _approval,
        Gate.BRAKE: _brake,
        Gate.WAVE: _wave,
        Gate.HOOK: _hook,
        Gate.HOST: _host,
        Gate.LIMIT: _limit,
    }
)
"""What is asked at each gate, in order."""
