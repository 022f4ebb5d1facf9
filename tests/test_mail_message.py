"""A mail as bytes: its headers and parts are those that were asked for, as a mail program reads them."""

import base64
import re
from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from maintsched.errors import InvalidValue
from maintsched.fleet import Language
from maintsched.mail.compose import check_message, compose, envelope_id, message_id
from maintsched.mail.headers import address_atoms, encoded_words, header, text_atoms
from maintsched.mail.letter import Composed, Letter, Method
from maintsched.mail.templates import Templates
from maintsched.notices import NoticeKind
from tests.letters import builtin, event, letter, with_words
from tests.test_mail_markup import Page, words

NAMES = [
    "From", "To", "Reply-To", "Subject", "Date", "Message-ID", "Auto-Submitted", "X-Auto-Response-Suppress", "List-Id",
    "List-Unsubscribe", "MIME-Version", "Content-Type", "Content-Language",
]  # fmt: skip
VISIBLE = st.characters(codec="utf-8", exclude_categories=("C", "Z"), include_characters=" ")
TEXTS = st.text(VISIBLE, min_size=1, max_size=200).map(str.strip).filter(lambda text: text and "=?" not in text)
PERSONS = st.one_of(TEXTS, st.text(st.sampled_from("aü \"\\,;:<>@()[].'"), min_size=1, max_size=80).filter(str.strip))


def mail(of: Letter | None = None) -> Composed:
    return compose(of or letter(), builtin())


def read(composed: Composed) -> EmailMessage:
    found = message_from_bytes(composed.data, policy=policy.SMTP)
    assert isinstance(found, EmailMessage)
    return found


def words_of(part: Any) -> str:
    return part.get_content().replace("\r\n", "\n")


def read_name(line: str) -> str:
    """The name in an address header, by RFC 2047; `email.policy` of some versions puts spaces between encoded words."""
    written = line.removeprefix("To: ").rpartition(" <")[0].replace("\r\n", "")
    if written.startswith("=?"):
        return str(make_header(decode_header(written)))
    return re.sub(r"\\(.)", r"\1", written[1:-1]) if written.startswith('"') else written


def kinds(message: Any) -> list[str]:
    return [part.get_content_type() for part in message.walk()]


# --- headers ----------------------------------------------------------------------------------------------------------


def test_the_headers_of_a_mail_are_these_in_this_order():
    found = read(mail())
    assert found.keys() == NAMES
    assert found["From"].addresses[0].display_name == "Müller Hosting"
    assert found["From"].addresses[0].addr_spec == "notices@provider.example"
    assert str(found["To"]) == "Eva Musterfrau <eva@acme.example>"
    assert found["Reply-To"] == "support@provider.example"
    assert parsedate_to_datetime(found["Date"]) == letter().stamp
    assert found["Auto-Submitted"] == "auto-generated"
    assert found["X-Auto-Response-Suppress"] == "OOF, AutoReply, RN, NRN"
    assert found["List-Id"] == "<maintenance.provider.example>"
    assert found["List-Unsubscribe"] == "<mailto:support@provider.example?subject=unsubscribe>"
    assert found["Content-Language"] == "en"


def test_the_subject_begins_with_the_id():
    assert str(read(mail())["Subject"]).startswith("[monthly/2026-12] Maintenance reminder: ")
    composed = mail(letter("availability_report", subject_id="2026-12"))
    assert composed.subject.startswith("[2026-12] ")


def test_a_later_notice_answers_the_first_one():
    first = message_id("first", "provider.example")
    found = read(mail(letter(reference=first)))
    assert (found["In-Reply-To"], found["References"]) == (first, first)
    assert found.keys() == [*NAMES[:6], "In-Reply-To", "References", *NAMES[6:]]


def test_who_cannot_be_answered_elsewhere_is_answered_at_the_sender():
    found = read(mail(letter(reply_to=None)))
    assert "Reply-To" not in found
    assert found["List-Unsubscribe"] == "<mailto:notices@provider.example?subject=unsubscribe>"
    found = read(mail(letter(unsubscribe="off@provider.example")))
    assert found["List-Unsubscribe"] == "<mailto:off@provider.example?subject=unsubscribe>"


def test_the_organizer_is_who_the_mail_is_from():
    (part,) = [part for part in read(mail()).walk() if part.get_content_type() == "text/calendar"]
    assert "ORGANIZER;CN=Müller Hosting:mailto:notices@provider.example" in part.get_content()


