"""Values: what a version, a name, a duration, a fact or an instance may be, and what is refused."""

from dataclasses import FrozenInstanceError, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import maintsched as ms
from maintsched.errors import nearest, one_of, printable, show
from maintsched.fleet import Language, active_span
from maintsched.grammar import require_text
from maintsched.localtime import clock_change, settle
from maintsched.terms import ReactionTime
from tests.worlds import BERLIN, SECOND, contract, local

AT = local("2026-12-01T17:00")
LATER = AT + timedelta(hours=1)
V = ms.Version.parse("12.1.0")
numbers = st.tuples(*[st.integers(0, 999_999)] * 3)


# --- versions ---------------------------------------------------------------------------------------------------------


@given(numbers, numbers)
def test_versions_are_ordered_by_their_three_numbers(a, b):
    one, other = (ms.Version.parse(".".join(map(str, each))) for each in (a, b))
    assert (one < other, one == other) == (a < b, a == b)


def test_a_build_makes_no_other_version_and_missing_numbers_are_zero():
    assert ms.Version.parse("12.1") == V == ms.Version.parse("12.1.0.20261101.ab12cd")
    assert hash(ms.Version.parse("12.1")) == hash(V)
    assert ms.Version.parse("16") == ms.Version.parse("16.0.0")
    assert str(ms.Version.parse("12.1-rc1+x.y")) == "12.1-rc1+x.y"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v12",
        "12.",
        "1234567",
        "12.1.0.a.b.c.d.e",
        "12.1 ",
        "\u0661\u0662",
        "12..1",
        "-1",
        "1.2.3.",
        "1." + "a" * 41,
    ],
)
def test_what_is_no_version_is_refused(text):
    with pytest.raises(ms.InvalidValue, match="version: expected numbers such as"):
        ms.Version.parse(text)


# --- durations --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "7 days",
        "1 d",
        "P7D",
        "PT",
        "h",
        "1.5 h",
        "-1 h",
        "72h 61",
        "24 hours",
        " 5 min",
        "PT100000H",
        "\u0667 h",
    ],
)
def test_what_is_no_elapsed_time_is_refused(text):
    with pytest.raises(ms.InvalidValue, match='duration: expected elapsed time such as "72 h", "30 min" or "PT72H"'):
        ms.Elapsed.parse(text)


@pytest.mark.parametrize(
    "text", ["", " ", "7 h", "72 hours", "PT7H", "P", "6 m", "-7 days", "10000 days", " 7 days", "1.5 months", "P1Y6"]
)
def test_what_is_no_period_is_refused(text):
    with pytest.raises(ms.InvalidValue, match="period: expected a calendar period such as"):
        ms.Period.parse(text)


@pytest.mark.parametrize(
    ("text", "months", "days"),
    [
        ("6 months", 6, 0), ("1 month", 1, 0), ("4 weeks", 0, 28), ("2 w", 0, 14), ("1 week", 0, 7), ("7 days", 0, 7),
        ("30 d", 0, 30), ("1 day", 0, 1), ("2 years", 24, 0), ("1 y", 12, 0), ("1 year", 12, 0), ("P1Y2M3W4D", 14, 25),
        ("P6M", 6, 0), ("P4W", 0, 28), ("1 month 3 days", 1, 3), ("7days", 0, 7),
        ("1 year 2 months 3 weeks 4 days", 14, 25),
    ],
)  # fmt: skip
def test_a_period_is_read_in_words_and_in_iso_8601(text, months, days):
    assert ms.Period.parse(text) == ms.Period(months=months, days=days)


def test_durations_are_written_in_words():
    assert [str(ms.Elapsed(minutes=n)) for n in (0, 30, 90, 60)] == ["0 h", "30 min", "1 h 30 min", "1 h"]
    assert str(ms.Elapsed(seconds=3661)) == "1 h 1 min 1 s"
    assert [str(ms.Period(months=m, days=d)) for m, d in ((0, 0), (1, 0), (2, 1), (0, 28))] == [
        "0 days", "1 month", "2 months 1 day", "28 days"
    ]  # fmt: skip


