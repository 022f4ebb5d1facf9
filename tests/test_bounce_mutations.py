"""Ten thousand changed delivery reports: none raises, none hangs, and none speaks of another mail than its own.

MAINTSCHED_MUTATIONS says how many (10,000), MAINTSCHED_SEED from which seed; the seed is printed with every failure.
"""

import random
import re
import time

import pytest
from sqlalchemy import select

from maintsched.mail.bounces import FIELD_MAX, Bounce, read_bounce
from maintsched.mail.compose import envelope_id, message_id
from maintsched.store.ledger import NOTICE
from maintsched.worker import announce as core
from maintsched.worker.bounces import take_report
from tests.databases import sqlite_store
from tests.houses import NOW, critical, world
from tests.test_intake_mutations import COUNT, SECONDS_MAX, SEED, WAYS
from tests.test_mail_bounces import EXCHANGE, EXIM, FAILED, HASH, report
from tests.test_worker_windows import START

CHUNKS = 4
DELAYED = "Final-Recipient: rfc822; eva@acme.example\nAction: delayed\nStatus: 4.4.1"
TWO = f"{FAILED}\n\n{DELAYED.replace('eva', 'otto')}"
REPORTS = {
    "postfix": report(FAILED),
    "exchange": EXCHANGE,
    "exim": EXIM,
    "delayed": report(DELAYED),
    "two": report(TWO),
}
OURS = "provider.example"
LINES = [line for each in REPORTS.values() for line in each.decode("ascii").split("\n")]
PIECES = (
    "\nAction: failed\nStatus: 5.1.1\n", "\nAction: delayed\n", "\n\n", "\nContent-Type: message/delivery-status\n",
    "\nContent-Type: message/rfc822\n\n", "\nContent-Transfer-Encoding: base64\n", "=?utf-8?q?=0A?=", "\x00", "\x1b[2J",
    "\nContent-Type: multipart/report; boundary=b1\n", "\n--b1\n", "\n--b1--\n", "\nReturn-Path: <>\n", "\ufeff", "ä",
)  # fmt: skip


def changed(chance: random.Random, raw: bytes) -> bytes:
    """Change a report in one to four places: letters, lines, whole fields and parts."""
    text = raw.decode("ascii")
    for _ in range(chance.choice((1, 1, 2, 4))):
        if not text:
            break
        at = chance.randrange(len(text))
        kind = chance.randrange(4)
        if kind == 0:
            text = text[:at] + chance.choice(PIECES) + text[at:]
        elif kind == 1:
            lines = text.split("\n")
            lines.insert(chance.randrange(len(lines)), chance.choice(LINES))
            text = "\n".join(lines)
        else:
            text = chance.choice(WAYS)(chance, text)
    data = bytearray(text.encode("utf-8", "surrogatepass"))
    if data and chance.random() < 0.1:
        data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data)


def assert_well_formed(bounce: Bounce) -> None:
    assert bounce.envid or bounce.message_id
    assert not bounce.permanent or bounce.status.startswith("5.")
    for text in (bounce.envid, bounce.message_id, bounce.recipient, bounce.status, bounce.diagnostic):
        assert text is None or (text.isprintable() and len(text) <= FIELD_MAX)


@pytest.mark.fuzz
@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.parametrize("name", REPORTS)
def test_a_changed_report_is_read_or_is_none_and_is_never_about_another_mail(name, chunk):
    seed = f"{SEED}/bounce/{name}/{chunk}"
    chance = random.Random(seed)
    read = 0
    for case in range(-(-COUNT // (len(REPORTS) * CHUNKS))):
        raw = changed(chance, REPORTS[name])
        began = time.process_time()
        try:
            bounce = read_bounce(raw)
            if bounce is not None:
                assert_well_formed(bounce)
                read += 1
        except Exception as error:
            error.add_note(f"seed {seed}, case {case}:\n{raw!r}")
            raise
        assert time.process_time() - began < SECONDS_MAX, f"seed {seed}, case {case}: {raw!r}"
    assert read, "the changes are so rough that nothing is read any more"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A house that has told three people of a window, all of them accepted."""
    folder = tmp_path_factory.mktemp("home")
    with sqlite_store(folder) as store:
        made = world(store, folder)
        made.tick()
        core.announce(made.house, critical(start=START, instances=("acme-prod", "birch-prod")), now=NOW)
        made.tick()
        yield made


KEY, OTHER = (f"notice/announcement/critical:disk/0/{each}" for each in ("birch/ops", "acme/eva"))


def about(raw: bytes, key: str, returned: str) -> bytes:
    """The same report, about a notice of the house, with the Message-ID of another one in what it returns."""
    assert HASH.encode() in raw
    ids = (f"<{HASH}@{OURS}>", message_id(returned, "hosting.example"))
    return raw.replace(ids[0].encode(), ids[1].encode()).replace(HASH.encode(), envelope_id(key).encode())


@pytest.mark.fuzz
@pytest.mark.parametrize("name", ["postfix", "exchange", "two"])
def test_no_changed_report_revokes_the_proof_of_another_notice(home, name):
    seed = f"{SEED}/proof/{name}"
    chance = random.Random(seed)
    raw = about(REPORTS[name], KEY, KEY)
    for case in range(max(50, COUNT // 100)):
        data = changed(chance, raw)
        found = take_report(home.house, data, source="fuzz", now=NOW)
        assert found.notice in (None, KEY), f"seed {seed}, case {case}: {data!r}"
    with home.house.store.reading() as connection:
        bounced = connection.execute(select(NOTICE.c.key).where(NOTICE.c.bounced_at.is_not(None))).scalars().all()
    assert set(bounced) == {KEY}  # which came back, and no other


@pytest.mark.parametrize("name", ["postfix", "exchange"])
def test_the_envelope_says_which_notice_came_back_whatever_mail_is_returned(home, name):
    data = about(REPORTS[name], KEY, OTHER)
    assert re.search(message_id(OTHER, "hosting.example").encode(), data)
    assert take_report(home.house, data, source="forged", now=NOW).notice == KEY


def test_a_report_about_a_mail_of_somebody_else_changes_nothing(home):
    before = home.notices()
    for raw in REPORTS.values():
        assert take_report(home.house, raw, source="foreign", now=NOW).notice is None
    assert home.notices() == before
