"""The named points at which a process is killed: both sides of every commit, and every state of a mail's hand-over.

Commits are found, not listed: every function of the package that opens a transaction which writes is two points, just
before its COMMIT and just after. `COMMITS` says which scene comes by there; a function that is missing in it fails the
suite, and so does one that is gone. Nothing in the product knows of any of this.
"""

import ast
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import maintsched

PACKAGE = Path(maintsched.__file__).parent
BEFORE, AFTER = "before", "after"
OPENERS, DRIVER = {"writing"}, {"begin", "commit"}
"""What opens a transaction that writes: our own way, and the driver's in modules that import it."""
OWN = "store/engine.py"
"""Where `writing` and its kin are made of `begin`."""

COMMITS = {
    "maintsched.cli.demo._make_database": "demo",
    "maintsched.cli.init.make_database": "init",
    "maintsched.store.migrate._step": "init",
    "maintsched.worker.again.resend": "sent again",
    "maintsched.worker.again.tell_provisioned": "provisioned",
    "maintsched.worker.announce.announce": "announced",
    "maintsched.worker.announce.cancel": "cancelled",
    "maintsched.worker.announce.choose": "chosen",
    "maintsched.worker.announce.confirm": "confirmed",
    "maintsched.worker.announce.move": "moved",
    "maintsched.worker.bounces.take_report": "bounce",
    "maintsched.worker.carry.Carrier._answered": "work taken up",
    "maintsched.worker.carry.Carrier._cannot": "blocked work",
    "maintsched.worker.carry.Carrier._let_go": "work",
    "maintsched.worker.carry.Carrier._renew": "long work",
    "maintsched.worker.carry.Carrier._silent": "silent host",
    "maintsched.worker.carry.Carrier._take_up": "work",
    "maintsched.worker.consents.add_consent": "agreed",
    "maintsched.worker.consents.end_consent": "agreed no more",
    "maintsched.worker.deferrals.extend": "deferral extended",
    "maintsched.worker.deferrals.grant": "deferred later",
    "maintsched.worker.deferrals.withdraw": "deferral withdrawn",
    "maintsched.worker.dispatch.LocalDispatch._mails": "reminders",
    "maintsched.worker.dispatch.LocalDispatch._renew": "long pass",
    "maintsched.worker.entering.enter_due": "work",
    "maintsched.worker.erasure.erase": "erased",
    "maintsched.worker.freezes.add_freeze": "frozen",
    "maintsched.worker.freezes.finish_freeze": "thawed",
    "maintsched.worker.hooking._intend": "hooked work",
    "maintsched.worker.hooking._write": "hooked work",
    "maintsched.worker.looks.Looks.plan": "work",
    "maintsched.worker.looks.Looks.preflight": "work",
    "maintsched.worker.looks.Looks.reboot_wanted": "work",
    "maintsched.worker.looks.Looks.verify": "work",
    "maintsched.worker.maintain._Round._write": "work held",
    "maintsched.worker.maintain._look_at_the_clock": "work",
    "maintsched.worker.operating.approve": "work approved",
    "maintsched.worker.operating.retry": "work retried",
    "maintsched.worker.outages.close_outage": "outage closed",
    "maintsched.worker.outages.open_outage": "outage opened",
    "maintsched.worker.pauses.begin_pause": "paused",
    "maintsched.worker.pauses.resume_work": "resumed work",
    "maintsched.worker.perform.write_marks": "reminders",
    "maintsched.worker.pins.add_pin": "pinned",
    "maintsched.worker.pins.end_pin": "unpinned",
    "maintsched.worker.record.record_due": "breach",
    "maintsched.worker.releases.add_release": "released",
    "maintsched.worker.releases.restore_release": "brought back",
    "maintsched.worker.releases.withdraw_release": "taken back",
    "maintsched.worker.restore.resume": "resumed",
    "maintsched.worker.sync.sync_fleet": "synced",
    "maintsched.worker.tracks.switch_track": "track switched",
    "maintsched.worker.watch.keep_the_heads": "reminders",
    "maintsched.worker.watch.say_still_there": "heartbeat",
    "maintsched.worker.watch.warn_of_margins": "announced",
    "maintsched.worker.work.Work._again": "work tried again",
    "maintsched.worker.work.Work._ended": "work",
    "maintsched.worker.work.Work._finish": "work",
    "maintsched.worker.work.Work._given_up": "work given up",
    "maintsched.worker.work.Work._restarted": "restart",
    "maintsched.worker.work.Work._start": "work",
    "maintsched.worker.work.Work._park": "work that is gone",
    "maintsched.worker.work.Work._runs": "long work",
    "maintsched.worker.worknotices.tell_of_work": "work",
}
"""By function that commits: the scene that comes by there."""
SMTP = ("connect", "ehlo", "mail", "rcpt", "data", "body", "dot", "taken", "quit")
"""States of a hand-over: while the server has that verb and has not answered; `body`: the mail is on its way, and the
line breaks with the process; `dot`: the server took the mail and has not said so; `taken`: it has said so, and that was
not written down."""
MAILING = ("reminders", "alerts", "moved", "breach", "announced", "bounce", "deferred", "long pass", "outage opened")
"""Scenes that hand mails over; the first is the one of the registry."""
IN_EVERY_PASS = frozenset({"_mails", "keep_the_heads", "record_due", "warn_of_margins", "write_marks"})
"""Functions that every pass comes by, so that random kills meet them in any scene."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A place where a process is killed."""

    name: str
    """`smtp/<state>`, or the function and the side of its commit: `<module>.<function>/before`."""
    scene: str

    @property
    def smtp(self) -> str | None:
        """The state of the hand-over, or None for a commit."""
        return self.name.removeprefix("smtp/") if self.name.startswith("smtp/") else None

    @property
    def function(self) -> str:
        """The function that commits."""
        return self.name.partition("/")[0]

    @property
    def everywhere(self) -> bool:
        """Whether every pass comes by."""
        return self.smtp is not None or self.function.rpartition(".")[2] in IN_EVERY_PASS

    @property
    def side(self) -> str:
        """`before` or `after` the commit."""
        return self.name.partition("/")[2]