def test_a_reaction_time_is_read_back_as_it_is_written():
    for text in ("24 h", "< 4 h", "reasonable effort", "30 min", "< 1 h 30 min"):
        assert str(ReactionTime.parse(text)) == text
    assert ReactionTime.parse("<4 h") == ReactionTime(within=ms.Elapsed(hours=4), exclusive=True)
    for text in ("4 days", "", "<", "best effort", "0 h", "< 0 h"):
        with pytest.raises(ms.InvalidValue):
            ReactionTime.parse(text)


def test_a_zone_without_an_offset_is_refused():
    class Nowhere(type(UTC).__mro__[1]):  # type: ignore[misc]  # tzinfo itself
        def utcoffset(self, at):
            return None

    with pytest.raises(ms.InvalidValue, match="zone: expected a zone that knows its offset"):
        settle(datetime(2026, 1, 1), Nowhere())  # noqa: DTZ001 - a wall clock time


def test_no_clock_change_is_found_where_there_is_none():
    assert clock_change(AT, AT, BERLIN) is None
    assert clock_change(LATER, AT, BERLIN) is None
    assert clock_change(AT, AT + timedelta(days=100), UTC) is None
    change = clock_change(local("2026-01-01T00:00"), local("2026-12-31T00:00"), BERLIN)
    assert change is not None
    assert (change.before, change.after) == (timedelta(hours=1), timedelta(hours=2))


# --- facts ------------------------------------------------------------------------------------------------------------


def window(**fields: Any) -> ms.DeclaredWindow:
    base: dict[str, Any] = {"key": "w", "kind": ms.WindowKind.CRITICAL, "start": AT, "reason": "because"}
    return ms.DeclaredWindow(**base | ({} if "end" in fields else {"duration": ms.Elapsed(hours=1)}) | fields)


WORK = ms.Maintenance(start=AT, end=LATER, announced_at=None)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: window(end=AT), "end"),
        (lambda: window(end=AT - SECOND), "end"),
        (lambda: window(duration=None), "duration"),
        (lambda: window(end=LATER, duration=ms.Elapsed(hours=1)), "duration"),
        (lambda: window(duration=ms.Elapsed(0)), "duration"),
        (lambda: window(duration=ms.Elapsed(hours=169)), "duration"),
        (lambda: window(key="a b"), "key"),
        (lambda: window(reason=""), "reason"),
        (lambda: ms.Release(version=V, change_class=ms.ChangeClass.OS, available_at=AT), "class"),
        (lambda: ms.Release(version=V, change_class=ms.ChangeClass.MINOR, available_at=AT, changes="\n"), "changes"),
        (lambda: ms.Deferral(instance="a", release=V, until=AT, start=AT), "until"),
        (lambda: ms.Freeze(key="f", start=AT, end=AT, reason="r"), "end"),
        (lambda: ms.Freeze(key="f", start=AT, end=LATER, reason="r", classes=()), "classes"),
        (lambda: ms.Freeze(key="f", start=AT, end=LATER, reason=" "), "reason"),
        (lambda: ms.Outage(start=LATER, end=AT), "end"),
        (lambda: ms.Maintenance(start=LATER, end=AT, announced_at=None), "end"),
        (lambda: replace(WORK, started_at=LATER, completed_at=AT), "completed_at"),
        (lambda: ms.Consent(instance="a", given_by="", given_at=AT), "given_by"),
        (lambda: ms.Consent(instance="a", given_by="Eva", given_at=AT, until=AT), "until"),
    ],
)  # fmt: skip
def test_a_fact_that_cannot_be_is_refused_by_the_name_of_its_field(make, field):
    with pytest.raises(ms.InvalidValue) as refused:
        make()
    assert refused.value.field == field


