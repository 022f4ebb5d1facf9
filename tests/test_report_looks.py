"""How the page of a plan looks and speaks: bars to scale, both languages, phones, dark screens, paper."""

import re
import shutil
import string
import subprocess
from datetime import UTC, datetime, timedelta
from html import escape
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

import maintsched as ms
from maintsched.notices import KIND_OF_WINDOW
from maintsched.report import page as page_module
from maintsched.report.datewords import DateWords
from maintsched.report.page import TEMPLATES, plan_page
from maintsched.report.words import WORDS, Words
from tests.pages import BERLIN, NOW, contract, hostile, read, sample, span

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


# --- the bars ---------------------------------------------------------------------------------------------------------


def places(bar) -> dict[str, float]:
    return {mark.attributes["data-mark"]: float(mark.attributes["x"].removesuffix("%")) for mark in bar.all("svg")}


def test_the_bar_of_each_window_shows_notice_deadline_and_start_to_scale():
    fleet, plan = sample()
    tree = read(plan_page(plan, fleet, now=NOW))
    for planned in plan.windows:
        window, (notice,) = planned.window, planned.notices
        first, last = notice.send_at.timestamp(), window.end.timestamp()
        bar = tree.one("article", id=window.id).one("svg", class_="bar")
        expected = {
            name: 100 * (at.timestamp() - first) / (last - first)
            for name, at in (("send", notice.send_at), ("deadline", notice.deadline), ("start", window.start))
        }
        assert places(bar) == pytest.approx(expected, abs=0.001)
        for name, start, end in (("s-lead", notice.deadline, window.start), ("s-work", window.start, window.end)):
            share = 100 * (end.timestamp() - start.timestamp()) / (last - first)
            assert float(bar.one("rect", class_=name).attributes["width"].removesuffix("%")) == pytest.approx(
                share, abs=0.001
            )
        assert all(part in bar.attributes["aria-label"] for part in ("Send", "Deadline", "Start of work", window.id))


def test_a_notice_after_its_deadline_is_drawn_as_late():
    start = NOW + timedelta(hours=20)
    window = ms.DeclaredWindow(
        key="hotfix", kind=ms.WindowKind.EMERGENCY, start=start, duration=ms.Elapsed(hours=2), reason="hole"
    )
    plan = ms.make_plan(contract(), ms.Fleet(), ms.Facts(windows=(window,)), span(2), now=NOW)
    bar = read(plan_page(plan, ms.Fleet(), now=NOW)).one("article", id="emergency/hotfix").one("svg", class_="bar")
    marks = places(bar)
    assert marks["deadline"] == 0 < marks["send"] < marks["start"] < 100
    assert list(bar.all("rect", class_="s-late"))
    assert not list(bar.all("rect", class_="s-margin"))


def test_every_place_on_a_bar_lies_on_it():
    fleet, plan = sample()
    tree = read(plan_page(plan, fleet, now=NOW))
    for bar in tree.all("svg", class_="bar"):
        for each in bar.all():
            for key in ("x", "x1"):
                place = each.attributes.get(key, "")
                assert not place.endswith("%") or 0 <= float(place.removesuffix("%")) <= 100.001


def test_an_announcement_that_was_made_is_on_the_bar():
    announced = NOW - timedelta(days=3)
    window = ms.DeclaredWindow(
        key="disks",
        kind=ms.WindowKind.CRITICAL,
        start=NOW + timedelta(days=10),
        duration=ms.Elapsed(hours=2),
        reason="disks",
        announced_at=announced,
    )
    plan = ms.make_plan(contract(), ms.Fleet(), ms.Facts(windows=(window,)), span(40), now=NOW)
    bar = read(plan_page(plan, ms.Fleet(), now=NOW)).one("article", id="critical/disks").one("svg", class_="bar")
    marks = places(bar)
    assert marks["announced"] == 0 < marks["send"] < marks["deadline"] < marks["start"] < 100


