"""Values at birth: what a field takes, what it becomes, and that values and errors survive a copy and a pickle."""

import copy
import pickle
from dataclasses import asdict, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

import maintsched as ms
from maintsched.birth import FrozenMapping
from maintsched.fleet import CalendarMethod, Language
from maintsched.readings import Concurrent, Weekday
from maintsched.terms import AvailabilityTerms, SeverityTerms, WaveTerms
from tests.worlds import contract

AT = datetime(2026, 12, 1, 17, tzinfo=UTC)
LATER = AT + timedelta(hours=4)
V = ms.Version.parse("12.1.0")


def named(given: object) -> str:
    return getattr(given, "__name__", str(given))


def loose(given: Any) -> Any:
    """Return what no annotation allows and a test gives on purpose."""
    return given


def window(**given: Any) -> ms.DeclaredWindow:
    return ms.DeclaredWindow(
        **loose({"key": "w", "kind": "critical", "start": AT, "end": LATER, "reason": "r"}) | given
    )


def release(**given: Any) -> ms.Release:
    return ms.Release(**loose({"version": V, "change_class": "security", "available_at": AT}) | given)


def contact(**given: Any) -> ms.Contact:
    return ms.Contact(**loose({"key": "eva", "name": "Eva", "email": "eva@acme.example", "roles": ("ops",)}) | given)


def instance(**given: Any) -> ms.Instance:
    return ms.Instance(**loose({"key": "acme-prod", "host": "acme.example"}) | given)


def customer(**given: Any) -> ms.Customer:
    return ms.Customer(**loose({"key": "acme", "name": "Acme", "language": "de", "package": "premium"}) | given)


def freeze(**given: Any) -> ms.Freeze:
    return ms.Freeze(**loose({"key": "f", "start": AT, "end": LATER, "reason": "r"}) | given)


# --- what a field becomes ---------------------------------------------------------------------------------------------


def test_a_text_stands_for_the_member_of_an_enumeration():
    assert window().kind is ms.WindowKind.CRITICAL
    assert window(impact="degraded").impact is ms.Impact.DEGRADED
    assert release().change_class is ms.ChangeClass.SECURITY
    assert customer().language is Language.DE
    assert contact(calendar="none", language="en").calendar is CalendarMethod.NONE
    assert ms.Outage(start=AT, cause=loose("misuse")).cause is ms.OutageCause.MISUSE
    assert freeze(classes=["major"]).classes == (ms.ChangeClass.MAJOR,)
    assert freeze(classes=("major",)).classes[0] is ms.ChangeClass.MAJOR
    assert SeverityTerms(concurrent=loose(Concurrent.OPERATOR.value)).concurrent is Concurrent.OPERATOR
    assert replace(contract().support, weekdays=loose(["mon"])).weekdays == (Weekday("mon"),)


def test_a_text_stands_for_what_is_read_from_text_and_for_a_zone():
    assert release(version="12.1").version == V
    assert window(releases=["12.1.0"]).releases == (V,)
    assert instance(versions={"intrexx": "12.1.0"}).versions == {"intrexx": V}
    assert window(end=None, duration="4 h").span == window().span
    assert contact(zone="Europe/Berlin").zone == ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    "given", [["a", "b"], ("a", "b"), {"b", "a"}, iter("ab")], ids=["list", "tuple", "set", "iterator"]
)
def test_any_iterable_stands_for_a_tuple(given):
    assert window(instances=given).instances == ("a", "b")


def test_a_duration_of_the_standard_library_stands_for_an_elapsed_one():
    duration = window(end=None, duration=timedelta(hours=4)).duration
    assert type(duration) is ms.Elapsed
    assert str(duration) == "4 h"


