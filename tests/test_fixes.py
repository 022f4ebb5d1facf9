"""Security fixes: each is on its way into a window that is proved, or can be; else an operator hears of it, once."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from maintsched.facts import ChangeClass, Freeze, Release, WindowKind
from maintsched.fleet import Fleet
from maintsched.mail.outcomes import Result
from maintsched.store.declared import write_freezes, write_releases
from maintsched.version import Version
from maintsched.worker import announce as windows
from maintsched.worker.freezes import finish_freeze
from tests.houses import ACME, DECEMBER, NOW, REMINDED, contact, critical, instance, world

DAY = timedelta(days=1)
OLD, FIXED = {"intrexx": Version.parse("12.0.0")}, {"intrexx": Version.parse("12.0.1")}
FIX = Release(version=Version.parse("12.0.1"), change_class=ChangeClass.SECURITY, available_at=NOW - DAY)


def house(store, tmp_path, *, releases=(FIX,), now=NOW, **changes):
    home = instance("acme-prod", **{"versions": OLD, **changes})
    made = world(store, tmp_path, now=now, fleet=Fleet(customers=(replace(ACME, instances=(home,)),)))
    with store.writing() as connection:
        write_releases(connection, releases)
    return made


def frozen(made, key="audit", *, days=200, classes=(ChangeClass.SECURITY,)):
    freeze = Freeze(key=key, start=NOW - DAY, end=NOW + days * DAY, reason="audit", classes=classes)
    with made.house.store.writing() as connection:
        write_freezes(connection, [freeze])


def lost(made):
    """What operators were told of fixes, in order."""
    found = [each.notice.facts["alert"] for each in made.notices() if each.notice.subject.startswith("alert/fix/")]
    return [line for each in found for line in each["lines"]]


def test_a_fix_that_goes_into_a_window_which_can_still_be_told_is_no_news(store, tmp_path):
    made = house(store, tmp_path)
    for at in (NOW, REMINDED, DECEMBER - DAY):
        made.tick(at)
    assert lost(made) == []


def test_a_fix_that_a_freeze_keeps_out_is_told_with_why_and_the_way_out(store, tmp_path):
    made = house(store, tmp_path)
    frozen(made)
    made.tick()
    assert lost(made) == ["acme: acme-prod: security changes are frozen by audit"]
    (alert,) = [each.notice.facts["alert"] for each in made.notices() if "/fix/" in each.notice.subject]
    assert alert["title"] == "Security fix intrexx 12.0.1 is on no sure way into an instance"
    assert "maintsched window announce emergency --instances acme-prod --release 12.0.1" in alert["way_out"]
    assert any("operator_alert/alert:fix" in key for key in made.told())


def test_a_cause_is_told_once_and_another_one_anew(store, tmp_path):
    made = house(store, tmp_path)
    frozen(made)
    for days in range(3):
        made.tick(NOW + days * DAY)
    assert len(lost(made)) == 1
    finish_freeze(store, "audit", reason="over", now=made.now)
    frozen(made, "another")
    made.tick(NOW + 3 * DAY)
    assert lost(made)[1:] == ["acme: acme-prod: security changes are frozen by another"]


def test_a_freeze_that_is_over_before_a_later_window_is_no_news(store, tmp_path):
    made = house(store, tmp_path)
    frozen(made, days=30)
    made.tick()
    assert lost(made) == []


def test_a_window_that_nobody_was_told_of_in_time_is_no_way_from_the_last_call_on(store, tmp_path):
    made = house(store, tmp_path)
    made.mailer.answer = lambda mail: Result.DEFERRED if "reminder" in mail.key else Result.ACCEPTED
    for at in (NOW, REMINDED, DECEMBER - 3 * DAY):
        made.tick(at)
    assert lost(made) == []
    made.tick(DECEMBER - 3 * DAY + timedelta(seconds=1))
    assert lost(made) == [
        "acme: acme-prod: monthly/2026-12 takes it, and acme was not told in time: its work will be held"
    ]


def test_a_window_without_mail_is_no_way(store, tmp_path):
    made = house(store, tmp_path)
    windows.announce(made.house, critical(start=NOW + 7 * DAY), now=NOW, mailed=False)
    made.tick()
    assert lost(made) == ["acme: acme-prod: critical/disk takes it, and was published without mail: it tells nobody"]


def test_an_emergency_is_a_way_though_it_is_near(store, tmp_path):
    made = house(store, tmp_path)
    window = critical("fire", start=NOW + timedelta(hours=1), kind=WindowKind.EMERGENCY)
    windows.announce(made.house, window, now=NOW, hurry="it burns")
    made.tick()
    made.tick(NOW + timedelta(minutes=30))
    assert lost(made) == []


def test_where_nobody_can_be_told_there_is_no_way(store, tmp_path):
    made = house(store, tmp_path)
    made.sync(Fleet(customers=(replace(ACME, contacts=(), instances=(instance("acme-prod", versions=OLD),)),)))
    made.tick()
    assert lost(made) == ["acme: acme-prod: monthly/2026-12 takes it, and nobody of acme can be told"]


def test_a_system_of_the_customers_own_needs_a_consent_first(store, tmp_path):
    made = house(store, tmp_path, managed=False)
    made.tick()
    assert lost(made) == ["acme: acme-prod: it is on the customer's own system, and no consent holds"]


@pytest.mark.parametrize(
    ("release", "changes"),
    [
        ({"change_class": ChangeClass.MINOR}, {}),
        ({"withdrawn": "it breaks"}, {}),
        ({"available_at": NOW + 150 * DAY}, {}),
        ({"tracks": ("steady",)}, {}),
        ({"component": "database"}, {"components": ("intrexx", "linux")}),
        ({}, {"versions": FIXED}),
        ({}, {"ends_on": date(2026, 11, 1)}),
        ({}, {"starts_on": date(2027, 3, 1)}),
    ],
)
def test_what_is_no_fix_for_an_instance_now_is_no_news(store, tmp_path, release, changes):
    made = house(store, tmp_path, releases=(replace(FIX, **release),), **changes)
    frozen(made)
    made.tick()
    assert lost(made) == []


def test_what_is_installed_may_hold_a_fix_as_well(store, tmp_path):
    backport = replace(FIX, version=Version.parse("12.0.9"), carries=(Version.parse("13.0.1"),))
    later = replace(FIX, version=Version.parse("13.0.1"))
    made = house(store, tmp_path, releases=(backport, later), versions={"intrexx": backport.version})
    frozen(made)
    made.tick()
    assert lost(made) == []


def test_instances_of_one_cause_are_told_together(store, tmp_path):
    many = tuple(instance(f"acme-{number}", versions=OLD) for number in range(3))
    made = house(store, tmp_path)
    made.sync(Fleet(customers=(replace(ACME, contacts=(contact("eva"),), instances=many),)))
    frozen(made)
    made.tick()
    assert len(lost(made)) == 3
    assert len([key for key in made.told() if "alert:fix" in key]) == 1