def test_the_shortest_and_the_longest_facts_pass():
    assert window(duration=ms.Elapsed(hours=168)).span.elapsed == timedelta(days=7)
    assert window(end=LATER).span.elapsed == timedelta(hours=1)
    ms.Outage(start=AT, end=AT)
    ms.Maintenance(start=AT, end=AT, announced_at=None, started_at=AT, completed_at=AT)
    ms.Maintenance(start=AT, end=LATER, announced_at=None, completed_at=AT - SECOND)


def test_facts_have_ids_that_people_can_say():
    assert window(key="portal").id == "critical/portal"
    assert ms.Release(version=V, change_class=ms.ChangeClass.MINOR, available_at=AT).id == "intrexx 12.1.0"
    assert ms.Deferral(instance="acme", release=V, until=AT).id == "acme/12.1.0"


def test_a_window_declared_in_another_zone_lasts_elapsed_time():
    over_the_change = window(start=local("2026-03-28T23:00"), duration=ms.Elapsed(hours=6))
    assert over_the_change.span.end == datetime(2026, 3, 29, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    ("table", "first", "second"),
    [
        ("windows", window(), window(reason="again")),
        (
            "releases",
            ms.Release(version=V, change_class=ms.ChangeClass.MINOR, available_at=AT),
            ms.Release(version=ms.Version.parse("12.1"), change_class=ms.ChangeClass.MAJOR, available_at=AT),
        ),
        (
            "deferrals",
            ms.Deferral(instance="a", release=V, until=AT),
            ms.Deferral(instance="a", release=ms.Version.parse("12.1"), until=LATER),
        ),
        (
            "freezes",
            ms.Freeze(key="f", start=AT, end=LATER, reason="r"),
            ms.Freeze(key="f", start=AT, end=LATER, reason="s"),
        ),
    ],
)
def test_the_same_thing_cannot_be_declared_twice(table, first, second):
    ms.Facts(**{table: (first,)})
    with pytest.raises(ms.InvalidValue, match=f"{table[:-1]}: expected each {table[:-1]} once"):
        ms.Facts(**{table: (first, second)})


def test_a_release_holds_what_is_older_and_what_it_carries():
    release = ms.Release(
        version=ms.Version.parse("12.0.9"), change_class=ms.ChangeClass.SECURITY, available_at=AT, carries=(V,)
    )
    held = {text: release.holds(ms.Version.parse(text)) for text in ("11.9", "12.0.9", "12.0.10", "12.1")}
    assert held == {"11.9": True, "12.0.9": True, "12.0.10": False, "12.1": True}


def test_a_freeze_covers_everything_or_the_customers_and_instances_it_names():
    freeze = ms.Freeze(key="f", start=AT, end=LATER, reason="r")
    assert freeze.covers("acme", "acme-prod")
    customer, instance = replace(freeze, customers=("acme",)), replace(freeze, instances=("beta-prod",))
    both = replace(freeze, customers=("acme",), instances=("beta-prod",))
    covered = [
        [each.covers(*who) for who in (("acme", "x"), ("beta", "beta-prod"), ("c", "y"))]
        for each in (customer, instance, both)
    ]
    assert covered == [[True, False, False], [False, True, False], [True, True, False]]


# --- fleets -----------------------------------------------------------------------------------------------------------


def instance(**fields: Any) -> ms.Instance:
    return ms.Instance(**{"key": "acme-prod", "host": "acme.example"} | fields)


