"""Golden mails: what goes out for each kind of notice, in each language, byte by byte."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest

import maintsched as ms
from maintsched.announcements import WindowState
from maintsched.fleet import Language
from maintsched.mail.compose import check_message
from maintsched.mail.outcomes import Result
from maintsched.notices import NoticeKind
from maintsched.spans import Span
from maintsched.worker import announce as core
from maintsched.worker.again import tell_provisioned
from maintsched.worker.outages import close_outage, open_outage
from tests.databases import sqlite_store
from tests.goldens import GOLDEN, differences, given, letter, mail, names
from tests.houses import NOW, REMINDED, critical, world


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


def test_golden_facts_are_named_like_those_that_the_worker_stores(tmp_path):
    found = stored(tmp_path)
    assert len(found) == 11
    for kind, facts in found.items():
        assert list(differing(given(f"{kind}.en")["facts"], facts)) == [], kind


def stored(folder: Path) -> dict[str, Any]:
    """The facts of the first notice of each kind that the worker stores in a short while."""
    disk, hole, start = "critical/disk", "critical/hole", NOW + timedelta(days=7)
    with sqlite_store(folder) as store:
        home = world(store, folder)
        house = home.house
        home.tick()
        core.announce(house, critical(start=start), now=NOW, state=WindowState.TENTATIVE)
        core.announce(house, critical("hole", start=start), now=NOW)
        soon = critical("fire", kind=ms.WindowKind.EMERGENCY, start=NOW + timedelta(hours=5))
        core.announce(house, soon, now=NOW, hurry="it burns")
        kept = open_outage(house, ms.Outage(start=NOW, end=None, instance="acme-prod"), now=NOW).outage
        close_outage(house, kept.key, end=NOW + timedelta(hours=1), now=NOW + timedelta(hours=1))
        tell_provisioned(house, "acme-prod", "https://hosting.example/access", ordered_at=NOW, now=NOW)
        home.mailer.answer = lambda mail: Result.REFUSED if mail.recipient.startswith("otto") else Result.ACCEPTED
        home.tick()
        core.confirm(house, disk, now=NOW)
        core.move(house, hole, Span(start=start + timedelta(days=1), end=start + timedelta(days=1, hours=2)), now=NOW)
        home.tick()
        core.cancel(house, disk, now=NOW, reason="not needed")
        home.tick(REMINDED)
        return {str(each.notice.kind): each.notice.facts for each in reversed(home.notices())}


def differing(one: Any, other: Any, at: str = "") -> Iterator[str]:
    """Names that only one of two facts has; what is empty says nothing of the names within."""
    if isinstance(one, dict) and isinstance(other, dict):
        yield from (f"{at}.{name}" for name in one.keys() ^ other.keys())
        for name in one.keys() & other.keys():
            yield from differing(one[name], other[name], f"{at}.{name}")
    elif isinstance(one, list) and isinstance(other, list) and one and other:
        yield from differing(one[0], other[0], at)


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
