"""What goes into which window: instances that are alike, taken through the windows of a plan together."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from maintsched.contract import Contract
from maintsched.facts import ChangeClass, DeclaredWindow, Facts, Freeze, Pin, WindowKind
from maintsched.fleet import Fleet, Instance, active_span
from maintsched.localtime import utc
from maintsched.releases import Choice, HeldBack, RunningDeferral, Shelf, track_at, wave_of
from maintsched.spans import Span
from maintsched.version import Version
from maintsched.windows import Window, declared_window, monthly_windows


class WorkItem(NamedTuple):
    """What goes into a component in a window: a `release` (None: whatever updates there are), and why."""

    component: str
    release: str | None
    change_class: ChangeClass
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A window of a plan: one of the rule, or a declared one."""

    window: Window
    declared: DeclaredWindow | None = None
    excepted: frozenset[str] = frozenset()
    """Instances for which a declared window takes the place of this one of the rule."""

    @property
    def named(self) -> tuple[str, ...]:
        """Keys of the instances it was declared for; empty: every instance."""
        return self.declared.instances if self.declared else ()

    def concerns(self, instances: Collection[str]) -> bool:
        """Say whether it is for one of `instances`."""
        named = frozenset(instances)
        return not named.isdisjoint(self.named) if self.named else not named <= self.excepted


def slots_between(contract: Contract, facts: Facts, span: Span) -> list[Slot]:
    """Return the windows that start in `span`, in order.

    A declared one replaces the rule's of the same id, for the instances that it names, or for all where it names none.
    """
    moved_for = {window.id: frozenset(window.instances) for window in facts.windows}
    slots = [
        Slot(window=window, excepted=moved_for.get(window.id, frozenset()))
        for window in monthly_windows(contract, span.start, span.end)
        if moved_for.get(window.id, True)  # moved for nobody in particular is moved for everybody
    ]
    for each in facts.windows:
        window = declared_window(contract, each)
        if not each.cancelled and window.start in span:
            slots.append(Slot(window=window, declared=each))
    return sorted(slots, key=lambda each: (utc(each.window.start), each.window.id))


@dataclass(slots=True, kw_only=True)
class Profile:
    """Instances that are alike in everything that matters to a window, and one of them to speak for all."""

    keys: list[str]
    sample: Instance
    customer: str
    deferrals: tuple[RunningDeferral, ...]
    freezes: tuple[Freeze, ...]
    pins: Mapping[str, Pin]
    """By component."""
    windows: frozenset[str]
    """Ids of declared windows that name these instances."""
    starts: datetime | None
    ends: datetime | None

    def takes(self, slot: Slot) -> bool:
        """Say whether the window is for these instances."""
        mine = slot.window.id in self.windows if slot.named else self.keys[0] not in slot.excepted
        return mine and self.runs_at(slot.window.start)

    def step(self, slot: Slot) -> tuple[str, str]:
        """Name what this profile gets in a window."""
        return self.keys[0], slot.window.id

    def may_be_touched(self, facts: Facts, at: datetime) -> bool:
        """Say whether the instances are managed, or their customer's consent holds at `at` (clause 7.7)."""
        key = self.sample.key
        consents = (consent for consent in facts.consents if consent.instance == key)
        return self.sample.managed or any(consent.holds_at(at) for consent in consents)

    def runs_at(self, at: datetime) -> bool:
        """Say whether the subscription runs at `at`."""
        started = self.starts is None or utc(self.starts) <= utc(at)
        return started and (self.ends is None or utc(at) < utc(self.ends))


def group_alike(
    contract: Contract,
    fleet: Fleet,
    facts: Facts,
    deferrals: tuple[RunningDeferral, ...],
    only: Collection[str] | None,
) -> list[Profile]:
    """Return the instances of a fleet (those in `only`, where it is given) in groups that are alike.

    Alike are instances that no fact names and whose terms agree; an instance that a fact names stands alone.
    """
    named = _named_by_facts(facts)
    by_customer = {key for freeze in facts.freezes for key in freeze.customers}
    profiles: dict[tuple[object, ...], Profile] = {}
    for customer in fleet.customers:
        customer_key = customer.key if customer.key in by_customer else None
        for instance in customer.instances:
            key = instance.key
            if only is not None and key not in only:
                continue
            alike = (
                key if key in named else None,
                customer_key,
                instance.environment,
                instance.track,
                instance.components,
                instance.wave,
                instance.managed,
                instance.backup,
                instance.starts_on,
                instance.ends_on,
                tuple(instance.versions.items()) if instance.versions else None,
            )
            profile = profiles.get(alike)
            if profile is None:
                profiles[alike] = _profile(contract, facts, deferrals, customer.key, instance)
            else:
                profile.keys.append(key)
    for profile in profiles.values():
        profile.keys.sort()  # the order of a file must not show in a plan
    return sorted(profiles.values(), key=lambda profile: profile.keys[0])


