"""What the page of a plan promises to the people who read it."""

import re
from base64 import b64encode
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from html import escape

import pytest

import maintsched as ms
from maintsched.report.cards import NAMES_MAX, NAMES_OPEN
from maintsched.report.datewords import DateWords
from maintsched.report.glance import MONTHS_MAX, days_of
from maintsched.report.page import SUMMARY_MAX, plan_page
from maintsched.report.words import Words
from tests.pages import BERLIN, HOSTILE, NOW, contract, hostile, large_fleet, read, sample, sample_plan, span


@pytest.fixture(scope="module", params=["en", "de"])
def page(request):
    fleet, plan = sample()
    return plan_page(plan, fleet, now=NOW, language=request.param)


# --- what it says -----------------------------------------------------------------------------------------------------


def test_the_page_names_contract_span_zone_and_when_it_was_made():
    fleet, plan = sample()
    head = read(plan_page(plan, fleet, now=NOW)).one("header", class_="top").text
    for part in ("Intrexx PaaS", "intrexx-paas", "Mon 23 Nov 2026", "Fri 20 Aug 2027", "Europe/Berlin", "10:30 CET"):
        assert part in head


def test_every_window_of_the_plan_has_a_card_with_its_id_kind_clause_local_and_utc_time():
    fleet, plan = sample()
    tree = read(plan_page(plan, fleet, now=NOW))
    assert plan.windows
    for planned in plan.windows:
        window = planned.window
        card = tree.one("article", id=window.id).text
        utc = window.start.astimezone(UTC)
        local = f"{window.start:%H:%M} – {window.end:%H:%M} {window.start:%Z}"
        for part in (window.id, f"clause {window.clause}", local, f"{utc:%H:%M} – ", " UTC"):
            assert part in card
        assert tree.one("h3", id=f"{window.id}/head").one("time").attributes["datetime"] == window.start.isoformat()


def test_a_card_says_what_goes_in_where_and_why():
    fleet, plan = sample()
    tree = read(plan_page(plan, fleet, now=NOW))
    for planned in plan.windows:
        card = tree.one("article", id=planned.window.id).text
        for row in planned.work:
            for part in (
                row.instance,
                row.component,
                row.release or "updates",
                row.why,
                fleet.owners[row.instance].name,
            ):
                assert part in card


def test_instances_that_get_the_same_are_listed_together():
    fleet, plan = sample()
    tree = read(plan_page(plan, fleet, now=NOW))
    february = tree.one("article", id="monthly/2027-02")
    assert len(list(february.all("tbody"))) == 1
    december = tree.one("article", id="monthly/2026-12")
    assert len(list(december.all("tbody"))) == 3


def test_a_card_names_the_holiday_and_the_clock_change_it_meets():
    since = datetime(2029, 1, 1, tzinfo=BERLIN)
    plan = ms.make_plan(contract(), ms.Fleet(), ms.Facts(), span(400, since), now=since)
    tree = read(plan_page(plan, ms.Fleet(), now=since))
    for planned in plan.windows:
        card = tree.one("article", id=planned.window.id).text
        assert ("Public holiday:" in card) == (planned.window.holiday is not None)
        assert ("Clocks go" in card) == (planned.clock_change is not None)
    assert any(planned.window.holiday for planned in plan.windows)
    assert "Clocks go forward 60 min on Sun 25 Mar 2029" in tree.one("article", id="monthly/2029-04").text


def test_every_conflict_stands_in_the_summary_and_at_its_window_with_message_and_clause():
    deferral = ms.Deferral(instance="acme-prod", release=ms.Version.parse("12.1.0"), until=NOW + timedelta(days=700))
    fleet, plan = sample_plan(contract(), deferrals=(deferral,))
    tree = read(plan_page(plan, fleet, now=NOW))
    summary = tree.one("section", class_="summary").text
    found = list(plan.all_conflicts)
    assert f"{len(found)} conflicts to look at" in summary
    assert {"freeze_over_window", "deferral_too_long"} <= {each.kind for each in found}
    for conflict in found:
        assert conflict.message in summary
        assert f"clause {conflict.clause}" in summary
    for planned in plan.windows:
        for conflict in planned.conflicts:
            assert conflict.message in tree.one("article", id=planned.window.id).text


def test_a_plan_without_conflicts_says_so():
    plan = ms.make_plan(contract(), ms.Fleet(), ms.Facts(), span(), now=NOW)
    assert "No conflicts" in read(plan_page(plan, ms.Fleet(), now=NOW)).one("section", class_="summary").text


def test_an_empty_fleet_and_an_empty_span_have_a_page_as_well():
    plan = ms.make_plan(contract(), ms.Fleet(), ms.Facts(), span(), now=NOW)
    assert "No fleet was given" in read(plan_page(plan, ms.Fleet(), now=NOW)).text
    nothing = ms.make_plan(contract(), ms.Fleet(), ms.Facts(), ms.Span(start=NOW, end=NOW), now=NOW)
    assert "No window starts in this span." in read(plan_page(nothing, ms.Fleet(), now=NOW)).text


