"""Silences in a Prometheus Alertmanager, by its API v2: one per call at a begin, ended at the end.

A silence is known again by its author and by the key at the end of its comment, so that a call that is made again,
because the answer to the first was lost, finds what the first one made.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from maintsched.hooks.exchange import Reply, Request, ask
from maintsched.hooks.port import AUTHOR, Hook, Occasion, Outcome, Trouble, comment_of, filled, held

_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
_HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}


async def call(hook: Hook, occasion: Occasion, kept: Mapping[str, Any]) -> Outcome:
    """Silence at a begin, and end the silence at the end."""
    return await (_silence(hook, occasion) if occasion.moment.before else _unsilence(hook, occasion, kept))


async def _silence(hook: Hook, occasion: Occasion) -> Outcome:
    start, end = held(hook, occasion)
    wanted: dict[str, Any] = {
        "matchers": _matchers(hook, occasion),
        "startsAt": _text(start),
        "endsAt": _text(end),
        "createdBy": AUTHOR,
        "comment": comment_of(hook, occasion),
    }
    ours = await _ours(hook, occasion)
    for key, until in ours.items():
        if until >= end:
            return _done([key], f"silence {key} is there, until {_text(until)}")
        wanted["id"] = key  # the window was extended: the same silence holds longer
    reply = await _asked(hook, "POST", "/api/v2/silences", wanted)
    answer = reply.json()
    made = answer.get("silenceID") if isinstance(answer, dict) else None
    if not _is_id(made):
        raise reply.strange()
    return _done([str(made)], f"silence {made} until {_text(end)}")


def _done(silences: Sequence[str], said: str) -> Outcome:
    return Outcome(ok=True, said=said, kept={"silences": list(silences)})


async def _unsilence(hook: Hook, occasion: Occasion, kept: Mapping[str, Any]) -> Outcome:
    """End what was made: what is kept of it, and what is found beside that."""
    given = kept.get("silences")
    silences = dict.fromkeys(each for each in given if _is_id(each)) if isinstance(given, list) else {}
    for each in silences:
        await _end(hook, each)
    for each in await _ours(hook, occasion):
        await _end(hook, each)
        silences[each] = None
    return Outcome(ok=True, said=f"ended silence {', '.join(silences)}" if silences else "there is no silence to end")


def _is_id(given: Any) -> bool:
    return isinstance(given, str) and _ID.fullmatch(given) is not None


def _id_of(given: Any) -> str:
    if not _is_id(given):  # it becomes part of a path
        raise ValueError("no id")
    return str(given)


async def _end(hook: Hook, silence: str) -> None:
    """End a silence. One that has ended, or is not known any more, is as good."""
    path = f"/api/v2/silence/{silence}"
    reply = await _asked(hook, "DELETE", path)
    if reply.ok or reply.status == 404:
        return
    there = await _asked(hook, "GET", path)  # ending what has ended is an error of the server's, by its status
    if there.status != 404 and not (there.ok and _state(there.json()) == "expired"):
        raise reply.trouble()


async def _ours(hook: Hook, occasion: Occasion) -> dict[str, datetime]:
    """Return the silences of this call that hold now or will, each with its end."""
    filters = [("filter", f"{each['name']}={_quoted(each['value'])}") for each in _matchers(hook, occasion)]
    reply = await _asked(hook, "GET", f"/api/v2/silences?{urlencode(filters)}")
    listed = reply.json()
    if not isinstance(listed, list):
        raise reply.strange()
    comment, found = comment_of(hook, occasion), {}
    for each in listed:
        try:
            if (each["createdBy"], each["comment"]) != (AUTHOR, comment) or _state(each) == "expired":
                continue
            found[_id_of(each["id"])] = datetime.fromisoformat(each["endsAt"]).astimezone(UTC)
        except (KeyError, TypeError, ValueError):
            raise reply.strange() from None
    return found


def _state(silence: Any) -> Any:
    status = silence.get("status") if isinstance(silence, dict) else None
    return status.get("state") if isinstance(status, dict) else None


def _matchers(hook: Hook, occasion: Occasion) -> list[dict[str, Any]]:
    """Return what is silenced. Nothing at all would silence everything."""
    if not hook.settings:
        raise Trouble("settings: expected labels and what they match, found none", retry=False)
    return [
        {"name": name, "value": filled(value, occasion), "isRegex": False, "isEqual": True}
        for name, value in sorted(hook.settings.items())
    ]


def _quoted(value: str) -> str:
    """Return a value as the language of filters writes it."""
    escaped = value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return f'"{escaped}"'


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()


async def _asked(hook: Hook, method: str, path: str, body: object = None) -> Reply:
    data = None if body is None else json.dumps(body).encode()
    return await ask(hook, Request(method=method, path=path, body=data, headers=_HEADERS))
