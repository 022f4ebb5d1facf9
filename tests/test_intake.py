"""Good files become the values they speak of."""

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

import maintsched as ms
from maintsched.errors import FileError, InvalidValue
from maintsched.facts import ChangeClass, WindowKind
from maintsched.intake import builtin_contracts, load_contract, load_fleet
from maintsched.intake.documents import SIZE_MAX, dotted, read_document
from maintsched.readings import Late, OnHoliday

GOOD = Path(__file__).parent / "good_files"
BERLIN = ZoneInfo("Europe/Berlin")
CONTRACT = load_contract()
FORMS = ("toml", "json", "csv")


def written(folder, name, text):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


# --- fleets and facts


@pytest.mark.parametrize("form", FORMS)
def test_the_three_forms_of_a_fleet_mean_the_same(form):
    fleet, facts = load_fleet(CONTRACT, GOOD / f"fleet.{form}", GOOD / f"facts.{form}")
    assert (fleet, facts) == load_fleet(CONTRACT, GOOD / "fleet.toml", GOOD / "facts.toml")
    acme, birch = fleet.customers
    assert (acme.key, acme.name, acme.package, birch.package) == (
        "acme",
        "ACME GmbH & Söhne",
        "premium",
        "professional-flex",
    )
    prod, test = acme.instances
    assert (prod.host, prod.wave, prod.managed, test.managed) == ("10.0.0.5", 3, True, False)
    assert prod.components == ("intrexx", "database", "linux")
    assert {name: str(version) for name, version in prod.versions.items()} == {"intrexx": "12.0.3", "database": "16.4"}
    assert prod.backup is not None
    assert (prod.backup.times, prod.backup.anchor) == ((time(2), time(14)), date(2026, 1, 1))
    assert (prod.starts_on, prod.ends_on) == (date(2024, 2, 1), date(2028, 1, 31))


@pytest.mark.parametrize("form", FORMS)
def test_the_three_forms_of_facts_mean_the_same(form):
    _, facts = load_fleet(CONTRACT, GOOD / "fleet.toml", GOOD / f"facts.{form}")
    critical, emergency, monthly = facts.windows
    assert critical.start == datetime(2026, 12, 10, 20, tzinfo=BERLIN)
    assert critical.announced_at == datetime(2026, 12, 4, 7, 30, 0, 500_000, tzinfo=UTC)
    assert (emergency.kind, emergency.span.elapsed) == (WindowKind.EMERGENCY, timedelta(minutes=90))
    assert (monthly.id, monthly.duration, monthly.cancelled) == ("monthly/2027-01", timedelta(hours=4), False)
    assert [release.change_class for release in facts.releases] == [
        ChangeClass.SECURITY,
        ChangeClass.MAJOR,
        ChangeClass.MINOR,
    ]
    assert [str(version) for version in facts.releases[2].carries] == ["17.0"]
    assert facts.outages[1].end is None
    assert facts.consents[0].holds_at(datetime(2026, 12, 1, tzinfo=UTC))


def test_the_order_of_the_files_does_not_matter():
    ways = [load_fleet(CONTRACT, *paths) for paths in (_sample("fleet", "facts"), _sample("facts", "fleet"))]
    assert ways[0] == ways[1]


def _sample(*names):
    return [GOOD / f"{name}.toml" for name in names]


def test_a_date_without_a_time_begins_at_midnight_in_the_zone_of_the_contract():
    _, facts = load_fleet(CONTRACT, *_sample("fleet", "facts"))
    assert facts.freezes[0].start == datetime(2026, 12, 18, tzinfo=BERLIN)
    _, facts = load_fleet(load_contract(overrides={"zone": "UTC"}), *_sample("fleet", "facts"))
    assert facts.freezes[0].start == datetime(2026, 12, 18, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "text"), [("a.toml", ""), ("a.toml", "# nobody yet\n"), ("a.json", "{}"), ("a.csv", "record,key\n")]
)
def test_a_file_that_declares_nothing_is_an_empty_fleet(tmp_path, name, text):
    assert load_fleet(CONTRACT, written(tmp_path, name, text)) == (ms.Fleet(), ms.Facts())


def test_no_file_is_an_empty_fleet():
    assert load_fleet(CONTRACT) == (ms.Fleet(), ms.Facts())


