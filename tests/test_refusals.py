"""What a refusal says: what it is about, what was expected, what was found, and where it stands."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest

import maintsched as ms
from maintsched.facts import check_facts
from maintsched.fleet import check_fleet
from maintsched.grammar import (
    email_address,
    require_host,
    require_host_suffix,
    require_key,
    require_link,
    require_once,
    require_text,
)
from maintsched.holidaycalendar import HolidayCalendar
from maintsched.localtime import utc
from maintsched.recurrence import Recurrence
from maintsched.terms import ReactionTime, WindowOverride
from maintsched.windows import check_declared, check_overrides
from tests.worlds import contract, local

AT = local("2026-12-01T17:00")
LATER = AT + timedelta(hours=1)
NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001 - what is refused
TOO_LATE = datetime(2201, 1, 1, tzinfo=UTC)
V = ms.Version.parse("12.1.0")
NEVER = ms.Rule.parse("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30")
SPAN = ms.Span(start=AT, end=LATER)

KEY = "1 to 63 ASCII letters, digits, '.', '-' or '_', beginning with a letter or digit"
TEXT = "up to 500 printable characters on one line, without '=?' and without control characters"
PARTS = "parts NAME=VALUE with NAME one of FREQ, INTERVAL, BYDAY, BYMONTHDAY, BYMONTH, UNTIL, COUNT"
COMPONENTS = "one of intrexx, database, search, webserver, firewall, linux, libreoffice"
NEAR = "one of acme-prod, acme-test (did you mean acme-test?)"


def override(**fields: Any) -> WindowOverride:
    base: dict[str, Any] = {"window": "monthly/2026-12", "reason": "fair week", "skip": True}
    return WindowOverride(**base | fields)


def changed(group: str, **fields: Any) -> Any:
    return replace(getattr(contract(), group), **fields)


def changed_contract(*overrides: WindowOverride) -> ms.Contract:
    return replace(contract(), monthly=changed("monthly", override=overrides))


def contact(**fields: Any) -> ms.Contact:
    base: dict[str, Any] = {"key": "eva", "name": "Eva", "email": "eva@acme.example", "roles": ()}
    return ms.Contact(**base | fields)


def instance(**fields: Any) -> ms.Instance:
    base: dict[str, Any] = {"key": "acme-prod", "host": "acme.example"}
    return ms.Instance(**base | fields)


def customer(**fields: Any) -> ms.Customer:
    base: dict[str, Any] = {"key": "acme", "name": "Acme", "language": "de", "package": "premium"}
    return ms.Customer(**base | fields)


FLEET = ms.Fleet(customers=(customer(instances=(instance(), instance(key="acme-test"))),))


def window(**fields: Any) -> ms.DeclaredWindow:
    base: dict[str, Any] = {"key": "w", "kind": "critical", "start": AT, "duration": ms.Elapsed(hours=1)}
    return ms.DeclaredWindow(**{"reason": "because"} | base | fields)


def release(**fields: Any) -> ms.Release:
    base: dict[str, Any] = {"version": V, "change_class": "major", "available_at": AT}
    return ms.Release(**base | fields)


def deferral(**fields: Any) -> ms.Deferral:
    base: dict[str, Any] = {"instance": "acme-prod", "release": V, "until": AT}
    return ms.Deferral(**base | fields)


def freeze(**fields: Any) -> ms.Freeze:
    base: dict[str, Any] = {"key": "f", "start": AT, "end": LATER, "reason": "because"}
    return ms.Freeze(**base | fields)


def work(**fields: Any) -> ms.Maintenance:
    base: dict[str, Any] = {"start": AT, "end": LATER, "announced_at": None}
    return ms.Maintenance(**base | fields)


def consent(**fields: Any) -> ms.Consent:
    base: dict[str, Any] = {"instance": "acme-prod", "given_by": "Eva", "given_at": AT}
    return ms.Consent(**base | fields)


def check(**fields: Any) -> None:
    check_facts(contract(), FLEET, ms.Facts(**fields))


def refusal(made: Any) -> str:
    with pytest.raises(ms.InvalidValue) as refused:
        made()
    return f"{refused.value} (field {refused.value.field})"


@pytest.mark.parametrize(("made", "said"), [
    (lambda: utc(NAIVE, "since"),
     'since: expected a datetime with an offset or a zone, got "2026-01-01T00:00:00" (field None)'),
    (lambda: utc(NAIVE),
     'instant: expected a datetime with an offset or a zone, got "2026-01-01T00:00:00" (field None)'),
    (lambda: utc(datetime(2201, 1, 1, tzinfo=UTC)),
     'instant: expected a year from 2000 to 2200, got "2201-01-01T00:00:00+00:00" (field None)'),
    (lambda: utc(datetime(1999, 12, 31, tzinfo=UTC), "since"),
     'since: expected a year from 2000 to 2200, got "1999-12-31T00:00:00+00:00" (field None)'),
    (lambda: ms.Elapsed(hours=-1), 'duration: expected no negative duration, got "-1 day, 23:00:00" (field None)'),
    (lambda: ms.Elapsed.parse("7 days"),
     'duration: expected elapsed time such as "72 h", "30 min" or "PT72H", got "7 days" (field None)'),
    (lambda: ms.Period(months=-1), "months: expected no negative number, got -1 (field months)"),
    (lambda: ms.Period(days=-2), "days: expected no negative number, got -2 (field days)"),
    (lambda: ms.Period.parse("7 h"),
     'period: expected a calendar period such as "6 months", "4 weeks", "7 days" or "P6M", got "7 h" (field None)'),
])  # fmt: skip
def test_a_refusal_of_instants_and_durations_says_what_was_expected_and_where(made, said):
    assert refusal(made) == said


@pytest.mark.parametrize(("made", "said"), [
    (lambda: ms.Version.parse("v12"), 'version: expected numbers such as "12.1.0" or "16.4", got "v12" (field None)'),
])  # fmt: skip
def test_a_refusal_of_a_version_says_what_was_expected_and_where(made, said):
    assert refusal(made) == said


@pytest.mark.parametrize(("made", "said"), [
    (lambda: ms.Rule.parse("ä" * 3), 'rule: expected at most 200 ASCII characters, got "äää" (field None)'),
    (lambda: ms.Rule.parse("F" * 201),
     ("rule: expected at most 200 ASCII characters, got "
      '"FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF… (field None)')),
    (lambda: ms.Rule.parse("FREQ"), f'rule: expected {PARTS}, got "FREQ" (field None)'),
    (lambda: ms.Rule.parse("FREQ=DAILY;BYHOUR=3"), f'rule: expected {PARTS}, got "BYHOUR=3" (field None)'),
    (lambda: ms.Rule.parse("FREQ=DAILY;FREQ=DAILY"), 'rule: expected each part once, got "FREQ=DAILY" (field None)'),
    (lambda: ms.Rule.parse("INTERVAL=2"), 'rule: expected a part FREQ=, got "INTERVAL=2" (field None)'),
    (lambda: ms.Rule.parse("FREQ=HOURLY"),
     'rule: expected FREQ one of DAILY, WEEKLY, MONTHLY, YEARLY, got "HOURLY" (field None)'),
    (lambda: ms.Rule.parse("FREQ=DAILY;INTERVAL=13"),
     'rule: expected INTERVAL from 1 to 12, not 0, got "INTERVAL=13" (field None)'),
    (lambda: ms.Rule.parse("FREQ=DAILY;INTERVAL=0"),
     'rule: expected INTERVAL from 1 to 12, not 0, got "INTERVAL=0" (field None)'),
    (lambda: ms.Rule.parse("FREQ=DAILY;INTERVAL=-1"),
     'rule: expected INTERVAL from 1 to 12, not 0, got "INTERVAL=-1" (field None)'),
    (lambda: ms.Rule.parse("FREQ=DAILY;COUNT=501"),
     'rule: expected COUNT from 1 to 500, not 0, got "COUNT=501" (field None)'),
    (lambda: ms.Rule.parse("FREQ=DAILY;COUNT=0"),
     'rule: expected COUNT from 1 to 500, not 0, got "COUNT=0" (field None)'),
    (lambda: ms.Rule.parse("FREQ=MONTHLY;BYMONTHDAY=32"),
     'rule: expected BYMONTHDAY from -31 to 31, not 0, got "BYMONTHDAY=32" (field None)'),
    (lambda: ms.Rule.parse("FREQ=MONTHLY;BYMONTHDAY=-32"),
     'rule: expected BYMONTHDAY from -31 to 31, not 0, got "BYMONTHDAY=-32" (field None)'),
    (lambda: ms.Rule.parse("FREQ=MONTHLY;BYMONTHDAY=0"),
     'rule: expected BYMONTHDAY from -31 to 31, not 0, got "BYMONTHDAY=0" (field None)'),
    (lambda: ms.Rule.parse("FREQ=YEARLY;BYMONTH=13"),
     'rule: expected BYMONTH from 1 to 12, not 0, got "BYMONTH=13" (field None)'),
    (lambda: ms.Rule.parse("FREQ=YEARLY;BYMONTH=-1"),
     'rule: expected BYMONTH from 1 to 12, not 0, got "BYMONTH=-1" (field None)'),
    (lambda: ms.Rule.parse("FREQ=WEEKLY;BYDAY=6TU"),
     'rule: expected BYDAY with items like TU, 1TU or -1SA (ordinals -5 to 5), got "6TU" (field None)'),
    (lambda: ms.Rule.parse("FREQ=DAILY;UNTIL=20260229"),
     'rule: expected UNTIL as a date YYYYMMDD from 2000 to 2200, got "20260229" (field None)'),
    (lambda: ms.Rule.parse("FREQ=DAILY;UNTIL=19991231"),
     'rule: expected UNTIL as a date YYYYMMDD from 2000 to 2200, got "19991231" (field None)'),
    (lambda: ms.Rule.parse("FREQ=DAILY;UNTIL=22010101"),
     'rule: expected UNTIL as a date YYYYMMDD from 2000 to 2200, got "22010101" (field None)'),
    (lambda: ms.Rule.parse("FREQ=DAILY;UNTIL=2026"),
     'rule: expected UNTIL as a date YYYYMMDD from 2000 to 2200, got "2026" (field None)'),
    (lambda: ms.Rule.parse("FREQ=WEEKLY;BYDAY=1TU"),
     ("rule: expected BYDAY ordinals only with MONTHLY, or YEARLY with BYMONTH, got "
      '"FREQ=WEEKLY;BYDAY=1TU" (field None)')),
    (lambda: ms.Rule.parse("FREQ=YEARLY;BYDAY=1TU"),
     ("rule: expected BYDAY ordinals only with MONTHLY, or YEARLY with BYMONTH, got "
      '"FREQ=YEARLY;BYDAY=1TU" (field None)')),
    (lambda: ms.Rule.parse("FREQ=MONTHLY;BYDAY=1TU,WE"),
     'rule: expected BYDAY with ordinals or without, not both, got "FREQ=MONTHLY;BYDAY=WE,1TU" (field None)'),
    (lambda: ms.Rule.parse("FREQ=MONTHLY;BYDAY=1TU;BYMONTHDAY=1"),
     ("rule: expected BYDAY with ordinals or BYMONTHDAY, not both, got "
      '"FREQ=MONTHLY;BYMONTHDAY=1;BYDAY=1TU" (field None)')),
    (lambda: ms.Rule.parse("FREQ=WEEKLY;BYMONTHDAY=1"),
     'rule: expected no BYMONTHDAY in a WEEKLY rule, got "FREQ=WEEKLY;BYMONTHDAY=1" (field None)'),
    (lambda: ms.Rule.parse("FREQ=DAILY;COUNT=1;UNTIL=20260101"),
     'rule: expected UNTIL or COUNT, not both, got "FREQ=DAILY;UNTIL=20260101;COUNT=1" (field None)'),
    (lambda: Recurrence(rule=NEVER, anchor=date(2026, 1, 1)),
     ("rule: expected a rule that gives a date within 40 years of 2026-01-01, got "
      '"FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30" (field rule)')),
    (lambda: Recurrence(rule=ms.Rule.parse("FREQ=DAILY;UNTIL=20260101"), anchor=date(2026, 1, 2)),
     ("rule: expected a rule that gives a date within 40 years of 2026-01-02, got "
      '"FREQ=DAILY;UNTIL=20260101" (field rule)')),
])  # fmt: skip
def test_a_refusal_of_a_rule_says_what_was_expected_and_where(made, said):
    assert refusal(made) == said


@pytest.mark.parametrize(("made", "said"), [
    (lambda: require_key("role", "a b"), f'role: expected {KEY}, got "a b" (field role)'),
    (lambda: require_text("title", "a\nb"), f'title: expected {TEXT}, got "a\\nb" (field title)'),
    (lambda: require_text("title", "a =? b"), f'title: expected {TEXT}, got "a =? b" (field title)'),
    (lambda: require_text("title", "x" * 501),
     ("title: expected up to 500 printable characters on one line, without '=?' and without control "
      "characters, got "
      '"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx… (field title)')),
    (lambda: require_text("title", " "), f'title: expected {TEXT}, got " " (field title)'),
    (lambda: require_once("track", "each name once", ("a", "b", "c", "b", "a")),
     'track: expected each name once, got "b" (field track)'),
    (lambda: require_host("host", "a..b"), 'host: expected a host name or an IP address, got "a..b" (field host)'),
    (lambda: require_host_suffix("environments.dev", "-"),
     'environments.dev: expected the end of a host label, such as "-test", got "-" (field environments.dev)'),
    (lambda: email_address("sender", "eva"),
     'sender: expected a mail address such as eva@acme.example, got "eva" (field sender)'),
    (lambda: require_link("url", "ftp://x.example"),
     'url: expected a link that begins with https:// or http://, got "ftp://x.example" (field url)'),
    (lambda: require_link("url", "https://x.example/" + "a" * 2000),
     ("url: expected a link that begins with https:// or http://, got "
      '"https://x.example/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa… (field url)')),
])  # fmt: skip
def test_a_refusal_of_a_text_of_some_grammar_says_what_was_expected_and_where(made, said):
    assert refusal(made) == said


@pytest.mark.parametrize(("made", "said"), [
    (lambda: HolidayCalendar(country="de"),
     'country: expected an ISO 3166-1 code such as DE, got "de" (field country)'),
    (lambda: HolidayCalendar(country="DE", subdivision="bw"),
     'subdivision: expected a subdivision such as BW, got "bw" (field subdivision)'),
    (lambda: HolidayCalendar(country="DE", language="DE"),
     'language: expected a language code such as de or en_US, got "DE" (field language)'),
])  # fmt: skip
def test_a_refusal_of_a_holiday_calendar_says_what_was_expected_and_where(made, said):
    assert refusal(made) == said


@pytest.mark.parametrize(("made", "said"), [
    (lambda: override(reason=""), f'reason: expected {TEXT}, got "" (field reason)'),
    (lambda: override(skip=False),
     'override: expected one of start, duration, on_holiday or skip, got "none of them" (field None)'),
    (lambda: override(duration=ms.Elapsed(hours=1)),
     'skip: expected skip or duration, not both, got "both" (field skip)'),
    (lambda: override(on_holiday="keep"), 'skip: expected skip or on_holiday, not both, got "both" (field skip)'),
    (lambda: override(start=AT), 'skip: expected skip or start, not both, got "both" (field skip)'),
    (lambda: override(skip=False, duration=ms.Elapsed(seconds=59)),
     "duration: expected 1 min to 168 h, got 59 s (field duration)"),
    (lambda: override(skip=False, duration=ms.Elapsed(days=7, seconds=1)),
     "duration: expected 1 min to 168 h, got 168 h 1 s (field duration)"),
    (lambda: changed("monthly", rule=NEVER),
     ("rule: expected a rule that gives a date within 40 years of 2000-01-01, got "
      '"FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30" (field rule)')),
    (lambda: changed("monthly", duration=ms.Elapsed(seconds=59)),
     "duration: expected 1 min to 168 h, got 59 s (field duration)"),
    (lambda: changed("monthly", duration=ms.Elapsed(days=7, seconds=1)),
     "duration: expected 1 min to 168 h, got 168 h 1 s (field duration)"),
    (lambda: changed("monthly", reminder="1 month"), "reminder: expected 1 to 62 days, got 1 month (field reminder)"),
    (lambda: changed("monthly", reminder="0 days"), "reminder: expected 1 to 62 days, got 0 days (field reminder)"),
    (lambda: changed("monthly", reminder="63 days"), "reminder: expected 1 to 62 days, got 63 days (field reminder)"),
    (lambda: changed("monthly", time=time(17, tzinfo=UTC)),
     "time: expected a wall clock time without offset, got 17:00:00+00:00 (field time)"),
    (lambda: changed("monthly", override=(override(), override())),
     'override: expected one override a window, got "monthly/2026-12" (field override)'),
    (lambda: changed("critical", lead=ms.Elapsed(days=62, seconds=1)),
     "lead: expected 0 h to 1488 h, got 1488 h 1 s (field lead)"),
    (lambda: changed("emergency", lead=ms.Elapsed(days=62, seconds=1)),
     "lead: expected 0 h to 1488 h, got 1488 h 1 s (field lead)"),
    (lambda: changed("notice", margin=ms.Elapsed(days=62, seconds=1)),
     "margin: expected 0 h to 1488 h, got 1488 h 1 s (field margin)"),
    (lambda: changed("notice", delivery_margin=ms.Elapsed(days=62, seconds=1)),
     "delivery_margin: expected 0 h to 1488 h, got 1488 h 1 s (field delivery_margin)"),
    (lambda: changed("notice", hold=ms.Elapsed(days=62, seconds=1)),
     "hold: expected 0 h to 1488 h, got 1488 h 1 s (field hold)"),
    (lambda: changed("notice", role="the boss"), f'role: expected {KEY}, got "the boss" (field role)'),
    (lambda: changed("deferral", max="121 months"),
     "max: expected up to 120 months, more than 0 days, got 121 months (field max)"),
    (lambda: changed("deferral", max="0 days"),
     "max: expected up to 120 months, more than 0 days, got 0 days (field max)"),
    (lambda: changed("deferral", max="120 months 1 day"),
     "max: expected up to 120 months, more than 0 days, got 120 months 1 day (field max)"),
    (lambda: changed("deferral", remind=("4 weeks", "0 days")),
     "remind: expected up to 120 months, more than 0 days, got 0 days (field remind)"),
    (lambda: changed("waves", environments={"dev": 0}),
     "environments: expected a wave from 1 to 99, got 0 (field environments.dev)"),
    (lambda: changed("waves", environments={"dev": 100}),
     "environments: expected a wave from 1 to 99, got 100 (field environments.dev)"),
    (lambda: changed("waves", soak="121 months"), "soak: expected up to 120 months, got 121 months (field soak)"),
    (lambda: changed("waves", security_soak="121 months"),
     "security_soak: expected up to 120 months, got 121 months (field security_soak)"),
    (lambda: changed("availability", target=Decimal(0)),
     "target: expected a share above 0 and up to 1 of at most 12 decimals, such as 0.995, got 0 (field target)"),
    (lambda: changed("availability", target=Decimal("1.1")),
     "target: expected a share above 0 and up to 1 of at most 12 decimals, such as 0.995, got 1.1 (field target)"),
    (lambda: changed("availability", target=Decimal("0.9999999999999")),
     ("target: expected a share above 0 and up to 1 of at most 12 decimals, such as 0.995, got "
      "0.9999999999999 (field target)")),
    (lambda: changed("availability", target=Decimal("NaN")),
     "target: expected a share above 0 and up to 1 of at most 12 decimals, such as 0.995, got NaN (field target)"),
    (lambda: changed("backup", max_age=ms.Elapsed(seconds=59)),
     "max_age: expected 1 min to 1488 h, got 59 s (field max_age)"),
    (lambda: changed("backup", max_age=ms.Elapsed(days=62, seconds=1)),
     "max_age: expected 1 min to 1488 h, got 1488 h 1 s (field max_age)"),
    (lambda: changed("support", weekdays=()), 'weekdays: expected at least one weekday, got "none" (field weekdays)'),
    (lambda: changed("support", opens=time(8, tzinfo=UTC)),
     "opens: expected a wall clock time without offset, got 08:00:00+00:00 (field opens)"),
    (lambda: changed("support", closes=time(8, tzinfo=UTC)),
     "closes: expected a wall clock time without offset, got 08:00:00+00:00 (field closes)"),
    (lambda: changed("support", opens=time(9), closes=time(9)),
     "closes: expected a time after 09:00:00, when support opens, got 09:00:00 (field closes)"),
    (lambda: changed("provisioning", weekdays=()),
     'weekdays: expected at least one weekday, got "none" (field weekdays)'),
    (lambda: changed("mail", sender="eva"),
     'sender: expected a mail address such as eva@acme.example, got "eva" (field sender)'),
    (lambda: changed("clauses", told="\n"), f'told: expected {TEXT}, got "\\n" (field told)'),
    (lambda: ReactionTime(within=ms.Elapsed(0)),
     'reaction time: expected more than 0 h and at most 1488 h, got "0 h" (field None)'),
    (lambda: ReactionTime(within=ms.Elapsed(days=62, seconds=1), exclusive=True),
     'reaction time: expected more than 0 h and at most 1488 h, got "< 1488 h 1 s" (field None)'),
    (lambda: ReactionTime.parse("4 days"),
     'reaction time: expected "24 h", "< 4 h" or "reasonable effort", got "4 days" (field None)'),
    (lambda: changed("reaction", major={}),
     'major: expected the packages starter, advanced, professional, premium, got "" (field major)'),
    (lambda: changed("reaction", minor={**contract().reaction.minor, "gold": ReactionTime(within=None)}),
     ('minor: expected the packages starter, advanced, professional, premium, got "starter, advanced, '
      'professional, premium, gold" (field minor.gold)')),
])  # fmt: skip
def test_a_refusal_of_a_term_says_what_was_expected_and_where(made, said):
    assert refusal(made) == said


@pytest.mark.parametrize(("made", "said"), [
    (lambda: replace(contract(), name="a b"), f'name: expected {KEY}, got "a b" (field name)'),
    (lambda: replace(contract(), title=""), f'title: expected {TEXT}, got "" (field title)'),
    (lambda: replace(contract(), handover=ms.Period()),
     "handover: expected up to 120 months, more than 0 days, got 0 days (field handover)"),
    (lambda: replace(contract(), components=("intrexx", "linux", "intrexx")),
     'components: expected each name once, got "intrexx" (field components)'),
    (lambda: replace(contract(), components=("intrexx", "linux", "a b")),
     f'components: expected {KEY}, got "a b" (field components)'),
    (lambda: replace(contract(), packages=("starter", "starter")),
     'packages: expected each name once, got "starter" (field packages)'),
    (lambda: replace(contract(), tracks=("silent", "silent")),
     'tracks: expected each name once, got "silent" (field tracks)'),
    (lambda: replace(contract(), environments={"prod": "", "dev": "-"}),
     'environments.dev: expected the end of a host label, such as "-test", got "-" (field environments.dev)'),
    (lambda: replace(contract(), environments={"prod": "", "d v": "-d"}),
     f'environments: expected {KEY}, got "d v" (field environments)'),
    (lambda: replace(contract(), os_component="kernel"),
     f'os_component: expected {COMPONENTS}, got "kernel" (field os_component)'),
    (lambda: replace(contract(), deferral=replace(contract().deferral, component="kernel")),
     f'deferral.component: expected {COMPONENTS}, got "kernel" (field deferral.component)'),
    (lambda: replace(contract(), track="loud"), 'track: expected one of silent, steady, got "loud" (field track)'),
    (lambda: replace(contract(), production="live"),
     'production: expected one of prod, test, dev, got "live" (field production)'),
    (lambda: replace(contract(), waves=replace(contract().waves, environments={"live": 1})),
     'waves.environments: expected one of prod, test, dev, got "live" (field waves.environments)'),
    (lambda: replace(contract(), packages=contract().packages[:-1]),
     'reaction.critical: expected one of starter, advanced, professional, got "premium" (field reaction.critical)'),
    (lambda: replace(contract(), packages=(*contract().packages, "gold")),
     'packages: expected one of starter, advanced, professional, premium, got "gold" (field packages)'),
    (lambda: replace(contract(), support=replace(contract().support, packages_with_hours=("gold",))),
     ("support.packages_with_hours: expected one of starter, advanced, professional, premium, got "
      '"gold" (field support.packages_with_hours)')),
    (lambda: replace(contract(), support=replace(contract().support, round_the_clock=("gold",))),
     ('support.round_the_clock: expected one of starter, advanced, professional, premium, got "gold" '
      "(field support.round_the_clock)")),
    (lambda: contract().package("gold"),
     'package: expected one of starter, advanced, professional, premium, got "gold" (field None)'),
])  # fmt: skip
def test_a_refusal_of_a_contract_says_what_was_expected_and_where(made, said):
    assert refusal(made) == said


@pytest.mark.parametrize(("made", "said"), [
    (lambda: contact(key="a b"), f'key: expected {KEY}, got "a b" (field key)'),
    (lambda: contact(name=""), f'name: expected {TEXT}, got "" (field name)'),
    (lambda: contact(email="eva"), 'email: expected a mail address such as eva@acme.example, got "eva" (field email)'),
    (lambda: contact(roles=("the boss",)), f'roles: expected {KEY}, got "the boss" (field roles)'),
    (lambda: ms.BackupRule(times=()), 'times: expected at least one time of day, got "none" (field times)'),
    (lambda: ms.BackupRule(times=(time(2, tzinfo=UTC),)),
     "times: expected wall clock times without offset, got 02:00:00+00:00 (field times)"),
    (lambda: ms.BackupRule(times=(time(2), time(3), time(2))),
     "times: expected each time once, got 02:00:00 (field times)"),
    (lambda: ms.BackupRule(times=(time(2),), rule=NEVER),
     ("rule: expected a rule that gives a date within 40 years of 2000-01-01, got "
      '"FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30" (field rule)')),
    (lambda: instance(key="a b"), f'key: expected {KEY}, got "a b" (field key)'),
    (lambda: instance(host="a..b"), 'host: expected a host name or an IP address, got "a..b" (field host)'),
    (lambda: instance(executor="a/b"), f'executor: expected {KEY}, got "a/b" (field executor)'),
    (lambda: instance(url="ftp://x.example"),
     'url: expected a link that begins with https:// or http://, got "ftp://x.example" (field url)'),
    (lambda: instance(wave=0), "wave: expected a number from 1 to 99, got 0 (field wave)"),
    (lambda: instance(wave=100), "wave: expected a number from 1 to 99, got 100 (field wave)"),
    (lambda: instance(starts_on=date(2026, 2, 1), ends_on=date(2026, 1, 31)),
     "ends_on: expected no day before 2026-02-01, got 2026-01-31 (field ends_on)"),
    (lambda: instance(components=("linux", "linux")),
     'components: expected each component once, got "linux" (field components)'),
    (lambda: customer(key="a b"), f'key: expected {KEY}, got "a b" (field key)'),
    (lambda: customer(name=""), f'name: expected {TEXT}, got "" (field name)'),
    (lambda: customer(sender="eva"),
     'sender: expected a mail address such as eva@acme.example, got "eva" (field sender)'),
    (lambda: customer(contacts=(contact(), contact())), 'contact: expected each key once, got "eva" (field contact)'),
    (lambda: ms.Fleet(customers=(customer(), customer())),
     'customer: expected each key once, got "acme" (field customer)'),
    (lambda: ms.Fleet(customers=(customer(instances=(instance(), instance())),)),
     'instance: expected each key once, got "acme-prod" (field instance)'),
    (lambda: FLEET.instance("acme-tset"), f'instance: expected {NEAR}, got "acme-tset" (field None)'),
    (lambda: check_fleet(contract(), ms.Fleet(customers=(customer(package="gold"),))),
     'customer acme: package: expected one of starter, advanced, professional, premium, got "gold" (field package)'),
    (lambda: check_fleet(contract(), ms.Fleet(customers=(customer(instances=(instance(environment="live"),)),))),
     'instance acme-prod: environment: expected one of prod, test, dev, got "live" (field environment)'),
    (lambda: check_fleet(contract(), ms.Fleet(customers=(customer(instances=(instance(track="loud"),)),))),
     'instance acme-prod: track: expected one of silent, steady, got "loud" (field track)'),
    (lambda: check_fleet(contract(), ms.Fleet(customers=(customer(instances=(instance(components=("kernel",)),)),))),
     f'instance acme-prod: components: expected {COMPONENTS}, got "kernel" (field components)'),
    (lambda: check_fleet(contract(), ms.Fleet(customers=(customer(instances=(instance(versions={"kernel": V}),)),))),
     f'instance acme-prod: versions: expected {COMPONENTS}, got "kernel" (field versions)'),
])  # fmt: skip
def test_a_refusal_of_a_fleet_says_what_was_expected_and_where(made, said):
    assert refusal(made) == said


@pytest.mark.parametrize(("made", "said"), [
    (lambda: window(key="a b"), f'key: expected {KEY}, got "a b" (field key)'),
    (lambda: window(reason=""), f'reason: expected {TEXT}, got "" (field reason)'),
    (lambda: window(start=TOO_LATE),
     'start: expected a year from 2000 to 2200, got "2201-01-01T00:00:00+00:00" (field start)'),
    (lambda: window(duration=None, end=TOO_LATE),
     'end: expected a year from 2000 to 2200, got "2201-01-01T00:00:00+00:00" (field end)'),
    (lambda: window(announced_at=TOO_LATE),
     'announced_at: expected a year from 2000 to 2200, got "2201-01-01T00:00:00+00:00" (field announced_at)'),
    (lambda: window(end=LATER), 'end: expected either end or duration, got "both" (field duration)'),
    (lambda: window(duration=None), 'end: expected either end or duration, got "neither" (field duration)'),
    (lambda: window(duration=ms.Elapsed(seconds=59)), "duration: expected 1 min to 168 h, got 59 s (field duration)"),
    (lambda: window(duration=ms.Elapsed(days=7, seconds=1)),
     "duration: expected 1 min to 168 h, got 168 h 1 s (field duration)"),
    (lambda: window(duration=None, end=AT),
     'end: expected an instant after 2026-12-01T17:00:00+01:00, got "2026-12-01T17:00:00+01:00" (field end)'),
    (lambda: window(duration=None, end=AT + timedelta(days=7, seconds=1)),
     'end: expected an end at most 168 h after its start, got "2026-12-08T17:00:01+01:00" (field end)'),
    (lambda: release(available_at=TOO_LATE),
     'available_at: expected a year from 2000 to 2200, got "2201-01-01T00:00:00+00:00" (field available_at)'),
    (lambda: release(changes="\n"), f'changes: expected {TEXT}, got "\\n" (field changes)'),
    (lambda: release(estimate=ms.Elapsed(seconds=59)), "estimate: expected 1 min to 168 h, got 59 s (field estimate)"),
    (lambda: release(estimate=ms.Elapsed(days=7, seconds=1)),
     "estimate: expected 1 min to 168 h, got 168 h 1 s (field estimate)"),
    (lambda: release(change_class="os"), 'class: expected minor, major or security, got "os" (field class)'),
    (lambda: deferral(until=TOO_LATE),
     'until: expected a year from 2000 to 2200, got "2201-01-01T00:00:00+00:00" (field until)'),
    (lambda: deferral(start=TOO_LATE),
     'start: expected a year from 2000 to 2200, got "2201-01-01T00:00:00+00:00" (field start)'),
    (lambda: deferral(granted_at=TOO_LATE),
     'granted_at: expected a year from 2000 to 2200, got "2201-01-01T00:00:00+00:00" (field granted_at)'),
    (lambda: deferral(start=LATER),
     'until: expected an instant after 2026-12-01T18:00:00+01:00, got "2026-12-01T17:00:00+01:00" (field until)'),
    (lambda: freeze(key="a b"), f'key: expected {KEY}, got "a b" (field key)'),
    (lambda: freeze(reason=""), f'reason: expected {TEXT}, got "" (field reason)'),
    (lambda: freeze(start=TOO_LATE),
     'start: expected a year from 2000 to 2200, got "2201-01-01T00:00:00+00:00" (field start)'),
    (lambda: freeze(end=TOO_LATE),
     'end: expected a year from 2000 to 2200, got "2201-01-01T00:00:00+00:00" (field end)'),
    (lambda: freeze(end=AT),
     'end: expected an instant after 2026-12-01T17:00:00+01:00, got "2026-12-01T17:00:00+01:00" (field end)'),
    (lambda: freeze(classes=()), 'classes: expected at least one change class, got "none" (field classes)'),
    (lambda: ms.Outage(start=TOO_LATE),
     'start: expected a year from 2000 to 2200, got "2201-01-01T00:00:00+00:00" (field start)'),
    (lambda: ms.Outage(start=AT, end=TOO_LATE),
     'end: expected a year from 2000 to 2200, got "2201-01-01T00:00:00+00:00" (field end)'),
    (lambda: ms.Outage(start=LATER, end=AT),
     'end: expected an instant after 2026-12-01T18:00:00+01:00, got "2026-12-01T17:00:00+01:00" (field end)'),
    (lambda: work(start=TOO_LATE),
     'start: expected a year from 2000 to 2200, got "2201-01-01T00:00:00+00:00" (field start)'),
    (lambda: work(end=TOO_LATE), 'end: expected a year from 2000 to 2200, got "2201-01-01T00:00:00+00:00" (field end)'),
    (lambda: work(announced_at=TOO_LATE),
     'announced_at: expected a year from 2000 to 2200, got "2201-01-01T00:00:00+00:00" (field announced_at)'),
    (lambda: work(started_at=TOO_LATE),
     'started_at: expected a year from 2000 to 2200, got "2201-01-01T00:00:00+00:00" (field started_at)'),
    (lambda: work(completed_at=TOO_LATE),
     'completed_at: expected a year from 2000 to 2200, got "2201-01-01T00:00:00+00:00" (field completed_at)'),
    (lambda: work(start=LATER, end=AT),
     'end: expected an instant after 2026-12-01T18:00:00+01:00, got "2026-12-01T17:00:00+01:00" (field end)'),
    (lambda: work(started_at=LATER, completed_at=AT),
     ("completed_at: expected an instant after 2026-12-01T18:00:00+01:00, got "
      '"2026-12-01T17:00:00+01:00" (field completed_at)')),
    (lambda: consent(given_by=""), f'given_by: expected {TEXT}, got "" (field given_by)'),
    (lambda: consent(given_at=TOO_LATE),
     'given_at: expected a year from 2000 to 2200, got "2201-01-01T00:00:00+00:00" (field given_at)'),
    (lambda: consent(until=TOO_LATE),
     'until: expected a year from 2000 to 2200, got "2201-01-01T00:00:00+00:00" (field until)'),
    (lambda: consent(until=AT),
     'until: expected an instant after 2026-12-01T17:00:00+01:00, got "2026-12-01T17:00:00+01:00" (field until)'),
    (lambda: ms.TrackSwitch(instance="a", track="silent", at=TOO_LATE),
     'at: expected a year from 2000 to 2200, got "2201-01-01T00:00:00+00:00" (field at)'),
    (lambda: ms.Facts(windows=(window(), window())),
     'window: expected each window once, got "critical/w" (field window)'),
    (lambda: ms.Facts(releases=(release(), release())),
     'release: expected each release once, got "intrexx 12.1.0" (field release)'),
    (lambda: ms.Facts(deferrals=(deferral(), deferral())),
     'deferral: expected each deferral once, got "acme-prod/12.1.0" (field deferral)'),
    (lambda: ms.Facts(freezes=(freeze(), freeze())), 'freeze: expected each freeze once, got "f" (field freeze)'),
    (lambda: check(windows=(window(instances=("acme-prod", "acme-tset")),)),
     f'window critical/w: instances: expected {NEAR}, got "acme-tset" (field instances)'),
    (lambda: check(releases=(release(),), windows=(window(releases=(V, ms.Version.parse("9.9"))),)),
     'window critical/w: releases: expected one of 12.1.0, got "9.9" (field releases)'),
    (lambda: check(releases=(release(component="kernel"),)),
     f'release kernel 12.1.0: component: expected {COMPONENTS}, got "kernel" (field component)'),
    (lambda: check(releases=(release(tracks=("silent", "loud")),)),
     'release intrexx 12.1.0: tracks: expected one of silent, steady, got "loud" (field tracks)'),
    (lambda: check(freezes=(freeze(customers=("acme", "amce")),)),
     'freeze f: customers: expected one of acme (did you mean acme?), got "amce" (field customers)'),
    (lambda: check(freezes=(freeze(instances=("acme-tset",)),)),
     f'freeze f: instances: expected {NEAR}, got "acme-tset" (field instances)'),
    (lambda: check(outages=(ms.Outage(start=AT, instance="acme-tset"),)),
     f'outage acme-tset: instance: expected {NEAR}, got "acme-tset" (field instance)'),
    (lambda: check(consents=(consent(instance="acme-tset"),)),
     f'consent acme-tset: instance: expected {NEAR}, got "acme-tset" (field instance)'),
    (lambda: check(track_switches=(ms.TrackSwitch(instance="acme-tset", track="silent", at=AT),)),
     f'track_switch acme-tset: instance: expected {NEAR}, got "acme-tset" (field instance)'),
    (lambda: check(track_switches=(ms.TrackSwitch(instance="acme-prod", track="loud", at=AT),)),
     'track_switch acme-prod: track: expected one of silent, steady, got "loud" (field track)'),
    (lambda: check(deferrals=(deferral(instance="acme-tset"),), releases=(release(),)),
     f'deferral acme-tset/12.1.0: instance: expected {NEAR}, got "acme-tset" (field instance)'),
    (lambda: check(deferrals=(deferral(),), releases=(release(component="database"), release(version="12.0"))),
     'deferral acme-prod/12.1.0: release: expected one of 12.0 (did you mean 12.0?), got "12.1.0" (field release)'),
    (lambda: check(deferrals=(deferral(),), releases=(release(change_class="minor"),)),
     ("deferral acme-prod/12.1.0: release: expected a major release of intrexx: only those can be "
      'deferred (clause 2.4.4), got "intrexx 12.1.0, minor" (field release)')),
])  # fmt: skip
def test_a_refusal_of_a_fact_says_what_was_expected_and_where(made, said):
    assert refusal(made) == said


@pytest.mark.parametrize(("made", "said"), [
    (lambda: check_declared(contract(), ms.Facts(windows=(window(kind="monthly", key="2026-13"),))),
     ("window monthly/2026-13: key: expected the key of a window of the rule, such as 2026-12 (another "
      'time is a critical window), got "2026-13" (field key)')),
    (lambda: check_overrides(changed_contract(override(window="monthly/2026-13"))),
     ("override: expected the id of a window of the rule, such as monthly/2026-12, got "
      '"monthly/2026-13" (field monthly.override.0.window)')),
    (lambda: check_overrides(changed_contract(override(), override(window="monthly/2027-03", skip=False, start=LATER))),
     ("override: expected a start within 62 days of 2027-03-02T17:00:00+01:00, got "
      '"2026-12-01T18:00:00+01:00" (field monthly.override.1.start)')),
])  # fmt: skip
def test_a_refusal_of_a_window_says_what_was_expected_and_where(made, said):
    assert refusal(made) == said


@pytest.mark.parametrize(("made", "said"), [
    (lambda: ms.make_plan(contract(), FLEET, ms.Facts(), SPAN, only=["acme-tset"]),
     f'instance: expected {NEAR}, got "acme-tset" (field None)'),
    (lambda: ms.make_plan(contract(), FLEET, ms.Facts(), SPAN, now=NAIVE),
     'now: expected a datetime with an offset or a zone, got "2026-01-01T00:00:00" (field None)'),
])  # fmt: skip
def test_a_refusal_of_a_plan_says_what_was_expected_and_where(made, said):
    assert refusal(made) == said


@pytest.mark.parametrize(
    ("calendar", "what", "field", "known"),
    [
        (HolidayCalendar(country="XX"), "country of the holiday calendar", "holidays.country", "DE"),
        (HolidayCalendar(country="DE", subdivision="XX"), "subdivision of DE", "holidays.subdivision", "BW"),
        (HolidayCalendar(country="DE", language="xx"), "language of the holidays of DE", "holidays.language", "de"),
    ],
)
def test_a_region_or_language_that_the_holidays_library_lacks_is_refused_with_those_it_has(
    calendar, what, field, known
):
    with pytest.raises(ms.UnknownName) as refused:
        calendar.of_year(2026)
    assert (refused.value.what, refused.value.field) == (what, field)
    assert refused.value.found in ("XX", "xx")
    assert known in refused.value.known


def test_a_window_may_end_seven_days_after_its_start():
    assert window(duration=None, end=AT + timedelta(days=7)).span.elapsed == timedelta(days=7)


def test_thirty_days_of_a_period_count_as_a_month_of_the_ten_years_it_may_last():
    assert changed("deferral", max="119 months 30 days").max == ms.Period(months=119, days=30)
    assert changed("deferral", max="120 months").max == ms.Period(months=120)
    with pytest.raises(ms.InvalidValue, match="up to 120 months"):
        changed("deferral", max="119 months 31 days")


@pytest.mark.parametrize(
    ("group", "fields"),
    [
        ("monthly", {"reminder": "1 day"}),
        ("monthly", {"reminder": "62 days"}),
        ("monthly", {"duration": ms.Elapsed(minutes=1)}),
        ("monthly", {"duration": ms.Elapsed(days=7)}),
        ("critical", {"lead": ms.Elapsed(0)}),
        ("critical", {"lead": ms.Elapsed(days=62)}),
        ("emergency", {"lead": ms.Elapsed(0)}),
        ("emergency", {"lead": ms.Elapsed(days=62)}),
        ("notice", {"margin": ms.Elapsed(0), "delivery_margin": ms.Elapsed(0), "hold": ms.Elapsed(0)}),
        ("notice", {"margin": ms.Elapsed(days=62), "hold": ms.Elapsed(days=62)}),
        ("waves", {"environments": {"dev": 1, "prod": 99}}),
        ("waves", {"soak": ms.Period(), "security_soak": ms.Period(months=120)}),
        ("deferral", {"remind": ()}),
        ("availability", {"target": Decimal(1)}),
        ("availability", {"target": Decimal("0.000000000001")}),
        ("backup", {"max_age": ms.Elapsed(minutes=1)}),
        ("backup", {"max_age": ms.Elapsed(days=62)}),
        ("mail", {"sender": ""}),
    ],
    ids=str,
)
def test_terms_at_their_bounds_pass(group, fields):
    assert changed(group, **fields)


def test_a_reaction_time_may_be_as_short_as_a_second_and_as_long_as_sixty_two_days():
    assert ReactionTime(within=ms.Elapsed(seconds=1)).within == timedelta(seconds=1)
    assert ReactionTime(within=ms.Elapsed(days=62)).within == timedelta(days=62)


def test_the_domain_of_the_provider_s_sender_is_encoded():
    assert changed("mail", sender="post@bücher.example").sender == "post@xn--bcher-kva.example"
