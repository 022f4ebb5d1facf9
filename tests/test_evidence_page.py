"""The page that a lawyer reads: what it says, in both languages, on every screen and on paper; and the same as JSON."""

import json
import re
import shutil
import string
import subprocess
from base64 import b64encode
from dataclasses import replace
from datetime import datetime
from functools import cache
from hashlib import sha256
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from maintsched.announcements import WindowState
from maintsched.facts import OutageCause, WindowKind
from maintsched.journal import EntryKind, Fault
from maintsched.notices import NoticeKind
from maintsched.report.casefile import Case, State, canonical_text
from maintsched.report.evidence import evidence_json, evidence_page
from maintsched.report.evidencewords import EVIDENCE_WORDS
from maintsched.report.page import TEMPLATES
from maintsched.report.words import WORDS
from maintsched.spans import Span
from maintsched.store.evidence import append
from maintsched.store.outbox import read_notices
from maintsched.worker.proofs import read_case
from tests.casefiles import AFTER, BEGIN, HOUR, HOUSE, a_month, contract, declare, fail, move, remind, settle, told
from tests.databases import sqlite_store
from tests.pages import BERLIN, HOSTILE, read

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
BIDI = "\N{RIGHT-TO-LEFT OVERRIDE}"


def case_of(fill, instance="acme-prod", month="2026-12", now=AFTER) -> Case:
    """The case of a store that `fill` fills."""
    with TemporaryDirectory() as folder, sqlite_store(Path(folder)) as store:
        fill(store)
        return read_case(store, contract(), HOUSE, instance, month, now=now)


@cache
def sample() -> Case:
    return case_of(a_month)


@cache
def hostile() -> Case:
    """A case in which every text that comes from outside tries to leave its place."""

    def fill(store):
        fleet = settle(store)
        texts: dict[str, Any] = dict.fromkeys(("server", "message_id", "sha256", "address", "start"), HOSTILE)
        remind(store, fleet, reply=HOSTILE + BIDI, **texts)
        start = datetime(2026, 12, 10, 20, tzinfo=BERLIN)
        declare(store, start, key="x", reason=HOSTILE)
        fail(store, Span(start=start, end=start + HOUR), note=HOSTILE, cause=OutageCause.MISUSE)

    case = case_of(fill)
    return replace(case, provider=HOSTILE, customer_name=HOSTILE, contract=replace(contract(), title=HOSTILE))


@cache
def everything() -> Case:
    """A case with windows in every state, and notices that met with everything."""

    def fill(store):
        a_month(store)
        at = datetime(2026, 12, 20, 20, tzinfo=BERLIN)
        for key, state in (("offered", WindowState.TENTATIVE), ("off", WindowState.CANCELLED)):
            entry = EntryKind(f"window_{state}")
            declare(store, at, key=key, kind=WindowKind.CRITICAL, state=state, entry=entry)
        move(store, "monthly/2026-12", datetime(2027, 1, 7, 17, tzinfo=BERLIN), BEGIN + HOUR)
        fail(store, Span(start=at, end=at + HOUR), key="theirs", customer_caused=True, cause=OutageCause.CUSTOMER)
        with store.writing() as connection:
            (stored,) = read_notices(connection, keys={"notice/reminder/monthly:2026-12/0/acme/eva"})
            kinds = [kind for kind in EntryKind if kind.startswith("notice_") and kind is not EntryKind.NOTICE_ACCEPTED]
            append(connection, [event for kind in kinds for event in told(stored.notice, kind, BEGIN + HOUR)])

    return case_of(fill)


# --- what it says -----------------------------------------------------------------------------------------------------


def test_the_page_says_who_was_told_what_when_and_what_the_server_answered():
    page = read(evidence_page(sample()))
    mail = page.one("article", class_="mail")
    for part in (
        "Reminder → eva",
        "accepted by the mail server",
        "Fri 20 Nov 2026, 09:00:12 CET",
        "2026-11-20T08:00:12Z",
        "system_responsible; had to be told",
        "Tue 1 Dec 2026, 17:00 – 21:00 CET",
        "mail.example (192.0.2.25)",
        "250 2.0.0 Ok: queued as 4bXq3J1Z",
        "@hosting.example>",
        "c4" * 32,
        "counts for the proof",
    ):
        assert part in mail.text
    assert "eva@acme.example" not in page.text
    assert "Eva Muster" not in page.text