@pytest.mark.parametrize("form", FORMS)
def test_a_byte_order_mark_and_line_ends_of_another_system_change_nothing(tmp_path, form):
    text = (GOOD / f"fleet.{form}").read_bytes().replace(b"\n", b"\r\n")
    foreign = written(tmp_path, f"fleet.{form}", b"\xef\xbb\xbf" + text)
    assert load_fleet(CONTRACT, foreign) == load_fleet(CONTRACT, GOOD / f"fleet.{form}")


def test_the_ending_of_a_name_may_be_in_capitals(tmp_path):
    assert load_fleet(CONTRACT, written(tmp_path, "FLEET.TOML", (GOOD / "fleet.toml").read_bytes()))


@pytest.mark.parametrize(
    ("address", "encoded"),
    [
        ("eva@acme.example", "eva@acme.example"),
        ("eva+it@ACME.example", "eva+it@ACME.example"),
        ("eva@müller.example", "eva@xn--mller-kva.example"),
        ("eva@MÜLLER.example", "eva@xn--mller-kva.example"),
        ("eva@mu\u0308ller.example", "eva@xn--mller-kva.example"),  # the same letter in two characters
        ("eva@例え.example", "eva@xn--r8jz45g.example"),
    ],
)
def test_the_domain_of_an_address_is_encoded(tmp_path, address, encoded):
    text = (GOOD / "fleet.toml").read_text(encoding="utf-8").replace("eva@acme.example", address)
    fleet, _ = load_fleet(CONTRACT, written(tmp_path, "fleet.toml", text))
    assert fleet.customers[0].contacts[0].email == encoded


@pytest.mark.parametrize(
    "domain",
    ["straße.example", "ac\u00adme.example", "\uff41cme.example", "acme\u3002example", "x" * 300 + "ü.example"],
)
def test_a_domain_that_would_become_another_one_is_refused(domain):
    with pytest.raises(InvalidValue, match="mail address"):
        ms.Contact(key="eva", name="Eva", email=f"eva@{domain}", roles=())


@pytest.mark.parametrize("host", ["10.0.0.5", "portal-7.hosting.example", "localhost", "2001:db8::7", "0.0.0.0"])
def test_hosts_are_names_and_addresses(host):
    assert ms.Instance(key="a", host=host).host == host


@pytest.mark.parametrize(
    "host", ["-o", "a b", "a;b", "10.0.0", "10.0.0.256", "10.0.007.5", "fe80::1%eth0", "a..b", "a.b.", ""]
)
def test_what_is_no_host_is_refused(host):
    with pytest.raises(InvalidValue, match="host"):
        ms.Instance(key="a", host=host)


def test_texts_may_hold_any_letters_and_the_longest_names(tmp_path):
    text = (GOOD / "base.toml").read_text(encoding="utf-8")
    text = text.replace("Base AG", "株式会社 – “Base” ½ 🏭" + "é" * 400).replace("base-test", "k" * 63)
    fleet, _ = load_fleet(CONTRACT, written(tmp_path, "fleet.toml", text))
    assert fleet.customers[0].name.startswith("株式会社")
    assert fleet.customers[0].instances[1].key == "k" * 63


def test_a_json_null_means_that_nothing_is_said(tmp_path):
    fleet = {"customer": [{"key": "a", "name": "A", "language": "de", "package": "premium", "sender": None}]}
    facts = {"outage": [{"start": "2026-11-28", "end": None, "cause": None}]}
    loaded, declared = load_fleet(CONTRACT, written(tmp_path, "a.json", json.dumps(fleet | facts)))
    assert (loaded.customers[0].sender, declared.outages[0].end) == (None, None)


def test_cells_may_be_padded_and_rows_may_be_short_or_empty(tmp_path):
    text = "record , key\n".replace(" ,", ",").replace(" ", "") + "\n,\n"
    assert load_fleet(CONTRACT, written(tmp_path, "a.csv", text)) == (ms.Fleet(), ms.Facts())
    text = "record,key,name,language,package,sender\ncustomer, a ,\tA,de,premium\n"
    fleet, _ = load_fleet(CONTRACT, written(tmp_path, "a.csv", text))
    assert (fleet.customers[0].key, fleet.customers[0].name) == ("a", "A")