def test_the_id_of_a_message_follows_from_the_key_and_is_short():
    assert message_id("k", "a.example") == message_id("k", "a.example") != message_id("l", "a.example")
    for length in range(1, 33):
        domain = "d" * length
        made = message_id("k", domain)
        assert len(made) < 60
        assert made.endswith(f"@{domain}>")
        assert 24 <= len(made.partition("@")[0]) - 1 <= 40
    assert len(message_id("k", "d" * 60)) == 24 + 3 + 60
    assert envelope_id("k").startswith(message_id("k", "a.example")[1:].partition("@")[0])


def test_the_id_stays_when_the_address_is_corrected():
    corrected = letter(recipient="e.musterfrau@acme.example")
    assert mail(corrected).message_id == mail().message_id
    assert mail(corrected).envid == mail().envid


@given(TEXTS, st.sampled_from(["Subject", "X-Something-Long"]))
@example("x" * 300, "Subject")
@example("ü" + "x" * 300 + " ü", "Subject")
@example("a" * 76 + " b", "Subject")
def test_a_text_in_a_header_reads_as_it_was_written_in_short_lines(text: str, name: str):
    made = header(name, *text_atoms(name, text))
    assert all(len(line) <= 78 for line in made.split("\r\n"))
    assert made.isascii()
    assert str(message_from_bytes(f"{made}\r\n".encode(), policy=policy.SMTP)[name]) == " ".join(text.split())


def test_plain_words_around_others_stay_plain():
    assert text_atoms("Subject", "[x] für alle da") == ("[x]", "=?utf-8?q?f=C3=BCr?=", "alle", "da")


@given(st.text(st.sampled_from("aü😀 "), min_size=1, max_size=200))
def test_an_encoded_word_is_short_and_holds_whole_characters(text: str):
    words = encoded_words(text, taken=20)
    assert all(len(word) <= 75 for word in words)
    assert "".join(decode_header(word)[0][0].decode() for word in words) == text


@given(PERSONS)
@example("Müller, Eva <eve@evil.example>")
@example("Eva, Bob <bob@evil.example>, Carl")
@example('"quoted" (comment) \\ back')
def test_whatever_a_name_holds_it_is_one_name_of_one_address(name: str):
    made = header("To", *address_atoms("To", name, "eva@acme.example"))
    found = message_from_bytes(f"{made}\r\n".encode(), policy=policy.SMTP)["To"]
    assert [each.addr_spec for each in found.addresses] == ["eva@acme.example"]
    assert read_name(made) == " ".join(name.split())
    assert all(len(line) <= 78 for line in made.split("\r\n"))


# --- parts ------------------------------------------------------------------------------------------------------------


def test_a_mail_about_a_window_has_text_html_calendar_and_the_same_calendar_attached():
    found = read(mail())
    assert kinds(found) == [
        "multipart/mixed", "multipart/alternative", "text/plain", "text/html", "text/calendar", "application/ics",
    ]  # fmt: skip
    *_, text, html, calendar, attached = found.walk()
    assert [part["Content-Transfer-Encoding"] for part in (text, html, calendar, attached)] == [
        "quoted-printable", "quoted-printable", "base64", "base64",
    ]  # fmt: skip
    assert calendar.get_payload(decode=True) == attached.get_payload(decode=True)
    assert calendar.get_param("method") == "PUBLISH"
    assert b"\r\nMETHOD:PUBLISH\r\n" in calendar.get_payload(decode=True)
    assert attached.get_content_disposition() == "attachment"
    assert attached.get_filename() == "maintenance.ics"


def test_a_mail_about_anything_else_has_text_and_html():
    assert kinds(read(mail(letter("outage_begun")))) == ["multipart/alternative", "text/plain", "text/html"]


@pytest.mark.parametrize("method", list(Method))
def test_the_method_is_that_of_the_calendar_and_a_machine_gets_none(method: Method):
    (part,) = [
        part for part in read(mail(letter(event=event(method=method)))).walk()
        if part.get_content_type() == "text/calendar"
    ]  # fmt: skip
    wanted = None if method is Method.NONE else method.upper()
    assert part.get_param("method") == wanted
    assert (f"METHOD:{wanted}" in part.get_content()) is (wanted is not None)
    assert ("METHOD" in part.get_content()) is (wanted is not None)


def test_text_and_html_arrive_as_they_are_shown():
    composed = mail(letter(language="de"))
    _, _, text, html, *_ = read(composed).walk()
    assert words_of(text) == composed.text
    assert words_of(html) == composed.html
    assert "müssen" in composed.text


