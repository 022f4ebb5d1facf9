"""Every arrow that docs/explanation/states.md draws can be gone in a real database, and no other."""

import ast
import re
from collections.abc import Iterable
from contextlib import contextmanager
from datetime import timedelta
from itertools import product
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, text

import maintsched as ms
from maintsched.announcements import WindowState
from maintsched.errors import MaintschedError
from maintsched.fleet import Customer, Fleet, Language
from maintsched.journal import Head
from maintsched.mail.compose import envelope_id
from maintsched.mail.outcomes import Result
from maintsched.notices import Round
from maintsched.runs import ARROWS, STEP_ARROWS, RunState, StepState
from maintsched.spans import Span
from maintsched.store.ledger import ActionState, claim, renew
from maintsched.store.outbox import read_notices, read_threads, record
from maintsched.worker import announce as core
from maintsched.worker.again import resend, tell_provisioned
from maintsched.worker.bounces import take_report
from maintsched.worker.departure import withdraw_of_contacts
from maintsched.worker.heads import heads_path, read_heads, write_heads
from maintsched.worker.post import SUPPRESSION, read_addressees, suppression
from maintsched.worker.restore import Resume, resume
from tests.databases import sqlite_store
from tests.houses import FLEET, NOW, REMINDED, contact, critical, instance, world

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "explanation" / "states.md").read_text(encoding="utf-8")
NOTHING = "nothing"
LATER = NOW + timedelta(hours=2)


