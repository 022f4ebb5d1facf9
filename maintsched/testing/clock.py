"""A clock that moves only when it is told to."""

from datetime import datetime, timedelta

from maintsched.localtime import utc


class FrozenClock:
    """Returns the same instant at every call, until it is moved."""

    def __init__(self, now: datetime) -> None:
        """Stand still at `now`, an aware instant."""
        self._now = utc(now, "now")

    def __call__(self) -> datetime:
        """Return the instant it stands at."""
        return self._now

    def forward(self, length: timedelta) -> datetime:
        """Move on (or back) by `length` and return the new instant."""
        self._now += length
        return self._now

    def set(self, now: datetime) -> datetime:
        """Move to `now` and return it."""
        self._now = utc(now, "now")
        return self._now
