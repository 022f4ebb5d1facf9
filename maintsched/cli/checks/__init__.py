"""What `maintsched doctor` looks at, one file per part of the world.

A check is a small function that looks at an `Examination` and tells what it found. Each stands alone: what one runs
into is its own finding and hides none of the others.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

from maintsched.cli.configured import open_config
from maintsched.cli.options import open_contract
from maintsched.contract import Contract
from maintsched.errors import MaintschedError
from maintsched.intake.config import Config
from maintsched.worker.clock import read_clock

if TYPE_CHECKING:
    from maintsched.store import Store

T = TypeVar("T")


class Verdict(StrEnum):
    """What a finding means."""

    OK = "ok"
    WARN = "warn"  # works, and somebody should look at it; or could not be checked
    FAIL = "FAIL"  # does not work, or not safely


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a check found, and what to do about it; nothing where all is well."""

    check: str
    verdict: Verdict
    found: str
    way_out: str = ""


class Unmet(Exception):
    """A check needs a `thing` that could not be had; the check of that name tells why."""

    def __init__(self, thing: str, error: MaintschedError | OSError) -> None:
        self.thing = thing
        self.error = error
        super().__init__(thing)


@dataclass(kw_only=True)
class Examination:
    """What checks look at. Things are fetched once, when the first check asks for them."""

    config_file: str | None
    now: datetime
    clock: Callable[[], datetime] = read_clock
    """The clock itself, for checks of it: `now` may be another instant."""
    _fetched: dict[str, Any] = field(default_factory=dict)

    @property
    def config(self) -> Config:
        """The configuration, or `Unmet`."""
        return self._once("configuration", lambda: open_config(self.config_file))

    @property
    def contract(self) -> Contract:
        """The contract that the configuration names, or `Unmet`."""
        name = self.config.contract
        return self._once("contract", lambda: open_contract(name))

    @property
    def store(self) -> "Store":
        """The database that the configuration names, or `Unmet`."""
        from maintsched.store import open_store

        url = self.config.database
        return self._once("database", lambda: open_store(url))

    def close(self) -> None:
        """Give the database back, where one was opened."""
        store = self._fetched.get("database")
        if store is not None and not isinstance(store, Exception):
            store.close()

    def _once(self, thing: str, fetch: Callable[[], T]) -> T:
        if thing not in self._fetched:
            try:
                self._fetched[thing] = fetch()
            except (MaintschedError, OSError) as error:
                self._fetched[thing] = error
        found = self._fetched[thing]
        if isinstance(found, MaintschedError | OSError):
            raise Unmet(thing, found)
        value: T = found
        return value


Told = Iterable[tuple[Verdict, str, str]]
"""What a check tells: verdict, what was found, what to do about it (or nothing)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A check: its name, what it does, and what to do where it runs into an error that does not say so itself."""

    name: str
    look: Callable[[Examination], Told]
    way_out: str

    def findings(self, examination: Examination) -> Iterator[Finding]:
        """Tell what is found. What maintsched or the system refuses is a finding too."""
        try:
            for verdict, found, way_out in self.look(examination):
                yield Finding(check=self.name, verdict=verdict, found=found, way_out=way_out)
        except Unmet as unmet:
            if unmet.thing == self.name:
                yield self._failed(unmet.error)
            else:
                found = f"not checked: it needs the {unmet.thing}"
                yield Finding(check=self.name, verdict=Verdict.WARN, found=found, way_out=f"mend the {unmet.thing}")
        except (MaintschedError, OSError) as error:
            yield self._failed(error)

    def _failed(self, error: MaintschedError | OSError) -> Finding:
        found = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
        return Finding(check=self.name, verdict=Verdict.FAIL, found=found, way_out=self.way_out)
