"""Reads calendars with libical, the library of Evolution, KOrganizer and Cyrus, and checks them by its rules.

On standard input: a JSON list of calendars; on standard output: what was seen in each. Only the C library is needed.
"""

import ctypes
import ctypes.util
import json
import sys
from datetime import UTC, datetime
from typing import Any


class IcalTime(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int) for name in ("year", "month", "day", "hour", "minute", "second")),
        ("is_date", ctypes.c_int),
        ("is_daylight", ctypes.c_int),
        ("zone", ctypes.c_void_p),
    )


LIBRARY = ctypes.CDLL(ctypes.util.find_library("ical") or "libical.so.3")
POINTER, TEXT, NUMBER = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int


def foreign(name: str, result: Any, *arguments: Any) -> Any:
    function = getattr(LIBRARY, name)
    function.restype, function.argtypes = result, arguments
    return function


parse = foreign("icalparser_parse_string", POINTER, TEXT)
kind_of = foreign("icalproperty_string_to_kind", NUMBER, TEXT)
first = foreign("icalcomponent_get_first_property", POINTER, POINTER, NUMBER)
following = foreign("icalcomponent_get_next_property", POINTER, POINTER, NUMBER)
inner = foreign("icalcomponent_get_inner", POINTER, POINTER)
is_valid = foreign("icalrestriction_check", NUMBER, POINTER)
is_utc = foreign("icaltime_is_utc", NUMBER, IcalTime)
seconds = foreign("icaltime_as_timet", ctypes.c_longlong, IcalTime)
parameter = foreign("icalproperty_get_parameter_as_string", TEXT, POINTER, TEXT)
x_name = foreign("icalproperty_get_x_name", TEXT, POINTER)


def properties(component: Any, name: str) -> list[Any]:
    kind, found = kind_of(name.encode()), []
    each = first(component, kind)
    while each:
        found.append(each)
        each = following(component, kind)
    return found


def texts(component: Any, name: str) -> list[str]:
    get = foreign(f"icalproperty_get_{name.lower().replace('x-lic-error', 'xlicerror')}", TEXT, POINTER)
    return [get(each).decode() for each in properties(component, name)]


def instant(component: Any, name: str) -> str:
    (found,) = properties(component, name)
    at = foreign(f"icalproperty_get_{name.lower()}", IcalTime, POINTER)(found)
    if not is_utc(at):
        return "not in UTC"
    return datetime.fromtimestamp(seconds(at), UTC).isoformat()


def code(component: Any, name: str) -> str | None:
    found = foreign(f"icalcomponent_get_{name.lower()}", NUMBER, POINTER)(component)
    word = foreign(f"icalproperty_{name.lower()}_to_string", TEXT, NUMBER)(found)
    return word.decode() if word else None


def people(component: Any, name: str) -> list[list[str]]:
    return [
        [parameter(each, b"CN").decode().strip('"'), address]
        for each, address in zip(properties(component, name), texts(component, name), strict=True)
    ]


def extra(component: Any) -> list[list[str | None]]:
    """Properties that libical does not know, with the one parameter that ours have."""
    value = foreign("icalproperty_get_x", TEXT, POINTER)
    impact = b"X-MAINTNOTE-OBJECT-IMPACT"
    return [
        [x_name(each).decode(), value(each).decode(), (found := parameter(each, impact)) and found.decode()]
        for each in properties(component, "X-ANY")
    ]


def read(calendar: str) -> dict[str, Any]:
    whole = parse(calendar.encode())
    allowed = is_valid(whole)
    event = inner(whole)
    return {
        "method": code(whole, "METHOD") if properties(whole, "METHOD") else None,
        "uid": texts(event, "UID")[0],
        "sequence": foreign("icalcomponent_get_sequence", NUMBER, POINTER)(event),
        "stamp": instant(event, "DTSTAMP"),
        "start": instant(event, "DTSTART"),
        "end": instant(event, "DTEND"),
        "status": code(event, "STATUS"),
        "summary": texts(event, "SUMMARY")[0],
        "description": texts(event, "DESCRIPTION")[0],
        "url": next(iter(texts(event, "URL")), None),
        "organizer": next(iter(people(event, "ORGANIZER")), []),
        "attendees": people(event, "ATTENDEE"),
        "extra": extra(event),
        "objections": [*([] if allowed else ["refused"]), *texts(whole, "X-LIC-ERROR"), *texts(event, "X-LIC-ERROR")],
    }


json.dump([read(calendar) for calendar in json.load(sys.stdin)], sys.stdout)