def points() -> list[Point]:
    """Return the registry: every point with its scene."""
    commits = [
        Point(name=f"{function}/{side}", scene=scene) for function, scene in COMMITS.items() for side in (BEFORE, AFTER)
    ]
    return [Point(name=f"smtp/{state}", scene=MAILING[0]) for state in SMTP] + commits


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """One try: where, at which time the process comes by, and how many mails it holds and sends at once."""

    point: Point
    hit: int = 1
    batch: int = 100
    connections: int = 4
    number: int = 0


def random_kills(seed: int, count: int, among: list[Point] | None = None) -> Iterator[Kill]:
    """Return `count` random kills; the same `seed` gives the same ones."""
    choice = random.Random(seed)
    listed = among or points()
    for number in range(count):
        point = choice.choice(listed)
        if point.everywhere:
            point = Point(name=point.name, scene=choice.choice(MAILING))
        yield Kill(
            point=point,
            hit=choice.choice((1, 1, 1, 2, 2, 3, 5, 8)) if point.everywhere else 1,
            batch=choice.choice((1, 2, 5, 20, 100)),
            connections=choice.choice((1, 2, 4, 8)),
            number=number,
        )


# --- the commits of the package --------------------------------------------------------------------------------------


def commits(package: Path = PACKAGE) -> set[str]:
    """Return every function below `package` that commits, by its full name."""
    found: set[str] = set()
    for path in sorted(package.rglob("*.py")):
        if path.relative_to(package).as_posix() != OWN:
            module, text = ".".join(path.relative_to(package.parent).with_suffix("").parts), path.read_text("utf-8")
            if any(f"{name}(" in text for name in OPENERS | DRIVER):
                found.update(f"{module}.{name}" for name in _commits_in(ast.parse(text)))
    return found


def _commits_in(tree: ast.Module) -> set[str]:
    """Return the functions of a module that open a transaction. One that only hands it on names those that get it."""
    functions = dict(_functions(tree, ""))
    openers = OPENERS | (DRIVER if _imports_driver(tree) else set())
    direct = {name for name, body in functions.items() if _calls(body, openers)}
    handing = {name for name, body in functions.items() if name in direct and _returns(body, openers)}
    used = {name for name, body in functions.items() if _calls(body, handing)}
    lost = {name for name in handing if not any(_calls(body, {name}) for body in functions.values())}
    return (direct - handing) | used | lost


def _imports_driver(tree: ast.Module) -> bool:
    named = (node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    plain = (name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names)
    return any(name.partition(".")[0] == "sqlalchemy" for name in (*named, *plain))


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, list[ast.AST]]]:
    """Return the functions below `node` by qualified name, each with all that is in it but not in another function."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{prefix}{child.name}", list(_own(child))
            yield from _functions(child, f"{prefix}{child.name}.<locals>.")
        elif isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{prefix}{child.name}.")
        else:
            yield from _functions(child, prefix)


def _own(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield child
            yield from _own(child)


def _calls(nodes: list[ast.AST], names: set[str]) -> bool:
    return any(isinstance(node, ast.Call) and _called(node) in names for node in nodes)


def _returns(nodes: list[ast.AST], names: set[str]) -> bool:
    """Say whether a transaction is not used here but handed on."""
    values = [node.value for node in nodes if isinstance(node, ast.Return) and node.value is not None]
    return any(isinstance(part, ast.Call) and _called(part) in names for value in values for part in ast.walk(value))


def _called(call: ast.Call) -> str:
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""
