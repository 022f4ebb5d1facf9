"""What the mail folder promises on bad days: no descriptor left, a short password, a template that cannot be read."""

import os
import resource
from contextlib import contextmanager
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from maintsched.errors import FileError
from maintsched.intake.config import FileName
from maintsched.mail.bounces import read_maildir
from maintsched.mail.outcomes import Hint, Result
from maintsched.mail.settings import MailSettings, Secret, Tls
from maintsched.mail.templates import Templates
from maintsched.worker import announce as core
from maintsched.worker.tick import ExitCode
from tests.databases import sqlite_store
from tests.houses import BIRCH, critical, world
from tests.test_mail_send_faults import sent
from tests.test_mail_templates import refusal, text
from tests.test_worker_outcomes import START


@contextmanager
def no_descriptor_left():
    """Let this process open nothing more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_mail_that_cannot_be_opened_is_an_error_that_names_it_and_is_not_passed_over(tmp_path):
    for part in ("new", "cur"):
        (tmp_path / part).mkdir()
    for name in ("1", "2"):
        (tmp_path / "new" / name).write_bytes(b"Subject: x\n\n")
    mails = read_maildir(tmp_path)
    assert next(mails) == ("new/1", b"Subject: x\n\n")
    with no_descriptor_left(), pytest.raises(FileError, match=f"{tmp_path}/new/2: expected a mail") as refused:
        next(mails)
    assert refused.value.found == "Too many open files"
    assert [name for name, _ in read_maildir(tmp_path)] == ["new/1", "new/2"]


@pytest.mark.parametrize(
    ("password", "said", "kept"),
    [
        ("abc", "535 5.7.8 abc is wrong, says abcde", "5.7.8 abc is wrong, says abcde"),
        ("abcd", "535 5.7.8 abcd is wrong, says abcde", "5.7.8 (hidden) is wrong, says (hidden)e"),
        ("abc", "535 5.7.8 AG1haWxlcgBhYmM= is wrong", "5.7.8 (hidden)= is wrong"),
    ],
)
def test_a_password_of_three_letters_is_part_of_too_many_words_to_be_looked_for_in_a_reply(password, said, kept):
    _, (outcome,) = sent({"auth": said}, user="mailer", password=password)
    assert (outcome.result, outcome.hint, outcome.reply) == (Result.DEFERRED, Hint.AUTH, kept)


def test_settings_with_the_same_password_are_the_same_key_and_their_hash_is_not_that_of_the_password():
    def settings(password):
        return MailSettings(host="mail.example", port=587, tls=Tls.STARTTLS, user="me", password=password)

    assert {settings("canary-1"): 1}[settings("canary-1")] == 1
    assert settings("canary-2") != settings("canary-1")
    assert hash(Secret("canary-1")) == hash(Secret("canary-1"))
    assert hash(Secret("canary-1")) != hash("canary-1")


# --- templates of the operator ----------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path):
    """A house with a window that is announced in English, whose templates may be the operator's."""
    with sqlite_store(tmp_path) as store:
        made = world(store, tmp_path)
        (tmp_path / "templates" / "en").mkdir(parents=True)
        notices = replace(made.house.config.notices, folder=FileName(tmp_path / "templates"))
        made.house.config = replace(made.house.config, notices=notices)
        made.tick()
        core.announce(made.house, critical(start=START, instances=("birch-prod",)), now=made.now)
        made.forget()
        yield made


@pytest.fixture
def written(home, tmp_path):
    """What becomes of the announcement where the operator's template has that body."""

    def tick(body):
        own = tmp_path / "templates" / "en" / "announcement.md"
        own.write_text(f"Subject: s\n\n{body}\n")
        return home.tick()

    return tick


def test_a_template_names_an_instant_in_the_readers_zone_in_full(home, written):
    assert BIRCH.contacts[0].zone == ZoneInfo("Europe/London")
    assert written("From {{ window.start.text }}.").exit_code is ExitCode.DONE
    (mail,) = home.mailer.mails
    assert b"From Wednesday, 11 November 2026, 09:00 GMT." in mail.data


def test_a_template_that_does_not_say_in_which_form_it_names_an_instant_is_refused(home, written):
    (problem,) = written("From {{ window.start }}.").problems
    assert problem.endswith("found a value of type Moment")
    assert [key.split("/")[1] for key in home.told()] == ["operator_alert"]


def test_a_template_that_cannot_be_read_is_refused_with_its_place_and_the_reason(tmp_path):
    own = tmp_path / "en" / "reminder.md"
    own.parent.mkdir()
    own.write_text("Subject: s\n\none\n")
    assert text(Templates(tmp_path)) == "one"
    templates = Templates(tmp_path)
    with no_descriptor_left():
        error = refusal(templates)
    assert str(error).startswith(f"{own}: expected a file to read")
    assert error.found == "Too many open files"
    assert text(templates) == "one"
