"""Golden mails: what goes out for each kind of notice, in each language, byte by byte."""

from itertools import product

import pytest

from maintsched.fleet import Language
from maintsched.mail.compose import check_message
from maintsched.notices import NoticeKind
from tests.goldens import GOLDEN, differences, given, letter, mail, names


@pytest.mark.parametrize("name", names())
def test_a_golden_mail_is_composed_as_it_stands_in_its_file(name: str):
    golden, composed = (GOLDEN / f"{name}.eml").read_bytes(), mail(name)
    lines = differences(golden, composed.data)
    assert golden == composed.data, "\n".join([*lines, f"If that is right: python -m tests.make_golden {name}"])
    check_message(golden, composed)


def test_there_is_a_golden_mail_of_every_kind_in_every_language():
    found = {(given(name)["notice"]["kind"], given(name)["contact"]["language"]) for name in names()}
    assert found == set(product(map(str, NoticeKind), map(str, Language)))
    assert {f"{kind}.{language}" for kind, language in found} <= set(names())


def test_every_golden_mail_has_its_input_and_says_what_it_is_about():
    assert sorted(path.stem for path in GOLDEN.glob("*.eml")) == names()
    assert all(given(name)["about"].endswith(".") for name in names())


def test_the_same_facts_make_the_same_mail_in_both_languages_but_for_the_words():
    for kind in NoticeKind:
        german, english = (given(f"{kind}.{language}") for language in Language)
        assert german["facts"] == english["facts"], kind


def test_a_difference_is_shown_in_words():
    before = mail("reminder.en").data
    assert differences(before, before) == []
    (changed,) = [
        line
        for line in differences(before, before.replace(b"Reply-To: support@", b"Reply-To: help@"))
        if line.startswith("+") and "composed" not in line
    ]
    assert changed == "+Reply-To: help@hosting.example"
    folded = before.replace(b"Content-Language: en\r\n", b"Content-Language:\r\n en\r\n")
    assert any("Content-Language:" in line for line in differences(before, folded))


def test_an_address_outside_ascii_is_written_for_every_mail_server():
    assert letter("idn-address.en").recipient == "jorg@xn--mller-kva.example"
    assert b"\xc3" not in mail("idn-address.en").data
