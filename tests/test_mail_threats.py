"""Attacks on mails, run: what matters is what comes out of the machine."""

import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintsched.errors import FileError, InvalidValue, MaintschedError
from maintsched.fleet import Language
from maintsched.mail.compose import check_message, compose
from maintsched.mail.headers import address_atoms, text_atoms
from maintsched.mail.letter import Composed, Letter
from maintsched.mail.message import Content, message_bytes
from maintsched.mail.sandbox import SIZE_MAX
from maintsched.notices import NoticeKind
from tests.letters import builtin, context, letter, with_words
from tests.test_mail_markup import Page
from tests.test_mail_message import NAMES, kinds, read, words_of
from tests.test_mail_templates import own, refusal, text

HOSTILE = [
    "x\r\nBcc: eve@evil.example",
    "x\nBcc: eve@evil.example",
    "x\rBcc: eve@evil.example",
    "x\r\n\r\n<script>alert(1)</script>",
    "x\u2028Bcc: eve@evil.example",
    "x\x85Bcc: eve@evil.example",
    "x\x00y",
    "=?UTF-8?Q?=0A?=Bcc: eve@evil.example",
    "=?utf-8?b?DQpCY2M6IGV2ZUBldmlsLmV4YW1wbGU=?=",
    "Eva, Bob <bob@evil.example>",
    '" <eve@evil.example>, "',
    "javascript:alert(1)",
    "<a href='javascript:alert(1)'>x</a>",
    "<img src=https://evil.example/p.png>",
    "{{ ''.__class__.__mro__ }}",
    "{% include '/etc/passwd' %}",
    "\u202egnp.exe",
    "END:VEVENT\r\nBEGIN:VEVENT\r\nUID:evil",
    "\r\n.\r\nMAIL FROM:<eve@evil.example>\r\n",
    "--=_mixed_",
]
PLACES: dict[str, Callable[[str], Letter]] = {
    "reason": lambda value: with_words(letter(), window={**letter().context["window"], "reason": value}),
    "work": lambda value: with_words(letter(), work=[value, f"- {value}"]),
    "contact": lambda value: with_words(letter(), contact={"name": value}),
    "provider": lambda value: with_words(letter(), provider={**letter().context["provider"], "name": value}),
    "instance": lambda value: with_words(letter(), instances=[{**letter().context["instances"][0], "impact": value}]),
    "recipient_name": lambda value: letter(recipient_name=value),
    "sender_name": lambda value: letter(sender_name=value),
}


def composed_or_refused(make: Callable[[str], Letter], value: str) -> Composed | None:
    try:
        return compose(make(value), builtin())
    except InvalidValue:
        return None


def assert_harmless(composed: Composed) -> None:
    check_message(composed.data, composed)
    found = read(composed)
    assert found.keys() == NAMES
    assert [each.addr_spec for each in found["To"].addresses] == ["eva@acme.example"]
    assert len(kinds(found)) == 6
    *_, plain, html, calendar, _ = found.walk()
    page = Page(words_of(html))
    assert not {"script", "img", "form", "iframe"} & set(page.tags)
    assert all(re.match("https?://", link or "") for link in page.links)
    assert calendar.get_content().count("\r\nBEGIN:VEVENT\r\n") == 1
    assert words_of(plain).isprintable() or not re.search(r"[\x00-\x09\x0b-\x1f\x85\u2028\u202e]", words_of(plain))


# --- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("place", PLACES)
def test_a_hostile_value_is_refused_or_stays_text(place: str, value: str):
    composed = composed_or_refused(PLACES[place], value)
    if composed is None:
        assert "=?" in value or not value.isprintable()
        assert "recipient" in place or "sender" in place or "=?" in value
    else:
        assert_harmless(composed)


@given(st.sampled_from(list(PLACES)), st.lists(st.sampled_from([*HOSTILE, "a", " ", "ü"]), min_size=1, max_size=4))
def test_no_mixture_of_hostile_values_changes_the_shape_of_a_mail(place: str, pieces: list[str]):
    composed = composed_or_refused(PLACES[place], "".join(pieces))
    if composed is not None:
        assert_harmless(composed)


@pytest.mark.parametrize("value", ["{{ ''.__class__ }}", "{% if x %}", "{{ 7 * 7 }}", "{#"])
def test_an_instruction_in_a_value_stays_text(value: str):
    assert f"- {value}\n" in compose(with_words(letter(), work=[value]), builtin()).text


@pytest.mark.parametrize("value", [each for each in HOSTILE if "=?" in each or not each.isprintable()])
def test_no_hostile_text_gets_into_a_header_even_where_nobody_looked_before(value: str):
    content = Content(subject=f"s {value}", text="x\n", html="x\n", calendar=None)
    if "=?" in value or re.search(r"[^\s\x20-\x7e]", value):
        with pytest.raises(InvalidValue, match="printable"):
            message_bytes(letter(), content)
    for refuse in (lambda: text_atoms("Subject", f"={value[1:]}"), lambda: address_atoms("To", value, "a@b.example")):
        try:
            made = " ".join(refuse())
        except InvalidValue:
            continue
        assert "\r" not in made
        assert "\n" not in made


def test_an_encoded_word_that_only_comes_about_in_the_subject_is_refused(tmp_path: Path):
    templates = own(tmp_path, "x", head="Subject: ={{ work[0] }}\n\n")
    with pytest.raises(InvalidValue, match=r"Subject: .*'=\?'"):
        compose(with_words(letter(), work=["?utf-8?q?=0ABcc: e@x?="]), templates)


# --- what an operator's template cannot do ----------------------------------------------------------------------------