def test_the_page_says_what_was_promised_and_by_which_clause():
    promises = read(evidence_page(sample())).one("ol", class_="promises").text
    for clause in ("2.4.3.1", "2.4.3.2", "2.4.3.3", "2.4.3", "2.4.5"):
        assert f"clause {clause}" in promises
    assert "at least 72 h before it starts" in promises
    assert "99.5 %" in promises


def test_the_page_says_why_a_window_is_planned_or_not_and_whether_the_deadline_was_kept():
    monthly, hotfix = _windows(sample())
    assert "Planned: the customer was told 271 h 59 min 48 s before the start; at least 72 h are needed." in monthly
    assert "deadline kept" in monthly
    assert "before Tue 24 Nov 2026, 00:00:00 CET" in monthly
    assert "14 400 seconds deducted" in monthly.replace("\N{NARROW NO-BREAK SPACE}", " ")
    assert "Unplanned: no mail server has accepted a notice for everybody who has to be told." in hotfix
    assert "deadline missed" in hotfix
    assert "Breach on record clause 2.4.3.3" in hotfix
    assert "The journal holds no notice about this window" in hotfix


def _windows(case: Case) -> list[str]:
    page = read(evidence_page(case))
    return [card.text for card in page.all("article", class_="card") if list(card.all("p", class_="verdicts"))]


def test_the_page_has_the_exact_figures_of_the_month():
    sums = read(evidence_page(sample())).one("dl", class_="sums").text.replace("\N{NARROW NO-BREAK SPACE}", " ")
    for part in (
        "2 678 400 seconds (744 h)",
        "14 400 seconds (4 h)",
        "2 664 000 seconds (740 h)",
        "9 690 seconds (2 h 41 min 30 s)",
        "99.636261 %",
        "13 320 seconds (3 h 42 min)",
        "3 630 seconds (1 h 30 s)",
    ):
        assert part in sums


def test_each_entry_stands_there_as_the_text_that_its_hash_is_made_of():
    case = sample()
    page = read(evidence_page(case))
    shown = {entry.attributes["id"]: entry for entry in page.all("li", class_="journal-entry")}
    assert list(shown) == [f"acme-prod-{entry.seq}" for entry in case.entries]
    for entry in case.entries:
        raw = "".join(shown[f"acme-prod-{entry.seq}"].one("p", class_="raw").pieces)
        assert raw == canonical_text(entry)
        assert sha256(raw.encode()).hexdigest() == entry.digest
        assert entry.digest in shown[f"acme-prod-{entry.seq}"].text


def test_each_link_on_the_page_leads_to_an_entry_that_is_on_it():
    for case in (sample(), everything(), hostile()):
        page = read(evidence_page(case))
        ids = {each.attributes["id"] for each in page.all() if "id" in each.attributes}
        targets = {each.attributes["href"] for each in page.all("a")}
        assert targets <= {f"#{each}" for each in ids}


def test_a_moved_a_cancelled_and_an_offered_window_say_what_became_of_them():
    states = {window.id: window for window in everything().windows}
    assert states["critical/off"].state is State.CANCELLED
    assert states["critical/offered"].state is State.TENTATIVE
    texts = " ".join(_windows(everything()))
    assert "moved to Thu 7 Jan 2027, 17:00 – 21:00 CET; before: Tue 1 Dec 2026, 17:00 – 21:00 CET" in texts
    assert "significant change: the lead time starts anew" in texts
    assert "It was cancelled and did not take place." in texts
    assert "It was only offered: an offer tells nobody" in texts


def test_a_notice_that_came_back_is_no_proof_and_looks_like_none():
    (mail,) = (mail for window in everything().windows for mail in window.mails)
    assert mail.outcome is EntryKind.NOTICE_BOUNCED
    assert not mail.counts
    article = read(evidence_page(everything())).one("article", class_="mail")
    assert "came-back" in article.attributes["class"]
    assert "came back: it proves nothing" in article.text
    assert "counts for the proof" not in article.text


def test_a_broken_chain_is_the_first_thing_the_page_says():
    case = sample()
    broken = replace(case, check=replace(case.check, fault=Fault("acme-prod", 2, f"entry 2 {HOSTILE}")))
    summary = read(evidence_page(broken)).one("section", class_="summary")
    assert "bad" in summary.attributes["class"]
    assert "The chain acme-prod is broken at entry 2" in summary.text
    assert json.loads(evidence_json(broken))["journal"]["fault"]["seq"] == 2


