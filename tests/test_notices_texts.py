"""The words of the notices: every kind in every language says what it has to, and says it in the same way."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from jinja2 import Environment, nodes

from maintsched.fleet import Language
from maintsched.mail.markup import Draft, Facts, Heading, Items, Paragraph, as_html, as_text
from maintsched.mail.templates import builtin_folder
from maintsched.notices import NoticeKind, audience
from maintsched.worker.post import _PLAIN, _STATUS
from tests.notice_samples import (
    ABOUT_WINDOWS,
    ACCESS,
    OFFERS,
    PREVIOUS,
    bare,
    context,
    draft,
    full,
    plain,
    said,
    shape,
    templates,
    with_one_missing,
)

DE, EN = Language.DE, Language.EN
KINDS = tuple(NoticeKind)
FOLDER = builtin_folder()
FILES = sorted(FOLDER.glob("??/*.md"))
SAMPLES = (full, bare)
UPDATES = (
    NoticeKind.REMINDER,
    NoticeKind.ANNOUNCEMENT,
    NoticeKind.EMERGENCY,
    NoticeKind.CONFIRMED,
    NoticeKind.MOVED,
)
DUE = (*UPDATES, NoticeKind.PROVISIONED, NoticeKind.HANDOVER)
each_kind = pytest.mark.parametrize("kind", KINDS)
each_language = pytest.mark.parametrize("language", tuple(Language))
each_sample = pytest.mark.parametrize("facts", SAMPLES, ids=["full", "bare"])
each_window = pytest.mark.parametrize("kind", ABOUT_WINDOWS)


# --- every kind can be said -------------------------------------------------------------------------------------------


def test_there_is_a_template_for_every_kind_in_every_language_and_the_same_parts() -> None:
    named = {language: {file.name for file in FILES if file.parent.name == language} for language in ("de", "en")}
    assert named["de"] == named["en"]
    assert {name.removesuffix(".md") for name in named["en"] if not name.startswith("_")} == set(KINDS)
    assert list(templates().check()) == []


@each_kind
@each_language
@each_sample
@pytest.mark.parametrize("late", [False, True])
def test_nothing_is_missing_empty_or_left_over_in_a_mail(kind, language, facts, late) -> None:
    require_tidy(draft(kind, language, context(kind, language, facts(kind), late=late)))


@each_kind
@each_language
def test_each_value_that_may_be_missing_may_be_so_alone(kind, language) -> None:
    whole = draft(kind, language, context(kind, language, full(kind)))
    for name, facts in with_one_missing(full(kind)):
        made = draft(kind, language, context(kind, language, facts))
        require_tidy(made)
        assert made != whole or (kind, name) in UNSAID, name


UNSAID = {
    (NoticeKind.CANCELLED, "window.holiday"),
    (NoticeKind.STARTED, "run.finished"),
    (NoticeKind.OVERRUN, "run.finished"),
    *((kind, "run.error") for kind in ABOUT_WINDOWS if kind is not NoticeKind.FAILED),
    (NoticeKind.STARTED, "run.overrun"),
}
"""What a kind has no words for."""


def require_tidy(made: Draft) -> None:
    text = f"{made.subject}\n{made.summary}\n{as_text(made.blocks)}"
    assert not re.search(r"\b(None|True|False|undefined)\b|\{[{%]|[%}]\}|\(\)|Moment\(|\[\]", text)
    assert not re.search(r"[:,;(] *[,;.)]|\.\.", text)
    for block in made.blocks:
        if isinstance(block, Facts):
            assert all(plain(value) for _, value in block.rows), block
            assert block.rows[0][0]
        elif isinstance(block, Items):
            assert all(plain(item) for item in block.items), block


@each_kind
@each_language
def test_a_heading_comes_first_and_only_there_and_none_stands_alone(kind, language) -> None:
    for facts in SAMPLES:
        blocks = draft(kind, language, context(kind, language, facts(kind))).blocks
        levels = [block.level if isinstance(block, Heading) else 0 for block in blocks]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert levels[-1] == 0
        assert not any(a and b and b <= a for a, b in pairwise(levels[1:]))


# --- both languages say the same --------------------------------------------------------------------------------------


@each_kind
@each_sample
@pytest.mark.parametrize("late", [False, True])
def test_both_languages_have_the_same_blocks(kind, facts, late) -> None:
    english, german = (
        shape(draft(kind, language, context(kind, language, facts(kind), late=late)).blocks) for language in (EN, DE)
    )
    assert english == german


@pytest.mark.parametrize("name", sorted(file.name for file in FILES if file.parent.name == "en"))
def test_both_languages_use_the_same_names_of_the_context(name: str) -> None:
    english, german = (set(names_in((FOLDER / language / name).read_text(encoding="utf-8"))) for language in (EN, DE))
    assert english == german
    assert english or name.startswith("_")


def names_in(source: str) -> Iterator[str]:
    """Every name that a template looks up, with its attributes."""
    tree = Environment(autoescape=True).parse(source)
    for found in tree.find_all((nodes.Name, nodes.Getattr)):
        node, steps = found, list[str]()
        while isinstance(node, nodes.Getattr):
            steps.insert(0, node.attr)
            node = node.node
        if isinstance(node, nodes.Name):
            yield ".".join([node.name, *steps])


OTHERS = {
    "en": r"[äöüÄÖÜß„]|\b(und|der|das|Sie|Ihre?n?|bitte|wird|werden|nicht|mit|Wartung|Beginn|Ende|Uhr|Ziffer|Sonst)\b",
    "de": r"\b(the|and|you|your|please|will|not|with|this|Window|Work|Start|End|clause|time|mail|fuer|ueber|koennen)\b",
}


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_a_template_speaks_one_language_calmly_in_lines_that_can_be_read(file) -> None:
    source = file.read_text(encoding="utf-8")
    words = re.sub(r"\{\{.*?\}\}|\{%.*?%\}", "", source)
    assert not re.search(OTHERS[file.parent.name], words)
    assert "!" not in words
    assert not re.search(r"\"|--|\.\.\.|\t", words)
    assert max(map(len, source.split("\n"))) <= 400


# --- what is said of a window -----------------------------------------------------------------------------------------


@each_window
@each_language
@each_sample
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
def test_a_mail_about_a_window_names_all_that_people_need(kind, language, facts, zone) -> None:
    words = context(kind, language, facts(kind), zone=ZoneInfo(zone))
    text, window = said(kind, language, words), words["window"]
    for moment in (window["start"], window["end"]):
        assert {moment.text, moment.utc, moment.zone} <= parts_of(text, moment.text, moment.utc, moment.zone)
    wanted = [window["id"], window["impact"], words["clause"], words["contract"], words["customer"]["name"]]
    wanted += [words["provider"]["name"], words["provider"]["contact"], words["contact"]["name"]]
    wanted += [window[name] for name in ("reason", "holiday") if window[name] and says(kind, name)]
    for instance in words["instances"]:
        wanted += [f"{instance['key']} ({instance['environment']})", instance["url"] or "", instance["components"]]
    assert set(wanted) <= parts_of(text, *wanted)


def says(kind: NoticeKind, name: str) -> bool:
    return name == "reason" or kind is not NoticeKind.CANCELLED


def parts_of(text: str, *wanted: str) -> set[str]:
    """Those of `wanted` that `text` holds, so that a failure shows which are missing."""
    return {each for each in wanted if each in text}


@each_window
@each_language
def test_work_is_listed_instance_by_instance(kind, language) -> None:
    words = context(kind, language, full(kind))
    assert set(words["work"]) <= parts_of(said(kind, language, words), *words["work"])


@each_language
def test_a_moved_window_shows_the_time_before_and_a_cancelled_one_the_reason(language) -> None:
    words = context(NoticeKind.MOVED, language, full(NoticeKind.MOVED))
    text = said(NoticeKind.MOVED, language, words)
    assert set(PREVIOUS) == {"start", "end"}
    for moment in (words["previous"].start, words["previous"].end):
        assert text.index(moment.text) < text.index(moment.utc) < text.index(words["window"]["start"].text)
    words = context(NoticeKind.CANCELLED, language, full(NoticeKind.CANCELLED))
    assert words["why"] in said(NoticeKind.CANCELLED, language, words)


@each_language
def test_a_tentative_window_says_that_it_is_no_announcement_and_numbers_what_can_be_chosen(language) -> None:
    words = context(NoticeKind.TENTATIVE, language, full(NoticeKind.TENTATIVE))
    text = said(NoticeKind.TENTATIVE, language, words)
    assert {"en": "a proposal, not an announcement", "de": "ein Vorschlag und keine Ankündigung"}[language] in text
    word = {"en": "Option", "de": "Vorschlag"}[language]
    assert len(OFFERS) == 3
    for option in words["alternatives"]:
        for moment in (option.start, option.end):
            assert f"{moment.text} {moment.utc}" in text
        assert f"{word} {option.number} " in text
    assert text.count(words["choose_until"].text) == 2
    assert f"{words['provider']['contact']}, " in text


@each_language
def test_an_emergency_says_why_so_soon_how_soon_and_how_it_counts(language) -> None:
    words = context(NoticeKind.EMERGENCY, language, full(NoticeKind.EMERGENCY))
    text = said(NoticeKind.EMERGENCY, language, words)
    assert words["hurry"] in text
    assert {"en": "11 hours 30 minutes", "de": "11 Stunden 30 Minuten"}[language] in text
    counts = {
        "en": "counts as downtime in the monthly availability",
        "de": "in der monatlichen Verfügbarkeit als Ausfall",
    }
    assert counts[language] in text


@each_language
@pytest.mark.parametrize("kind", [NoticeKind.STARTED, NoticeKind.FINISHED, NoticeKind.FAILED, NoticeKind.OVERRUN])
def test_work_under_way_or_done_has_its_own_times_beside_the_announced_ones(kind, language) -> None:
    words = context(kind, language, full(kind))
    text, run = said(kind, language, words), words["run"]
    moments = [moment for moment in (run["started"], run["finished"]) if moment]
    assert all(f"{moment.text} {moment.utc}" in text for moment in moments)
    assert (run["error"] in text) == (kind is NoticeKind.FAILED)
    assert (run["overrun"] in text) == (kind is not NoticeKind.STARTED)


# --- what the customer has to do, and what is promised ----------------------------------------------------------------


@each_kind
@each_language
def test_a_mail_says_what_is_to_be_done_before_it_says_whom_to_ask(kind, language) -> None:
    blocks = draft(kind, language, context(kind, language, full(kind))).blocks
    headings = [plain(block.runs) for block in blocks if isinstance(block, Heading)]
    todo = {"en": "What you have to do", "de": "Was Sie tun müssen"}[language]
    last = [] if kind is NoticeKind.OPERATOR_ALERT else [{"en": "Contact", "de": "Kontakt"}[language]]
    assert headings[-1 - len(last) :] == [todo, *last]
    duties = blocks[[plain(getattr(block, "runs", ())) for block in blocks].index(todo) + 1]
    assert isinstance(duties, Paragraph if kind is NoticeKind.OPERATOR_ALERT else Items)


@each_language
@each_sample
@pytest.mark.parametrize("kind", [*UPDATES, NoticeKind.DEFERRAL_ENDED])
def test_before_updates_the_customer_is_asked_to_back_up_and_to_check_afterwards(kind, language, facts) -> None:
    text = said(kind, language, context(kind, language, facts(kind)))
    backup, check = {"en": ("Back up your", "afterwards"), "de": ("Sichern Sie Ihre", "prüfen")}[language]
    assert backup in text
    assert {"en": "(clause 7.1)", "de": "(Ziffer 7.1)"}[language] in text
    assert check in text.lower()
    named = said(kind, language, context(kind, language, facts(kind)) | {"backup_clause": "S9.9"})
    assert "S9.9)" in named
    assert "7.1" not in named


@each_language
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.startswith("deferral")])
def test_a_deferral_names_its_dates_and_whose_task_the_adapting_is(kind, language) -> None:
    words = context(kind, language, full(kind))
    text = said(kind, language, words)
    for name in ("start", "until", "limit", "next_window"):
        moment = words["deferral"][name]
        assert f"{moment.text} {moment.utc}" in text
    assert {"en": "this is your task alone", "de": "allein Ihre Aufgabe"}[language] in text
    security = {"en": "Security fixes of the portal software", "de": "Sicherheitskorrekturen der Portalsoftware"}
    assert (security[language] in text) == (kind is not NoticeKind.DEFERRAL_ENDED)


@each_kind
@each_language
def test_a_late_notice_says_so_in_one_sentence_and_a_timely_one_does_not(kind, language) -> None:
    late, timely = (said(kind, language, context(kind, language, full(kind), late=flag)) for flag in (True, False))
    sentence = {"en": "later than we have promised (clause", "de": "später, als wir es Ihnen zugesagt haben (Ziffer"}
    assert late.count(sentence[language]) == (1 if kind in DUE else 0)
    assert sentence[language] not in timely


@each_language
def test_access_is_never_in_a_mail_only_where_it_is_handed_over(language) -> None:
    names = set(names_in((FOLDER / language / "provisioned.md").read_text(encoding="utf-8")))
    used = {name for name in names if name.startswith("access.")}
    assert used == {"access.instance", "access.url", "access.link", "access.due", "access.due.text", "access.due.utc"}
    blocks = draft(
        NoticeKind.PROVISIONED, language, context(NoticeKind.PROVISIONED, language, full(NoticeKind.PROVISIONED))
    ).blocks
    assert f'<a href="{ACCESS["link"]}">' in as_html(blocks)


@each_language
def test_a_report_has_a_row_for_each_instance_in_the_numbers_of_the_language(language) -> None:
    words = context(NoticeKind.AVAILABILITY_REPORT, language, full(NoticeKind.AVAILABILITY_REPORT))
    text = said(NoticeKind.AVAILABILITY_REPORT, language, words)
    met, missed = {"en": ("target met", "target missed"), "de": ("Ziel erreicht", "Ziel verfehlt")}[language]
    good, bad, target = {"en": ("99.98%", "99.21%", "99.5%"), "de": ("99,98 %", "99,21 %", "99,5 %")}[language]
    assert target in text
    assert re.search(rf"acme-prod: {good}, {met} \w+ 8 min, \w+ 3 h 42 min", text)
    assert re.search(rf"acme-shop: {bad}, {missed} \w+ 5 h 53 min, \w+ 3 h 42 min", text)


# --- the page of the reference ----------------------------------------------------------------------------------------

PAGE = (Path(__file__).parents[1] / "docs" / "reference" / "notices.md").read_text(encoding="utf-8")


@each_kind
def test_the_reference_tells_who_gets_a_kind_and_what_calendars_show_of_it(kind) -> None:
    kinds, _, calendar = PAGE.partition("## Calendar")
    rows = re.findall(rf"^\| `{kind}` \|.*$", kinds, flags=re.MULTILINE)
    assert len(rows) == 1
    role = "operator's address" if kind is NoticeKind.OPERATOR_ALERT else f"| `{audience(kind)}` |"
    assert role in rows[0]
    shown = re.findall(rf"^\| [^|]*`{kind}`[^|]*\| `(\w+)`.*\| `([A-Z-]+)` \|$", calendar, flags=re.MULTILINE)
    status, maintnote = _STATUS.get(kind, _PLAIN)
    assert shown == ([(status.upper(), maintnote)] if kind in ABOUT_WINDOWS else [])
