"""What `dnf` and `zypper` have in common: packages of rpm, named `name.architecture`."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from maintsched.errors import InvalidValue
from maintsched.executors.commands import Words
from maintsched.executors.packages import PackageExecutor
from maintsched.executors.packagesettings import PackageSettings
from maintsched.executors.port import Item, Link
from maintsched.grammar import require_text

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,199}\.[a-z0-9_]{1,30}")
_VERSION = re.compile(r"(?:[0-9]{1,9}:)?[A-Za-z0-9_.+~^]{1,100}-[A-Za-z0-9_.+~^]{1,100}")
_ROW = "%{NAME}.%{ARCH}\t%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class RpmSettings(PackageSettings):
    """How packages of rpm are updated."""

    program: Words = ()
    """The package manager with options that every call has; empty: found by its name."""
    rpm: Words = ("rpm",)
    """rpm, likewise."""

    def __post_init__(self) -> None:
        """Refuse words that are no text of one line."""
        PackageSettings.__post_init__(self)
        for word in (*self.program, *self.rpm):
            require_text("program", word)
        if not self.rpm:
            raise InvalidValue("rpm", expected="a program", found="none", field="rpm")


class RpmExecutor(PackageExecutor):
    """Reads the database of rpm."""

    kind: ClassVar[type[PackageSettings]] = RpmSettings
    kernels: ClassVar[Words] = ("kernel", "kernel-core", "kernel-default", "glibc", "systemd", "linux-firmware")
    settings: RpmSettings

    @property
    def _program(self) -> Words:
        return self.settings.program or (self.name,)

    def _ways(self, wanted: Sequence[Item]) -> Iterator[Sequence[Item]]:
        """Name what is there already, so that what is new counts as brought in by others; else name the new as well."""
        there = [item for item in wanted if item.before and item.after]
        every = [item for item in wanted if item.after]
        if there:
            yield there
        if len(every) > len(there):
            yield every

    async def _installed(self, link: Link, names: Sequence[str]) -> Mapping[str, Words]:
        if not names:
            return {}
        asked = sorted({name.rpartition(".")[0] if _NAME.fullmatch(name) else name for name in names})
        output = await self._ask(link, (*self.settings.rpm, "-qa", "--qf", _ROW, "--", *asked, *names))
        if not output.ok:
            raise self._refused(link, "rpm -qa", output)
        found: dict[str, Words] = {}
        for line in dict.fromkeys(output.stdout.splitlines()):
            name, _, version = line.partition("\t")
            found[name] = (*found.get(name, ()), version)
        return found

    async def _with_before(self, link: Link, items: Iterable[Item]) -> tuple[Item, ...]:
        """Say what is there of each package, also of those that are installed beside it, such as kernels."""
        listed = list(items)
        there = await self._installed(link, [item.name for item in listed if not item.before])
        return tuple(
            sorted(
                replace(item, before=there[item.name][-1]) if not item.before and item.name in there else item
                for item in listed
            )
        )

    def _sound(self, link: Link, item: Item) -> Item:
        """Refuse what is not by the grammar of rpm, wherever it was read."""
        if not is_sound(item):
            raise self._unread(link, self.name, f"{item.name} {item.before or ''} {item.after or ''}")
        return item


def is_sound(item: Item) -> bool:
    """Say whether name and versions are by the grammar of rpm: nothing that could be an option, or two words."""
    versions = [each for each in (item.before, item.after) if each is not None]
    return _NAME.fullmatch(item.name) is not None and all(_VERSION.fullmatch(each) for each in versions)


def require_sound(items: Iterable[Item]) -> list[Item]:
    """Return items, or refuse what is not by the grammar of rpm."""
    listed = list(items)
    for item in listed:
        if not is_sound(item):
            found = f"{item.name} {item.after or ''}"
            raise InvalidValue("package", expected="a name and a version of rpm", found=found)
    return listed
