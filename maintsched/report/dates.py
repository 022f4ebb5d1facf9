"""Dates as people read them, in English and German, by pendulum."""

from datetime import datetime

import pendulum

FORMS = {
    "en": {"day": "ddd D MMM YYYY", "short": "ddd D MMM", "month": "MMMM YYYY"},
    "de": {"day": "dd, D. MMM YYYY", "short": "dd, D. MMM", "month": "MMMM YYYY"},
}


def say_day(at: datetime, language: str, form: str = "day") -> str:
    """Return the local date of `at`: Tue 1 Dec 2026; Di., 1. Dez. 2026."""
    return pendulum.instance(at).format(FORMS[language][form], locale=language)


def say_time(at: datetime) -> str:
    """Return the local time of day of `at`: 17:00."""
    return f"{at:%H:%M}"


def say_distance(at: datetime, now: datetime, language: str) -> str:
    """Return how far `at` is from `now`: in 8 days, 3 days ago; in 8 Tagen, vor 3 Tagen."""
    distance = pendulum.instance(at).diff(pendulum.instance(now))
    return pendulum.format_diff(distance, is_now=True, locale=language)
