"""Notices whose values are long or hostile: subjects stay short, and a value never becomes anything but text."""

import re
from typing import Any

import pytest

from maintsched.fleet import Language
from maintsched.mail.markup import as_html, as_text
from maintsched.notices import NoticeKind
from tests.notice_samples import ABOUT_WINDOWS, context, contract, draft, full, shape

KINDS = tuple(NoticeKind)
each_kind = pytest.mark.parametrize("kind", KINDS)
each_language = pytest.mark.parametrize("language", tuple(Language))


@each_kind
@each_language
def test_a_subject_tells_the_kind_first_and_is_short_whatever_the_reason(kind, language) -> None:
    facts = full(kind)
    if kind in ABOUT_WINDOWS:
        facts["window"] = {**facts["window"], "reason": "a very long reason " * 30}
    ordinary, long = (draft(kind, language, context(kind, language, each)) for each in (full(kind), facts))
    assert len(ordinary.subject) < 120
    assert len(long.subject) < 120
    assert len(long.summary) < 120
    if kind in ABOUT_WINDOWS:
        shorts = {f"{moment.short}" for moment in moments_of(context(kind, language, facts))}
        assert any(long.subject.endswith(short) for short in shorts)


def moments_of(words: dict[str, Any]) -> list[Any]:
    run = words.get("run", {})
    return [words["window"]["start"], words["window"]["end"], *(run[n] for n in ("started", "finished") if run.get(n))]


def test_the_first_words_of_subjects_tell_all_kinds_apart() -> None:
    for language in Language:
        subjects = [draft(kind, language, context(kind, language, full(kind))).subject for kind in KINDS]
        starts = [re.split(r": | im | in ", subject)[0] for subject in subjects]
        assert len(set(starts)) == len(KINDS)


HOSTILE = (
    "# x | y | <script>alert(1)</script> {{ 7 * 7 }} {% raw %}\n\n- z\n| a | b |\u202e https://evil.example/ & so on"
)
SHOWN = "# x | y | <script>alert(1)</script> {{ 7 * 7 }} {% raw %} - z | a | b | https://evil.example/ & so on"
FREE = {
    "reason",
    "why",
    "hurry",
    "note",
    "error",
    "overrun",
    "holiday",
    "title",
    "way_out",
    "link",
    "release",
    "percent",
}


def poisoned(value: Any, name: str = "") -> Any:
    """The same facts with a hostile text wherever people write freely."""
    if isinstance(value, dict):
        return {key: poisoned(each, key) for key, each in value.items()}
    if isinstance(value, list):
        return [poisoned(each, name) for each in value]
    return HOSTILE if isinstance(value, str) and value and name in FREE | {"lines"} else value


@each_kind
@each_language
def test_hostile_values_stay_text_and_change_no_block(kind, language) -> None:
    harmless = context(kind, language, full(kind))
    words = context(kind, language, poisoned(full(kind)))
    words |= {"customer": {"key": "acme", "name": HOSTILE}, "contact": {"name": HOSTILE}, "contract": HOSTILE}
    made = draft(kind, language, words)
    assert shape(made.blocks) == shape(draft(kind, language, harmless).blocks)
    html = as_html(made.blocks)
    assert "<script" not in html
    assert "evil.example" not in re.findall(r'href="([^"]*)"', html)
    assert not any("evil.example" in link for link in re.findall(r'href="([^"]*)"', html))
    assert SHOWN in " ".join(as_text(made.blocks).split())
    assert "\u202e" not in as_text(made.blocks) + made.subject + made.summary
    assert contract().title not in html
