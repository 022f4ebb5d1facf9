"""The looks of a run: before anything is done, at what there is to do, and at what was done. They change nothing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from maintsched.errors import InvalidValue
from maintsched.executors.port import Command, Executor, Finding, Phase, Target
from maintsched.localtime import utc
from maintsched.runs import Hold, RunState, StepState
from maintsched.store.runs import KeptStep
from maintsched.version import Version
from maintsched.worker.carry import Going
from maintsched.worker.runsteps import PREFLIGHT, REBOOT, VERIFY, PartPlan, item_json, work_steps

if TYPE_CHECKING:
    from maintsched.worker.work import Work

LOOK_SECONDS = 120.0
"""How long a look at a backup may take."""


class Looks:
    """What is looked at in a run."""

    def __init__(self, work: "Work") -> None:
        """Look for `work`."""
        self.work = work

    # --- before -------------------------------------------------------------------------------------------------------

    async def preflight(self, kept: KeptStep) -> Going:
        """Look whether work may begin: the gates once more, what the executors find, a backup that is young enough."""
        carrier = self.work.carrier
        with carrier.house.store.writing() as connection:
            carrier.require_hold(connection)
            hold = carrier.check(connection, self.work.now)
            if hold is not None:
                return self._hold(connection, hold)
            self._begin(connection, kept)
        problems, reboot, backups = [], False, []
        versions: dict[str, str] = {}
        for part, executor in self._parts():
            target = self._target(part)
            problems += [f"{part}: {each}" for each in executor.validate(target)]
            if not problems:
                found = await executor.probe(target, self.work.link)
                problems += [f"{part}: {each}" for each in found.problems]
                reboot = reboot or found.reboot_required
                versions |= found.versions
                backups += [found.backup_at] if found.backup_at else []
        backup_at = await self._backup_at(backups)
        with carrier.house.store.writing() as connection:
            carrier.require_hold(connection)
            if problems:
                self._looked(connection, kept, StepState.FAILED, "\n".join(problems))
                carrier.end(connection, RunState.BLOCKED, self.work.now, why="; ".join(problems)[:1000])
                return Going.STOPS
            carrier.installed_now(connection, _readable(versions, carrier.house.contract.components))
            said = f"last backup: {backup_at.isoformat() if backup_at else 'none is known'}"
            data = {"backup": not self._young(backup_at), "reboot": reboot}
            self._looked(connection, kept, StepState.DONE, said, data)
        return Going.ON

    def _parts(self) -> Sequence[tuple[str, Executor]]:
        carrier = self.work.carrier
        orders = carrier.crew.orders(carrier.run, carrier.installed)
        return [(part, carrier.crew.parts[part]) for part in self._ordered(orders)]

    def _ordered(self, parts: Iterable[str]) -> list[str]:
        """Return the parts in the order of their work: the system first, what users see last."""
        contract = self.work.carrier.house.contract
        crew = self.work.carrier.crew

        def place(part: str) -> tuple[int, str]:
            components = {component for component, name in crew.components.items() if name == part}
            if contract.os_component in components:
                return 0, part
            return (2 if contract.deferral.component in components else 1), part

        return sorted(parts, key=place)

    def _target(self, part: str) -> Target:
        carrier = self.work.carrier
        orders = carrier.crew.orders(carrier.run, carrier.installed)
        return replace(carrier.target, components=tuple(sorted({each.component for each in orders[part]})))

    async def _backup_at(self, found: list[datetime]) -> datetime | None:
        """Return when the last backup was taken, as far as executors or the configured command know."""
        command = self.work.carrier.crew.config.backup_age
        if command:
            output = await self.work.link.run(Command(argv=command), timeout_seconds=LOOK_SECONDS)
            said = _instant(output.stdout) if output.ok else None
            found = [*found, *([said] if said else [])]
        return max(found, key=utc, default=None)

    def _young(self, backup_at: datetime | None) -> bool:
        max_age = self.work.carrier.house.contract.backup.max_age
        if backup_at is None:
            return False
        return timedelta(0) <= utc(self.work.now) - utc(backup_at) < timedelta(seconds=max_age.total_seconds())

    # --- what there is to do ------------------------------------------------------------------------------------------

    async def plan(self, kept: KeptStep) -> Going:
        """Ask the executors what exactly the work comes to, and write down the steps that do it."""
        carrier, work = self.work.carrier, self.work
        with carrier.house.store.writing() as connection:
            carrier.require_hold(connection)
            self._begin(connection, kept)
        orders = carrier.crew.orders(carrier.run, carrier.installed)
        plans = []
        for part, executor in self._parts():
            plan = await executor.plan(self._target(part), work.link, orders[part])
            plans.append(PartPlan(part=part, plan=plan))
        with carrier.house.store.writing() as connection:
            carrier.require_hold(connection)
            self._planned(connection, kept, plans)
        return Going.ON

    def _planned(self, connection: Connection, kept: KeptStep, plans: list[PartPlan]) -> None:
        carrier, now = self.work.carrier, self.work.now
        changes = [
            f"{item.name} {item.before or '-'} -> {item.after or '-'}" for each in plans for item in each.plan.items
        ]
        notes = [f"{each.part}: {note}" for each in plans for note in each.plan.notes]
        self._looked(connection, kept, StepState.DONE, "\n".join([*(changes or ["nothing to change"]), *notes]))
        carrier.save(connection, carrier.run, now, plans=tuple(each.as_json() for each in plans))
        before = self._preflight().data
        if all(each.plan.empty for each in plans):
            why = "the host has to be restarted, from before" if before.get("reboot") else ""
            state = RunState.REBOOT_REQUIRED if before.get("reboot") else RunState.NO_CHANGES
            carrier.end(connection, state, now, why=why)
            return
        number = max(each.step.number for each in carrier.steps)
        steps = work_steps(
            carrier.run, carrier.crew, carrier.target, plans, after=number, backup=bool(before.get("backup"))
        )
        if before.get("backup") and not any(each.step.phase == Phase.BACKUP for each in steps):
            contract = carrier.house.contract
            why = (
                f"work needs a backup younger than {contract.backup.max_age} (clause {contract.clauses.backup}); none "
                f"is known or can be taken: name commands in [executor.{carrier.crew.name}], backup_age and backup"
            )
            carrier.end(connection, RunState.BLOCKED, now, why=why)
            return
        for each in steps:
            carrier.put(connection, each)

    def _preflight(self) -> KeptStep:
        return next(each for each in self.work.carrier.steps if each.step.phase == PREFLIGHT)

    # --- reboot -------------------------------------------------------------------------------------------------------

    async def reboot_wanted(self, kept: KeptStep) -> bool:
        """Say whether the host has to be restarted; where not, the step is left out."""
        if kept.step.part or kept.step.name != REBOOT:
            return True
        carrier = self.work.carrier
        asked = any(each.data.get("reboot") for each in carrier.steps)
        wanted = asked or any(each.plan.reboot for each in carrier.plans)
        for part, executor in [] if wanted else self._parts():
            found: Finding = await executor.probe(self._target(part), self.work.link)
            wanted = wanted or found.reboot_required
        if not wanted:
            with carrier.house.store.writing() as connection:
                carrier.require_hold(connection)
                carrier.put(connection, replace(kept, step=replace(kept.step, state=StepState.LEFT_OUT)))
        return wanted

    def reboot_left(self) -> bool:
        """Say whether the last look found that the host still has to be restarted."""
        last = [each for each in self.work.carrier.steps if each.step.phase == VERIFY]
        return bool(last and last[-1].data.get("reboot_required"))

    def nothing_changed(self) -> bool:
        """Say whether the last look is certain that nothing is other than before."""
        last = [each for each in self.work.carrier.steps if each.step.phase == VERIFY]
        return bool(last and last[-1].data.get("untouched"))

    # --- after --------------------------------------------------------------------------------------------------------

    async def verify(self, kept: KeptStep) -> Going:
        """Look at what has changed: exactly what was planned, and everything at work again."""
        carrier, work = self.work.carrier, self.work
        with carrier.house.store.writing() as connection:
            carrier.require_hold(connection)
            self._begin(connection, kept)
        problems: list[str] = []
        versions: dict[str, str] = {}
        applied, reboot, untouched = [], False, True
        for each in carrier.plans:
            verdict = await carrier.crew.parts[each.part].verify(self._target(each.part), work.link, each.plan)
            problems += [f"{each.part}: {problem}" for problem in verdict.problems]
            versions |= verdict.versions
            applied += [{"part": each.part, **item_json(item)} for item in verdict.applied]
            reboot = reboot or verdict.reboot_required
            untouched = untouched and verdict.untouched
        ill = await self._ill() if carrier.undoing or work.intended is not None else []
        with carrier.house.store.writing() as connection:
            carrier.require_hold(connection)
            state = StepState.FAILED if problems else StepState.DONE
            said = "\n".join(problems) or f"{len(applied)} changes, as planned"
            self._looked(connection, kept, state, said, {"reboot_required": reboot, "untouched": untouched and not ill})
            carrier.save(connection, carrier.run, work.now, applied=tuple(applied))
            carrier.installed_now(connection, _readable(versions, carrier.house.contract.components))
            if ill:
                worse = RunState.ROLLBACK_FAILED if carrier.undoing else RunState.FAILED_DIRTY
                before = str((work.intended or {}).get("why") or "")
                work.end_with(connection, worse, "; ".join([*([before] if before else []), *ill])[:1000])
            elif work.intended is None and problems:
                work.undo(connection, "; ".join(problems)[:1000], work.now)
        return Going.ON

    async def _ill(self) -> list[str]:
        """Return what is not well on a host after work there did not come to its end, or was undone."""
        found = []
        for part, executor in self._parts():
            seen = await executor.probe(self._target(part), self.work.link)
            found += [f"{part}: {each}" for each in seen.problems]
        return found

    # --- writing ------------------------------------------------------------------------------------------------------

    def _begin(self, connection: Connection, kept: KeptStep) -> None:
        begun = replace(kept.step, state=StepState.STARTED, started_at=self.work.now, tries=kept.step.tries + 1)
        self.work.carrier.put(connection, replace(kept, step=begun))

    def _looked(
        self,
        connection: Connection,
        kept: KeptStep,
        state: StepState,
        said: str,
        data: Mapping[str, object] | None = None,
    ) -> None:
        now = self.work.now
        begun = next(each for each in self.work.carrier.steps if each.step.number == kept.step.number)
        ended = replace(begun.step, state=state, tail=said, ended_at=now)
        self.work.carrier.put(connection, replace(begun, step=ended, data={**begun.data, **(data or {})}))

    def _hold(self, connection: Connection, hold: Hold) -> Going:
        self.work.carrier.hold_back(connection, hold, self.work.now)
        return Going.STOPS


def _instant(text: str) -> datetime | None:
    """Read an instant as `backup_age` prints it: seconds since 1970, or ISO 8601 with an offset."""
    word = text.strip()
    try:
        if word.isascii() and word.isdigit():
            return datetime.fromtimestamp(int(word), UTC)
        at = datetime.fromisoformat(word)
    except (ValueError, OverflowError, OSError):
        return None
    return at if at.utcoffset() is not None else None


def _readable(versions: dict[str, str], components: Sequence[str]) -> dict[str, str]:
    """Return versions of known components, as far as they can be read as such."""
    found = {}
    for component, text in versions.items():
        try:
            if component in components:
                found[component] = str(Version.parse(text))
        except InvalidValue:  # not every component counts its versions as ours are written
            continue
    return found
