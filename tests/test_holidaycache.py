"""Holidays on disk: the same as the library's, whatever state the file is in."""

import json
from datetime import date

import pytest

from maintsched.holidaycalendar import from_library
from maintsched.intake import holidaycache
from maintsched.intake.holidaycache import HolidayCache, library_version

BW = ("DE", "BW", "de")


@pytest.fixture
def asked(monkeypatch):
    """Record the years that the library is asked for."""
    years = []

    def ask(country, subdivision, language, year):
        years.append(year)
        return from_library(country, subdivision, language, year)

    monkeypatch.setattr(holidaycache, "from_library", ask)
    return years


def file_in(folder):
    (path,) = folder.iterdir()
    return path


def test_a_year_is_asked_for_once(tmp_path, asked):
    first = HolidayCache(tmp_path / "new")(*BW, 2026)
    second = HolidayCache(tmp_path / "new")(*BW, 2026)
    assert first == second == from_library(*BW, 2026)
    assert first[date(2026, 6, 4)] == "Fronleichnam"
    assert asked == [2026]


def test_years_gather_in_one_file_that_only_its_owner_reads(tmp_path, asked):
    for year in (2026, 2027, 2026):
        HolidayCache(tmp_path / "new")(*BW, year)
    path = file_in(tmp_path / "new")
    assert set(json.loads(path.read_text())["years"]) == {"2026", "2027"}
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert asked == [2026, 2027]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b'{"library": "0.0", "years": {"2026": {"2026-01-01": "x"}}}',
        b'{"library": "VERSION", "years": []}',
        b'{"library": "VERSION", "years": {"2026": {}}}',
        b'{"library": "VERSION", "years": {"2026": {"2025-01-01": "x"}}}',
        b'{"library": "VERSION", "years": {"2026": {"2026-02-30": "x"}}}',
        b'{"library": "VERSION", "years": {"2026": {"2026-01-01": 5}}}',
        b'{"library": "VERSION", "years": {"2026": 5}}',
    ],
)
def test_a_file_that_does_not_fit_is_asked_for_again(tmp_path, asked, content):
    HolidayCache(tmp_path / "new")(*BW, 2026)
    path = file_in(tmp_path / "new")
    path.write_bytes(content.replace(b"VERSION", library_version().encode()))
    assert HolidayCache(tmp_path / "new")(*BW, 2026) == from_library(*BW, 2026)
    assert asked == [2026, 2026]
    assert "2026-06-04" in path.read_text()


def test_regions_are_kept_apart(tmp_path):
    cache = HolidayCache(tmp_path / "new")
    assert cache("DE", "BW", "de", 2026) != cache("DE", None, "de", 2026) != cache("US", None, None, 2026)
    assert len(list((tmp_path / "new").iterdir())) == 3


def test_a_cache_that_cannot_be_written_costs_time_and_nothing_else(tmp_path, asked):
    (tmp_path / "file").write_text("no folder")
    cache = HolidayCache(tmp_path / "file" / "folder")
    assert cache(*BW, 2026) == cache(*BW, 2026) == from_library(*BW, 2026)
    assert asked == [2026, 2026]


def test_the_version_is_the_librarys_own():
    from importlib.metadata import version

    assert library_version() == version("holidays")


def test_a_version_that_cannot_be_found_is_none_of_the_known(monkeypatch, tmp_path):
    monkeypatch.setattr(holidaycache, "find_spec", lambda name: None)
    assert library_version() == "none"

    class Spec:
        origin = str(tmp_path / "holidays" / "__init__.py")

    (tmp_path / "holidays").mkdir()
    (tmp_path / "holidays" / "__init__.py").touch()
    monkeypatch.setattr(holidaycache, "find_spec", lambda name: Spec)
    assert library_version().startswith("written ")
