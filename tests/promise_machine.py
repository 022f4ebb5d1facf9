"""What may happen to the house of the promise: hypothesis does it, in any order, between passes and in their midst."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from maintsched.announcements import WindowState
from maintsched.executors.port import JobState
from maintsched.executors.transports.fake import Fault
from maintsched.facts import ChangeClass, Consent, Freeze, Release, WindowKind
from maintsched.fleet import Fleet
from maintsched.mail.compose import envelope_id
from maintsched.mail.outcomes import Result
from maintsched.runs import Pause
from maintsched.spans import Span
from maintsched.version import Version
from maintsched.worker import announce as windows
from maintsched.worker import deferrals
from maintsched.worker.bounces import take_report
from maintsched.worker.consents import add_consent, end_consent
from maintsched.worker.freezes import add_freeze, finish_freeze
from maintsched.worker.operating import StepFate, approve, retry
from maintsched.worker.pauses import begin_pause, resume_work
from maintsched.worker.releases import add_release, withdraw_release
from tests.crash_scenes import REPORT
from tests.houses import contact, critical
from tests.promise_house import HOSTS, KEYS, PromiseHouse, with_instance
from tests.promise_watch import first_tuesday

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
RELEASES = {
    "12.0.1": ChangeClass.SECURITY,
    "12.1.0": ChangeClass.MINOR,
    "13.0.0": ChangeClass.MAJOR,
    "13.0.1": ChangeClass.SECURITY,
}
MAJOR = Version.parse("13.0.0")
MONTHS = ("2026-12", *(f"2027-0{number}" for number in range(1, 7)))
instances, hosts, some = st.sampled_from(KEYS), st.sampled_from(HOSTS), st.integers(0, 20)
whom = st.lists(instances, min_size=1, max_size=3, unique=True).map(tuple)
whole_fleet = st.just(())
soon = st.sampled_from([0, 1, 5, 20, 45, 100]).map(lambda number: number * MINUTE)
hours = st.sampled_from([0, 1, 3, 30, 71, 72, 75, 100]).map(lambda number: number * HOUR)
classes = st.lists(st.sampled_from(list(ChangeClass)), min_size=1, max_size=4, unique=True).map(tuple)
customers = st.sampled_from(["acme", "birch", "cedar"])
calls = st.sampled_from(["open", "start", "look", "forbid", "run"])
programs = st.sampled_from(["probe", "plan", "backup", "stop", "apply", "apply", "start", "rollback", "reboot"])
happenings = st.integers(0, 8)
codes = st.sampled_from([1, 69, 75, 102])

EVENING: dict[str, Any] = {
    "into": st.sampled_from([0, 5, 30, 100]),
    "looks": st.sampled_from([0, 0, 1, 3, None]),
    "faults": st.lists(st.tuples(hosts, st.sampled_from([*Fault]), calls), max_size=2),
    "answers": st.lists(st.tuples(hosts, programs, codes), max_size=2),
    "meanwhile": st.lists(st.tuples(happenings, some), max_size=2),
    "brings": st.sampled_from([None, None, *RELEASES]),
    "ends": st.sampled_from(["vanish", "reboot", "finish"]),
}
"""How an evening on which work is done may go; there are more of them than of anything else that may happen."""


class Promise(RuleBasedStateMachine):
    """What may happen."""

    shop: PromiseHouse

    @initialize(
        script=st.fixed_dictionaries(
            {name: st.just([f"/srv/{name}"]) for name in ("probe", "plan", "apply", "version")},
            optional={
                **{name: st.just([f"/srv/{name}"]) for name in ("stop", "start", "rollback", "backup")},
                "idempotent": st.sampled_from([["apply"], ["stop"], ["apply", "stop"]]),
                "answers": st.just({"102": "reboot"}),
            },
        ),
        table=st.fixed_dictionaries(
            {}, optional={"reboot": st.just(("/srv/reboot",)), "backup": st.just(("/srv/backup",))}
        ),
        terms=st.fixed_dictionaries(
            {},
            optional={
                "at_once": st.sampled_from([1, 2]),
                "per_customer": st.just(1),
                "failures_per_wave": st.just(1),
                "expected_minutes": st.sampled_from([10, 60]),
            },
        ),
        every=st.sampled_from([1, 2, 3]),
    )
    def move_in(self, script: dict[str, Any], table: dict[str, Any], terms: dict[str, Any], every: int) -> None:
        names = set(script.get("idempotent", ())) & set(script)
        given = {**script, "idempotent": sorted(names)}
        self.shop = PromiseHouse(given, table, terms)
        self.steps, self.every = 0, every
        self.shop.tick()

    def teardown(self) -> None:
        if hasattr(self, "shop"):
            self.shop.close()

    @invariant()
    def nothing_is_broken(self) -> None:
        """Asked after each step; after every first, second or third one a pass is made as well, as cron does."""
        if hasattr(self, "shop"):
            self.steps += 1
            if self.steps % self.every == 0:
                self.shop.go(self.shop.now + 4 * MINUTE)
                self.shop.tick()
            self.check()

    def check(self) -> None:
        assert self.shop.watch.broken == []

    # --- time and passes ----------------------------------------------------------------------------------------------

    @rule(after=soon)
    def a_pass(self, after: timedelta) -> None:
        self.shop.go(self.shop.now + after)
        self.shop.tick()

    @rule(places=st.integers(0, 60), softly=st.booleans(), after=st.sampled_from([0, 1, 6]))
    def a_pass_that_dies(self, places: int, softly: bool, after: int) -> None:
        self.shop.tick(places=places, softly=softly)
        self.shop.go(self.shop.now + after * MINUTE)
        self.shop.tick()

    @rule(days=st.sampled_from([10, 6, 2]), into=st.sampled_from([-1, 0, 5, 5, 5, 30, 190, 235, 300]))
    def the_month_goes_by(self, days: int, into: int) -> None:
        """Passes are made until the next window of the rule is near, or was."""
        start = next(span[0] for month in MONTHS if (span := first_tuesday(month)) and span[1] > self.shop.now)
        for at in (start - days * DAY, start - 80 * HOUR, start + into * MINUTE):
            if at > self.shop.now:
                self.shop.go(at)
                self.shop.tick()

    def _evening(
        self,
        into: int,
        looks: int | None,
        faults: list[tuple[str, Fault, str]],
        answers: list[tuple[str, str, int]],
        meanwhile: list[tuple[int, int]],
        brings: str | None,
        ends: str,
    ) -> None:
        """What held work is gone; a window opens, and it goes as well as it goes."""
        shop = self.shop
        for table in ("freeze", "pause"):
            for number in range(len(shop.watch.rows(table))):
                self.let_go_on(number)
        shop.answers.clear()
        shop.codes.clear()
        shop.fresh, shop.young = set(KEYS), True
        self.consent(agreed=True)
        if brings is not None:
            self.release(brings, carries=False)
        self.the_month_goes_by(10, -1)
        for host in HOSTS:
            shop.hosts[host].reachable, shop.hosts[host].looks = True, looks
        for host, fault, call in faults:
            shop.hosts[host].fail(fault, call=call)
        for host, name, code in answers:
            shop.codes.setdefault((host, name), []).append(code)
        for what, which in meanwhile:
            self.meanwhile(what, which)
        self.the_month_goes_by(10, into)
        for host in HOSTS if looks is None else ():
            self.jobs_end(host, ends, 0)
        self.a_pass(5 * MINUTE)

    an_evening = rule(**EVENING)(_evening)
    another_evening = rule(**EVENING)(_evening)
    one_more_evening = rule(**EVENING)(_evening)

    @rule(number=some, into=st.sampled_from([0, 1, 40, 118, 125]))
    def a_window_comes(self, number: int, into: int) -> None:
        soon = self.shop.now, self.shop.now + 40 * DAY
        ahead = [each for each in self.shop.watch.rows("window") if soon[0] < each["starts_at"] < soon[1]]
        if ahead:
            at = ahead[number % len(ahead)]["starts_at"]
            for moment in (at - 73 * HOUR, at + into * MINUTE):
                if moment > self.shop.now:
                    self.shop.go(moment)
                    self.shop.tick()

    @rule(back=st.sampled_from([MINUTE, 30 * MINUTE, 5 * HOUR, 3 * DAY]))
    def the_clock_is_set_back(self, back: timedelta) -> None:
        self.shop.go(self.shop.now - back)

    # --- windows ------------------------------------------------------------------------------------------------------

    @rule(after=hours, whom=whom, tentative=st.booleans(), length=st.sampled_from([1, 2, 4]))
    def announce(self, after: timedelta, whom: tuple[str, ...], tentative: bool, length: int) -> None:
        start = self.shop.now + after + 3 * HOUR
        window = critical(self.shop.key("disk-"), start=start, instances=whom, end=start + length * HOUR)
        state = WindowState.TENTATIVE if tentative else WindowState.CONFIRMED
        self.shop.do(lambda: windows.announce(self.shop.house, window, now=self.shop.now, state=state))

    @rule(after=soon, whom=whom, told=st.booleans())
    def an_emergency(self, after: timedelta, whom: tuple[str, ...], told: bool) -> None:
        start = self.shop.now + after
        window = critical(self.shop.key("fire-"), start=start, instances=whom, kind=WindowKind.EMERGENCY)
        self.shop.do(
            lambda: windows.announce(self.shop.house, window, now=self.shop.now, hurry="it burns", mailed=told)
        )

    @rule(number=some)
    def confirm(self, number: int) -> None:
        found = self.shop.pick("window", number, state="tentative")
        if found:
            self.shop.do(lambda: windows.confirm(self.shop.house, found["id"], now=self.shop.now))

    @rule(number=some, shift=st.sampled_from([-90, -5, 5, 90, 6000]), shorter=st.sampled_from([0, 30]))
    def move(self, number: int, shift: int, shorter: int) -> None:
        known = [(each["id"], each["starts_at"], each["ends_at"]) for each in self.shop.watch.rows("window")]
        known += [(f"monthly/{month}", *(first_tuesday(month) or ())) for month in MONTHS]
        name, start, end = known[number % len(known)]
        span = Span(start=start + shift * MINUTE, end=end + (shift - shorter) * MINUTE)
        self.shop.do(lambda: windows.move(self.shop.house, name, span, now=self.shop.now, hurry="sooner"))

    @rule(number=some)
    def cancel(self, number: int) -> None:
        known = [each["id"] for each in self.shop.watch.rows("window")] + [f"monthly/{month}" for month in MONTHS]
        name = known[number % len(known)]
        self.shop.do(lambda: windows.cancel(self.shop.house, name, now=self.shop.now, reason="not now"))

    # --- what holds work ----------------------------------------------------------------------------------------------

    @rule(whom=whom | whole_fleet, classes=classes, after=soon, length=st.sampled_from([HOUR, 2 * DAY, 200 * DAY]))
    def freeze(
        self, whom: tuple[str, ...], classes: tuple[ChangeClass, ...], after: timedelta, length: timedelta
    ) -> None:
        start = self.shop.now + after
        found = Freeze(
            key=self.shop.key("f"), start=start, end=start + length, reason="audit", classes=classes, instances=whom
        )
        self.shop.do(lambda: add_freeze(self.shop.store, self.shop.house.contract, found, now=self.shop.now))

    @rule(whom=whom | whole_fleet)
    def pause(self, whom: tuple[str, ...]) -> None:
        found = Pause(key=self.shop.key("p"), since=self.shop.now, reason="wait", instances=whom)
        self.shop.do(lambda: begin_pause(self.shop.store, found, now=self.shop.now))

    @rule(number=some)
    def let_go_on(self, number: int) -> None:
        freeze, pause = self.shop.pick("freeze", number), self.shop.pick("pause", number)
        if freeze:
            self.shop.do(lambda: finish_freeze(self.shop.store, freeze["key"], reason="over", now=self.shop.now))
        if pause:
            self.shop.do(lambda: resume_work(self.shop.store, pause["key"], now=self.shop.now))

    @rule(version=st.sampled_from(sorted(RELEASES)), carries=st.booleans())
    def release(self, version: str, carries: bool) -> None:
        found = Release(
            version=Version.parse(version),
            change_class=RELEASES[version],
            available_at=self.shop.now - 30 * DAY,
            carries=(Version.parse("13.0.0"),) if carries and version == "12.0.1" else (),
        )
        self.shop.do(lambda: add_release(self.shop.store, self.shop.house.contract, found, now=self.shop.now))

    @rule(version=st.sampled_from(sorted(RELEASES)))
    def take_back(self, version: str) -> None:
        store, contract, bad = self.shop.store, self.shop.house.contract, Version.parse(version)
        self.shop.do(lambda: withdraw_release(store, contract, "intrexx", bad, reason="bad", now=self.shop.now))

    @rule(whom=whom, days=st.sampled_from([40, 120]))
    def defer(self, whom: tuple[str, ...], days: int) -> None:
        store, contract, now = self.shop.store, self.shop.house.contract, self.shop.now
        self.shop.do(lambda: deferrals.grant(store, contract, whom, MAJOR, until=now + days * DAY, now=now))

    @rule(instance=instances)
    def defer_no_longer(self, instance: str) -> None:
        version = Version.parse("13.0.0")
        self.shop.do(
            lambda: deferrals.withdraw(self.shop.store, self.shop.house.contract, instance, version, now=self.shop.now)
        )

    @rule(agreed=st.booleans())
    def consent(self, agreed: bool) -> None:
        store, contract, now = self.shop.store, self.shop.house.contract, self.shop.now
        found = Consent(instance="cedar-own", given_by="Eva", given_at=now)
        if agreed:
            self.shop.do(lambda: add_consent(store, contract, found, now=now))
        else:
            self.shop.do(lambda: end_consent(store, contract, "cedar-own", at=now, reason="no", now=now))

    # --- people and mails ---------------------------------------------------------------------------------------------

    @rule(who=customers, name=st.sampled_from(["eva", "otto"]), says=st.sampled_from([*Result]))
    def the_mail_server(self, who: str, name: str, says: Result) -> None:
        """What it says from now on to mails for somebody."""
        self.shop.answers[f"{who}-{name}@customer.example"] = says

    @rule(number=some)
    def a_mail_comes_back(self, number: int) -> None:
        sent = [each for each in self.shop.watch.accepted if f"/{KEYS[number % 5].partition('-')[0]}/" in each]
        if sent:
            key = sent[-1 - number % len(sent)]
            raw = REPORT.format(envid=envelope_id(key)).replace("\n", "\r\n").encode()
            found = take_report(self.shop.house, raw, source="1", now=self.shop.now)
            self.shop.watch.bounced |= {key} if found.revoked else set()

    @rule(key=instances, host=hosts)
    def it_moves_to_another_host(self, key: str, host: str) -> None:
        self.shop.sync(lambda fleet: with_instance(fleet, key, host=host))

    @rule(key=instances, days=st.sampled_from([-1, 0, 20, None]))
    def a_subscription_ends(self, key: str, days: int | None) -> None:
        ends_on = None if days is None else self.shop.now.date() + days * DAY
        self.shop.watch.left.add(key)
        self.shop.sync(lambda fleet: with_instance(fleet, key, ends_on=ends_on))

    @rule(who=customers, names=st.sampled_from([("eva",), ("eva", "otto"), ("eva", "otto", "pia"), ("pia",), ()]))
    def other_people(self, who: str, names: tuple[str, ...]) -> None:
        people = tuple(contact(f"{who}-{name}") for name in names)
        self.shop.sync(
            lambda fleet: Fleet(
                customers=tuple(replace(each, contacts=people) if each.key == who else each for each in fleet.customers)
            )
        )

    # --- hosts --------------------------------------------------------------------------------------------------------

    @rule(host=hosts, looks=st.sampled_from([0, 0, 1, 3, None]))
    def jobs_take_long(self, host: str, looks: int | None) -> None:
        self.shop.hosts[host].finish_after(looks=looks)

    @rule(host=hosts, fault=st.sampled_from([*Fault]), call=calls)
    def a_fault(self, host: str, fault: Fault, call: str) -> None:
        self.shop.hosts[host].fail(fault, call=call)

    @rule(host=hosts, there=st.booleans())
    def a_host_is_silent(self, host: str, there: bool) -> None:
        self.shop.hosts[host].reachable = there

    @rule(host=hosts, how=st.sampled_from(["vanish", "reboot", "finish"]), code=st.sampled_from([0, 0, 1, 75]))
    def jobs_end(self, host: str, how: str, code: int) -> None:
        found = self.shop.hosts[host]
        if how == "reboot":
            found.reboot()
        for job, each in found.jobs.items():
            if each.state is JobState.RUNNING:
                found.vanish(job) if how == "vanish" else found.finish(job, exit_code=code)

    @rule(host=hosts, name=programs, code=codes, times=st.sampled_from([1, 1, 3]))
    def a_program_says(self, host: str, name: str, code: int, times: int) -> None:
        self.shop.codes.setdefault((host, name), []).extend([code] * times)

    @rule(young=st.booleans())
    def news(self, young: bool) -> None:
        """There are updates for everybody; there is a young backup, or none."""
        self.shop.fresh, self.shop.young = set(KEYS), young

    # --- operators, and what happens meanwhile ------------------------------------------------------------------------

    @rule(number=some, fate=st.sampled_from(StepFate))
    def try_again(self, number: int, fate: StepFate) -> None:
        runs = [each for each in self.shop.watch.rows("run") if each["state"] not in ("planned", "done", "running")]
        if runs:
            key, watch = runs[number % len(runs)]["key"], self.shop.watch
            before = len(watch.rows("journal", subject=key, kind="run_retried"))
            self.shop.do(lambda: retry(self.shop.house, key, reason="looked at it", fate=fate, now=self.shop.now))
            if len(watch.rows("journal", subject=key, kind="run_retried")) > before:
                watch.said.append((len(watch.begun), key, str(fate)))

    @rule(number=some)
    def leave_to_begin(self, number: int) -> None:
        run = self.shop.pick("run", number, state="planned")
        if run:
            self.shop.do(lambda: approve(self.shop.house, run["key"], reason="looked at it", now=self.shop.now))

    @rule(what=happenings, which=some)
    def meanwhile(self, what: int, which: int) -> None:
        """Something happens to an instance of a host while a program runs there, in the midst of a pass."""
        self.shop.interludes.append(lambda host: self._happens(what, which, host))

    def _happens(self, what: int, which: int, host: str) -> None:
        there = [each["key"] for each in self.shop.watch.rows("instance") if each["host"].lower() == host]
        key = there[which % len(there)] if there else KEYS[0]
        happens: tuple[Callable[[], object], ...] = (
            lambda: self.freeze((key,), tuple(ChangeClass), timedelta(), HOUR),
            lambda: self.pause((key,)),
            lambda: self.shop.go(self.shop.now + 100 * MINUTE),
            lambda: self.shop.go(self.shop.now + 4 * HOUR),
            lambda: self.a_mail_comes_back(KEYS.index(key) + 5 * which),
            lambda: self.it_moves_to_another_host(key, HOSTS[which % 4]),
            lambda: self.a_subscription_ends(key, -1),
            lambda: self.consent(agreed=False),
            lambda: self.defer((key,), 120),
        )
        happens[what]()
