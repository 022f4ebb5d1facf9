"""Zone definitions of calendar files, kept by hand as two yearly rules.

A generated definition lists transitions one by one and ends some day, and readers have been seen to take one an hour
wrong. The rules of Central European Time have been the same since 1996 and are two lines. Times of a zone that is not
kept here are written in UTC, which every reader gets right.
"""

from typing import cast

from icalendar import Timezone

CENTRAL_EUROPEAN = frozenset(
    {
        "Africa/Ceuta",
        "Arctic/Longyearbyen",
        "Europe/Amsterdam",
        "Europe/Andorra",
        "Europe/Belgrade",
        "Europe/Berlin",
        "Europe/Bratislava",
        "Europe/Brussels",
        "Europe/Budapest",
        "Europe/Busingen",
        "Europe/Copenhagen",
        "Europe/Gibraltar",
        "Europe/Ljubljana",
        "Europe/Luxembourg",
        "Europe/Madrid",
        "Europe/Malta",
        "Europe/Monaco",
        "Europe/Oslo",
        "Europe/Paris",
        "Europe/Podgorica",
        "Europe/Prague",
        "Europe/Rome",
        "Europe/San_Marino",
        "Europe/Sarajevo",
        "Europe/Skopje",
        "Europe/Stockholm",
        "Europe/Tirane",
        "Europe/Vaduz",
        "Europe/Vatican",
        "Europe/Vienna",
        "Europe/Warsaw",
        "Europe/Zagreb",
        "Europe/Zurich",
    }
)
"""Zones that have kept Central European Time, with its summer time, since 2000."""

_DEFINITION = """\
BEGIN:VTIMEZONE
TZID:{zone}
BEGIN:STANDARD
DTSTART:19961027T030000
RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
TZNAME:CET
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:19960331T020000
RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
TZNAME:CEST
END:DAYLIGHT
END:VTIMEZONE
"""


def zone_definition(zone: str) -> Timezone | None:
    """Return the definition of `zone`, or None where none is kept: times are then written in UTC."""
    if zone not in CENTRAL_EUROPEAN:
        return None
    return cast("Timezone", Timezone.from_ical(_DEFINITION.format(zone=zone).replace("\n", "\r\n")))
