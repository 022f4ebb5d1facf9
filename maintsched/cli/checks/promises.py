"""What was promised, and to whom: configuration, contract, holidays, the files that the configuration names."""

import os
from pathlib import Path

from maintsched.cli.checks import Check, Examination, Told, Verdict
from maintsched.holidaycalendar import LAST_KNOWN_YEAR

YEARS_AHEAD = 2
EXAMPLES = ("example.org", "example.com", "example.net", "example", "invalid", "test")
"""Domains that nobody has (RFC 2606), and those below them."""


def look_at_configuration(examination: Examination) -> Told:
    """Tell which configuration is in force, and whether it is still the sample."""
    config = examination.config
    yield Verdict.OK, str(config.path), ""
    named = {
        "mail.host": config.mail.host,
        "mail.sender": config.mail.sender,
        "provider.domain": config.provider.domain,
        "provider.contact": config.provider.contact,
    }
    samples = [key for key, text in named.items() if _is_example(text)]
    if samples:
        yield Verdict.WARN, f"{', '.join(samples)}: a domain that stands for an example", "set your own"


def _is_example(text: str) -> bool:
    domain = text.rpartition("@")[2].lower()
    return any(domain == each or domain.endswith(f".{each}") for each in EXAMPLES)


def look_at_contract(examination: Examination) -> Told:
    """Tell which contract is in force."""
    contract = examination.contract
    yield Verdict.OK, f"{contract.name}: {contract.title}", ""


def look_at_holidays(examination: Examination) -> Told:
    """Tell whether the public holidays of the coming years are known."""
    holidays = examination.contract.holidays
    first = examination.now.astimezone(examination.contract.zone).year
    years = range(first, first + YEARS_AHEAD + 1)
    count = sum(len(holidays.of_year(year)) for year in years)
    yield Verdict.OK, f"{holidays.region}: {count} from {years[0]} to {years[-1]}", ""


def look_at_files(examination: Examination) -> Told:
    """Tell whether the files and folders that the configuration names are there and of use."""
    config = examination.config
    if config.fleet:
        from maintsched.intake.declarations import load_fleet

        fleet, _ = load_fleet(examination.contract, *config.fleet)
        names = ", ".join(path.name for path in config.fleet)
        yield Verdict.OK, f"{names}: {len(fleet.customers)} customers, {len(fleet.owners)} instances", ""
    if config.notices.folder is not None:
        yield _folder("notices.folder", config.notices.folder)
    if config.worker.bounces is not None:
        yield _folder("worker.bounces", config.worker.bounces / "new", "name a maildir, with new, cur and tmp in it")
    if config.worker.heartbeat_file is not None:
        yield _writable("worker.heartbeat_file", config.worker.heartbeat_file)
    if config.mail.ca_file is not None and not config.mail.ca_file.is_file():
        yield Verdict.FAIL, f"mail.ca_file: there is no file {config.mail.ca_file}", "mend the path"


def _folder(key: str, path: Path, way_out: str = "make it, or mend the path") -> tuple[Verdict, str, str]:
    if path.is_dir():
        return Verdict.OK, f"{key}: {path}", ""
    return Verdict.FAIL, f"{key}: there is no folder {path}", way_out


def _writable(key: str, path: Path) -> tuple[Verdict, str, str]:
    if os.access(path if path.exists() else path.parent, os.W_OK):
        return Verdict.OK, f"{key}: {path}", ""
    return Verdict.FAIL, f"{key}: {path} cannot be written", f"make {path.parent}, with rights to write for this user"


CHECKS = (
    Check(name="configuration", look=look_at_configuration, way_out="mend the file, or write one: maintsched init"),
    Check(
        name="contract", look=look_at_contract, way_out="mend the contract, or name another one in the configuration"
    ),
    Check(
        name="holidays",
        look=look_at_holidays,
        way_out=f"pip install --upgrade holidays (it knows years up to {LAST_KNOWN_YEAR})",
    ),
    Check(name="files", look=look_at_files, way_out="mend the file"),
)