def customer(*instances: ms.Instance, **fields: Any) -> ms.Customer:
    base = {"key": "acme", "name": "Acme", "language": Language.DE, "package": "premium", "instances": instances}
    return ms.Customer(**base | fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"key": "-a"}, {"key": "a b"}, {"key": ""}, {"key": "a" * 64}, {"key": "ä"},
        {"host": "-oProxyCommand=x"}, {"host": "a b"}, {"host": ""}, {"host": "a..b"}, {"host": "x" * 254},
        {"executor": "a/b"}, {"url": "javascript:alert(1)"}, {"url": "ftp://x.example"}, {"url": "https://x.example:99999"},
        {"wave": 0}, {"wave": 100}, {"components": ("linux", "linux")},
        {"starts_on": date(2026, 2, 1), "ends_on": date(2026, 1, 31)},
    ],
    ids=str,
)  # fmt: skip
def test_an_instance_that_cannot_be_is_refused_by_the_name_of_its_field(fields):
    with pytest.raises(ms.InvalidValue) as refused:
        instance(**fields)
    assert refused.value.field in fields


@pytest.mark.parametrize(
    "fields",
    [
        {"key": "A.b_c-1"}, {"key": "a" * 63}, {"host": "10.0.0.1"}, {"host": "2001:db8::1"}, {"host": "h"},
        {"wave": 1}, {"wave": 99}, {"starts_on": date(2026, 2, 1), "ends_on": date(2026, 2, 1)},
        {"url": "https://x.example:65535/path?q#f"},
    ],
    ids=str,
)  # fmt: skip
def test_an_instance_within_the_bounds_passes(fields):
    instance(**fields)


@pytest.mark.parametrize(
    ("email", "passes"),
    [
        ("eva@acme.example", True), ("e.v+a@sub.acme.example", True), ("eva@localhost", False), ("eva", False),
        ("eva@acme,x@evil.example", False), ("e va@acme.example", False), (".eva@acme.example", False),
        ("eva@acme.example\nBcc: x@evil.example", False), ("@acme.example", False), ("a" * 65 + "@acme.example", False),
    ],
)  # fmt: skip
def test_a_mail_address_is_one_plain_address(email, passes):
    if passes:
        assert ms.Contact(key="eva", name="Eva", email=email, roles=()).email == email
        return
    with pytest.raises(ms.InvalidValue) as refused:
        ms.Contact(key="eva", name="Eva", email=email, roles=())
    assert refused.value.field == "email"


def test_the_domain_of_an_address_is_encoded():
    assert ms.Contact(key="eva", name="Eva", email="eva@bücher.example", roles=()).email == "eva@xn--bcher-kva.example"
    assert customer(sender="post@bücher.example").sender == "post@xn--bcher-kva.example"


@pytest.mark.parametrize(
    "text", ["a\nb", "a\x1b[31m", "\u202egnp.exe", "=?UTF-8?Q?=0A?=", "a\u200bb", " ", "x" * 501, "\ud800", "a\u2028b"]
)
def test_free_text_that_could_leave_its_line_or_lie_about_itself_is_refused(text):
    with pytest.raises(ms.InvalidValue) as refused:
        customer(name=text)
    assert refused.value.field == "name"
    assert str(refused.value).isprintable()


def test_free_text_may_be_empty_only_where_that_is_said():
    require_text("changes", "", empty=True)
    require_text("changes", "x" * 500)
    with pytest.raises(ms.InvalidValue):
        require_text("changes", "")


def test_keys_are_unique_in_a_fleet():
    one = customer(instance())
    with pytest.raises(ms.InvalidValue, match="instance: expected each key once"):
        ms.Fleet(customers=(one, customer(instance(), key="beta")))
    with pytest.raises(ms.InvalidValue, match="customer: expected each key once"):
        ms.Fleet(customers=(one, customer()))
    eva = ms.Contact(key="eva", name="Eva", email="eva@acme.example", roles=())
    with pytest.raises(ms.InvalidValue, match="contact: expected each key once"):
        customer(contacts=(eva, eva))


def test_an_instance_is_found_by_its_key_and_an_unknown_one_is_refused():
    fleet = ms.Fleet(customers=(customer(instance(), instance(key="acme-test")),))
    assert fleet.instance("acme-test").key == "acme-test"
    assert [each.key for each in fleet.instances()] == ["acme-prod", "acme-test"]
    assert fleet.owners["acme-prod"].key == "acme"
    with pytest.raises(ms.UnknownName, match=r"did you mean acme-test\?"):
        fleet.instance("acme-tset")


