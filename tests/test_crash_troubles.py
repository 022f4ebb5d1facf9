"""A full disk, a database that others hold, a clock that leaps: nothing is sent twice, and nothing is forgotten."""

import asyncio
import contextlib
import os
import random
import resource
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from click.testing import CliRunner
from sqlalchemy import event, select

from maintsched.cli.init import init
from maintsched.errors import ChangeRefused, FileError, StoreError
from maintsched.mail.outcomes import Result
from maintsched.store import engine, open_store
from maintsched.store.ledger import ACTION, ActionState, claim
from maintsched.testing import RecordingMailer
from maintsched.worker import dispatch
from maintsched.worker.again import resend
from maintsched.worker.heads import heads_path, keep_heads
from maintsched.worker.record import record_due
from tests.crash_laws import copies_of, evidence_broken, heads_left_behind, ledger_broken, unfinished, unproved
from tests.crash_scenes import FLEET, MANY
from tests.databases import sqlite_store
from tests.houses import REMINDED, world
from tests.installations import Home
from tests.smtp_servers import smtp_server

LATER = REMINDED + timedelta(hours=1)
PAGES_LEFT = 2


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A house at whose next pass many are told, by a real server; its database waits for others but a moment."""
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.1)
    monkeypatch.setattr(dispatch, "PATIENCE_PAUSE_SECONDS", 0.1)
    with sqlite_store(tmp_path) as store:
        made = world(store, tmp_path, fleet=FLEET)
        made.tick()
        made.clock.set(REMINDED)
        yield made


@pytest.fixture
def server(home):
    with smtp_server() as running:
        mail = replace(home.house.config.mail, port=running.port, local_hostname="client.example")
        home.house.config = replace(home.house.config, mail=mail)
        del home.house.mailer
        yield running


def everything_once(home, server):
    """All were told, nobody twice, and all of it is proved."""
    store = home.house.store
    copies = copies_of(store, server.mails)
    assert len(copies) == MANY
    assert {key: len(mails) for key, mails in copies.items() if len(mails) > 1} == {}
    lawful(home, copies)


def lawful(home, copies):
    store = home.house.store
    assert [
        *evidence_broken(store, heads_path(home.house.config)),
        *ledger_broken(store, home.now),
        *unfinished(store, home.now),
        *unproved(store, copies),
    ] == []


class Held:
    """Another program that keeps the database locked."""

    def __init__(self, store):
        self.connection = sqlite3.connect(store.path, timeout=5, isolation_level=None, check_same_thread=False)
        self.connection.execute("PRAGMA journal_mode")

    def take(self, *_):
        self.connection.execute("BEGIN IMMEDIATE")

    def free(self):
        with contextlib.suppress(sqlite3.ProgrammingError):
            self.connection.close()


@pytest.fixture
def other(home):
    held = Held(home.house.store)
    yield held
    held.free()


class Full:
    """A database that may grow by some pages only, until it is given room."""

    def __init__(self, store):
        self.store, self.most = store, 1 << 30
        event.listen(store.engine, "checkout", self._limit)

    def _limit(self, connection, *_):
        connection.execute(f"PRAGMA max_page_count = {self.most}")

    def fill(self, *_):
        with self.store.engine.connect() as connection:
            self.most = connection.exec_driver_sql("PRAGMA page_count").scalar_one() + PAGES_LEFT

    def empty(self):
        self.most = 1 << 30


# --- before anything is sent -----------------------------------------------------------------------------------------


def test_a_pass_on_a_locked_database_says_so_in_one_line_and_the_next_one_does_everything(home, server, other):
    other.take()
    with pytest.raises(StoreError, match="locked") as refused:
        home.tick()
    assert len(str(refused.value).splitlines()) == 1
    assert server.mails == []
    other.free()
    home.tick(LATER)
    everything_once(home, server)


def test_a_pass_on_a_full_disk_says_so_in_one_line_and_the_next_one_does_everything(home, server):
    disk = Full(home.house.store)
    disk.fill()
    with pytest.raises(StoreError, match="full") as refused:
        home.tick()
    assert len(str(refused.value).splitlines()) == 1
    disk.empty()
    home.tick(LATER)
    everything_once(home, server)


# --- while mails are on their way ------------------------------------------------------------------------------------


class Once:
    """Does something at the third mail that is taken."""

    def __init__(self, do):
        self.do, self.count, self.lock = do, 0, threading.Lock()

    def __call__(self, recipient):
        with self.lock:
            self.count += 1
            if self.count == 3:
                self.do()


def test_what_was_sent_is_marked_when_the_database_is_free_again_and_not_sent_twice(home, server, other):
    def hold():
        other.take()
        threading.Timer(0.7, other.free).start()

    server.script = {"dot": Once(hold)}
    with contextlib.suppress(StoreError):  # it may have wanted more mails at that moment
        home.tick()
    home.tick(LATER)
    everything_once(home, server)


def test_what_was_sent_is_marked_when_the_disk_has_room_again_and_not_sent_twice(home, server, monkeypatch):
    disk = Full(home.house.store)

    def fill():
        disk.fill()
        threading.Timer(0.7, disk.empty).start()

    monkeypatch.setattr(dispatch, "MARK_COUNT", MANY)  # marks of all at once need more pages than there are
    server.script = {"dot": Once(fill)}
    with contextlib.suppress(StoreError):
        home.tick()
    home.tick(LATER)
    everything_once(home, server)


def test_a_database_that_stays_locked_ends_the_pass_and_costs_one_copy_of_what_could_not_be_marked(
    home, server, other, monkeypatch
):
    monkeypatch.setattr(dispatch, "PATIENCE_SHARE", 0.001)
    server.script = {"dot": Once(other.take)}
    with pytest.raises(StoreError, match="locked"):
        home.tick()
    other.free()
    open_before = len(server.mails)
    with home.house.store.reading() as connection:
        done = set(connection.execute(select(ACTION.c.key).where(ACTION.c.state == ActionState.DONE)).scalars())
    home.tick(LATER)
    copies = copies_of(home.house.store, server.mails)
    assert len(copies) == MANY
    assert all(len(mails) == 1 or key not in done for key, mails in copies.items())
    assert len(server.mails) <= MANY + open_before
    assert all(len({mail.wire for mail in mails}) == 1 for mails in copies.values())
    lawful(home, copies)


def test_nothing_more_is_sent_while_results_cannot_be_written_down(home, server, other, monkeypatch):
    monkeypatch.setattr(dispatch, "PATIENCE_SHARE", 0.001)
    monkeypatch.setattr(dispatch, "MARK_COUNT", 1)
    server.script = {"dot": Once(other.take)}
    with pytest.raises(StoreError, match="locked"):
        home.tick()
    assert len(server.mails) <= 3 + 3 * home.house.config.mail.connections


# --- a disk that takes nothing more ----------------------------------------------------------------------------------

LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
from maintsched.cli import main
main(["worker", "--once", "--config", sys.argv[2], "--now", "2026-11-20T08:00:00Z"])
"""


