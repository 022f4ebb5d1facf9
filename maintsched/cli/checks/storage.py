"""What is kept: the database, the fleet in it, and who else may read all that."""

import stat
from collections.abc import Collection, Iterator
from datetime import timedelta
from pathlib import Path

from maintsched.cli.checks import Check, Examination, Told, Verdict
from maintsched.contract import Contract
from maintsched.fleet import Fleet, check_fleet
from maintsched.notices import recipients

SHOWN = 5
"""Instances that a finding names; of more, it says how many."""
READ, WRITE = 0o077, 0o022
"""What nobody but the owner may have: any right at all, or the right to write."""
WAITED = timedelta(minutes=30)
"""How long something that is due may wait until it looks as if no worker ran."""


def look_at_database(examination: Examination) -> Told:
    """Tell whether the database can be read and is of the schema of this version."""
    from maintsched.store.engine import SCHEMA, shown

    store = examination.store
    with store.reading():
        yield Verdict.OK, f"{shown(store.engine.url)}, schema {SCHEMA}", ""


def look_at_fleet(examination: Examination) -> Told:
    """Tell whether somebody can be told of maintenance of each instance."""
    from maintsched.store.fleets import read_fleet
    from maintsched.worker.post import read_addressees

    contract = examination.contract
    with examination.store.reading() as connection:
        fleet = read_fleet(connection)
        wanted = {(each.key, contact.key) for each in fleet.customers for contact in recipients(contract, each)}
        found = read_addressees(connection, examination.config, wanted)
    if not fleet.owners:
        yield Verdict.WARN, "there is no instance in the database", "maintsched fleet sync FILE"
        return
    check_fleet(contract, fleet)
    refused = {name: each.suppressed for name, each in found.items() if each.suppressed}
    yield from _alone(contract, fleet, wanted - refused.keys())
    for (customer, contact), why in sorted(refused.items()):
        way_out = "mend the address in the fleet, then maintsched fleet sync"
        yield Verdict.WARN, f"nothing is sent to {customer}/{contact} any more: {why}", way_out


def _alone(contract: Contract, fleet: Fleet, reached: Collection[tuple[str, str]]) -> Told:
    role = contract.notice.role
    customers = {customer for customer, _ in reached}
    alone = [key for key, customer in fleet.owners.items() if customer.key not in customers]
    counted = f"{len(fleet.owners)} instances of {len(fleet.customers)} customers"
    if alone:
        way_out = f"give a contact of each customer the role {role}, then maintsched fleet sync"
        yield Verdict.FAIL, f"nobody with the role {role} can be reached for {listed(alone)}", way_out
    else:
        yield Verdict.OK, f"{counted}; somebody with the role {role} can be reached for each", ""


def listed(names: list[str]) -> str:
    """Name the first few of `names` and count the others."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def look_at_heads(examination: Examination) -> Told:
    """Compare the ends of all chains of evidence with those kept outside the database."""
    from maintsched.worker.heads import check_heads, heads_path, read_heads
    from maintsched.worker.restore import WAY_OUT

    path = heads_path(examination.config)
    store = examination.store
    kept = read_heads(path)
    with store.reading() as connection:
        faults = check_heads(connection, kept)
    for fault in faults[:SHOWN]:
        yield Verdict.FAIL, f"chain {fault.chain}: {fault.what}", f"maintsched evidence verify; {WAY_OUT}"
    if len(faults) > SHOWN:
        yield Verdict.FAIL, f"{len(faults) - SHOWN} more chains do not agree with {path}", "maintsched evidence verify"
    if not faults:
        torn = "; its last line was cut short by a crash" if kept.torn else ""
        yield Verdict.OK, f"{len(kept.heads)} chains end as {path} says{torn}", ""


def look_at_worker(examination: Examination) -> Told:
    """Tell whether something that is due waits longer than it should: then no worker seems to run."""
    from sqlalchemy import func, select

    from maintsched.store.ledger import ACTION, ActionKind, ActionState

    before = examination.now - WAITED
    late_run = (ACTION.c.kind == ActionKind.RUN) & (ACTION.c.deadline < before)  # until then its gates may hold it
    late = (ACTION.c.not_before < before) & ((ACTION.c.kind != ActionKind.RUN) | late_run)
    waiting = (ACTION.c.state == ActionState.READY) & late
    with examination.store.reading() as connection:
        count, since = connection.execute(select(func.count(), func.min(ACTION.c.not_before)).where(waiting)).one()
    if count:
        found = f"{count} notices or other things are due and wait, since {since:%Y-%m-%d %H:%M} UTC"
        yield Verdict.WARN, found, "see whether the worker runs (crontab -l, or its timer): maintsched worker --once"
    else:
        yield Verdict.OK, f"nothing that is due waits longer than {WAITED // timedelta(minutes=1)} minutes", ""


def look_at_modes(examination: Examination) -> Told:
    """Tell whether anybody but the owner may read what is secret, or change what is obeyed."""
    bad = list(_open_to_others(examination))
    yield from bad
    if not bad:
        yield Verdict.OK, "nobody but the owner may read or change what should be kept", ""


def _open_to_others(examination: Examination) -> Iterator[tuple[Verdict, str, str]]:
    config = examination.config
    yield from _mode(config.path, WRITE, Verdict.FAIL, "go-w")
    if config.mail.password_file is not None:
        yield from _mode(config.mail.password_file, READ, Verdict.FAIL, "600")
    if config.notices.folder is not None:
        for path in (config.notices.folder, *sorted(config.notices.folder.rglob("*"))):
            yield from _mode(path, WRITE, Verdict.FAIL, "go-w")
    for path in config.fleet:
        yield from _mode(path, READ, Verdict.WARN, "600")
    name = config.database.removeprefix("sqlite:///")
    if name != config.database:
        for ending in ("", "-wal", "-shm", ".heads"):
            yield from _mode(Path(f"{name}{ending}"), READ, Verdict.FAIL, "600")
        yield from _mode(Path(name).parent, READ, Verdict.WARN, "700")


def _mode(path: Path, forbidden: int, verdict: Verdict, chmod: str) -> Iterator[tuple[Verdict, str, str]]:
    if not path.exists():  # another check says so
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & forbidden:
        may = "read or change" if forbidden == READ else "change"
        yield verdict, f"others may {may} {path} (mode {mode:04o})", f"chmod {chmod} {path}"


CHECKS = (
    Check(name="database", look=look_at_database, way_out="check `database` in the configuration, or maintsched init"),
    Check(name="fleet", look=look_at_fleet, way_out="mend the fleet, then maintsched fleet sync"),
    Check(
        name="heads",
        look=look_at_heads,
        way_out="maintsched init makes the file; if it was there before, maintsched evidence verify",
    ),
    Check(name="worker", look=look_at_worker, way_out="maintsched worker --once"),
    Check(name="file modes", look=look_at_modes, way_out="run it as the user that the worker runs as"),
)