def test_a_mapping_is_copied_and_cannot_be_changed():
    given = {"intrexx": V}
    one = instance(versions=given)
    given["intrexx"] = ms.Version.parse("1")
    assert one.versions == {"intrexx": V}
    assert repr(one.versions).startswith("FrozenMapping({")
    assert (list(one.versions), len(one.versions), list(one.versions.values())) == (["intrexx"], 1, [V])
    for table in (one.versions, contract().environments, contract().reaction.critical, ms.Fleet().owners):
        with pytest.raises(TypeError):
            table["x"] = "y"  # type: ignore[index]


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "field", "found", "known"),
    [
        (window, "kind", "bogus", "emergency"), (window, "impact", "none", "no-impact"),
        (release, "change_class", "x", "major"),
        (customer, "language", "fr", "de"), (contact, "calendar", "", "publish"),
        (freeze, "classes", ["huge"], "minor"),
        (window, "kind", 3, "monthly"), (window, "kind", None, "monthly"),
    ],
    ids=named,
)  # fmt: skip
def test_an_unknown_member_is_refused_by_the_names_that_would_do(build, field, found, known):
    with pytest.raises(ms.UnknownName) as refused:
        build(**{field: found})
    assert refused.value.field == refused.value.what == field
    assert known in refused.value.known


@pytest.mark.parametrize(
    ("build", "field", "found"),
    [
        (window, "instances", "acme-prod"), (window, "instances", b"x"), (window, "instances", 1),
        (window, "instances", [1]),
        (window, "instances", {"a": 1}), (freeze, "classes", "major"), (contact, "roles", "ops"), (window, "key", 1),
        (window, "start", "2026-12-01T17:00"), (window, "start", date(2026, 12, 1)), (window, "cancelled", "no"),
        (window, "start", None), (window, "duration", 4), (release, "version", "twelve"), (release, "version", 12),
        (release, "available_at", "2026-12-01"), (contact, "zone", "Europe/Nowhere"), (contact, "zone", UTC),
        (contact, "zone", "../x"), (instance, "wave", "2"), (instance, "wave", True), (instance, "starts_on", AT),
        (instance, "starts_on", "2026-12-01"), (instance, "versions", "12.1.0"), (instance, "host", None),
        (instance, "backup", {"times": [time(3)]}), (customer, "instances", ["acme-prod"]),
    ],
    ids=named,
)  # fmt: skip
def test_what_is_not_of_the_kind_of_its_field_is_refused_by_the_name_of_the_field(build, field, found):
    with pytest.raises(ms.InvalidValue) as refused:
        build(**{field: found})
    assert refused.value.field == field


def test_a_naive_instant_is_refused_by_the_name_of_its_field():
    for build, field in ((window, "start"), (release, "available_at"), (freeze, "end")):
        with pytest.raises(ms.NaiveDatetime) as refused:
            build(**{field: datetime(2026, 12, 1, 17)})  # noqa: DTZ001  # the point of the test
        assert refused.value.field == field


def test_a_release_of_the_operating_systems_class_is_refused_as_text_too():
    with pytest.raises(ms.InvalidValue, match="minor, major or security"):
        release(change_class="os")


def test_terms_built_by_hand_are_held_to_their_kinds():
    with pytest.raises(ms.InvalidValue, match="target: expected a Decimal"):
        AvailabilityTerms(target=loose(0.995))
    assert AvailabilityTerms(target=loose(1)).target == 1
    with pytest.raises(ms.InvalidValue, match=r"environments\.dev: expected a whole number"):
        WaveTerms(environments=loose({"dev": "1"}))
    with pytest.raises(ms.UnknownName, match="late"):
        replace(contract(), late=loose("x"))
    with pytest.raises(ms.InvalidValue, match="numbers: expected 3 entries"):
        ms.Version(numbers=loose((1, 2)), text="1.2")


def test_no_duration_is_negative():
    for parts in ({"hours": -1}, {"days": 1, "hours": -25}, {"microseconds": -1}):
        with pytest.raises(ms.InvalidValue, match="no negative duration"):
            ms.Elapsed(**parts)
    for name in ("days", "months"):
        with pytest.raises(ms.InvalidValue, match=f"{name}: expected no negative number"):
            ms.Period(**{name: -3})
    assert ms.Elapsed(hours=1) - ms.Elapsed(hours=2) == timedelta(hours=-1)