def unmeasured():
    """The environment without what measures coverage: that writes files too, and fails as loudly."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COV")}


@pytest.mark.parametrize("most", [0, 60_000])
def test_a_pass_that_can_write_no_more_ends_with_one_line_and_the_next_one_carries_on(tmp_path, most):
    folder = tmp_path / "home"
    made = CliRunner().invoke(init, ["--now", "2026-11-04T09:00:00Z", str(folder)])
    assert made.exit_code == 0, made.output
    home = Home(folder)
    home.keep(FLEET)
    with smtp_server() as server:
        home.mail_lines(f"port = {server.port}", 'local_hostname = "client.example"')
        command = [sys.executable, "-c", LIMITED, str(most), str(home.path)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=unmeasured())
        assert ended.returncode == 1, ended
        assert len(ended.stderr.splitlines()) == 1, ended.stderr
        assert ended.stderr.startswith("Error: ")
        before = len(server.mails)
        command[3] = str(1 << 30)
        command[2] = LIMITED.replace("T08:00", "T09:00")
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=unmeasured())
        assert ended.returncode in (0, 1), ended.stderr
        assert ended.stderr == ""
        assert len({mail.recipient for mail in server.mails}) == MANY
        assert before == 0 or len(server.mails) <= MANY + before


@contextlib.contextmanager
def no_file_longer_than(size):
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


def test_heads_that_cannot_be_written_are_said_in_one_line_and_a_torn_one_is_written_anew(home):
    store, path = home.house.store, heads_path(home.house.config)
    before = path.read_bytes()
    home.tick()
    path.write_bytes(before)
    with no_file_longer_than(len(before) + 10), pytest.raises(FileError, match="room to write") as refused:
        keep_heads(store, path)
    assert len(str(refused.value).splitlines()) == 1
    assert len(path.read_bytes()) == len(before) + 10
    assert keep_heads(store, path) == []
    assert list(heads_left_behind(store, path)) == []


# --- clocks ----------------------------------------------------------------------------------------------------------


def test_a_clock_that_leaps_back_and_forth_between_passes_sends_everything_once(home, tmp_path):
    for seed in range(6):
        folder = tmp_path / str(seed)
        folder.mkdir()
        with sqlite_store(folder) as store:
            wandering(world(store, folder, fleet=FLEET, retry_max_seconds=600), random.Random(seed))


def wandering(home, choice):
    home.mailer.answer = lambda mail: choice.choice((Result.ACCEPTED, Result.ACCEPTED, Result.DEFERRED))
    home.tick()
    for _ in range(6):
        leap = choice.choice((timedelta(hours=-5), timedelta(minutes=-7), timedelta(hours=2), timedelta(days=1)))
        home.tick(max(REMINDED, home.now + leap) if choice.random() < 0.8 else REMINDED - timedelta(hours=1))
    home.mailer.answer = lambda mail: Result.ACCEPTED
    home.tick(REMINDED + timedelta(days=4))
    accepted = Counter(mail.key for mail in home.mailer.accepted)
    reminders = {key: times for key, times in accepted.items() if key.startswith("notice/reminder/monthly:2026-12/")}
    assert len(reminders) == MANY
    assert set(accepted.values()) == {1}
    lawful(home, {})


def test_a_claim_of_a_clock_that_was_days_ahead_is_taken_up_once_it_is_set_right(home):
    home.tick(REMINDED - timedelta(hours=1))
    record_due(home.house, now=REMINDED)
    ahead = REMINDED + timedelta(days=6)
    with home.house.store.writing() as connection:
        lease_until = ahead + timedelta(seconds=300)
        taken = claim(connection, now=ahead, owner="somebody killed", lease_until=lease_until, limit=10)
    assert len(taken) == 10
    home.tick(REMINDED + timedelta(minutes=1))
    assert Counter(home.told()) == Counter(dict.fromkeys(home.told(), 1))
    assert set(taken) <= set(home.told())


def test_a_clock_set_back_within_a_pass_leaves_its_claims_to_their_owner(home):
    lost = []

    def setting_back(mail):
        if len(home.told()) == 3:
            home.clock.forward(timedelta(days=-2))
        return Result.ACCEPTED

    class Watched(RecordingMailer):
        async def deliver(self, mails):
            async for outcome in super().deliver(mails):
                yield outcome
                if home.now < REMINDED:
                    await asyncio.sleep(2 * dispatch.MARK_SECONDS)
                    lost.extend(self.stolen())

        def stolen(self):
            with home.house.store.trying() as connection:
                now = home.now
                return claim(connection, now=now, owner="another", lease_until=now + timedelta(seconds=300), limit=99)

    home.house.config = replace(home.house.config, worker=replace(home.house.config.worker, batch=4))
    home.mailer = home.house.mailer = Watched(setting_back)
    home.tick()
    assert home.now == REMINDED - timedelta(days=2)
    assert not set(lost) & set(home.told()[:4])
    home.tick(LATER)
    assert Counter(home.told()).most_common(1)[0][1] == 1


def test_a_clock_that_leaps_forth_within_a_pass_does_not_make_it_send_its_own_mails_again(home):
    def leaping(mail):
        home.clock.forward(timedelta(hours=1))
        return Result.ACCEPTED

    home.mailer.answer = leaping
    home.tick()
    assert Counter(home.told()).most_common(1)[0][1] == 1
    assert len(home.told()) == MANY


# --- two at once -----------------------------------------------------------------------------------------------------


def test_a_notice_that_a_pass_takes_up_this_moment_is_not_put_back_to_be_sent_twice(home):
    home.mailer.answer = lambda mail: Result.DEFERRED
    home.tick()
    key, store = home.told()[0], home.house.store
    taken: list[str] = []
    times: list[None] = []
    until = LATER + timedelta(seconds=300)

    def take_up(*_):
        times.append(None)
        if len(times) == 2:  # it has looked at the notice, and is about to write
            with open_store(f"sqlite:///{store.path}") as same, same.writing() as other:
                taken.extend(claim(other, now=LATER, owner="a pass", lease_until=until, limit=99))

    event.listen(store.engine, "checkout", take_up)
    with pytest.raises(ChangeRefused):
        resend(home.house, key, now=LATER)
    assert key in taken
    assert {each.state for each in home.notices() if each.key == key} == {ActionState.RUNNING}
