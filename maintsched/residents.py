"""Who lives on a host, and how each instance there stands now: its window, what its customer was told, what is held.

What is done to a host is done to all its instances. A `Register` is made once for a whole fleet at one instant; after
that, each host is a look-up. A host has one name here, however it is written: large and small letters are the same.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Generic, NamedTuple, Protocol, TypeVar

from maintsched.announcements import Announcement, WindowState
from maintsched.contract import Contract
from maintsched.deadlines import Classification, classify
from maintsched.errors import InvalidValue
from maintsched.facts import ChangeClass, Facts, Release, TrackSwitch, WindowKind
from maintsched.fleet import Fleet, Instance, active_span
from maintsched.localtime import utc
from maintsched.readings import Late
from maintsched.releases import RunningDeferral, Shelf, track_at
from maintsched.runs import Pause, Resident, Run
from maintsched.spans import Span
from maintsched.terms import WINDOW_MAX
from maintsched.version import Version
from maintsched.windows import monthly_windows, schedule

Told = Mapping[tuple[str, str], datetime]
"""When the customer was told, by window and instance, as `maintsched.proof` works it out."""


def told_in_time(
    contract: Contract, start: datetime, told_at: datetime | None, *, emergency: bool, now: datetime
) -> bool:
    """Say whether what a customer was told allows work in a window that starts at `start` (clause 2.4.3).

    In time is what makes it planned; an emergency only has to be told before work begins. Where the contract's `late`
    is `run`, work nobody was told of in time is done all the same: it then counts as unplanned.
    """
    if contract.late is Late.RUN:
        return True
    if told_at is None or told_at.astimezone(UTC) > now.astimezone(UTC):
        return False
    return emergency or classify(contract, start, told_at) is Classification.PLANNED


class _OpenWindow(NamedTuple):
    """A window that is open now, be anybody told of it or not."""

    id: str
    span: Span
    """In UTC, so that a whole fleet can be compared with it."""
    emergency: bool
    excepted: frozenset[str] = frozenset()
    """Instances that another window of this id is for."""


class _Announced(NamedTuple):
    """A window as the store has it: for whom (nobody: for all), when, and whether it takes place."""

    named: frozenset[str]
    span: Span
    confirmed: bool


class _Scoped(Protocol):
    """What holds for the whole fleet, for customers or for instances: a freeze, a pause."""

    @property
    def key(self) -> str: ...
    @property
    def customers(self) -> tuple[str, ...]: ...
    @property
    def instances(self) -> tuple[str, ...]: ...


T = TypeVar("T", bound=_Scoped)


class _Scopes(Generic[T]):
    """What covers whom, by the one it names."""

    def __init__(self, things: Iterable[T]) -> None:
        self.named: dict[str, dict[str, list[T]]] = {"customer": defaultdict(list), "instance": defaultdict(list)}
        ordered = sorted(things, key=lambda each: each.key)
        self.everywhere = tuple(each for each in ordered if not each.customers and not each.instances)
        for each in ordered:
            for kind, names in (("customer", each.customers), ("instance", each.instances)):
                for name in names:
                    self.named[kind][name].append(each)
        self.by_customer, self.by_instance = self.named["customer"], self.named["instance"]

    def over(self, customer: str, instance: str) -> tuple[T, ...]:
        """Return what covers an instance, in the order of the keys."""
        if customer not in self.by_customer and instance not in self.by_instance:
            return self.everywhere
        mine = (*self.everywhere, *self.by_customer.get(customer, ()), *self.by_instance.get(instance, ()))
        return tuple(sorted({each.key: each for each in mine}.values(), key=lambda each: each.key))


class Register:
    """The instances of a fleet by their hosts, and everything that the gates ask of them at one instant."""

    def __init__(
        self,
        contract: Contract,
        fleet: Fleet,
        facts: Facts,
        told: Told,
        announcements: Iterable[Announcement],
        *,
        now: datetime,
        deferrals: Iterable[RunningDeferral] = (),
        pauses: Iterable[Pause] = (),
    ) -> None:
        """Take everything that is known at `now`.

        `announcements` are the windows of the store, those of the rule that were kept included; `deferrals` are the
        settled ones of a plan. What is over or lies ahead is left out here.
        """
        self.contract, self.facts, self.told, self.now = contract, facts, told, utc(now, "now")
        self._announced: dict[str, _Announced] = {}
        self._replaced = {each.id: frozenset(each.instances) for each in facts.windows}
        """For whom a window takes the place of the rule's of its id; nobody: for all."""
        self._for_all: list[_OpenWindow] = []
        self._for_named: dict[str, list[_OpenWindow]] = defaultdict(list)
        self._open_announced(announcements)
        self._open_of_rule()
        self._excepting = any(each.excepted for each in self._for_all)
        self._freezes = _Scopes(each for each in facts.freezes if self.now in each.span)
        self._pauses = _Scopes(each for each in pauses if each.resumed_at is None)
        self._deferrals: dict[str, tuple[RunningDeferral, ...]] = {}
        for each in sorted(deferrals, key=lambda each: each.deferral.id):
            if each.runs_at(self.now):
                key = each.deferral.instance
                self._deferrals[key] = (*self._deferrals.get(key, ()), each)
        self._switches: dict[str, list[TrackSwitch]] = defaultdict(list)
        for switch in facts.track_switches:
            self._switches[switch.instance].append(switch)
        self._withdrawn = any(each.withdrawn for each in facts.releases)
        self._pins = {(each.instance, each.component): each for each in facts.pins if each.holds_at(self.now)}
        self._consented = frozenset(each.instance for each in facts.consents if each.holds_at(self.now))
        self._owners = fleet.owners
        self._alone: dict[str, Instance] = {}
        """By host, its instance; where it has several, the first that was met."""
        self._several: dict[str, list[Instance]] = {}
        """Only of hosts with more than one instance: a list for each of very many hosts costs more than all else."""
        for instance in fleet.instances():
            host = instance.host.lower()
            first = self._alone.setdefault(host, instance)
            if first is not instance:
                self._several.setdefault(host, [first]).append(instance)
        self._residents: dict[str, tuple[Resident, ...]] = {}
        self._brought: dict[tuple[object, ...], tuple[Release | None, frozenset[ChangeClass]]] = {}

    # --- windows ------------------------------------------------------------------------------------------------------

    def _open_announced(self, announcements: Iterable[Announcement]) -> None:
        for each in announcements:
            if each.state is WindowState.TENTATIVE:
                continue
            named, span = frozenset(each.window.instances), _in_utc(each.span)
            confirmed = each.state is WindowState.CONFIRMED
            self._announced[each.id] = _Announced(named, span, confirmed)
            self._replaced[each.id] = named
            if confirmed and self.now in span:
                window = _OpenWindow(each.id, span, each.window.kind is WindowKind.EMERGENCY)
                if not named:
                    self._for_all.append(window)
                for key in named:
                    self._for_named[key].append(window)

    def _open_of_rule(self) -> None:
        for window in monthly_windows(self.contract, self.now - WINDOW_MAX, self.now + timedelta(microseconds=1)):
            named = self._replaced.get(window.id)
            if (named is None or named) and self.now in window.span:
                span, excepted = _in_utc(window.span), named or frozenset()
                self._for_all.append(_OpenWindow(window.id, span, emergency=False, excepted=excepted))

    def confirmed(self, run: Run) -> bool:
        """Say whether the window of a run stands as it stood when the run was entered, and is for its instance."""
        announced = self._announced.get(run.window)
        if announced is not None and (not announced.named or run.instance in announced.named):
            return announced.confirmed and _is_span(announced.span, run)
        named = self._replaced.get(run.window)
        of_rule = schedule(self.contract).window(run.window)
        if of_rule is None or (named is not None and (not named or run.instance in named)):
            return False
        return _is_span(_in_utc(of_rule.span), run)

    def _window_of(self, key: str) -> _OpenWindow | None:
        """Return the window that is open for an instance: of several, one that was told in time, and ends last."""
        found = self._open_for(key)
        if len(found) < 2:
            return found[0] if found else None
        return max(found, key=lambda each: (self._in_time(each, key), each.span.end, each.id))

    def _open_for(self, key: str) -> list[_OpenWindow]:
        found = self._for_all
        if self._excepting:
            found = [each for each in found if key not in each.excepted]
        return found + self._for_named[key] if key in self._for_named else found

    def _in_time(self, window: _OpenWindow, key: str) -> bool:
        told_at = self.told.get((window.id, key))
        return told_in_time(self.contract, window.span.start, told_at, emergency=window.emergency, now=self.now)

    # --- instances ----------------------------------------------------------------------------------------------------

    def residents(self, host: str) -> tuple[Resident, ...]:
        """Return the instances of a host, in the order of their keys."""
        name = host.lower()
        if name not in self._several:
            instance = self._alone.get(name)
            return (self._resident(instance),) if instance else ()
        found = self._residents.get(name)
        if found is None:
            together = sorted(self._several[name], key=lambda each: each.key)
            found = self._residents[name] = tuple([self._resident(each) for each in together])
        return found

    def _resident(self, instance: Instance) -> Resident:
        key = instance.key
        customer = self._owners[key].key
        window = self._window_of(key)
        return Resident(
            key,
            customer,
            window.span if window else None,
            self.told.get((window.id, key)) if window else None,
            window.id if window else "",
            window is not None and window.emergency,
            self._subscribed(instance),
            instance.managed or key in self._consented,
            self._freezes.over(customer, key),
            self._deferrals.get(key, ()),
            self._pauses.over(customer, key),
        )

    def _subscribed(self, instance: Instance) -> bool:
        if instance.starts_on is None and instance.ends_on is None:
            return True
        start, end = active_span(self.contract, instance)
        return (start is None or utc(start) <= self.now) and (end is None or self.now < utc(end))

    def residents_of(self, run: Run) -> tuple[Resident, ...]:
        """Return the instances of a run's host, its own first, with the window that the run is for.

        An instance that is not in the fleet any more, or has another host now, comes as one whose subscription does not
        run: nothing is done to a host in its name.
        """
        everybody = self.residents(run.host)
        if len(everybody) == 1 and everybody[0].instance == run.instance:
            if everybody[0].window_id == run.window:
                return everybody
            return (self._in_window(everybody[0], run.window),)
        own = next((each for each in everybody if each.instance == run.instance), None)
        others = [each for each in everybody if each is not own]
        return (self._in_window(own or self._departed(run), run.window), *others)

    def _in_window(self, own: Resident, window_id: str) -> Resident:
        """Return the run's own instance with the run's own window, where that is open, whatever else is."""
        window = next((each for each in self._open_for(own.instance) if each.id == window_id), None)
        told_at = self.told.get((window_id, own.instance))
        span, emergency = (window.span, window.emergency) if window else (None, False)
        return own._replace(window=span, window_id=window_id, told_at=told_at, emergency=emergency)

    def _departed(self, run: Run) -> Resident:
        return Resident(
            instance=run.instance,
            customer=run.customer,
            window=None,
            told_at=None,
            runs=False,
            freezes=self._freezes.over(run.customer, run.instance),
            deferrals=self._deferrals.get(run.instance, ()),
            pauses=self._pauses.over(run.customer, run.instance),
        )

    # --- releases -----------------------------------------------------------------------------------------------------

    def brought(self, run: Run) -> tuple[tuple[Release, ...], frozenset[ChangeClass]]:
        """Return the releases among the items of a run, and the classes of all changes that they bring along.

        Releases are cumulative: a minor one may bring a major one that was never installed.
        """
        if not any(item.release for item in run.items):
            return (), frozenset()
        found = [self._bring(run, item.component, item.release) for item in run.items if item.release is not None]
        releases = tuple([release for release, _ in found if release is not None])
        return releases, frozenset[ChangeClass]().union(*(classes for _, classes in found))

    def kept_back(self, run: Run) -> str:
        """Return which release of a run was taken back, or is kept out by a pin, and why; empty: none is."""
        if not self._withdrawn and not self._pins:
            return ""
        for item in run.items:
            release, _ = self._bring(run, item.component, item.release) if item.release else (None, frozenset())
            if release is not None and release.withdrawn:
                return f"{release.id} was withdrawn: {release.withdrawn}"
            pin, instance = self._pins.get((run.instance, item.component)), self._instance(run)
            if release is None or pin is None or instance is None:
                continue
            shelf = Shelf(self.contract, item.component, self._track(run, instance), self.facts.releases)
            held = shelf.pinned_by(release, instance.versions.get(item.component), run.start, pin)
            if held is not None:
                return f"{release.id} stays out: {held.why}"
        return ""

    def _instance(self, run: Run) -> Instance | None:
        host = run.host.lower()
        there = self._several.get(host) or [self._alone[host]] if host in self._alone else []
        return next((each for each in there if each.key == run.instance), None)

    def _track(self, run: Run, instance: Instance) -> str:
        return track_at(self.contract, instance, self._switches.get(run.instance, ()), run.start)

    def _bring(self, run: Run, component: str, version: str) -> tuple[Release | None, frozenset[ChangeClass]]:
        instance = self._instance(run)
        if instance is None:
            return None, frozenset()
        track = self._track(run, instance)
        installed = instance.versions.get(component)
        named = (component, version, track, installed)
        if named not in self._brought:
            shelf = Shelf(self.contract, component, track, self.facts.releases)
            release = _release(self.facts.releases, component, version)
            classes = frozenset(shelf.carried(release, installed)) if release else frozenset[ChangeClass]()
            self._brought[named] = release, classes
        return self._brought[named]


def _release(releases: Iterable[Release], component: str, text: str) -> Release | None:
    try:
        version = Version.parse(text)
    except InvalidValue:
        return None
    return next((each for each in releases if each.component == component and each.version == version), None)


def _in_utc(span: Span) -> Span:
    return Span(start=utc(span.start), end=utc(span.end))


def _is_span(span: Span, run: Run) -> bool:
    return span.start == run.start.astimezone(UTC) and span.end == run.end.astimezone(UTC)


def residents(  # noqa: PLR0913  # what a register takes, and the host
    contract: Contract,
    fleet: Fleet,
    facts: Facts,
    told: Told,
    announcements: Iterable[Announcement],
    host: str,
    *,
    now: datetime,
    deferrals: Collection[RunningDeferral] = (),
    pauses: Collection[Pause] = (),
) -> tuple[Resident, ...]:
    """Return the instances of one host; for more than one, make a `Register`."""
    register = Register(contract, fleet, facts, told, announcements, now=now, deferrals=deferrals, pauses=pauses)
    return register.residents(host)