def test_versions_that_differ_in_writing_alone_are_one(tmp_path):
    text = '[[release]]\nversion = "12.1"\nclass = "major"\navailable_at = 2026-11-09\n'
    text += '[[deferral]]\ninstance = "base-prod"\nrelease = "12.1.0"\nuntil = 2027-04-01\n'
    _, facts = load_fleet(CONTRACT, GOOD / "base.toml", written(tmp_path, "facts.toml", text))
    assert facts.deferrals[0].release == facts.releases[0].version


def test_an_error_about_two_files_names_the_one_that_is_wrong(tmp_path):
    text = '[[freeze]]\nkey = "a"\nstart = 2026-12-18\nend = 2027-01-07\nreason = "x"\ninstances = ["base-tst"]\n'
    for paths in ([GOOD / "base.toml", tmp_path / "f.toml"], [tmp_path / "f.toml", GOOD / "base.toml"]):
        written(tmp_path, "f.toml", text)
        with pytest.raises(
            FileError, match=r"f\.toml, line 6: freeze\[1\]\.instances\[1\]: .*did you mean base-test"
        ) as caught:
            load_fleet(CONTRACT, *paths)
        assert (caught.value.path, caught.value.line) == (str(tmp_path / "f.toml"), 6)


def test_of_two_facts_about_one_instance_the_wrong_one_is_named(tmp_path):
    text = "".join(
        f'[[track_switch]]\ninstance = "base-prod"\ntrack = "{track}"\nat = 2026-12-01\n'
        for track in ("steady", "fast")
    )
    with pytest.raises(FileError, match="line 7: track_switch"):
        load_fleet(CONTRACT, GOOD / "base.toml", written(tmp_path, "f.toml", text))


def test_a_default_that_the_contract_does_not_know_is_reported_at_the_instance(tmp_path):
    text = (GOOD / "base.toml").read_text(encoding="utf-8")
    contract = load_contract("generic-weekly")
    with pytest.raises(
        FileError, match=r"customer\[1\]\.instance\[1\]: expected one of live, staging, found \"prod\""
    ) as caught:
        load_fleet(contract, written(tmp_path, "f.toml", text.replace('"premium"', '"gold"')))
    assert caught.value.line == 15


# --- contracts


def test_every_built_in_contract_is_in_order():
    assert next(iter(builtin_contracts())) == "intrexx-paas"
    for name, path in builtin_contracts().items():
        assert load_contract(name) == load_contract(path)
        assert load_contract(name).name == name


@pytest.mark.parametrize("form", ["toml", "json"])
def test_a_contract_may_extend_a_built_in_one(form):
    contract = load_contract(GOOD / f"contract.{form}")
    assert (contract.name, contract.late, contract.availability.target) == ("oak-paas", Late.RUN, Decimal("0.9975"))
    assert contract.mail.sender == "notices@hosting.example"
    assert dict(contract.waves.environments) == {"prod": 3, "test": 1, "dev": 1}
    assert (contract.critical, contract.monthly.time) == (CONTRACT.critical, CONTRACT.monthly.time)
    moved, skipped, kept = contract.monthly.override
    assert moved.start == datetime(2026, 12, 8, 18, tzinfo=BERLIN)
    assert (moved.duration, skipped.skip, kept.on_holiday) == (timedelta(hours=2), True, OnHoliday.KEEP)


def test_further_tables_are_laid_over_those_of_a_file():
    contract = load_contract(overrides={"support": {"zone": "utc+1"}, "tracks": ["silent"]})
    assert (contract.support.zone, contract.tracks) == ("utc+1", ("silent",))
    assert contract.support.opens == CONTRACT.support.opens


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        ({"support": {"zon": "local"}}, "support.zon"),
        ({"critical": {"lead": "72"}}, "critical.lead"),
        ({"monthly": {"override": [{"window": "monthly/2026-12", "skip": True}]}}, "monthly.override[1].reason"),
    ],
)
def test_what_is_wrong_in_further_tables_is_not_looked_for_in_the_file(overrides, key):
    with pytest.raises(FileError, match=r"^overrides of ") as caught:
        load_contract(overrides=overrides)
    assert (caught.value.line, caught.value.key) == (None, key)