REACHING_OUT = [
    "{{ ''.__class__ }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ contact.__init__ }}",
    "{{ contact['__class__'] }}",
    "{{ window.start.__class__ }}",
    "{{ window.start['__class__'] }}",
    "{{ self.__init__.__globals__ }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ lipsum() }}",
    "{{ cycler }}",
    "{{ joiner() }}",
    "{{ ''|attr('__class__') }}",
    "{{ [contact]|map(attribute='__class__')|first }}",
    "{{ [window.start]|map(attribute='__class__')|join }}",
    "{{ '%s' % contact }}",
    "{{ '{0.__class__}'.format(contact) }}",
    "{{ ''.join }}",
    "{{ work.append('x') }}",
    "{{ contact|pprint }}",
    "{{ '<b>'|safe }}",
    "{% set x = contact.clear() %}",
    "{% import '/etc/passwd' as x %}",
    "{% for x in self %}{% endfor %}",
    "{% do work.clear() %}",
    "{{ loop }}",
]
GROWING = [
    "{{ 'a' * 10 ** 8 }}",
    "{{ 'a' * 100000000 }}",
    "{{ ['a'] * 100000000 }}",
    "{{ 'a'|center(1000000000) }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ 'a'.ljust(1000000000) }}",
    "{{ 10 ** 10 ** 10 }}",
    "{{ 1000000000000 * 1000000000000 }}",
    "{{ work * 40 }}",
    "DOUBLE{% set n.s = n.s ~ n.s %}{% endfor %}x",
    "DOUBLE{% set n.s = n.s + n.s %}{% endfor %}x",
    "DOUBLE{% set n.s = [n.s, n.s]|join %}{% endfor %}x",
    "DOUBLE{% set n.s = [n.s, n.s]|join(n.s) %}{% endfor %}x",
    "DOUBLE{% set n.s = n.s|replace('a', 'aa') %}{% endfor %}x",
    "DOUBLE{% set n.s %}{{ n.s }}{{ n.s }}{% endset %}{% endfor %}x",
    "{% set n = namespace(s=9) %}{% for a in FEW %}{% set n.s = n.s * n.s %}{% endfor %}x",
    "{% for a in MANY %}{% for b in MANY %}{% for c in MANY %}aaaaaaaaa{{ a }}{% endfor %}{% endfor %}{% endfor %}",
    "{% macro m() %}x{{ m() }}{% endmacro %}{{ m() }}",
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(99) }}",
    "LONG{% for c in MANY %}{% for d in MANY %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}x",
    "LONG{% for c in MANY if c == 1 %}{% endfor %}{% endfor %}{% endfor %}x",
    "{% set s = namespace(s='MANY') %}LONG{% set x = s.s|list|sort|unique|list %}{% endfor %}{% endfor %}x",
    '{% set i = (i|default(60)) - 1 %}{% if i > 0 %}{% include "reminder.md" %}{% include "reminder.md" %}{% endif %}',
    '{% include "reminder.md" %}',
    "{{ 'x'|truncate(10, true, 'a' * 1000000000) }}",
    "{{ range(1000000000)|list }}",
    "{{ [1]|batch(1000000000, 1)|list }}",
    "{{ 'x'|indent(1000000000, true) }}",
]


@pytest.mark.parametrize("body", REACHING_OUT)
def test_a_template_cannot_reach_into_the_program(tmp_path: Path, body: str):
    assert isinstance(refusal(own(tmp_path, f"x {body}\n")), FileError)


@pytest.mark.parametrize("body", GROWING)
def test_a_template_that_grows_without_bound_is_stopped_soon(tmp_path: Path, body: str):
    begin = "{% set n = namespace(s='aaaaaaaa') %}{% for a in FEW %}"  # to a million characters, if nobody counts
    body = body.replace("DOUBLE", begin).replace("FEW", str([0] * 17))
    body = body.replace("LONG", "{% for a in MANY %}{% for b in MANY %}").replace("MANY", str([0] * 300))
    templates = own(tmp_path, body)
    begun = time.process_time()
    refusal(templates)
    assert time.process_time() - begun < 1


def test_a_mail_has_its_size_and_no_more(tmp_path: Path):
    head = "Subject: s\n\n"
    room = SIZE_MAX - len(head) - 1
    templates = own(tmp_path, "{{ work[0] }}")
    assert text(templates, work=["a" * room]) == "a" * room
    assert "256 KiB" in str(refusal(templates, work=["a" * (room + 1)]))
    assert "256 KiB" in str(refusal(templates, work=["ü" * (room // 2 + 1)]))


def test_a_hundred_million_characters_in_a_value_are_refused_quickly(tmp_path: Path):
    templates = own(tmp_path, "{{ work[0] }}")
    for value in ("a" * 10**8, "\x00" * 10**8):
        begun = time.perf_counter()
        assert "256 KiB" in str(refusal(templates, work=[value]))
        assert time.perf_counter() - begun < 1


def test_values_are_what_they_were_after_a_template_was_filled(tmp_path: Path):
    words = context(NoticeKind.REMINDER, Language.EN)
    before = repr(words)
    templates = own(tmp_path, "{% set work = ['x'] %}{% set n = namespace(a=work) %}{{ work|sort|join }}")
    templates.draft(Language.EN, NoticeKind.REMINDER, words)
    assert repr(words) == before


@given(st.text(st.sampled_from("{}%#-|'\"_.()[]~+* \nabclass0"), max_size=60))
def test_any_template_is_filled_or_refused_by_an_error_of_ours(tmp_path_factory: Any, body: str):
    with suppress(MaintschedError):
        text(own(tmp_path_factory.getbasetemp() / "any", body))
