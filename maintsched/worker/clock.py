"""The only place that reads the clock; everywhere else `now` is an argument."""

from datetime import UTC, datetime


def read_clock() -> datetime:
    """Return the present instant, in UTC, to the second."""
    return datetime.now(UTC).replace(microsecond=0)