# --- bytes ------------------------------------------------------------------------------------------------------------


def test_the_same_letter_gives_the_same_bytes():
    assert compose(letter(), Templates()).data == compose(letter(), Templates()).data
    assert mail().digest == mail().digest != mail(letter(stamp=letter().stamp + timedelta(seconds=1))).digest


@given(TEXTS, TEXTS, PERSONS.filter(lambda name: len(name) <= 200))
def test_whatever_the_words_a_mail_is_read_back_as_it_was_meant(reason: str, key: str, name: str):
    base = letter(language="de", recipient_name=name)
    words = {"window": {**base.context["window"], "reason": reason}, "work": [key]}
    composed = mail(with_words(base, **words))
    check_message(composed.data, composed)
    found = read(composed)
    assert found.keys() == NAMES
    assert len(kinds(found)) == 6
    assert words_of(list(found.walk())[2]) == composed.text
    assert max(map(len, composed.data.split(b"\r\n"))) <= 998


@pytest.mark.parametrize("line", [".", "..", "From me", "--=_words_x", "--", " ", "=", "x" * 2000])
def test_awkward_lines_arrive_as_they_are(line: str):
    composed = mail(with_words(letter(), work=[line, f"x {line}"]))
    check_message(composed.data, composed)
    assert words_of(list(read(composed).walk())[2]) == composed.text


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("kind", list(NoticeKind))
def test_every_kind_in_every_language_is_read_back_as_it_was_meant(kind: NoticeKind, language: Language):
    composed = mail(letter(kind, language))
    check_message(composed.data, composed)
    page = composed.html.partition("<body>")[2]
    assert words(Page(page).words) == words(composed.text)


# --- reading back -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\r\nDate:", b"\r\nBcc: e@x.example\r\nDate:"),
        (b"\r\nDate:", b"\r\nSubject: other\r\nDate:"),
        (b"\r\nList-Id:", b"\r\nX-List-Id:"),
        (b"Eva Musterfrau <eva@acme.example>", b"Eva <eva@acme.example>, bob@x.example"),
        (b"eva@acme.example>\r\n", b"eve@acme.example>\r\n"),
        (b"Maintenance reminder", b"Maintenance Reminder"),
        (b"\r\nMessage-ID: <", b"\r\nMessage-ID: <0"),
        (b"\r\n\r\n", b"\r\n\n"),
        (b"--\r\n", b"--\r\n.\n"),
        (b"Content-Language: en", b"Content-Language: \xc3\xa4"),
        (b"Content-Language: en", b"Content-Language: " + b"e" * 999),
        (b'boundary="=_mixed', b'boundary="=_other'),
    ],
)
def test_a_mail_that_was_changed_is_found_out(old: bytes, new: bytes):
    composed = mail()
    changed = composed.data.replace(old, new, 1)
    assert changed != composed.data
    with pytest.raises(InvalidValue, match=r"^mail"):
        check_message(changed, composed)


def test_base64_lines_are_those_of_mime():
    _, _, _, _, part, _ = read(mail()).walk()
    lines = str(part.get_payload()).split()
    assert all(len(line) == 76 for line in lines[:-1])
    assert base64.b64decode("".join(lines), validate=True).startswith(b"BEGIN:VCALENDAR\r\n")


# --- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changed",
    [
        {"recipient_name": "Eva\r\nBcc: e@x.example"},
        {"sender_name": "=?UTF-8?Q?=0A?=Bcc: e@x"},
        {"recipient": "eva@acme.example, bob@x.example"},
        {"recipient": "eva"},
        {"bounce": "a b@x.example"},
        {"reply_to": "x@x.example\n"},
        {"domain": "x>\r\nBcc: y"},
        {"subject_id": "a\nb"},
        {"subject_id": "a b"},
        {"subject_id": "=?x"},
        {"subject_id": ""},
        {"key": "a\r\nb"},
        {"reference": "a@b"},
        {"reference": "xa@b>"},
        {"reference": f"<{'a' * 300}@b>"},
        {"reference": "<a@b>\r\nBcc: <c@d>"},
        {"reference": "<a@b> <c@d>"},
        {"stamp": letter().stamp.replace(tzinfo=None)},
        {"language": "fr"},
        {"kind": "birthday"},
    ],
)
def test_a_letter_that_could_change_a_header_is_refused_at_birth(changed: dict[str, Any]):
    with pytest.raises(InvalidValue):
        replace(letter(), **changed)