def test_the_holidays_of_a_year_are_a_view_that_cannot_be_written_to():
    holidays = contract().holidays
    with pytest.raises(TypeError):
        holidays.of_year(2026)[date(2026, 12, 24)] = "x"  # type: ignore[index]
    assert holidays.name(date(2026, 12, 24)) is None
    assert holidays.name(date(2026, 12, 25))


# --- copies -----------------------------------------------------------------------------------------------------------

FLEET = ms.Fleet(customers=loose([customer(contacts=[contact()], instances=[instance(versions={"intrexx": V})])]))
FACTS = ms.Facts(windows=(window(),), releases=(release(),), freezes=(freeze(),))


PLAN = ms.make_plan(contract(), FLEET, FACTS, ms.Span(start=AT, end=AT + timedelta(days=60)), now=AT)
VALUES: dict[str, Any] = {
    "contract": contract(),
    "fleet": FLEET,
    "facts": FACTS,
    "calendar": contract().holidays,
    "plan": PLAN,
}
ERRORS = [
    ms.InvalidValue("a", expected="b", found="c", field="d", subject=("e", "f")),
    ms.NaiveDatetime("start", datetime(2026, 1, 1)),  # noqa: DTZ001  # what the error is about
    ms.UnknownName("track", found="sled", known=["silent", "steady"], field="track"),
    ms.OutOfRange("year", expected="a year", found=1),
    ms.RuleRefused("rule", expected="a rule", found="x"),
    ms.HolidaysUnknown("DE-BW", 2101, first=2000, last=2100),
    ms.NoWindow("none"),
    ms.DeferralRefused("no", latest_end=AT),
    ms.FileError("a.toml", line=3, key="a.b", expected="x", found="y"),
]


@pytest.mark.parametrize("name", VALUES)
def test_a_value_survives_a_pickle_a_deep_copy_and_a_look_at_its_parts(name):
    value = VALUES[name]
    contract().holidays.of_year(2026)
    assert pickle.loads(pickle.dumps(value)) == value
    assert copy.deepcopy(value) == value
    assert hash(pickle.loads(pickle.dumps(value))) == hash(value)
    assert asdict(value)
    assert replace(value) == value


def test_no_pickle_of_a_contract_holds_its_hash():
    one = contract()
    hash(one)
    assert "_hash" not in one.__getstate__()


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_survives_a_pickle_and_a_copy_with_its_message_and_facts(error):
    for again in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error), copy.copy(error)):
        assert type(again) is type(error)
        assert (str(again), vars(again)) == (str(error), vars(error))


def test_frozen_mappings_are_equal_and_hash_alike_whatever_their_order():
    one, other = FrozenMapping({"a": 1, "b": 2}), FrozenMapping([("b", 2), ("a", 1)])
    assert one == other == {"a": 1, "b": 2}
    assert hash(one) == hash(other)
    assert copy.deepcopy(one) == one != FrozenMapping()


# --- addresses derived ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "derived"),
    [
        ("http://http", "http://http-test"), ("https://acme.example:8443/acme", "https://acme-test.example:8443/acme"),
        ("https://10.0.0.5", None), ("https://s.example/s", "https://s-test.example/s"),
    ],
)  # fmt: skip
def test_only_the_host_of_a_production_url_gets_the_suffix_and_no_ip_address_does(url, derived):
    test = instance(key="acme-test", environment="test")
    assert ms.instance_url(contract(), customer(instances=[instance(url=url), test]), test) == derived


def test_a_holiday_that_is_not_known_asks_for_another_period():
    assert "choose another period" in str(ms.HolidaysUnknown("DE", 1999, first=2000, last=2100))


def test_mappings_that_differ_hash_differently_and_equal_ones_alike():
    one, other = FrozenMapping({"a": 1, "b": 2}), FrozenMapping({"a": 1, "b": 3})
    assert hash(one) == hash(FrozenMapping({"b": 2, "a": 1}))
    assert len({hash(one), hash(other), hash(FrozenMapping())}) == 3