def test_what_is_wrong_in_the_file_keeps_its_line_beside_further_tables(tmp_path):
    path = written(tmp_path, "c.toml", 'extends = "intrexx-paas"\n[critical]\nlead = "72"\n')
    with pytest.raises(FileError, match=r"c\.toml, line 3: critical\.lead"):
        load_contract(path, overrides={"critical": {"consent": "deducted"}})


def test_an_override_that_starts_on_a_date_begins_at_midnight_in_the_zone_of_the_contract(tmp_path):
    text = (
        'extends = "intrexx-paas"\n[[monthly.override]]\nwindow = "monthly/2026-12"\nreason = "x"\nstart = 2026-12-08\n'
    )
    contract = load_contract(written(tmp_path, "c.toml", text))
    assert contract.monthly.override[0].start == datetime(2026, 12, 8, tzinfo=BERLIN)


def test_another_source_of_holidays_may_stand_in():
    contract = load_contract(holiday_source=lambda country, subdivision, language, year: {date(year, 1, 2): "ours"})
    assert contract.holidays.name(date(2026, 1, 2)) == "ours"


def test_the_windows_of_an_override_need_holidays_that_are_known(tmp_path):
    text = 'extends = "intrexx-paas"\n[monthly]\nrule = "FREQ=DAILY"\non_holiday = "next_working_day"\n'
    text += '[[monthly.override]]\nwindow = "monthly/2100-12-30"\nreason = "x"\nduration = "2 h"\n'

    def last_day(country, subdivision, language, year):
        return {date(year, 12, 31): "the last day"}

    with pytest.raises(FileError, match=r"line 5: monthly\.override: .*cannot be known"):
        load_contract(written(tmp_path, "c.toml", text), holiday_source=last_day)


@pytest.mark.parametrize("name", ["intrexx", "no such contract", "x" * 5000, "a\0b"])
def test_a_name_of_no_contract_is_refused_with_those_that_are(name):
    with pytest.raises(FileError, match=r"a built-in contract .*intrexx-paas"):
        load_contract(name)


@pytest.mark.parametrize(("part", "text"), [("country", "XX"), ("subdivision", "XX"), ("language", "xx")])
def test_a_region_that_the_library_does_not_know_is_refused_when_first_asked_for(part, text):
    contract = load_contract(overrides={"holidays": {part: text}})
    with pytest.raises(ms.UnknownName) as caught:
        contract.holidays.name(date(2026, 1, 1))
    assert caught.value.field == f"holidays.{part}"


# --- files


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    path = written(tmp_path, "large.toml", "")
    with path.open("r+b") as file:
        file.truncate(SIZE_MAX + 1)
    with pytest.raises(FileError, match="at most 268435456 bytes, found more"):
        read_document(path)


def test_what_may_never_end_is_not_read(tmp_path):
    import os

    path = tmp_path / "pipe.toml"
    os.mkfifo(path)
    with pytest.raises(FileError, match="a readable file, found a device"):
        read_document(path)


@pytest.mark.parametrize("name", ["a\0b.toml", "x" * 5000 + ".toml", "new\nline\x1b.toml"])
def test_a_name_that_no_file_can_have_is_refused_in_one_line(name):
    with pytest.raises(FileError, match="a readable file") as caught:
        load_fleet(CONTRACT, name)
    assert str(caught.value).isprintable()


def test_a_key_of_a_hundred_thousand_parts_is_refused_before_it_is_parsed(tmp_path):
    for text in (".".join("a" * 100_000) + " = 1\n", f'["{"x" * 9}".{" . ".join("ab" * 60)}]\n'):
        with pytest.raises(FileError, match="line 1: expected at most 20 levels, found more"):
            read_document(written(tmp_path, "a.toml", text))


def test_many_dots_in_texts_and_comments_are_no_deep_key(tmp_path):
    text = f'# {"." * 200}\na = "{"a." * 200}"  # {"1 . " * 10}\nb = {[1.5] * 150}\n'
    assert read_document(written(tmp_path, "a.toml", text)).tables["b"] == [Decimal("1.5")] * 150


def test_paths_are_written_as_people_count():
    assert dotted(("customer", 2, "contact", 0, "email")) == "customer[3].contact[1].email"
    assert dotted(()) is None
