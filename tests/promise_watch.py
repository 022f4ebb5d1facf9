"""Watches over the promise, from outside: what begins on a host is compared with raw rows, and with the mails sent.

Nothing here asks a gate, a register or a plan of the product. What a customer was told is what a mail server accepted
for its people; everything else is read from the tables as they lie in the file. `broken` holds what was not kept.
"""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from maintsched.executors.port import JobState
from maintsched.executors.transports.fake import FakeHost, FakeJob
from maintsched.runs import RunTerms

ZONE = ZoneInfo("Europe/Berlin")
LEAD = timedelta(hours=72)
BEGUN = datetime(2026, 11, 20, tzinfo=UTC)
"""When the watch began."""
CHANGING = {"backup", "stop", "apply", "reboot"}
TOUCHING = {"stop", "apply", "reboot"}
UNDER_WAY = {"running", "unreachable", "lost", "interrupted", "rolling_back"}
WELL = {"done", "no_changes", "reboot_required"}
PUT_OFF = {"skipped", "deferred", "reboot_required", "interrupted"}
SHUT = {"subscription", "consent", "executor"}
"""Gates that do not open within a window by themselves: nobody waits for whom they hold."""
BAD = {"failed_clean", "failed_dirty", "rolled_back", "rollback_failed", "blocked"}
TELLING = {"reminder", "announcement", "emergency", "confirmed", "moved"}
INSTANTS = {"starts_at", "ends_at", "since", "resumed_at", "started_at", "ended_at", "silent_since", "given_at"}
INSTANTS |= {"until", "granted_at", "withdrawn_at", "available_at", "lease_until", "stamp"}
LISTS = ("instances", "customers", "classes", "items", "roles", "facts", "carries", "tracks", "versions", "releases")

Row = dict[str, Any]


