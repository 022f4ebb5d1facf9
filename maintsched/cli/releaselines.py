"""How `maintsched release` prints releases, what an instance gets, and pins."""

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from maintsched.cli.bulk import names_of
from maintsched.contract import Contract
from maintsched.errors import printable
from maintsched.facts import Pin, Release

if TYPE_CHECKING:
    from maintsched.worker.pins import InstanceOutlook, Outlook
    from maintsched.worker.releases import ReleaseStanding


def said(contract: Contract, at: datetime) -> str:
    """Return an instant as these commands write it, in the contract's zone."""
    return f"{at.astimezone(contract.zone):%Y-%m-%d %H:%M %Z}"


def _iso(contract: Contract, at: datetime) -> str:
    return at.astimezone(contract.zone).isoformat()


def release_line(release: Release, contract: Contract) -> str:
    """Return a release on one line."""
    parts = [f"{release.id}  {release.change_class}, available {said(contract, release.available_at)}"]
    parts.append(f"on {', '.join(release.tracks) or 'every track'}")
    parts += [f"about {release.estimate}"] if release.estimate is not None else []
    parts += [f"carries {', '.join(map(str, release.carries))}"] if release.carries else []
    line = ", ".join(parts) + (f": {printable(release.changes)}" if release.changes else "")
    return line + (f"  (withdrawn: {printable(release.withdrawn)})" if release.withdrawn else "")


def added_lines(standing: "ReleaseStanding", contract: Contract) -> Iterator[str]:
    """Return a release with its waves, and the windows that take it."""
    yield f"release {release_line(standing.release, contract)}"
    waves = ", ".join(f"wave {each.wave} from {said(contract, each.at)}" for each in standing.waves)
    yield f"  {waves}"
    yield from _windows(standing, contract, "goes in with", "goes in nowhere in the next 100 days")
    if standing.deferrals:
        yield f"  deferred for {names_of(standing.deferrals)}"


def withdrawn_lines(standing: "ReleaseStanding", contract: Contract) -> Iterator[str]:
    """Return a release that was taken back, and where it is missed, or was installed."""
    release = standing.release
    yield f"release {release.id} is withdrawn: {printable(release.withdrawn)}"
    yield from _windows(standing, contract, "stays out of", "no window of the next 100 days would have taken it")
    if standing.installed:
        yield f"  installed already, and stays there: {names_of(standing.installed)}"
    if standing.deferrals:
        yield f"  deferred for {names_of(standing.deferrals)}: newer releases that hold it stay out there as well"
        yield "  their customers hear no more of these deferrals: tell them, or withdraw them"


def _windows(standing: "ReleaseStanding", contract: Contract, into: str, nowhere: str) -> Iterator[str]:
    for each in standing.windows:
        count = f"{each.instances:,} instance{'s' if each.instances != 1 else ''}"
        yield f"  {into} {each.window}, {said(contract, each.start)}: {count}"
    if not standing.windows:
        yield f"  {nowhere}"


def release_json(release: Release, contract: Contract, standing: "ReleaseStanding | None" = None) -> dict[str, Any]:
    """Return a release as JSON values, with where it goes if that is known."""
    found: dict[str, Any] = {
        "component": release.component,
        "version": str(release.version),
        "class": str(release.change_class),
        "available_at": _iso(contract, release.available_at),
        "tracks": list(release.tracks),
        "changes": release.changes,
        "estimate": None if release.estimate is None else str(release.estimate),
        "carries": [str(each) for each in release.carries],
        "withdrawn": release.withdrawn or None,
    }
    if standing is None:
        return found
    return {
        **found,
        "waves": [{"wave": each.wave, "opens": _iso(contract, each.at)} for each in standing.waves],
        "windows": [
            {"id": each.window, "start": _iso(contract, each.start), "instances": each.instances}
            for each in standing.windows
        ],
        "installed": list(standing.installed),
        "deferred": list(standing.deferrals),
    }


# --- what an instance gets --------------------------------------------------------------------------------------------


def outlook_lines(outlook: "InstanceOutlook", contract: Contract, component: str | None) -> Iterator[str]:
    """Return what becomes of each release in an instance, and why."""
    instance = outlook.instance
    wanted = [each for each in outlook.releases if component in (None, each.release.component)]
    installed = ", ".join(f"{name} {version}" for name, version in instance.versions.items())
    yield f"instance {instance.key}, track {outlook.track}; installed: {installed or 'not known'}"
    for pin in outlook.pins:
        yield f"  {pin_line(pin, contract)}"
    for each in wanted:
        yield f"  {each.release.id} ({each.release.change_class}): {_fate(each, contract)}"
    if not wanted:
        yield "  no release is installed or newer"


def _fate(outlook: "Outlook", contract: Contract) -> str:
    from maintsched.worker.pins import Fate

    why = printable(outlook.why)
    if outlook.fate is Fate.GOES_IN and outlook.start is not None:
        later = f"; not before: {why}" if why else ""
        return f"goes in with {outlook.window}, {said(contract, outlook.start)}{later}"
    words = {
        Fate.INSTALLED: "installed",
        Fate.HELD_BACK: f"stays out: {why}",
        Fate.OFF_TRACK: f"stays out: {why}",
        Fate.OVERTAKEN: f"not by itself: {why}",
        Fate.NO_WINDOW: "no window in the next 13 months takes it",
    }
    return words[outlook.fate]


def outlook_json(outlook: "InstanceOutlook", contract: Contract, component: str | None) -> list[dict[str, Any]]:
    """Return what becomes of each release in an instance as JSON values."""
    return [
        {
            "component": each.release.component,
            "version": str(each.release.version),
            "class": str(each.release.change_class),
            "fate": str(each.fate),
            "window": each.window,
            "start": _iso(contract, each.start) if each.start else None,
            "why": each.why,
        }
        for each in outlook.releases
        if component in (None, each.release.component)
    ]


# --- pins -------------------------------------------------------------------------------------------------------------


def pin_line(pin: Pin, contract: Contract) -> str:
    """Return a pin on one line."""
    until = "until it is unpinned" if pin.until is None else f"until {said(contract, pin.until)}"
    security = "security releases go on" if pin.security else "no security releases either"
    return f"{pin.instance}: {pin.component} stays at {pin.version} {until}, {security} ({printable(pin.reason)})"


def pin_json(pin: Pin, contract: Contract) -> dict[str, Any]:
    """Return a pin as JSON values."""
    return {
        "instance": pin.instance,
        "component": pin.component,
        "version": str(pin.version),
        "start": _iso(contract, pin.start),
        "until": _iso(contract, pin.until) if pin.until else None,
        "security": pin.security,
        "reason": pin.reason,
    }
