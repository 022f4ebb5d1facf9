"""Plans and conflicts: the words they use, and what no law pins."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest

import maintsched as ms
from maintsched.conflicts import backup_age, longest_backup_gap
from maintsched.fleet import Language
from maintsched.releases import Shelf, wave_of, wave_opens
from tests.worlds import contract, local, utc

MARCH = ms.Span(start=local("2026-03-01T00:00"), end=local("2026-04-01T00:00"))
FREEZE = ms.Freeze(key="f", start=MARCH.start, end=MARCH.end, reason="fair week")
DAILY = ms.BackupRule(times=(time(2),))


def version(text: str) -> ms.Version:
    return ms.Version.parse(text)


def release(text: str, kind: str = "minor", **fields: Any) -> ms.Release:
    available_at = fields.pop("available_at", local("2026-02-10T00:00"))
    return ms.Release(version=version(text), change_class=ms.ChangeClass(kind), available_at=available_at, **fields)


def instance(key: str = "acme-prod", **fields: Any) -> ms.Instance:
    fields.setdefault("versions", {"intrexx": version("12.0.0")})
    return ms.Instance(key=key, host=f"{key}.example", wave=1, **fields)


def fleet(*instances: ms.Instance, key: str = "acme", roles: tuple[str, ...] = ("system_responsible",)) -> ms.Fleet:
    contact = ms.Contact(key="eva", name="Eva", email=f"eva@{key}.example", roles=roles)
    customer = ms.Customer(
        key=key,
        name=key,
        language=Language.DE,
        package="premium",
        contacts=(contact,),
        instances=instances or (instance(),),
    )
    return ms.Fleet(customers=(customer,))


def planned(
    facts: ms.Facts | None = None, of: ms.Fleet | None = None, span: ms.Span = MARCH, **options: Any
) -> ms.Plan:
    terms = options.pop("contract", contract())
    return ms.make_plan(terms, of or fleet(), facts or ms.Facts(), span, **options)


def messages(plan: ms.Plan) -> dict[str, str]:
    return {str(conflict.kind): conflict.message for conflict in plan.all_conflicts}


def window(**fields: Any) -> ms.DeclaredWindow:
    base: dict[str, Any] = {
        "key": "w",
        "kind": ms.WindowKind.CRITICAL,
        "start": local("2026-03-12T20:00"),
        "duration": ms.Elapsed(hours=2),
        "reason": "storage move",
    }
    return ms.DeclaredWindow(**base | fields)


# --- what goes in, in words -------------------------------------------------------------------------------------------


def test_work_says_why_it_goes_in():
    plan = planned(ms.Facts(releases=(release("12.0.1"),)))
    rows = {row.component: row for row in plan.windows[0].work}
    assert rows["linux"].why == "operating system and security updates, clause 2.4.3.1"
    assert (rows["linux"].release, rows["linux"].change_class) == (None, "os")
    assert rows["intrexx"].why == (
        "newest release on track silent that is not held back; available since 2026-02-10, wave 1 is open"
    )
    assert rows["intrexx"].instance == "acme-prod"
    assert rows["intrexx"].release == "12.0.1"


def test_security_updates_alone_say_which_freeze_holds_the_others_back():
    freeze = ms.Freeze(
        key="os", start=MARCH.start, end=MARCH.end, reason="kernel trouble", classes=(ms.ChangeClass.OS,)
    )
    (row,) = planned(ms.Facts(freezes=(freeze,))).windows[0].work
    assert (row.change_class, row.why) == ("security", "security updates alone: os changes are frozen by os")


def choose(*releases: ms.Release, **options: Any) -> Any:
    shelf = Shelf(contract(), "intrexx", "silent", releases)
    options = {"at": local("2026-03-03T17:00"), "wave": 1, "installed": version("12.0.0"), **options}
    return shelf.choose(**options)


def test_what_stays_out_says_why():
    choice = choose(release("12.0.1"), wave=9)
    assert choice.release is None
    assert choice.why == "nothing newer may go in"
    (held,) = choice.held_back
    assert str(held.release.version) == "12.0.1"
    assert (held.why, held.freeze) == ("wave 9 opens 2026-04-07 00:00", None)
    (frozen,) = choose(release("12.0.1"), frozen={ms.ChangeClass.MINOR: "year-end"}).held_back
    assert (frozen.why, frozen.freeze) == ("minor changes are frozen by year-end", "year-end")


def test_a_release_is_available_on_a_day_of_the_contracts_zone():
    late = release("12.0.1", available_at=datetime(2026, 2, 10, 23, 30, tzinfo=UTC))
    assert "available since 2026-02-11," in choose(late).why
    early = release("12.0.1", available_at=datetime(2026, 2, 10, 22, 30, tzinfo=UTC))
    assert "available since 2026-02-10," in choose(early).why


def test_what_is_not_available_yet_is_not_even_held():
    assert choose(release("12.0.1", available_at=local("2026-03-04T00:00"))).held_back == ()
    assert choose(release("12.0.1", available_at=local("2026-03-03T17:00"))).release is not None


def test_deferred_releases_say_until_when():
    facts = ms.Facts(
        releases=(release("12.1.0", "major"), release("12.0.1")),
        deferrals=(ms.Deferral(instance="acme-prod", release=version("12.1.0"), until=local("2026-05-01T00:00")),),
    )
    plan = planned(facts)
    (deferral,) = plan.deferrals
    choice = choose(*facts.releases, deferrals=plan.deferrals)
    assert [each.why for each in choice.held_back] == [
        "12.1.0 is deferred until 2026-05-01",
        "only security releases while 12.1.0 is deferred",
    ]
    assert [str(each.release.version) for each in choice.held_back] == ["12.1.0", "12.0.1"]
    assert (deferral.start, deferral.end) == (local("2026-03-03T17:00"), local("2026-05-01T00:00"))
    assert deferral.window is not None
    assert deferral.window.id == "monthly/2026-05"


def test_what_is_installed_already_is_carried_by_nothing():
    releases = (release("12.1.0", "major"), release("12.1.1"))
    frozen = {ms.ChangeClass.MAJOR: "no-majors"}
    assert choose(*releases, installed=version("12.1.0"), frozen=frozen).release == releases[1]
    assert choose(*releases, installed=version("12.0.9"), frozen=frozen).release is None


def test_an_unknown_installed_version_takes_whatever_is_newest():
    assert choose(release("1.0"), release("2.0"), installed=None).release == release("2.0")


def test_a_wave_is_the_instances_own_then_its_environments_then_the_last():
    assert wave_of(contract(), instance()) == 1
    own: dict[str, Any] = {"key": "x", "host": "x.example"}
    assert [wave_of(contract(), ms.Instance(environment=name, **own)) for name in ("dev", "test", "prod")] == [1, 2, 3]
    two = replace(contract(), waves=replace(contract().waves, environments={"dev": 2, "test": 7}))
    assert wave_of(two, ms.Instance(environment="prod", **own)) == 7
    none = replace(contract(), waves=replace(contract().waves, environments={}))
    assert wave_of(none, ms.Instance(environment="prod", **own)) == 1


def test_each_wave_waits_a_soak_longer_and_security_releases_do_not_wait():
    minor, security = release("12.0.1"), release("12.0.2", "security")
    assert [wave_opens(contract(), minor, wave).date() for wave in (1, 2, 3)] == [
        date(2026, 2, 10),
        date(2026, 2, 17),
        date(2026, 2, 24),
    ]
    assert wave_opens(contract(), security, 9) == security.available_at
    for choice, opens in (("earlier", "2026-03-29T01:30:00+01:00"), ("later", "2026-03-29T03:30:00+02:00")):
        night = release("12.0.3", available_at=local("2026-03-22T02:30"))
        assert wave_opens(contract(clock_change=choice), night, 2).isoformat() == opens
    monthly = contract(waves={"soak": "1 month", "security_soak": "2 days"})
    assert wave_opens(monthly, minor, 3).date() == date(2026, 4, 10)
    assert wave_opens(monthly, security, 3).date() == date(2026, 2, 14)


def test_an_instance_gets_only_the_components_it_has():
    facts = ms.Facts(releases=(release("12.0.1"), release("16.2", component="database")))
    plan = planned(facts, fleet(instance(components=("database",))))
    assert [row.release for row in plan.windows[0].work if row.release] == ["16.2"]


def test_a_window_declared_for_releases_takes_these_and_no_others():
    facts = ms.Facts(
        releases=(release("12.0.1"), release("12.0.2"), release("12.0.3", "security")),
        windows=(window(releases=(version("12.0.1"),), start=local("2026-03-02T20:00")),),
    )
    first, monthly = planned(facts).windows
    assert [row.release for row in first.work] == ["12.0.1"]
    assert [row.release for row in monthly.work if row.release] == ["12.0.3"]


def test_a_window_declared_for_one_release_does_not_bring_a_frozen_one_along():
    freeze = ms.Freeze(key="f", start=MARCH.start, end=MARCH.end, reason="r", classes=(ms.ChangeClass.MAJOR,))
    facts = ms.Facts(
        releases=(release("12.1.0", "major"), release("12.1.1")),
        windows=(window(releases=(version("12.1.1"),)),),
        freezes=(freeze,),
    )
    assert [row.release for each in planned(facts).windows for row in each.work if row.release] == []


# --- conflicts, in words ----------------------------------------------------------------------------------------------


def test_a_late_announcement_says_by_how_much_and_from_when_planned_work_may_start():
    late = window(announced_at=local("2026-03-09T21:30"))
    assert messages(planned(ms.Facts(windows=(late,)))) == {
        "announced_late": "announced 1 h 30 min too late: unplanned, so that it counts as downtime; "
        "planned work may start from 2026-03-12 21:30 CET"
    }
    (conflict,) = planned(ms.Facts(windows=(late,))).windows[1].conflicts
    assert (conflict.clause, conflict.subject) == ("2.4.3.3", "critical/w")


def test_a_moved_monthly_window_announced_late_is_shown_and_so_is_a_late_reminder():
    start = local("2026-03-17T19:00")
    moved = {"key": "2026-03", "kind": ms.WindowKind.MONTHLY, "start": start}
    unplanned = window(**moved, announced_at=start - timedelta(hours=71))
    assert list(messages(planned(ms.Facts(windows=(unplanned,))))) == ["announced_late"]
    late = window(**moved, announced_at=local("2026-03-10T00:00"))
    (conflict,) = planned(ms.Facts(windows=(late,))).windows[0].conflicts
    assert (conflict.kind, conflict.clause) == ("deadline_past", "2.4.3.1")
    in_time = window(**moved, announced_at=local("2026-03-09T23:59"))
    assert messages(planned(ms.Facts(windows=(in_time,)))) == {}


def test_a_missed_deadline_says_when_it_was():
    plan = planned(now=local("2026-02-24T00:00"))
    assert messages(plan) == {
        "deadline_past": "the deadline of the reminder was 2026-02-24 00:00 CET: "
        "whoever was not told by then is told too late"
    }
    assert messages(planned(now=local("2026-02-23T23:59"))) == {}
    assert messages(planned(now=local("2026-03-03T17:00"))) == {}
    assert messages(planned()) == {}


def test_a_freeze_says_which_classes_it_keeps_out_until_when_and_what_it_holds_back():
    freeze = ms.Freeze(key="f1", start=MARCH.start, end=local("2026-03-10T12:00"), reason="fair week")
    plan = planned(ms.Facts(freezes=(freeze,), releases=(release("12.0.1"), release("12.1.0", "major"))))
    assert messages(plan) == {
        "freeze_over_window": "freeze f1 (fair week) keeps minor, major changes out until 2026-03-10 12:00; "
        "held back: intrexx 12.0.1, intrexx 12.1.0"
    }
    assert plan.windows[0].conflicts[0].clause == "2.4.4"
    assert plan.freezes == (freeze,)
    april = ms.Span(start=MARCH.end, end=local("2026-05-01T00:00"))
    assert planned(ms.Facts(freezes=(freeze,)), span=april).freezes == ()


def test_an_old_backup_says_how_old():
    rule = ms.BackupRule(times=(time(2),), rule=ms.Rule.parse("FREQ=WEEKLY;BYDAY=MO"))
    plan = planned(of=fleet(instance(backup=rule), instance("acme-two", backup=rule)))
    assert messages(plan) == {
        "backup_too_old": "work needs a backup younger than 24 h; by the declared rule it is 39 h old: take one first",
        "backup_rule": "a backup is promised every 24 h; between two of the rule 168 h pass: back up more often",
    }
    (conflict,) = plan.conflicts
    assert conflict.subject == "instance/acme-prod and 1 more"
    assert conflict.instances == ("acme-prod", "acme-two")
    assert {each.clause for each in plan.all_conflicts} == {"4.1"}
    alone = planned(of=fleet(instance(backup=rule)))
    assert alone.conflicts[0].subject == "instance/acme-prod"


def test_a_backup_rule_that_has_not_begun_or_has_ended_gives_no_backup():
    later = ms.BackupRule(times=(time(2),), anchor=date(2028, 1, 1))
    assert messages(planned(of=fleet(instance(backup=later)))) == {
        "backup_too_old": "work needs a backup younger than 24 h; by the declared rule there is none: take one first",
        "backup_rule": "a backup is promised every 24 h; between two of the rule there are none: back up more often",
    }


def test_a_backup_may_be_exactly_as_far_apart_as_promised_but_not_as_old():
    assert messages(planned(of=fleet(instance(backup=DAILY)))) == {}
    at_start = ms.BackupRule(times=(time(17),))
    assert messages(planned(of=fleet(instance(backup=at_start)))) == {}
    just_after = ms.BackupRule(times=(time(17, 0, 1),))
    assert messages(planned(of=fleet(instance(backup=just_after)))) == {}
    assert str(backup_age(contract(), just_after, local("2026-03-03T17:00"))) == "23 h 59 min 59 s"
    twice = ms.BackupRule(times=(time(1), time(2)))
    assert str(backup_age(contract(), twice, local("2026-03-03T17:00"))) == "15 h"


def test_a_backup_in_the_hour_that_does_not_exist_is_taken_when_the_contract_says():
    night, at = ms.BackupRule(times=(time(2, 30),)), local("2026-03-29T17:00")
    assert str(backup_age(contract(), night, at)) == "14 h 30 min"
    assert str(backup_age(contract(clock_change="later"), night, at)) == "13 h 30 min"


def test_a_backup_before_the_clocks_go_back_is_an_hour_older():
    assert str(backup_age(contract(), DAILY, local("2026-10-25T17:00"))) == "16 h"
    terms = contract(monthly={"rule": "FREQ=MONTHLY;BYDAY=-1SU", "time": "01:59:59"})
    span = ms.Span(start=local("2026-10-25T00:00"), end=local("2026-10-26T00:00"))
    assert messages(planned(of=fleet(instance(backup=DAILY)), span=span, contract=terms)) == {}


@pytest.mark.parametrize("start", [date(2026, 1, 1), date(2026, 11, 30), date(2026, 12, 31), date(2027, 2, 28)])
def test_a_daily_backup_is_a_day_apart_whenever_the_plan_begins(start):
    assert longest_backup_gap(DAILY, start) == timedelta(days=1)
    assert longest_backup_gap(ms.BackupRule(times=(time(2), time(14))), start) == timedelta(hours=12)


def test_a_backup_rule_is_looked_at_over_more_than_a_year():
    leap = ms.BackupRule(times=(time(2),), rule=ms.Rule.parse("FREQ=YEARLY;BYMONTH=1;BYMONTHDAY=1"))
    assert longest_backup_gap(leap, date(2026, 1, 1)) == timedelta(days=365)
    assert longest_backup_gap(leap, date(2026, 1, 2)) is None


def test_a_backup_more_than_forty_days_ago_is_none():
    yearly = ms.BackupRule(times=(time(17),), rule=ms.Rule.parse("FREQ=YEARLY;BYMONTH=1;BYMONTHDAY=22"))
    assert str(backup_age(contract(), yearly, local("2026-03-03T17:00"))) == "960 h"
    assert backup_age(contract(), yearly, local("2026-03-04T17:00")) is None
    assert backup_age(contract(), yearly, local("2026-01-22T16:59")) is None


def test_a_backup_of_last_year_is_seen_in_january():
    december = ms.BackupRule(times=(time(2),), rule=ms.Rule.parse("FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=31"))
    assert str(backup_age(contract(), december, local("2027-01-01T02:00"))) == "24 h"


def test_instances_that_nothing_touches_are_asked_for_no_backup():
    plan = planned(of=fleet(instance(managed=False, backup=ms.BackupRule(times=(time(2),), anchor=date(2028, 1, 1)))))
    assert messages(plan) == {}


def deferral(until: str, **fields: Any) -> ms.Deferral:
    return ms.Deferral(instance="acme-prod", release=version("12.1.0"), until=local(until), **fields)


def test_a_deferral_that_is_too_long_says_when_it_ends():
    facts = ms.Facts(releases=(release("12.1.0", "major"),), deferrals=(deferral("2026-12-01T00:00"),))
    plan = planned(facts)
    assert messages(plan) == {
        "deferral_too_long": "asked for beyond 6 months: it ends 2026-09-03 17:00 CEST; "
        "agree on that date with the customer"
    }
    (conflict,) = plan.conflicts
    assert (conflict.subject, conflict.clause) == ("deferral/acme-prod/12.1.0", "2.4.4")


def test_a_deferral_that_nothing_ends_says_what_would_end_it():
    facts = ms.Facts(releases=(release("12.1.0", "major"),), deferrals=(deferral("2026-05-01T00:00"),))
    ends = planned(facts, fleet(instance(ends_on=date(2026, 5, 4))))
    expected = "no window ever takes the deferred release: announce one, or extend the rule or the subscription"
    assert messages(ends) == {"deferral_never_ends": expected}
    assert messages(planned(facts, fleet(instance(ends_on=date(2026, 5, 5))))) == {}
    terms = contract(monthly={"rule": "FREQ=MONTHLY;BYDAY=1TU;UNTIL=20260401"})
    assert messages(planned(facts, contract=terms)) == {"deferral_never_ends": expected}


def test_a_deferral_does_not_end_in_the_window_it_begins_with():
    terms = contract(deferral={"after": "last_window_before_end"})
    facts = ms.Facts(releases=(release("12.1.0", "major"),), deferrals=(deferral("2026-03-20T00:00"),))
    (found,) = planned(facts, contract=terms).deferrals
    assert found.start == local("2026-03-03T17:00")
    assert found.window is not None
    assert found.window.id == "monthly/2026-04"


def test_a_window_at_the_very_end_of_a_subscription_takes_nothing():
    midnight = contract(monthly={"time": "00:00:00"})
    facts = ms.Facts(releases=(release("12.1.0", "major"),), deferrals=(deferral("2026-05-01T00:00"),))
    for last_day, ends in ((date(2026, 5, 4), None), (date(2026, 5, 5), "monthly/2026-05")):
        (found,) = planned(facts, fleet(instance(ends_on=last_day)), contract=midnight).deferrals
        assert (found.window.id if found.window else None) == ends


def test_a_deferral_of_a_release_that_no_window_could_take_is_shown_and_breaks_no_plan():
    terms = contract(monthly={"rule": "FREQ=MONTHLY;BYDAY=1TU;UNTIL=20260401"})
    late = release("12.1.0", "major", available_at=local("2026-06-01T12:00"))
    plan = planned(ms.Facts(releases=(late,), deferrals=(deferral("2026-07-01T00:00"),)), contract=terms)
    assert list(messages(plan)) == ["deferral_never_ends"]
    assert plan.deferrals[0].start == local("2026-06-01T12:00")


def test_a_deferral_of_what_is_installed_or_on_another_track_has_no_effect():
    facts = ms.Facts(releases=(release("12.1.0", "major"),), deferrals=(deferral("2026-05-01T00:00"),))
    newer = fleet(instance(versions={"intrexx": version("12.1.0")}))
    assert messages(planned(facts, newer)) == {
        "deferral_without_effect": "12.1.0 is installed already: withdraw the deferral, it holds other releases back"
    }
    steady = fleet(instance(track="steady"))
    only_silent = replace(facts, releases=(release("12.1.0", "major", tracks=("silent",)),))
    assert messages(planned(only_silent, steady)) == {
        "deferral_without_effect": "12.1.0 does not ship on track steady: withdraw the deferral, it holds others back"
    }
    assert messages(planned(only_silent)) == {}


def test_a_customer_without_a_contact_of_the_role_cannot_be_told():
    (conflict,) = planned(of=fleet(roles=("buyer",))).conflicts
    assert conflict.message == "no contact has the role system_responsible: nobody can be told, all work is unplanned"
    assert (conflict.kind, conflict.subject, conflict.clause) == ("no_contact", "customer/acme", "2.4.3")
    assert conflict.instances == ("acme-prod",)
    with pytest.raises(ms.UnknownName, match='instance: expected one of acme-prod, got "other"'):
        planned(of=fleet(roles=("buyer",)), only=["other"])


def test_a_window_that_names_what_must_not_be_touched_says_what_to_do():
    named = window(instances=("acme-prod",))
    assert messages(planned(ms.Facts(windows=(named,)), fleet(instance(managed=False)))) == {
        "no_consent": "on the customer's own system: record a consent first"
    }
    ended = fleet(instance(ends_on=date(2026, 3, 11)))
    plan = planned(ms.Facts(windows=(named,)), ended)
    assert messages(plan) == {"subscription_ended": "the subscription does not run then: nothing is planned"}
    assert {each.clause for each in plan.all_conflicts} == {"4.2"}
    assert list(plan.windows[-1].instances) == []


def test_overlapping_windows_are_shown_once_under_the_later_one():
    early = window(start=local("2026-03-03T16:00"))
    plan = planned(ms.Facts(windows=(early,)))
    assert [len(each.conflicts) for each in plan.windows] == [0, 1]
    (conflict,) = plan.windows[1].conflicts
    assert conflict.message == "overlaps critical/w: move or cancel one of them"
    assert (conflict.kind, conflict.subject, conflict.clause) == ("windows_overlap", "monthly/2026-03", "2.4.3")
    touching = window(start=local("2026-03-03T15:00"))
    assert messages(planned(ms.Facts(windows=(touching,)))) == {}
    assert [len(each.conflicts) for each in planned(ms.Facts(windows=(early,)), ms.Fleet()).windows] == [0, 1]


# --- the plan itself --------------------------------------------------------------------------------------------------


def test_a_plan_without_a_fleet_shows_the_windows():
    plan = planned(of=ms.Fleet())
    assert [each.window.id for each in plan.windows] == ["monthly/2026-03"]
    assert (list(plan.windows[0].work), list(plan.windows[0].instances)) == ([], [])
    assert (plan.span, plan.now) == (MARCH, None)


def test_a_plan_of_some_instances_shows_the_windows_that_concern_one_of_them():
    named = window(instances=("acme-prod", "acme-test"))
    both = fleet(instance(), instance("acme-test"), instance("acme-dev"))
    shown = {
        key: [each.window.id for each in planned(ms.Facts(windows=(named,)), both, only=[key]).windows]
        for key in ("acme-prod", "acme-test", "acme-dev")
    }
    assert shown["acme-prod"] == shown["acme-test"] == ["monthly/2026-03", "critical/w"]
    assert shown["acme-dev"] == ["monthly/2026-03"]
    together = planned(ms.Facts(windows=(window(instances=("acme-prod",)),)), both, only=["acme-prod", "acme-test"])
    assert [list(each.instances) for each in together.windows] == [["acme-prod", "acme-test"], ["acme-prod"]]


def test_a_clock_change_between_notice_and_window_is_shown():
    april = ms.Span(start=local("2026-04-01T00:00"), end=local("2026-05-01T00:00"))
    change = planned(span=april).windows[0].clock_change
    assert change is not None
    assert str(change) == "clocks go forward 60 min on 2026-03-29"
    assert change.at.isoformat() == "2026-03-29T03:00:00+02:00"
    assert planned().windows[0].clock_change is None
    autumn = ms.Span(start=local("2026-11-01T00:00"), end=local("2026-11-04T00:00"))
    assert str(planned(span=autumn).windows[0].clock_change) == "clocks go back 60 min on 2026-10-25"


def test_an_emergency_is_told_when_it_was_else_now_else_at_its_deadline():
    entered = window(kind=ms.WindowKind.EMERGENCY)
    told, now = local("2026-03-12T18:00"), local("2026-03-12T12:00")

    def sent(each: ms.DeclaredWindow, **options: Any) -> datetime:
        found = planned(ms.Facts(windows=(each,)), **options).windows[-1]
        return found.notices[0].send_at

    assert sent(replace(entered, announced_at=told), now=now) == told
    assert sent(entered, now=now) == now
    assert sent(entered) == local("2026-03-11T20:00")


@pytest.mark.parametrize(
    ("facts", "what"),
    [
        (ms.Facts(windows=(window(instances=("nobody",)),)), "instances"),
        (ms.Facts(windows=(window(releases=(version("9.9"),)),)), "releases"),
        (ms.Facts(releases=(release("1", component="kernel"),)), "component"),
        (ms.Facts(releases=(release("1", tracks=("loud",)),)), "tracks"),
        (ms.Facts(deferrals=(deferral("2026-05-01T00:00"),)), "release"),
        (ms.Facts(consents=(ms.Consent(instance="nobody", given_by="Eva", given_at=MARCH.start),)), "instance"),
        (ms.Facts(track_switches=(ms.TrackSwitch(instance="acme-prod", track="loud", at=MARCH.start),)), "track"),
        (ms.Facts(track_switches=(ms.TrackSwitch(instance="nobody", track="silent", at=MARCH.start),)), "instance"),
        (ms.Facts(outages=(ms.Outage(start=MARCH.start, end=None, instance="nobody"),)), "instance"),
        (ms.Facts(freezes=(replace(FREEZE, customers=("x",)),)), "customers"),
        (ms.Facts(freezes=(replace(FREEZE, instances=("x",)),)), "instances"),
    ],
)  # fmt: skip
def test_facts_that_name_what_nothing_declares_are_refused(facts, what):
    with pytest.raises(ms.UnknownName) as refused:
        planned(facts)
    assert refused.value.field == refused.value.what == what
    assert refused.value.subject is not None


def test_only_major_releases_of_the_deferrable_component_can_be_deferred():
    facts = ms.Facts(releases=(release("12.1.0", "minor"),), deferrals=(deferral("2026-05-01T00:00"),))
    with pytest.raises(ms.InvalidValue, match=r"expected a major release of intrexx: only those .* \(clause 2.4.4\)"):
        planned(facts)
    other = ms.Facts(
        releases=(release("12.1.0", "major", component="database"),), deferrals=(deferral("2026-05-01T00:00"),)
    )
    with pytest.raises(ms.UnknownName):
        planned(other)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"environment": "live"}, "environment"),
        ({"track": "loud"}, "track"),
        ({"components": ("kernel",)}, "components"),
        ({"versions": {"kernel": version("6.1")}}, "versions"),
    ],
)
def test_a_fleet_that_names_what_the_contract_does_not_know_is_refused(changes, field):
    with pytest.raises(ms.UnknownName) as refused:
        planned(of=fleet(instance(**changes)))
    assert refused.value.field == field
    assert refused.value.subject == ("instance", "acme-prod")


def test_a_package_that_the_contract_does_not_know_is_refused():
    customer = replace(fleet().customers[0], package="gold")
    with pytest.raises(ms.UnknownName) as refused:
        planned(of=ms.Fleet(customers=(customer,)))
    assert (refused.value.field, refused.value.subject) == ("package", ("customer", "acme"))


def test_a_release_named_in_short_is_the_same_release():
    facts = ms.Facts(releases=(release("12.1.0"),), windows=(window(releases=(version("12.1"),)),))
    assert [row.release for row in planned(facts).windows[-1].work if row.release] == []  # in already on 3 March
    early = replace(facts, windows=(window(releases=(version("12.1"),), start=local("2026-03-02T20:00")),))
    assert [row.release for row in planned(early).windows[0].work] == ["12.1.0"]


def test_instances_that_are_alike_share_their_work():
    many = fleet(*(instance(f"acme-{n}") for n in range(5)), instance("acme-other", track="steady"))
    (found,) = planned(of=many).windows
    assert [assignment.instances for assignment in found.assignments] == [
        tuple(f"acme-{n}" for n in range(5)), ("acme-other",)
    ]  # fmt: skip
    assert sorted(found.instances) == sorted(each.key for each in many.instances())


def test_a_consent_holds_from_when_it_is_given_to_its_end():
    consent = ms.Consent(instance="a", given_by="Eva", given_at=MARCH.start, until=MARCH.end)
    assert consent.holds_at(MARCH.start)
    assert not consent.holds_at(utc(MARCH.start) - timedelta(microseconds=1))
    assert not consent.holds_at(MARCH.end)
    assert replace(consent, until=None).holds_at(datetime(2199, 1, 1, tzinfo=UTC))