def first_tuesday(key: str) -> tuple[datetime, datetime] | None:
    """When the rule's window of a month, such as 2026-12, is: the first Tuesday, 17:00 to 21:00."""
    year, month = map(int, key.split("-"))
    day = next(found for number in range(1, 8) if (found := date(year, month, number)).weekday() == 1)
    start = datetime.combine(day, time(17), ZONE).astimezone(UTC)
    return start, start + timedelta(hours=4)


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A job that began on a host."""

    at: datetime
    host: FakeHost
    job: str
    run: str
    attempt: int
    number: int
    name: str
    phase: str
    idempotent: bool

    @property
    def found(self) -> FakeJob:
        return self.host.jobs[self.job]


class Watch:
    """Everything that went out and everything that began, and what of it should not have."""

    def __init__(self, path: Path, terms: RunTerms, *, starts_service: bool) -> None:
        self.file = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        self.file.row_factory = sqlite3.Row
        self.terms = terms
        self.starts_service = starts_service
        """The script can start what it stops."""
        self.accepted: dict[str, datetime] = {}
        """When a server first accepted a mail, by key."""
        self.bounced: set[str] = set()
        self.begun: list[Begun] = []
        self.said: list[tuple[int, str, str]] = []
        """What operators said of runs: after how many jobs, of which run, what."""
        self.left: set[str] = set()
        """Instances whose subscription was, at times, not running."""
        self.broken: list[str] = []

    def rows(self, table: str, **wanted: Any) -> list[Row]:
        """Rows of a table as they lie in the file; instants and lists are read."""
        where = " and ".join(f'"{name}" = ?' for name in wanted) or "1"
        found = self.file.execute(f'select * from "{table}" where {where}', tuple(wanted.values()))
        return [{name: _value(table, name, row[name]) for name in row.keys()} for row in found]  # noqa: SIM118

    def row(self, table: str, **wanted: Any) -> Row | None:
        return next(iter(self.rows(table, **wanted)), None)

    # --- a job begins -------------------------------------------------------------------------------------------------

    def begins(self, host: FakeHost, job: str, now: datetime) -> None:
        """A host is about to start a job."""
        step = self.row("step", job=job)
        if step is None or step["state"] != "started":
            self.broken.append(f"{job} begins on {host.name} and is not written down as started")
            return
        run = self.row("run", key=step["run"])
        assert run is not None
        names = ("run", "attempt", "number", "name", "phase", "idempotent")
        new = Begun(at=now, host=host, job=job, **{name: step[name] for name in names})
        what = f"{new.phase} step {new.name} of {new.run} at {now:%Y-%m-%d %H:%M}"
        found = [*self._everything(new, run, now)]
        self.broken += [f"{what}: {each}" for each in found]
        self.begun.append(new)

    def _everything(self, new: Begun, run: Row, now: datetime) -> Iterator[str]:
        yield from self._alone(new, run)
        yield from self._not_twice(new)
        if new.phase in CHANGING:
            yield from self._in_time(run, now)
            yield from self._let(run, now)
            yield from self._in_turn(new, run)
        else:
            mine = [each for each in self._of_attempt(new) if each.phase in TOUCHING]
            if not mine or (new.phase == "rollback" and all(each.phase != "apply" for each in mine)):
                yield "there is nothing that it brings back"

    def _of_attempt(self, new: Begun) -> list[Begun]:
        return [each for each in self.begun if (each.run, each.attempt) == (new.run, new.attempt)]

    def _alone(self, new: Begun, run: Row) -> Iterator[str]:
        at_it = [each.job for each in self.begun if each.host is new.host and each.found.state is JobState.RUNNING]
        if at_it:
            yield f"{', '.join(at_it)} still runs there"
        if new.host.name.lower() != run["host"].lower():
            yield f"it is at {new.host.name} instead of {run['host']}"
        for other in self.rows("run"):
            same = other["host"].lower() == run["host"].lower() and other["key"] != run["key"]
            if same and other["state"] in UNDER_WAY:
                yield f"{other['key']} is at that host as well"
        action = self.row("action", key=new.run)
        if action is None or action["state"] != "running" or action["owner"] is None:
            yield "nobody holds the run"

    def _not_twice(self, new: Begun) -> Iterator[str]:
        """A step begins once, unless it may be repeated, asked for it, or an operator says so."""
        mine = [(place, each) for place, each in enumerate(self.begun, start=1) if each.run == new.run]
        same = [(place, each) for place, each in mine if (each.attempt, each.number) == (new.attempt, new.number)]
        for place, before in same[-1:]:
            ended, again = before.found.state is JobState.ENDED, before.found.exit_code == 75
            gone = before.found.state is JobState.VANISHED
            if not ((ended and again) or (gone and before.idempotent) or self._said(new.run, place)):
                yield f"it was started before as {before.job}, which {before.found.state}"
        earlier = [(place, each) for place, each in mine if each.attempt < new.attempt and each.phase in TOUCHING]
        if earlier and not self._said(new.run, earlier[-1][0]):
            yield f"an earlier attempt changed something, {earlier[-1][1].job}, and nobody said to try again"

    def _said(self, run: str, since: int) -> bool:
        return any(of == run and place >= since for place, of, _ in self.said)

    # --- what a pass leaves -------------------------------------------------------------------------------------------

    def passed(self, now: datetime) -> None:
        """A pass was made to its end."""
        alerts = self.rows("notice", kind="operator_alert")
        for run in self.rows("run"):
            about = (f"alert/{run['key']}/", f"alert/runs/{run['window']}/")
            said = [each["facts"]["alert"] for each in alerts if each["subject"].startswith(about)]
            told = "; ".join(each["title"] for each in said if run["instance"] in str(each))
            found = [*self._lost_sight_of(run, told, now), *self._left_stopped(run, told)]
            name = f"{run['key']} ({run['state']}) after a pass at {now:%Y-%m-%d %H:%M}"
            self.broken += [f"{name}: {each}; told was: {told}" for each in found]
        self.broken += [f"{each}, and there is no run of it" for each in self._never_entered(now)]

    def _lost_sight_of(self, run: Row, told: str, now: datetime) -> Iterator[str]:
        state, ended = run["state"], run["ends_at"] <= now
        if state in BAD | PUT_OFF and state.replace("_", " ") not in told:
            yield "no operator was told"
        if state == "planned" and ended:
            yield "it still waits, and its window is over"
        if state == "unreachable":
            patience = timedelta(minutes=self.terms.unreachable_minutes)
            since = run["silent_since"]
            if since is None or (now - since >= patience and "does not answer" not in told):
                yield f"silent since {since}, and no operator was told"
        if state in {"running", "rolling_back", "lost"}:
            action = self.row("action", key=run["key"])
            held = action is not None and action["lease_until"] is not None and action["lease_until"] > now
            last = next((each for each in reversed(self.begun) if each.run == run["key"]), None)
            restarts = last is not None and last.phase == "reboot" and now - last.at < timedelta(hours=1)
            at_it = last is not None and last.found.state is JobState.RUNNING
            if not (held or at_it or restarts):
                yield "nothing of it runs, and nobody goes on with it"
            if ended and "goes on past the end" not in told:
                yield "it goes on past the end, and no operator was told"

    def _left_stopped(self, run: Row, told: str) -> Iterator[str]:
        mine = [each for each in self.begun if (each.run, each.attempt) == (run["key"], run["attempt"])]
        phases = [each.phase for each in mine if each.phase in {"stop", "start"}]
        said = run["state"] not in WELL and run["state"].replace("_", " ") in told
        if run["state"] not in UNDER_WAY and phases[-1:] == ["stop"] and self.starts_service and not said:
            yield "what was stopped was not started again"

    def _never_entered(self, now: datetime) -> Iterator[str]:
        runs = {each["key"] for each in self.rows("run")}
        freezes = self.rows("freeze")
        for instance in self.rows("instance", managed=1):
            for (start, end), window in self._windows(instance["key"]):
                begun = window["kind"] == "monthly" and BEGUN < start <= now < start + timedelta(days=60)
                frozen = any(each["starts_at"] < end and start < each["ends_at"] for each in freezes)
                key = f"run/{window['id'].replace('/', ':')}/{instance['key']}"
                if begun and not frozen and instance["key"] not in self.left and key not in runs:
                    yield f"{window['id']} began for {instance['key']} before {now:%Y-%m-%d %H:%M}"

    # --- was it allowed -----------------------------------------------------------------------------------------------

    def _in_time(self, run: Row, now: datetime) -> Iterator[str]:
        """The window is open, everybody on the host was told of one that is, and enough is left of each."""
        start, end = run["starts_at"], run["ends_at"]
        if (start, end) not in [span for span, _ in self._windows(run["instance"], run["window"])]:
            yield f"{run['window']} does not take place at the time of the run"
        if not start <= now < end:
            yield "its window is not open"
        gone = max(timedelta(), now - run["started_at"]) if run["started_at"] else timedelta()
        work = max(timedelta(), timedelta(seconds=run["expected_seconds"]) - gone)
        left = work + timedelta(minutes=self.terms.reboot_minutes + self.terms.rollback_minutes)
        for instance in self._on(run["host"]):
            own = instance["key"] == run["instance"]
            if not own and not (self.runs(instance, now) and self._may_be_touched(instance, now)):
                continue
            here = [*self._open(instance, now, run["window"] if own else None)]
            good = [span_end for span_start, span_end, kind, told in here if _in_time(kind, span_start, told, now)]
            if not good:
                yield f"{instance['customer']} was not told in time for {instance['key']}: {here}"
            elif now + left > max(good):
                yield f"the cut-off has passed for {instance['key']}: {left} are needed until {max(good)}"

    def _let(self, run: Row, now: datetime) -> Iterator[str]:
        """Subscription, consent; no freeze, pause or deferral of anybody on the host."""
        there = self._on(run["host"])
        own = next((each for each in there if each["key"] == run["instance"]), None)
        if own is None or not self.runs(own, now):
            yield "the subscription does not run, or not there"
        elif not self._may_be_touched(own, now):
            yield "no consent holds"
        for instance in there:
            mine = (instance["customer"], instance["key"])
            for pause in self.rows("pause"):
                if pause["resumed_at"] is None and _covers(pause, *mine):
                    yield f"pause {pause['key']} holds {instance['key']}"
            for freeze in self.rows("freeze"):
                end = min(filter(None, (freeze["ends_at"], freeze["ended_at"])))
                hit = set(freeze["classes"]) & self._classes(run, own)
                if hit and freeze["starts_at"] <= now < end and _covers(freeze, *mine):
                    yield f"freeze {freeze['key']} keeps {hit} out of {instance['key']}"
            for deferral in self.rows("deferral", instance=instance["key"]):
                end = min(filter(None, (deferral["until"], deferral["withdrawn_at"])))
                if deferral["starts_at"] <= now < end and self.runs(instance, now):
                    yield from self._deferred(run, deferral)
        for item in run["items"]:
            release = self._release(item)
            if release is not None and release["withdrawn"]:
                yield f"{item['release']} was withdrawn"

    def _deferred(self, run: Row, deferral: Row) -> Iterator[str]:
        for item in run["items"]:
            if item["component"] == "intrexx":
                release = self._release(item)
                held = release is None or _version(release["version"]) >= _version(deferral["release"])
                held = held or (release is not None and deferral["release"] in release["carries"])
                if item["class"] != "security" or held:
                    yield f"{item['release']} goes in, and {deferral['release']} is deferred for {deferral['instance']}"

    def _classes(self, run: Row, own: Row | None) -> set[str]:
        """The classes of all that changes: releases bring along what lies between."""
        found = {item["class"] for item in run["items"]}
        for item in run["items"]:
            release, installed = self._release(item), (own or {}).get("versions", {}).get(item["component"])
            for other in self.rows("release", component=item["component"]) if release and installed else ():
                if release and _version(installed) < _version(other["version"]) <= _version(release["version"]):
                    on_track = not other["tracks"] or (own or {}).get("track", "silent") in [*other["tracks"], None]
                    found |= {other["change_class"]} if on_track else set()
        return found

    def _release(self, item: Row) -> Row | None:
        known = self.rows("release", component=item["component"]) if item["release"] else []
        return next((each for each in known if _version(each["version"]) == _version(item["release"])), None)

    def _in_turn(self, new: Begun, run: Row) -> Iterator[str]:
        """Limits, waves and brakes; the last two hold only what has changed nothing yet."""
        runs = self.rows("run")
        going = [each for each in runs if each["state"] in UNDER_WAY]
        mine = [each for each in going if each["customer"] == run["customer"]]
        if len(going) > self.terms.at_once or len(mine) > self.terms.per_customer:
            yield f"{len(going)} runs are under way, {len(mine)} of the customer"
        if any(each.phase in TOUCHING for each in self._of_attempt(new)):
            return
        beside = [each for each in runs if each["window"] == run["window"] and each["key"] != run["key"]]
        approved = {each["gate"] for each in self.rows("approval", run=run["key"])}
        waiting = [each for each in beside if each["state"] == "planned" and each["gate"] not in SHUT]
        going = [each for each in beside if each["state"] in UNDER_WAY]
        still = [each["key"] for each in (*waiting, *going) if each["wave"] < run["wave"]]
        if still and "wave" not in approved:
            yield f"lower waves are not over: {still}"
        bad = [each["wave"] for each in beside if each["state"] in BAD]
        most = max(map(bad.count, bad), default=0)
        if "brake" not in approved and (len(bad) >= self.terms.failures_in_all or most >= self.terms.failures_per_wave):
            yield f"{len(bad)} runs of the window failed"

    # --- what is known of instances and windows -----------------------------------------------------------------------

    def _on(self, host: str) -> list[Row]:
        return [each for each in self.rows("instance") if each["host"].lower() == host.lower()]

    def runs(self, instance: Row, now: datetime) -> bool:
        """Say whether its subscription runs."""
        today = now.astimezone(ZONE).date().isoformat()
        return (instance["starts_on"] or "") <= today <= (instance["ends_on"] or "9999")

    def _may_be_touched(self, instance: Row, now: datetime) -> bool:
        consents = self.rows("consent", instance=instance["key"])
        held = any(each["given_at"] <= now and (not each["until"] or now < each["until"]) for each in consents)
        return bool(instance["managed"]) or held

    def _windows(self, instance: str, only: str | None = None) -> Iterator[tuple[tuple[datetime, datetime], Row]]:
        """The windows that take place for an instance: those in the store, and the rule's that nothing replaces."""
        known = [each for each in self.rows("window") if only in (None, each["id"])]
        mine = [each for each in known if not each["instances"] or instance in each["instances"]]
        yield from (((each["starts_at"], each["ends_at"]), each) for each in mine if each["state"] == "confirmed")
        for key in ("2026-11", "2026-12", *(f"2027-{number:02}" for number in range(1, 8))):
            name = f"monthly/{key}"
            replaced = any(each["id"] == name and each["state"] != "tentative" for each in mine)
            span = first_tuesday(key)
            if only in (None, name) and not replaced and span is not None:
                yield span, {"id": name, "kind": "monthly", "origin": None}

    def _open(
        self, instance: Row, now: datetime, only: str | None
    ) -> Iterator[tuple[datetime, datetime, str, datetime | None]]:
        for (start, end), window in self._windows(instance["key"], only):
            if start <= now < end:
                told = self.told(instance, window["origin"] or window["id"], start, end)
                yield start, end, window["kind"], told

    def told(self, instance: Row, subject: str, start: datetime, end: datetime) -> datetime | None:
        """Since when the customer knows that work may be done on an instance in this time; None: it does not.

        Somebody knows since the first of the last mails to him that, one after the other, all say so; nobody may be
        left out who had to be told and still has to be.
        """
        mails = list(self.rows("notice", subject=subject, customer=instance["customer"]))
        people = {each["key"]: each["roles"] for each in self.rows("contact", customer=instance["customer"])}
        known: dict[str, datetime | None] = {}
        asked = set()
        for mail in sorted(mails, key=lambda each: (each["sequence"], each["stamp"])):
            if (
                mail["key"] not in self.accepted
                or mail["key"] in self.bounced
                or mail["kind"] not in TELLING | {"cancelled"}
            ):
                if mail["kind"] in TELLING and mail["required"]:
                    asked.add(mail["contact"])
                continue
            said = mail["facts"]["window"]
            first, last = (datetime.fromisoformat(said[name]) for name in ("start", "end"))
            covers = first <= start and end <= last and instance["key"] in mail["instances"]
            who, at = mail["contact"], self.accepted[mail["key"]]
            asked |= {who} if mail["required"] else set()
            known[who] = (known.get(who) or at) if covers and mail["kind"] != "cancelled" else None
        living = {who for who, roles in people.items() if "system_responsible" in roles}
        wanted = (asked & living) or (asked & known.keys()) or (living & known.keys())
        times = [known.get(who) for who in wanted]
        return max((at for at in times if at), default=None) if all(times) else None


def _value(table: str, name: str, value: Any) -> Any:
    if name in LISTS and isinstance(value, str):
        return json.loads(value)
    if name in INSTANTS and isinstance(value, str):
        return datetime.fromisoformat(value)
    return value


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(each) for each in text.split("."))


def _covers(scope: Row, customer: str, instance: str) -> bool:
    everywhere = not scope["customers"] and not scope["instances"]
    return everywhere or customer in scope["customers"] or instance in scope["instances"]


def _in_time(kind: str, start: datetime, told: datetime | None, now: datetime) -> bool:
    if told is None or told > now:
        return False
    return kind == "emergency" or told <= start - LEAD
