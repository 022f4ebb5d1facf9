"""Public holidays kept on disk: importing the `holidays` library costs more than everything else a plan does.

A cache file holds the years asked for so far and the version of the library that gave them. What does not fit (another
version, another region, a date outside its year) is dropped and asked for again; a cache that cannot be written is left
out, because it only saves time.
"""

import json
import os
from collections.abc import Mapping
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkstemp
from typing import Any

from maintsched.holidaycalendar import from_library


class HolidayCache:
    """A source of public holidays that reads from `folder` what the library of this version gave before."""

    def __init__(self, folder: Path) -> None:
        """Touch nothing yet."""
        self.folder = folder

    def __call__(self, country: str, subdivision: str | None, language: str | None, year: int) -> Mapping[date, str]:
        """Return the names of the public holidays of `year` by date."""
        path = self.folder / f"holidays-{country}-{subdivision or 'all'}-{language or 'default'}.json"
        version = library_version()
        years = _read(path, version)
        known = years.get(str(year))
        if known is None:
            found = from_library(country, subdivision, language, year)
            years[str(year)] = {day.isoformat(): name for day, name in found.items()}
            _write(path, {"library": version, "years": years})
            return found
        return {date.fromisoformat(day): name for day, name in known.items()}


def library_version() -> str:
    """Return the version of the installed `holidays` library, without importing it.

    It is read off the name of the folder that installers put beside a package; without one, the time the library's
    file was written stands in.
    """
    spec = find_spec("holidays")
    if spec is None or spec.origin is None:
        return "none"
    origin = Path(spec.origin)
    names = [folder.stem for folder in origin.parent.parent.glob("holidays-*.dist-info")]
    return names[0].removeprefix("holidays-") if len(names) == 1 else f"written {origin.stat().st_mtime_ns}"


def _read(path: Path, version: str) -> dict[str, Any]:
    """Return the years of a cache file that is of this version and whole, else none."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(content, dict) or content.get("library") != version:
        return {}
    years = content.get("years")
    return {year: days for year, days in years.items() if _fits(year, days)} if isinstance(years, dict) else {}


def _fits(year: str, days: object) -> bool:
    return (
        isinstance(days, dict)
        and len(days) > 0
        and all(_is_date_of(year, day) and isinstance(name, str) for day, name in days.items())
    )


def _is_date_of(year: str, day: str) -> bool:
    try:
        return str(date.fromisoformat(day).year) == year
    except ValueError:
        return False


def _write(path: Path, content: Mapping[str, Any]) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = mkstemp(dir=path.parent, prefix=".holidays-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(content, file, ensure_ascii=False)
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError:
        return  # the next run asks the library again