def test_the_bar_of_a_deferral_shows_start_end_and_limit_to_scale():
    fleet, plan = sample()
    (running,) = plan.deferrals
    bar = read(plan_page(plan, fleet, now=NOW)).one("article", class_="deferral").one("svg", class_="bar")
    whole = running.limit.timestamp() - running.start.timestamp()
    share = 100 * (running.end.timestamp() - running.start.timestamp()) / whole
    assert places(bar) == pytest.approx({"send": 0, "start": share, "limit": 100}, abs=0.001)


def test_ticks_of_a_bar_are_local_midnights_in_order():
    fleet, plan = sample()
    bar = read(plan_page(plan, fleet, now=NOW)).one("article", id="monthly/2026-12").one("svg", class_="bar")
    ticks = [float(each.attributes["x1"].removesuffix("%")) for each in bar.all("line", class_="tick")]
    assert len(ticks) == 11  # from 21 November to 1 December
    assert all(before < after for before, after in pairwise(ticks))


# --- words and dates --------------------------------------------------------------------------------------------------


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_every_language_has_the_same_words_with_the_same_values():
    english = WORDS["en"]
    for language, table in WORDS.items():
        assert table.keys() == english.keys(), language
        for key, text in table.items():
            assert text.strip(), (language, key)
            assert fields(text) == fields(english[key]), (language, key)


def test_every_kind_that_the_core_names_has_a_word():
    for prefix, kinds in (
        ("conflict", ms.ConflictKind),
        ("kind", ms.WindowKind),
        ("notice", KIND_OF_WINDOW.values()),
        ("impact", ms.Impact),
        ("class", ms.ChangeClass),
    ):
        for kind in kinds:
            assert f"{prefix}_{kind}" in WORDS["en"]


def test_every_word_is_used():
    folder = Path(page_module.__file__).parent
    sources = [*folder.glob("*.py"), *TEMPLATES.iterdir()]
    text = "".join(each.read_text(encoding="utf-8") for each in sources if each.name != "words.py")
    called = set(re.findall(r"""["']([a-z_-]+)["']""", text))
    prefixes = tuple(re.findall(r"""["']([a-z_]+_)(?:\{|["'])""", text))
    told = tuple(f"{unit}_ago" for unit in ("minutes", "hours", "days", "months"))
    for key in WORDS["en"]:
        name = re.sub("_(one|other)$", "", key)
        assert name in called or name.startswith(prefixes) or name in told, key


def test_both_languages_say_everything_that_is_theirs():
    fleet, plan = sample()
    german = read(plan_page(plan, fleet, now=NOW, language="de"))
    assert german.one("html").attributes["lang"] == "de"
    for part in (
        "Wartungsplan",
        "Dienstag, 1. Dezember 2026",
        "in 8 Tagen",
        "Fr., 20. Nov. 2026, 09:00 CET",
        "Feiertage",
    ):
        assert part in german.text
    english = [
        text for key, text in WORDS["en"].items() if text != WORDS["de"][key] and not fields(text) and len(text) > 12
    ]
    assert not [text for text in english if text in german.text]


@pytest.mark.parametrize(
    ("away", "english", "german"),
    [
        (timedelta(0), "today", "heute"),
        (timedelta(minutes=1), "in 1 minute", "in 1 Minute"),
        (timedelta(hours=-2), "2 hours ago", "vor 2 Stunden"),
        (timedelta(hours=14), "tomorrow", "morgen"),
        (timedelta(hours=-14), "yesterday", "gestern"),
        (timedelta(days=8), "in 8 days", "in 8 Tagen"),
        (timedelta(days=-3), "3 days ago", "vor 3 Tagen"),
        (timedelta(days=91), "in 91 days", "in 91 Tagen"),
        (timedelta(days=92), "in 3 months", "in 3 Monaten"),
        (timedelta(days=-200), "6 months ago", "vor 6 Monaten"),
    ],
)
def test_distances_are_told_in_calendar_days(away, english, german):
    for language, said in (("en", english), ("de", german)):
        dates = DateWords(words=Words.of(language), zone=BERLIN, now=NOW)
        assert dates.relative(NOW.astimezone(UTC) + away) == said