def test_the_url_of_test_and_dev_follows_from_that_of_production():
    production = instance(url="https://portal.acme.example/start")
    test, dev = instance(key="t", environment="test"), instance(key="d", environment="dev", url="https://own.example")
    acme = customer(test, production, dev)
    assert ms.instance_url(contract(), acme, production) == "https://portal.acme.example/start"
    assert ms.instance_url(contract(), acme, test) == "https://portal-test.acme.example/start"
    assert ms.instance_url(contract(), acme, dev) == "https://own.example"
    assert ms.instance_url(contract(), customer(test), test) is None
    short = customer(test, instance(url="https://portal:8443/"))
    assert ms.instance_url(contract(), short, test) == "https://portal-test:8443/"


def test_a_subscription_runs_from_the_start_of_its_first_to_the_end_of_its_last_day():
    assert active_span(contract(), instance()) == (None, None)
    spanned = instance(starts_on=date(2026, 3, 29), ends_on=date(2026, 10, 25))
    assert active_span(contract(), spanned) == (local("2026-03-29T00:00"), local("2026-10-26T00:00"))


def test_a_backup_rule_needs_times_of_the_wall_clock():
    for times in ((), (time(2, tzinfo=UTC),)):
        with pytest.raises(ms.InvalidValue) as refused:
            ms.BackupRule(times=times)
        assert refused.value.field == "times"
    with pytest.raises(ms.RuleRefused):
        ms.BackupRule(times=(time(2),), rule=ms.Rule.parse("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"))


def test_values_are_frozen():
    with pytest.raises(FrozenInstanceError):
        window().key = "other"  # type: ignore[misc]  # what is refused
    with pytest.raises(TypeError):
        instance(versions={"intrexx": V}).versions["intrexx"] = V  # type: ignore[index]  # what is refused


# --- contracts --------------------------------------------------------------------------------------------------------


def test_a_contract_names_an_unknown_package_with_those_it_has():
    assert contract().package("premium_flex") == contract().package("premium flex") == "premium"
    with pytest.raises(ms.UnknownName, match="package: expected one of starter, advanced, professional, premium"):
        contract().package("gold")
    with pytest.raises(ms.UnknownName):
        contract().package("premium_flex_flex")


def test_a_contract_can_be_a_key_and_equal_contracts_are_one():
    again = ms.load_contract()
    assert again == contract()
    assert hash(again) == hash(contract())
    assert contract() != contract(late="run")


# --- errors -----------------------------------------------------------------------------------------------------------


def test_an_error_carries_what_it_says():
    error = ms.InvalidValue("wave", expected="a number", found="x", field="wave", subject=("instance", "acme"))
    assert str(error) == 'instance acme: wave: expected a number, got "x"'
    assert isinstance(error, ValueError)
    assert isinstance(error, ms.MaintschedError)
    file = ms.FileError("a\n.toml", line=3, key="customer[1].key", expected="a key", found="none")
    assert str(file) == "a\\n.toml, line 3: customer[1].key: expected a key, found none"
    assert str(ms.FileError("a.toml", line=None, key=None, expected="x", found="y")) == "a.toml: expected x, found y"


def test_errors_say_which_known_name_is_nearest():
    assert one_of("premum", ("starter", "premium")) == "one of starter, premium (did you mean premium?)"
    assert one_of("x", ()) == "a known name (there is none)"
    assert one_of("zzz", [f"n{i}" for i in range(14)]).endswith("n11 and 2 more")
    assert nearest("gold", ("starter",)) is None


def test_what_was_found_is_shown_printable_and_cut():
    assert show("a\x1b\n") == '"a\\x1b\\n"'
    assert show(12) == "12"
    assert show("x" * 100) == '"' + "x" * 78 + "…"
    assert len(show("x" * 78)) == 80
    assert printable("\u202e") == "\\u202e"