def test_freezes_deferrals_and_the_holidays_of_the_span_are_listed():
    fleet, plan = sample()
    text = read(plan_page(plan, fleet, now=NOW)).text
    for part in ("annual accounts", "ACME GmbH", "Fri 18 Dec 2026, 00:00 CET", "Thu 7 Jan 2027, 00:00 CET"):
        assert part in text
    for part in ("acme-prod 12.1.0", "Thu 1 Apr 2027, 00:00 CEST", "Tue 1 Jun 2027, 17:00 CEST", "monthly/2027-04"):
        assert part in text
    in_span = [day for year in (2026, 2027) for day in plan.contract.holidays.of_year(year)]
    listed = read(plan_page(plan, fleet, now=NOW)).one("ul", class_="holidays")
    expected = [day.isoformat() for day in in_span if date(2026, 11, 23) <= day <= date(2027, 8, 20)]
    assert [each.attributes["datetime"] for each in listed.all("time")] == expected


def test_windows_that_are_over_open_or_next_say_so():
    now = datetime(2027, 1, 5, 18, tzinfo=BERLIN)
    fleet, plan = sample()
    tree = read(plan_page(plan, fleet, now=now))
    for window, state in (("monthly/2026-12", "over"), ("monthly/2027-01", "open"), ("monthly/2027-02", "next")):
        assert f"is-{state}" in tree.one("article", id=window).attributes["class"].split()
    assert "open now, 17:00 – 21:00 CET" in tree.one("section", class_="figures").text
    later = read(plan_page(plan, fleet, now=datetime(2028, 1, 5, tzinfo=BERLIN)))
    assert later.one("section", class_="figures").text.count("no further one in this plan") == 2


def test_a_freeze_of_many_customers_names_some_and_counts_the_rest():
    fleet = large_fleet(customers=9, each=1)
    customers = tuple(each.key for each in fleet.customers)
    freeze = ms.Freeze(key="many", start=NOW, end=NOW + timedelta(days=9), reason="accounts", customers=customers)
    plan = ms.make_plan(contract(), fleet, ms.Facts(freezes=(freeze,)), span(40), now=NOW)
    assert "Customer 5, and 3 more" in read(plan_page(plan, fleet, now=NOW)).one("article", class_="freeze").text


# --- the span at a glance ---------------------------------------------------------------------------------------------


def sheets(tree):
    """The text of each marked day, by month and number."""
    return {
        (month.one("caption").text, cell.one(class_="n").text): cell
        for month in tree.all("table", class_="month")
        for cell in month.all("td", class_="day")
    }


def test_each_month_of_the_span_has_a_sheet_with_all_of_its_days():
    fleet, plan = sample()
    months = list(read(plan_page(plan, fleet, now=NOW)).all("table", class_="month"))
    assert [month.one("caption").text for month in months][:3] == ["November 2026", "December 2026", "January 2027"]
    assert len(months) == 10
    assert [cell.one(class_="n").text for cell in months[1].all("td", class_="day")] == [str(n) for n in range(1, 32)]


def test_window_days_notices_deadlines_holidays_and_freezes_are_marked_and_said_in_words():
    fleet, plan = sample()
    days = sheets(read(plan_page(plan, fleet, now=NOW)))
    for month, day, mark, meaning in (
        ("December 2026", "1", "window", "Monthly window, monthly/2026-12, 17:00 – 21:00 CET"),
        ("December 2026", "10", "declared", "Critical window, critical/birch-database"),
        ("November 2026", "20", "send", "Reminder of monthly/2026-12 is sent at 09:00"),
        ("November 2026", "24", "deadline", "Deadline of the reminder of monthly/2026-12, 00:00"),
        ("December 2026", "25", "holiday", "Public holiday: Erster Weihnachtstag"),
        ("December 2026", "18", "freeze", "Freeze year-end"),
        ("January 2027", "6", "freeze", "Freeze year-end"),
        ("November 2026", "23", "now", "Day of this page"),
    ):
        cell = days[month, day]
        assert mark in cell.attributes["class"].split()
        assert meaning in cell.attributes["title"]
        assert meaning in cell.one("span", class_="unseen").text
    assert "freeze" not in days["January 2027", "7"].attributes["class"].split()


def test_the_legend_explains_every_mark_of_the_sheets():
    fleet, plan = sample()
    tree = read(plan_page(plan, fleet, now=NOW))
    known = {
        name
        for each in tree.one("ul", class_="legend").all("span", class_="day")
        for name in each.attributes["class"].split()
    }
    used = {name for cell in sheets(tree).values() for name in cell.attributes["class"].split()}
    assert used - known <= {"weekend", "outside", "goes-on"}


def test_every_link_of_the_page_leads_to_a_place_on_it(page):
    tree = read(page)
    places = {each.attributes["id"] for each in tree.all() if "id" in each.attributes}
    links = [each.attributes["href"] for each in tree.all("a")]
    assert links
    assert all(link.startswith("#") and link[1:] in places for link in links)


def test_ids_on_the_page_are_unique(page):
    ids = [each.attributes["id"] for each in read(page).all() if "id" in each.attributes]
    assert len(ids) == len(set(ids))