def _named_by_facts(facts: Facts) -> frozenset[str]:
    named = {key for window in facts.windows for key in window.instances}
    named |= {key for freeze in facts.freezes for key in freeze.instances}
    named |= {deferral.instance for deferral in facts.deferrals}
    named |= {pin.instance for pin in facts.pins}
    named |= {consent.instance for consent in facts.consents}
    named |= {switch.instance for switch in facts.track_switches}
    return frozenset(named)


def _profile(
    contract: Contract, facts: Facts, deferrals: tuple[RunningDeferral, ...], customer: str, instance: Instance
) -> Profile:
    starts, ends = active_span(contract, instance)
    return Profile(
        keys=[instance.key],
        sample=instance,
        customer=customer,
        deferrals=tuple(each for each in deferrals if each.deferral.instance == instance.key),
        freezes=tuple(
            sorted((each for each in facts.freezes if each.covers(customer, instance.key)), key=lambda each: each.key)
        ),
        pins={each.component: each for each in facts.pins if each.instance == instance.key},
        windows=frozenset(window.id for window in facts.windows if instance.key in window.instances),
        starts=starts,
        ends=ends,
    )


class Step(NamedTuple):
    """What goes into a profile in one window, and what is held back from it."""

    items: tuple[WorkItem, ...]
    held_back: tuple[HeldBack, ...]


NOTHING = Step((), ())

Work = Mapping[tuple[str, str], Step]
"""By profile and window, as `Profile.step` names them."""


def walk(contract: Contract, facts: Facts, slots: list[Slot], profiles: list[Profile]) -> Work:
    """Take each profile through the windows in order: what went in at one is installed at the next."""
    work: dict[tuple[str, str], Step] = {}
    shelves: dict[tuple[str, str], Shelf] = {}
    for profile in profiles:
        installed = dict(profile.sample.versions)
        for slot in slots:
            if profile.takes(slot) and profile.may_be_touched(facts, slot.window.start):
                passage = _Passage(contract=contract, facts=facts, slot=slot, profile=profile, shelves=shelves)
                work[profile.step(slot)] = passage.take(installed)
    return work


@dataclass(frozen=True, slots=True, kw_only=True)
class _Passage:
    """One profile in one window."""

    contract: Contract
    facts: Facts
    slot: Slot
    profile: Profile
    shelves: dict[tuple[str, str], Shelf]

    def take(self, installed: dict[str, Version]) -> Step:
        """Return what goes in and what is held back; what goes in is entered into `installed`."""
        frozen = self._frozen()
        monthly = self.slot.window.kind is WindowKind.MONTHLY
        items = list(self._system_item(frozen)) if monthly else []
        held_back: list[HeldBack] = []
        for component in self.profile.sample.components or self.contract.components:
            choice = self._choose(component, installed.get(component), frozen)
            held_back.extend(choice.held_back)
            if choice.release is not None:
                release = choice.release
                installed[component] = release.version
                items.append(WorkItem(component, str(release.version), release.change_class, choice.why))
        return Step(tuple(items), tuple(held_back))

    def _frozen(self) -> dict[ChangeClass, str]:
        span = self.slot.window.span
        over = (freeze for freeze in self.profile.freezes if freeze.span.overlaps(span))
        return {change_class: freeze.key for freeze in over for change_class in freeze.classes}

    def _system_item(self, frozen: Mapping[ChangeClass, str]) -> Iterator[WorkItem]:
        component, clause = self.contract.os_component, self.contract.clauses.monthly
        if ChangeClass.OS not in frozen:
            yield WorkItem(component, None, ChangeClass.OS, f"operating system and security updates, clause {clause}")
        elif ChangeClass.SECURITY not in frozen:
            why = f"security updates alone: {ChangeClass.OS} changes are frozen by {frozen[ChangeClass.OS]}"
            yield WorkItem(component, None, ChangeClass.SECURITY, why)

    def _choose(self, component: str, installed: Version | None, frozen: Mapping[ChangeClass, str]) -> Choice:
        window, declared = self.slot.window, self.slot.declared
        shelf = self._shelf(
            component, track_at(self.contract, self.profile.sample, self.facts.track_switches, window.start)
        )
        named = declared.releases if declared else ()
        if named:
            shelf = shelf.limited_to(named)
        return shelf.choose(
            at=window.start,
            wave=wave_of(self.contract, self.profile.sample),
            installed=installed,
            deferrals=self.profile.deferrals,
            frozen=frozen,
            pin=self.profile.pins.get(component),
            only=None if named or window.kind is WindowKind.MONTHLY else ChangeClass.SECURITY,
        )

    def _shelf(self, component: str, track: str) -> Shelf:
        shelf = self.shelves.get((component, track))
        if shelf is None:
            shelf = Shelf(self.contract, component, track, self.facts.releases)
            self.shelves[component, track] = shelf
        return shelf