def test_a_month_that_is_not_over_says_so():
    early = case_of(a_month, now=datetime(2026, 12, 20, tzinfo=BERLIN))
    assert "The month was not over" in read(evidence_page(early)).text
    assert "The month was not over" not in read(evidence_page(sample())).text


def test_a_month_that_began_before_the_journal_says_so():
    early = case_of(a_month, month="2026-11")
    assert "The journal begins at Fri 20 Nov 2026, 09:00:00 CET" in read(evidence_page(early)).text
    assert "The journal begins" not in read(evidence_page(sample())).text


def test_a_test_environment_is_promised_no_availability():
    case = case_of(a_month, instance="acme-test")
    assert case.availability is None
    assert "this instance is of the environment test" in read(evidence_page(case)).text


# --- safe -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "de"])
def test_a_hostile_text_stays_text(language):
    text = evidence_page(hostile(), language=language)
    page = read(text)
    assert not list(page.all("script"))
    assert not list(page.all("img"))
    assert len(list(page.all("style"))) == 1
    assert BIDI not in text
    assert "\\u202e" in text
    assert page.text.count("<script>alert(1)</script>") > 8
    for element in page.all():
        assert not [name for name in element.attributes if name.startswith("on") or name == "style"]


def test_the_policy_allows_the_page_s_own_style_sheet_and_nothing_else():
    page = read(evidence_page(sample()))
    style = "".join(page.one("style").pieces)
    digest = b64encode(sha256(style.encode()).digest()).decode()
    (policy,) = (each.attributes["content"] for each in page.all("meta") if "http-equiv" in each.attributes)
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def test_the_page_needs_nothing_from_elsewhere():
    text = evidence_page(sample())
    assert not re.search(r"(src|href)=\"(?!#)", text)
    assert "url(" not in text
    assert "@import" not in text


# --- words ------------------------------------------------------------------------------------------------------------


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_both_languages_have_the_same_words_and_none_that_all_pages_share():
    english = EVIDENCE_WORDS["en"]
    for language, table in EVIDENCE_WORDS.items():
        assert table.keys() == english.keys()
        assert not table.keys() & WORDS[language].keys()
        for key, text in table.items():
            assert text.strip()
            assert fields(text) == fields(english[key]), (language, key)


def test_every_word_is_used():
    folder = TEMPLATES.parent
    text = (folder / "evidence.py").read_text() + (TEMPLATES / "evidence.html").read_text()
    called = set(re.findall(r"""["']([a-z_0-9-]+)["']""", text))
    prefixes = tuple(re.findall(r"""["']([a-z_]+_)(?:\{|["'])""", text))
    for key in EVIDENCE_WORDS["en"]:
        name = re.sub("_(one|other)$", "", key)
        punctuality = key in ("kept", "missed", "open")
        assert name in called or name.startswith(prefixes) or punctuality, key


def test_everything_that_can_happen_has_a_word():
    table = EVIDENCE_WORDS["en"]
    for kind in EntryKind:
        if kind.startswith("notice_"):
            assert f"outcome_{kind}" in table
        if kind.startswith("window_"):
            assert f"event_{kind}" in table
    assert all(f"cause_{cause}" in table for cause in OutageCause)
    assert all(f"state_{state}" in table for state in State)
    about_windows = [kind for kind in NoticeKind if "outage" not in kind and "deferral" not in kind]
    others = {"provisioned", "handover", "availability_report", "operator_alert"}
    assert {f"mail_{kind}" for kind in about_windows if kind not in others} < set(table)


def test_the_german_page_is_german():
    page = read(evidence_page(everything(), language="de"))
    assert page.one("html").attributes["lang"] == "de"
    for part in ("Nachweis der Ankündigungen", "acme-prod, Dezember 2026", "Frist versäumt", "zugesagt 99,5 %"):
        assert part in page.text
    english = EVIDENCE_WORDS["en"]
    long = [text for key, text in english.items() if text != EVIDENCE_WORDS["de"][key] and len(text) > 12]
    assert not [text for text in long if not fields(text) and text in page.text]


# --- as JSON ----------------------------------------------------------------------------------------------------------


