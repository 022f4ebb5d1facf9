"""Downtimes in an Icinga 2, by its API v1: put at a begin, removed at the end.

A filter of Icinga is a program: names never become part of it, they go beside it as `filter_vars`. A downtime is known
again by its author and by its comment, which ends in the key of the call, so that a call that is made again, because
the answer to the first was lost, finds what the first one made.
"""

import json
from collections.abc import Mapping
from datetime import UTC
from typing import Any

from maintsched.hooks.answers import read_json
from maintsched.hooks.exchange import Reply, Request, ask
from maintsched.hooks.port import AUTHOR, Hook, Occasion, Outcome, Trouble, comment_of, filled, held, one_line

_HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}
_OURS = "downtime.author == our_author && downtime.comment == our_comment"
_HOST = "host.name == our_host"
_SERVICE = "host.name == our_host && service.name == our_service"


async def call(hook: Hook, occasion: Occasion, kept: Mapping[str, Any]) -> Outcome:  # noqa: ARG001 - found by its comment
    """Put a downtime at a begin, and remove it at the end."""
    return await (_put(hook, occasion) if occasion.moment.before else _remove(hook, occasion))


async def _put(hook: Hook, occasion: Occasion) -> Outcome:
    start, end = held(hook, occasion)
    ours = await _ours(hook, occasion)
    if ours and min(ours.values()) >= end.timestamp():
        return Outcome(ok=True, said=f"{_count(ours)} there", kept={"downtimes": sorted(ours)})
    if ours:  # the window was extended; a downtime cannot be
        await _removed(hook, occasion)
    wanted = _objects(hook, occasion) | {
        "fixed": True,
        "start_time": start.timestamp(),
        "end_time": end.timestamp(),
        "author": AUTHOR,
        "comment": comment_of(hook, occasion),
    }
    reply = await _asked(hook, "/v1/actions/schedule-downtime", wanted)
    if _matched_nothing(reply):
        objects = ", ".join(f"{name} {text}" for name, text in wanted["filter_vars"].items()).replace("our_", "")
        raise Trouble(f"{reply.where}: knows no {one_line(objects)}; correct settings", retry=False)
    bad = [each for each in _results(reply) if not _well(each)]
    if bad:
        await _removed(hook, occasion)  # half of it would look like all of it the next time
        raise Trouble(f"{reply.where}: no downtime: {one_line(str(bad[0].get('status')))}", retry=True)
    names = await _ours(hook, occasion)
    return Outcome(
        ok=True, said=f"{_count(names)} until {end.astimezone(UTC).isoformat()}", kept={"downtimes": sorted(names)}
    )


def _matched_nothing(reply: Reply) -> bool:
    """Say whether no object was found: some versions call that 404, others 500 with an empty list of results."""
    if reply.status not in (200, 404, 500):
        return False
    try:
        answer = read_json(reply.text)
    except ValueError:
        return False
    return isinstance(answer, dict) and (answer.get("error") == 404 or answer.get("results") == [])


def _count(names: Mapping[str, float]) -> str:
    return f"{len(names)} downtime{'s' if len(names) != 1 else ''}"


def _objects(hook: Hook, occasion: Occasion) -> dict[str, Any]:
    """Return what gets the downtime: a service, or a host with all its services."""
    settings = {name: filled(value, occasion) for name, value in hook.settings.items()}
    if not settings.get("host"):
        raise Trouble('settings: expected a key host, such as "{host}", found none', retry=False)
    if "service" in settings:
        names = {"our_host": settings["host"], "our_service": settings["service"]}
        return {"type": "Service", "filter": _SERVICE, "filter_vars": names}
    return {"type": "Host", "filter": _HOST, "filter_vars": {"our_host": settings["host"]}, "all_services": True}


async def _remove(hook: Hook, occasion: Occasion) -> Outcome:
    """Remove what was put. None there is as good: it was removed by hand, or has ended."""
    ours = await _ours(hook, occasion)
    if not ours:
        return Outcome(ok=True, said="there is no downtime to remove")
    await _removed(hook, occasion)
    left = await _ours(hook, occasion)
    if left:
        raise Trouble(f"{_count(left)} could not be removed: {one_line(', '.join(sorted(left)))}", retry=True)
    return Outcome(ok=True, said=f"removed {_count(ours)}")


async def _removed(hook: Hook, occasion: Occasion) -> None:
    """Ask for the removal of all of ours. With that of a host, those of its services go, and are missed afterwards."""
    reply = await _asked(hook, "/v1/actions/remove-downtime", {"type": "Downtime", **_marked(hook, occasion)})
    if not reply.ok and reply.status not in (404, 500):  # whether any is left is looked at by whoever has to know
        raise reply.trouble()


async def _ours(hook: Hook, occasion: Occasion) -> dict[str, float]:
    """Return the names of the downtimes of this call, each with its end in seconds since 1970."""
    asked = {"attrs": ["name", "end_time"], **_marked(hook, occasion)}
    reply = await _asked(hook, "/v1/objects/downtimes", asked, read=True)
    if reply.status == 404:  # so older ones say that nothing was found
        return {}
    found = {}
    for each in _results(reply):
        try:
            found[str(each["name"])] = float(each["attrs"]["end_time"])
        except (KeyError, TypeError, ValueError):
            raise reply.strange() from None
    return found


def _marked(hook: Hook, occasion: Occasion) -> dict[str, Any]:
    return {"filter": _OURS, "filter_vars": {"our_author": AUTHOR, "our_comment": comment_of(hook, occasion)}}


def _results(reply: Reply) -> list[dict[str, Any]]:
    """Return the results of an answer; those of a refusal as well, where it has some."""
    answer = reply.json()
    results = answer.get("results") if isinstance(answer, dict) else None
    if not isinstance(results, list) or not all(isinstance(each, dict) for each in results):
        raise reply.strange()
    return results


def _well(result: Mapping[str, Any]) -> bool:
    code = result.get("code")
    return isinstance(code, int | float) and 200 <= code < 300


async def _asked(hook: Hook, path: str, body: Mapping[str, Any], *, read: bool = False) -> Reply:
    headers = _HEADERS | ({"X-HTTP-Method-Override": "GET"} if read else {})
    return await ask(hook, Request(method="POST", path=path, body=json.dumps(body).encode(), headers=headers))
