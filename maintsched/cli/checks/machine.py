"""The machine: interpreter, clock, zone data."""

import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from importlib.resources import files
from tempfile import TemporaryFile
from zoneinfo import ZoneInfo

from maintsched.cli.checks import Check, Examination, Told, Verdict

HEADERS_MENDED = {(3, 11): 10, (3, 12): 5}
"""The first release of each line whose email package lets no encoded line break into a header (CVE-2024-6923)."""
CLOCK_SLACK = timedelta(seconds=5)
ZONE_DAYS = 3 * 366


def look_at_python(_: Examination) -> Told:
    """Tell whether the interpreter has the known hole in mail headers."""
    return python_told(sys.version_info[:3])


def python_told(version: tuple[int, ...]) -> Told:
    """Tell it of any version."""
    line, patch, text = version[:2], version[2], ".".join(map(str, version))
    mended = HEADERS_MENDED.get((line[0], line[1]), 0)
    if patch < mended:
        found = f"{text} lets encoded line breaks into mail headers (CVE-2024-6923); maintsched refuses them itself"
        yield Verdict.WARN, found, f"install Python {line[0]}.{line[1]}.{mended} or later"
    else:
        yield Verdict.OK, text, ""


def look_at_clock(examination: Examination) -> Told:
    """Compare the clock with the time that the file system writes, which may be another machine's."""
    with TemporaryFile() as file:
        written_at = datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)
    now = examination.clock()
    apart = abs(written_at - now)
    if apart > CLOCK_SLACK:
        found = f"the clock says {now:%Y-%m-%d %H:%M:%S} UTC, a new file {written_at:%Y-%m-%d %H:%M:%S} UTC"
        yield Verdict.FAIL, found, "let NTP set the clock of this machine and of its file server"
    else:
        yield Verdict.OK, f"{now:%Y-%m-%d %H:%M:%S} UTC", ""


def look_at_zones(examination: Examination) -> Told:
    """Compare the system's data on the contract's zone with those of the tzdata package."""
    zone = examination.contract.zone
    packaged = _packaged(zone.key)
    if packaged is None:
        yield Verdict.WARN, f"{zone.key}: the tzdata package does not have it", "pip install --upgrade tzdata"
        return
    apart = next(_disagreements(zone, packaged, examination.now), None)
    if apart is None:
        yield Verdict.OK, f"{zone.key}, the same from the system and from the tzdata package", ""
    else:
        found = f"{zone.key}: the system and the tzdata package disagree from {apart:%Y-%m-%d} on"
        yield Verdict.FAIL, found, "update both: the system's tzdata, and pip install --upgrade tzdata"


def _packaged(key: str) -> ZoneInfo | None:
    path = files("tzdata").joinpath("zoneinfo", *key.split("/"))
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return ZoneInfo.from_file(file, key=key)


def _disagreements(one: tzinfo, other: tzinfo, now: datetime) -> Iterator[datetime]:
    days = (now.astimezone(UTC) + timedelta(days=number) for number in range(ZONE_DAYS))
    return (day for day in days if day.astimezone(one).utcoffset() != day.astimezone(other).utcoffset())


CHECKS = (
    Check(name="python", look=look_at_python, way_out="install a supported Python"),
    Check(name="clock", look=look_at_clock, way_out="give the temporary folder (TMPDIR) room and rights to write"),
    Check(name="zone data", look=look_at_zones, way_out="pip install --upgrade tzdata"),
)
