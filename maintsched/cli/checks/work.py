"""What does the work: executors and transports as configured, the keys of hosts, runs that wait for somebody."""

from collections.abc import Iterator

from maintsched.cli.checks import Check, Examination, Told, Verdict
from maintsched.cli.checks.storage import SHOWN, listed
from maintsched.errors import MaintschedError
from maintsched.fleet import Fleet
from maintsched.runs import RunState


def look_at_executors(examination: Examination) -> Told:
    """Tell whether each table can be used, and whether each instance names one that can reach its host."""
    config = examination.config
    if not config.executor:
        yield Verdict.OK, "none: nothing is updated, only told of", ""
        return
    from maintsched.store.fleets import read_fleet
    from maintsched.worker.crews import crew_of

    crews = {}
    for name in sorted(config.executor):
        try:
            crews[name] = crew = crew_of(config, name)
        except MaintschedError as error:
            yield Verdict.FAIL, f"[executor.{name}]: {error}", "mend the table"
            continue
        parts = ", ".join(f"{component} by {part}" for component, part in sorted(crew.components.items()))
        yield Verdict.OK, f"[executor.{name}] over {crew.config.transport}: {parts}", ""
    with examination.store.reading() as connection:
        fleet = read_fleet(connection)
    yield from _unknown(fleet, frozenset(config.executor))
    for name, crew in crews.items():
        hosts = sorted({each.host for each in fleet.instances() if each.executor == name})
        bad = [said for host in hosts for said in crew.transport.validate(host)]
        for said in bad[:SHOWN]:
            ssh = config.executor[name].transport == "ssh"
            way_out = "ask for the host's key in another way, then pin it in known_hosts" if ssh else "mend the table"
            yield Verdict.FAIL, said, way_out
        if len(bad) > SHOWN:
            yield Verdict.FAIL, f"{len(bad) - SHOWN} more hosts cannot be reached", "maintsched doctor --json"
        if hosts and not bad:
            yield Verdict.OK, f"[executor.{name}]: {len(hosts)} hosts, nothing is known against reaching them", ""


def _unknown(fleet: Fleet, known: frozenset[str]) -> Iterator[tuple[Verdict, str, str]]:
    others = [f"{each.key} ({each.executor})" for each in fleet.instances() if each.executor not in known]
    if others:
        found = f"{len(others)} instances name an executor that has no table: {listed(others)}"
        yield Verdict.WARN, found, "write the tables [executor.NAME], or these instances are updated by hand"


def look_at_backups(examination: Examination) -> Told:
    """Tell of tables by which no backup can be seen or taken, since work then does not start (clause 4.1)."""
    contract = examination.contract
    for name, table in sorted(examination.config.executor.items()):
        knows = {"intrexx", "script"} & {*table.parts.values(), name}
        if not (table.backup or table.backup_age or knows):
            found = f"[executor.{name}]: whether a backup is younger than {contract.backup.max_age} cannot be seen"
            yield Verdict.WARN, found, f"name commands: backup_age, backup (clause {contract.clauses.backup})"
        else:
            yield Verdict.OK, f"[executor.{name}]: backups can be seen or taken before work", ""
    if not examination.config.executor:
        yield Verdict.OK, "not asked for: nothing is updated", ""


def look_at_runs(examination: Examination) -> Told:
    """Tell of runs that wait for an operator, and of what was paused."""
    from maintsched.store.orders import read_pauses
    from maintsched.store.runs import NOT_OVER, read_runs

    with examination.store.reading() as connection:
        found = [each.run for each in read_runs(connection, states=set(NOT_OVER))]
        pauses = read_pauses(connection)
    waiting = [each.key for each in found if each.state is RunState.INTERRUPTED]
    silent = [each.key for each in found if each.state in (RunState.UNREACHABLE, RunState.LOST)]
    if silent:
        yield Verdict.FAIL, f"nothing is heard of: {listed(silent)}", "look at the host, and whether the worker runs"
    over = [each.key for each in found if each.end <= examination.now and each.key not in (*waiting, *silent)]
    if over:
        yield Verdict.WARN, f"past the end of the window: {listed(over)}", "maintsched run show RUN"
    if waiting:
        yield (
            Verdict.FAIL,
            f"interrupted: {listed(waiting)}",
            "look at the host, then maintsched run retry RUN --reason WHY",
        )
    for pause in pauses:
        yield Verdict.WARN, f"paused by {pause.key}: {pause.reason}", f"maintsched resume {pause.key}"
    if not (waiting or pauses or silent or over):
        yield Verdict.OK, f"{len(found)} under way or waiting for their gates, none for an operator", ""


CHECKS = (
    Check(name="executors", look=look_at_executors, way_out="mend the configuration"),
    Check(name="backups", look=look_at_backups, way_out="mend the configuration"),
    Check(name="runs", look=look_at_runs, way_out="maintsched run list --open"),
)