def test_a_span_of_days_holds_its_first_and_not_its_end():
    dates = DateWords(words=Words.of("en"), zone=BERLIN, now=NOW)
    start, end = datetime(2026, 3, 28, 23, tzinfo=BERLIN), datetime(2026, 3, 30, tzinfo=BERLIN)
    assert list(days_of(ms.Span(start=start, end=end), dates)) == [date(2026, 3, 28), date(2026, 3, 29)]
    assert list(days_of(ms.Span(start=start, end=start), dates)) == []


def test_a_window_past_midnight_belongs_to_its_first_day_and_goes_on_the_next():
    window = ms.DeclaredWindow(
        key="long",
        kind=ms.WindowKind.CRITICAL,
        start=NOW + timedelta(days=10),
        duration=ms.Elapsed(hours=20),
        reason="long",
    )
    plan = ms.make_plan(contract(), ms.Fleet(), ms.Facts(windows=(window,)), span(40), now=NOW)
    days = sheets(read(plan_page(plan, ms.Fleet(), now=NOW)))
    assert "declared" in days["December 2026", "3"].attributes["class"].split()
    assert "goes-on" in days["December 2026", "4"].attributes["class"].split()
    assert "Critical window, critical/long, goes on" in days["December 2026", "4"].attributes["title"]
    assert "goes-on" not in days["December 2026", "5"].attributes["class"].split()


# --- what it never does -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "de"])
def test_texts_that_people_typed_stay_texts(language):
    fleet, plan = hostile()
    page = plan_page(plan, fleet, now=NOW, language=language)
    tree = read(page)
    tags = {each.tag for each in tree.all()}
    assert not tags & {"script", "img", "link", "iframe", "object", "embed", "base", "form"}
    assert "<script" not in page
    assert tree.one("h1").text == " ".join(HOSTILE.split())
    for place in (
        tree.one("head").one("title").text,
        tree.one("article", id="critical/birch-database").text,
        tree.text,
    ):
        assert "<script>alert(1)</script>" in place
    assert page.count(escape(HOSTILE, quote=False).split(" ")[0]) >= 6


def test_no_event_handler_style_attribute_or_foreign_address_is_on_the_page():
    fleet, plan = hostile()
    tree = read(plan_page(plan, fleet, now=NOW))
    for each in tree.all():
        assert not [
            key for key in each.attributes if key.startswith("on") or key in ("style", "src", "srcset", "srcdoc")
        ]
        assert each.attributes.get("href", "#").startswith("#")
    style = tree.one("style").text
    assert "url(" not in style
    assert "@import" not in style


def test_the_policy_allows_the_style_sheet_of_the_page_and_nothing_else(page):
    tree = read(page)
    policy = tree.one("meta", **{"http-equiv": "Content-Security-Policy"}).attributes["content"]
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style
    digest = b64encode(sha256(style[1].encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def test_the_page_of_a_large_fleet_stays_small_and_says_what_it_leaves_out():
    fleet = large_fleet(customers=400, each=50)
    plan = ms.make_plan(contract(), fleet, ms.Facts(), span(120), now=NOW)
    page = plan_page(plan, fleet, now=NOW)
    assert len(page) < 300_000
    tree = read(page)
    left_out = [each.text for each in tree.all(class_="more")]
    assert "20 000 instances" in tree.text
    assert f"and 19 {1000 - NAMES_MAX} more instances" in left_out
    assert f"and {400 - SUMMARY_MAX} more" in left_out  # of the customers of whom nobody can be told


def test_many_names_wait_behind_a_fold():
    for count in (NAMES_OPEN, NAMES_OPEN + 1):
        fleet = large_fleet(customers=1, each=count)
        plan = ms.make_plan(contract(), fleet, ms.Facts(), span(10), now=NOW)
        card = read(plan_page(plan, fleet, now=NOW)).one("article", id="monthly/2026-12")
        assert bool(list(card.all("details"))) == (count > NAMES_OPEN)
        assert all(f"c0-i{n}" in card.text for n in range(count))


def test_a_long_span_draws_some_months_and_counts_the_rest():
    plan = ms.make_plan(contract(), ms.Fleet(), ms.Facts(), span(365 * 10), now=NOW)
    tree = read(plan_page(plan, ms.Fleet(), now=NOW))
    assert len(list(tree.all("table", class_="month"))) == MONTHS_MAX
    assert "further months are not drawn" in tree.text
    assert len(list(tree.all("article"))) == len(plan.windows)


def test_the_same_plan_gives_the_same_page():
    fleet, plan = sample()
    assert plan_page(plan, fleet, now=NOW) == plan_page(plan, fleet, now=NOW)


def test_a_naive_now_and_an_unknown_language_are_refused():
    fleet, plan = sample()
    with pytest.raises(ms.NaiveDatetime):
        plan_page(plan, fleet, now=NOW.replace(tzinfo=None))
    with pytest.raises(ms.InvalidValue, match="en, de"):
        plan_page(plan, fleet, now=NOW, language="fr")