def section(heading: str) -> str:
    return PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def rows(heading: str) -> list[list[str]]:
    """The cells of the table in a section, without its head."""
    lines = [line for line in section(heading).split("\n") if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def arrows(heading: str) -> set[tuple[str, str]]:
    return {(start, end) for origin, end, *_ in rows(heading) for start in origin.split(", ")}


HEADINGS = {"Windows": WindowState, "Actions": ActionState, "Runs": RunState, "Steps": StepState}


@pytest.mark.parametrize(("heading", "states"), HEADINGS.items())
def test_the_picture_has_the_arrows_of_the_table_and_the_table_all_states(heading, states):
    drawn = re.findall(r"^ +(\S+) --> (\S+)$", section(heading), flags=re.MULTILINE)
    pictured = {tuple(name.replace("[*]", NOTHING) for name in arrow) for arrow in drawn}
    assert len(drawn) == len(pictured)
    assert pictured == arrows(heading)
    assert {end for _, end in arrows(heading)} == {str(state) for state in states}


@pytest.mark.parametrize(("heading", "known"), [("Runs", ARROWS), ("Steps", STEP_ARROWS)])
def test_runs_and_their_steps_go_the_ways_that_are_drawn_and_no_other(heading, known):
    allowed = {(str(before), str(after)) for before, afters in known.items() for after in afters}
    first = next(iter(known))
    assert arrows(heading) == allowed | {(NOTHING, str(first))}


# --- windows ----------------------------------------------------------------------------------------------------------

START = NOW + timedelta(days=20)
OTHER = Span(start=START + timedelta(days=1), end=START + timedelta(days=1, hours=2))
COMMANDS = {
    "announce": lambda house, key: core.announce(house, _window(key), now=NOW),
    "announce --tentative": lambda house, key: core.announce(house, _window(key), now=NOW, state=WindowState.TENTATIVE),
    "confirm": lambda house, key: core.confirm(house, f"critical/{key}", now=NOW),
    "choose": lambda house, key: core.choose(house, f"critical/{key}", "acme", 2, now=NOW),
    "move": lambda house, key: core.move(house, f"critical/{key}", OTHER, now=NOW),
    "cancel": lambda house, key: core.cancel(house, f"critical/{key}", now=NOW, reason="not needed"),
}


def _window(key: str) -> ms.DeclaredWindow:
    names = ("acme-prod",) if key.endswith("-last") else ("acme-prod", "birch-prod")
    return critical(key, start=START, instances=names)


def _prepare(house, key: str, state: str) -> None:
    """Bring a window of that key into a state."""
    if state == NOTHING:
        return
    first = WindowState.CONFIRMED if state == "confirmed" else WindowState.TENTATIVE
    core.announce(house, _window(key), now=NOW, state=first, alternatives=() if first == "confirmed" else (OTHER,))
    if state == "cancelled":
        core.cancel(house, f"critical/{key}", now=NOW, reason="not needed")


def _states(made) -> dict[str, str]:
    from maintsched.store.windows import read_announcements

    with made.house.store.reading() as connection:
        return {each.id: str(each.state) for each in read_announcements(connection)}


def _gone(before: dict[str, str], after: dict[str, str], touched: Iterable[str]) -> set[tuple[str, str]]:
    return {(before.get(window, NOTHING), after[window]) for window in touched if window in after}


def test_a_window_goes_each_way_that_is_drawn_by_these_commands_and_no_other(tmp_path):
    found = set()
    with sqlite_store(tmp_path) as store:
        made = world(store, tmp_path)
        for name, state in product(COMMANDS, (NOTHING, *WindowState)):
            for key in (f"{state}-{name.replace(' --', '-')}", f"{state}-{name.replace(' --', '-')}-last"):
                _prepare(made.house, key, str(state))
                before = _states(made)
                try:
                    COMMANDS[name](made.house, key)
                except MaintschedError:
                    assert _states(made) == before
                    continue
                touched = {f"critical/{key}", f"critical/{key}.2"}
                found |= {(*arrow, name) for arrow in _gone(before, _states(made), touched)}
        found |= _of_the_rule(made)
    drawn = {(start, end, name) for start, end, by in rows("Windows") for name in re.findall("`(.+?)`", by)}
    assert found == drawn


def _of_the_rule(made) -> set[tuple[str, str, str]]:
    """What becomes of windows of the rule: the worker reminds of one, others are moved and cancelled before."""
    before = _states(made)
    span = Span(start=REMINDED + timedelta(days=60), end=REMINDED + timedelta(days=60, hours=4))
    core.move(made.house, "monthly/2027-01", span, now=NOW)
    core.cancel(made.house, "monthly/2027-02", now=NOW, reason="not needed")
    made.tick(REMINDED)
    names = {"move": "monthly/2027-01", "cancel": "monthly/2027-02", "worker": "monthly/2026-12"}
    after = _states(made)
    return {(*arrow, name) for name, window in names.items() for arrow in _gone(before, after, {window})}


# --- actions and results ----------------------------------------------------------------------------------------------

OUTCOMES = ("accepted", "deferred", "uncertain", "refused", "suppressed", "bounced")
SOURCES = (NOTHING, *OUTCOMES[:-1])
LOG = """
CREATE TABLE gone (kind TEXT, key TEXT, before TEXT, after TEXT);
CREATE TRIGGER stored AFTER INSERT ON action BEGIN
    INSERT INTO gone VALUES ('state', NEW.key, NULL, NEW.state); END;
CREATE TRIGGER changed AFTER UPDATE ON action BEGIN
    INSERT INTO gone VALUES ('state', NEW.key, OLD.state, NEW.state); END;
CREATE TRIGGER became AFTER UPDATE OF result ON notice BEGIN
    INSERT INTO gone VALUES ('result', NEW.key, OLD.result, NEW.result); END;
"""
"""Writes down every way that a state or a result goes, whoever sends it there."""


@contextmanager
def opened_home(folder: Path):
    """A house whose database notes every change of a state; each customer has one instance and one contact."""
    folder.mkdir(exist_ok=True)
    names = [f"{source}-to-{outcome}" for source, outcome in product(SOURCES, (*OUTCOMES, NOTHING))]
    customers = tuple(
        Customer(
            key=name,
            name=name,
            language=Language.EN,
            package="premium",
            contacts=(contact("ops", email=f"ops@{name}.example"),),
            instances=(instance(name),),
        )
        for name in names
    )
    with sqlite_store(folder) as store:
        made = world(store, folder, fleet=Fleet(customers=(*FLEET.customers, *customers)))
        with store.writing() as connection:
            for statement in re.split(r"(?<=;)\n(?=CREATE)", LOG.strip()):
                connection.execute(text(statement))
        yield made


@pytest.fixture
def home(tmp_path):
    with opened_home(tmp_path) as made:
        yield made


def gone(home, kind: str) -> set[tuple[str, str]]:
    with home.house.store.reading() as connection:
        found = connection.execute(text("SELECT DISTINCT before, after FROM gone WHERE kind = :kind"), {"kind": kind})
        return {(before or NOTHING, after or NOTHING) for before, after in found}


def provisioned(home, name: str) -> str:
    (key,) = tell_provisioned(home.house, name, "https://handover.example/x", ordered_at=None, now=home.now)
    return key


def report(key: str) -> bytes:
    lines = (
        "From: mailer-daemon@mx.example", 'Content-Type: multipart/report; boundary="b"', "MIME-Version: 1.0", "",
        "--b", "Content-Type: message/delivery-status", "", "Reporting-MTA: dns; mx.example",
        f"Original-Envelope-Id: {envelope_id(key)}", "", "Final-Recipient: rfc822; ops@x.example", "Action: failed",
        "Status: 5.1.1", "", "--b--", "",
    )  # fmt: skip
    return "\r\n".join(lines).encode()


def suppress(home, names: Iterable[str], *, but: Iterable[str] = ()) -> None:
    """Suppress the addresses of some customers, and no others."""
    people = {(name, "ops") for name in names}
    with home.house.store.writing() as connection:
        connection.execute(delete(SUPPRESSION))
        found = read_addressees(connection, home.house.config, people)
        listed = [suppression(each, home.now, "550 no such mailbox") for each in found.values()]
        if listed:
            connection.execute(insert(SUPPRESSION), listed)


def answered(home, position: int) -> None:
    """Let the mailer answer each mail as the name of its customer says."""

    def answer(mail) -> Result:
        word = mail.key.split("/")[-2].split("-to-")[position:]
        return Result(word[0]) if word and word[0] in set(Result) else Result.ACCEPTED

    home.mailer.answer = answer


def bring(home, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Bring a notice of each pair to the result in front; return the keys. Those of nothing are stored last."""
    keys = {pair: provisioned(home, f"{pair[0]}-to-{pair[1]}") for pair in pairs if pair[0] != NOTHING}
    answered(home, 0)
    suppress(home, [f"{source}-to-{end}" for source, end in keys if source == "suppressed"])
    home.tick()
    for (source, end), key in keys.items():
        revoked = end == "bounced" and take_report(home.house, report(key), source="test", now=home.now).revoked
        assert revoked == (source == "accepted")
        if source in ("refused", "suppressed"):
            resend(home.house, key, now=home.now)
    return keys | {pair: provisioned(home, f"{pair[0]}-to-{pair[1]}") for pair in pairs if pair[0] == NOTHING}


def test_a_result_goes_each_way_that_is_drawn_and_no_other(tmp_path):
    """Each customer's notice is brought to the result in front of its name, and from there to the one behind."""
    pairs = [(source, end) for source, end in product(SOURCES, OUTCOMES) if source != "accepted" or end == "bounced"]
    with opened_home(tmp_path / "attempts") as home:
        keys = bring(home, pairs)
        answered(home, 1)
        suppress(home, [f"{source}-to-{end}" for source, end in keys if end == "suppressed"])
        home.tick(LATER)
        resend(home.house, keys["accepted", "bounced"], now=home.now)
        found = gone(home, "result")
    with opened_home(tmp_path / "restored") as home:
        bring(home, [(source, NOTHING) for source in SOURCES if source != "accepted"])
        _fall_behind(home)
        resume(home.house, Resume.ASSUME_SENT, now=LATER)
        found |= gone(home, "result")
    assert found == arrows("Results")


def _fall_behind(home) -> None:
    """Let the file outside the database know more than the database."""
    path = heads_path(home.house.config)
    kept = read_heads(path)
    assert kept is not None
    head = kept.heads["birch-prod"] if "birch-prod" in kept.heads else next(iter(kept.heads.values()))
    write_heads(path, kept.epoch, {**kept.heads, "birch-prod": Head(head.seq + 5, "f" * 64)})


def test_an_action_goes_each_way_that_is_drawn_and_no_other(home, tmp_path):
    start = NOW + timedelta(days=7)
    for number in range(4):  # one is moved before it goes out, the contact of another leaves
        core.announce(home.house, critical(f"disk{number}", start=start, instances=("birch-prod",)), now=NOW)
    core.move(home.house, "critical/disk0", Span(start=OTHER.start, end=OTHER.end), now=NOW)
    outcomes = ("accepted", "deferred", "uncertain", "refused", "suppressed")
    keys = {name: provisioned(home, f"{name}-to-{NOTHING}") for name in outcomes}
    answered(home, 0)
    suppress(home, [f"suppressed-to-{NOTHING}"])
    home.tick()
    take_report(home.house, report(keys["accepted"]), source="test", now=home.now)
    for name in ("accepted", "deferred", "refused"):
        resend(home.house, keys[name], now=home.now)

    left = provisioned(home, "nothing-to-nothing")  # its contact leaves while a pass holds it
    waits = provisioned(home, "nothing-to-accepted")  # its contact leaves before
    back = provisioned(home, "nothing-to-refused")  # the same, but it comes back
    with home.house.store.writing() as connection:
        people = {("nothing-to-accepted", "ops"), ("nothing-to-refused", "ops")}
        withdraw_of_contacts(connection, people, home.now)
        (stored,) = read_notices(connection, keys={back})
        (thread,) = read_threads(connection, {stored.notice.subject}).values()
        assert record(connection, [Round(thread=thread, notices=(stored.notice,))], home.now) == [back]
    with home.house.store.writing() as connection:
        until = home.now + timedelta(minutes=5)
        taken = claim(connection, now=home.now, owner="another pass", lease_until=until, limit=100)
        assert left in taken
        assert waits not in taken
        renew(connection, owner="another pass", lease_until=until)
    customers = tuple(each for each in FLEET.customers if each.key == "birch")
    home.sync(Fleet(customers=customers))  # everybody else has left
    home.tick(NOW + timedelta(days=30))  # the claims ran out, the deadlines have passed, and promises were broken
    assert gone(home, "state") == arrows("Actions")


def _writers() -> set[str]:
    """Functions that write the state of an action, or say what it shall be, as module.function."""
    found = set()
    for path in (ROOT / "maintsched").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                calls = {ast.unparse(each) for each in ast.walk(node) if isinstance(each, ast.Call)}
                if any(re.match(r"(update\(ACTION\)|insert_new\(connection, ACTION|Marked\()", call) for call in calls):
                    found.add(f"{path.stem}.{node.name}")
    return found


def test_each_function_that_writes_the_state_of_an_action_is_named_on_the_page():
    named = set(re.findall(r"`([a-z]+\._?[a-z_]+)`", section("Actions")))
    assert named == _writers()