def test_hours_name_the_day_and_the_zone_where_those_change():
    dates = DateWords(words=Words.of("en"), zone=BERLIN, now=NOW)
    start, end = datetime(2027, 3, 27, 22, tzinfo=BERLIN), datetime(2027, 3, 28, 4, tzinfo=BERLIN)
    assert dates.hours(start, end) == "22:00 CET – Sun 28 Mar, 04:00 CEST"
    assert dates.hours_utc(start, end) == "21:00 – Sun 28 Mar, 02:00 UTC"
    early = datetime(2027, 1, 5, 0, 30, tzinfo=BERLIN)
    assert dates.hours_utc(early, early + timedelta(hours=2)) == "Mon 4 Jan, 23:30 – Tue 5 Jan, 01:30 UTC"
    nameless = DateWords(words=Words.of("en"), zone=ZoneInfo("America/Sao_Paulo"), now=NOW)
    assert nameless.at(datetime(2027, 1, 5, 12, tzinfo=UTC)) == "Tue 5 Jan 2027, 09:00 UTC-0300"


# --- on every screen and on paper -------------------------------------------------------------------------------------


def test_the_style_sheet_knows_phones_dark_screens_and_paper():
    fleet, plan = sample()
    page = plan_page(plan, fleet, now=NOW)
    style = read(page).one("style").text
    for part in ("@media (max-width", "prefers-color-scheme: dark", "@media print", "size: A4", "break-inside: avoid"):
        assert part in style
    assert 'name="viewport" content="width=device-width' in page


def chromium(folder: Path, *arguments: str) -> str:
    """What a headless browser prints."""
    if CHROMIUM is None:
        pytest.skip("no chromium on the PATH: how the page looks was not measured")
    quiet = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    command = [
        CHROMIUM,
        *quiet.split(),
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={folder}/user",
    ]
    done = subprocess.run([*command, *arguments], capture_output=True, timeout=120, check=True)
    return done.stdout.decode()


MEASURE = """<!doctype html><body><iframe id=page width={width} height=2000 srcdoc="{page}"></iframe><script>
addEventListener("load", () => {{
  const seen = document.getElementById("page").contentDocument;
  seen.querySelectorAll("details").forEach(each => each.open = true);
  const root = seen.documentElement, margin = getComputedStyle(seen.body).margin;
  document.body.setAttribute("data-measured", [root.clientWidth, root.scrollWidth, margin].join(" "));
}});
</script>"""


@pytest.mark.parametrize("width", [360, 768, 1280])
@pytest.mark.parametrize("world", [sample, hostile])
def test_nothing_runs_over_the_edge_of_a_phone_or_a_desk(tmp_path, world, width):
    fleet, plan = world()
    wrapper = tmp_path / "wrapper.html"
    wrapper.write_text(MEASURE.format(width=width, page=escape(plan_page(plan, fleet, now=NOW))), encoding="utf-8")
    measured = re.search(r'data-measured="(\d+) (\d+) (\S+)"', chromium(tmp_path, "--dump-dom", wrapper.as_uri()))
    assert measured
    client, scroll, margin = measured.groups()
    assert int(scroll) <= int(client) <= width
    assert margin == "0px"  # the policy lets the style sheet through


def test_the_page_prints(tmp_path):
    fleet, plan = sample()
    (tmp_path / "plan.html").write_text(plan_page(plan, fleet, now=NOW), encoding="utf-8")
    chromium(tmp_path, f"--print-to-pdf={tmp_path}/plan.pdf", (tmp_path / "plan.html").as_uri())
    paper = (tmp_path / "plan.pdf").read_bytes()
    sizes = re.findall(rb"/MediaBox \[0 0 ([0-9.]+) ([0-9.]+)\]", paper)
    assert sizes
    assert {(round(float(width)), round(float(height))) for width, height in sizes} == {(595, 842)}  # A4