def paths(value: object, path: str = "") -> set[str]:
    """The dotted names of all fields of a JSON value; `data` of an entry is the entry's own affair."""
    if isinstance(value, dict):
        inner = {key: each for key, each in value.items() if key != "data"}
        return {f"{path}{key}" for key in value}.union(*(paths(each, f"{path}{key}.") for key, each in inner.items()))
    if isinstance(value, list):
        return set().union(*(paths(each, f"{path.removesuffix('.')}[].") for each in value))
    return set()


def test_the_page_on_json_names_each_field_and_no_other():
    broken = replace(sample(), check=replace(sample().check, fault=Fault("acme-prod", 2, "x")))
    found = paths(json.loads(evidence_json(everything()))) | paths(json.loads(evidence_json(broken)))
    docs = Path(__file__).parent.parent / "docs" / "reference" / "evidence-json.md"
    documented = set(re.findall(r"^- `([a-z_0-9.\[\]]+)`", docs.read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert found == documented


def test_json_says_what_the_page_says():
    found = json.loads(evidence_json(sample()))
    monthly, hotfix = found["windows"]
    assert (monthly["classification"], monthly["deadline"]["punctuality"]) == ("planned", "kept")
    assert (hotfix["classification"], hotfix["announced_at"]) == ("unplanned", None)
    assert monthly["mails"][0]["accepted_at"] == "2026-11-20T08:00:12Z"
    assert monthly["lead_seconds"] == 271 * 3600 + 59 * 60 + 48
    assert found["availability"]["counted_seconds"] == 7200 + 2490
    assert [each["seq"] for each in found["journal"]["entries"]] == [1, 2, 3, 4]


def test_an_entry_in_json_can_be_hashed_again():
    entries = json.loads(evidence_json(everything()))["journal"]["entries"]
    for each in entries:
        listed = [each[name] for name in ("chain", "seq", "at", "kind", "subject", "data", "previous")]
        text = json.dumps(listed, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        assert sha256(text.encode()).hexdigest() == each["digest"]


# --- on every screen and on paper -------------------------------------------------------------------------------------


def chromium(folder: Path, *arguments: str) -> str:
    """What a headless browser prints."""
    if CHROMIUM is None:
        pytest.skip("no chromium on the PATH: how the page looks was not measured")
    quiet = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    more = ["--disable-component-update", "--disable-sync", f"--user-data-dir={folder}/user"]
    command = [CHROMIUM, *quiet.split(), *more, *arguments]
    done = subprocess.run(command, capture_output=True, timeout=120, check=True)
    return done.stdout.decode()


MEASURE = """<!doctype html><body>{frames}<script>
addEventListener("load", () => {{
  const found = [...document.querySelectorAll("iframe")].map(each => {{
    const seen = each.contentDocument, root = seen.documentElement;
    return [root.clientWidth, root.scrollWidth, getComputedStyle(seen.body).margin].join(" ");
  }});
  document.body.setAttribute("data-measured", found.join("; "));
}});
</script>"""


def test_nothing_runs_over_the_edge_of_a_phone_or_a_desk(tmp_path):
    widths = [(case, width) for case in (everything(), hostile()) for width in (360, 768, 1280)]
    frames = "".join(
        f'<iframe width={width} height=900 srcdoc="{escape(evidence_page(case, language="de"))}"></iframe>'
        for case, width in widths
    )
    wrapper = tmp_path / "wrapper.html"
    wrapper.write_text(MEASURE.format(frames=frames), encoding="utf-8")
    measured = re.search(r'data-measured="([^"]+)"', chromium(tmp_path, "--dump-dom", wrapper.as_uri()))
    assert measured
    for (_, width), each in zip(widths, measured[1].split("; "), strict=True):
        client, scroll, margin = each.split()
        assert int(scroll) <= int(client) <= width
        assert margin == "0px"  # the policy lets the style sheet through


def test_the_page_prints_on_a4(tmp_path):
    (tmp_path / "page.html").write_text(evidence_page(everything()), encoding="utf-8")
    chromium(tmp_path, f"--print-to-pdf={tmp_path}/page.pdf", (tmp_path / "page.html").as_uri())
    paper = (tmp_path / "page.pdf").read_bytes()
    sizes = re.findall(rb"/MediaBox \[0 0 ([0-9.]+) ([0-9.]+)\]", paper)
    assert {(round(float(width)), round(float(height))) for width, height in sizes} == {(595, 842)}
