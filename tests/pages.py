"""Plans that pages are made of, and a reader of pages."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import maintsched as ms
from maintsched.fleet import Language
from maintsched.holidaycalendar import HolidayCalendar

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 23, 10, 30, tzinfo=BERLIN)
SAMPLE = Path(__file__).parent.parent / "docs" / "examples" / "fleet.toml"
HOSTILE = "</style></title><script>alert(1)</script> &amp; <img src=x onerror='x'> \"quoted\""
VOID = {"meta", "br", "img", "link", "input", "hr"}

World = tuple[ms.Fleet, ms.Plan]


class Element:
    """One element of a parsed page."""

    def __init__(self, tag, attributes, parent=None):
        self.tag, self.attributes, self.parent = tag, attributes, parent
        self.children, self.pieces = [], []

    @property
    def text(self):
        """All text inside, spaces folded."""
        return " ".join("".join(self._texts()).split())

    def _texts(self):
        for piece in self.pieces:
            yield from [piece] if isinstance(piece, str) else piece._texts()

    def all(self, tag=None, **attributes):
        """Every element inside that has this tag and these attributes (class_: one of its classes)."""
        wanted = attributes.pop("class_", None)
        for child in self.children:
            classes = child.attributes.get("class", "").split()
            fits = tag in (None, child.tag) and (wanted is None or wanted in classes)
            if fits and all(child.attributes.get(key) == value for key, value in attributes.items()):
                yield child
            yield from child.all(tag, **attributes, **({"class_": wanted} if wanted else {}))

    def one(self, tag=None, **attributes):
        """The only such element."""
        found = list(self.all(tag, **attributes))
        assert len(found) == 1, f"expected one {tag} {attributes}, got {len(found)}"
        return found[0]


class _Reader(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.root = self.at = Element("root", {})

    def handle_starttag(self, tag, attrs):
        element = Element(tag, {key: value or "" for key, value in attrs}, self.at)
        self.at.children.append(element)
        self.at.pieces.append(element)
        if tag not in VOID:
            self.at = element

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.at = self.at.parent

    def handle_endtag(self, tag):
        assert self.at.tag == tag, f"</{tag}> closes <{self.at.tag}>"
        self.at = self.at.parent

    def handle_data(self, data):
        self.at.pieces.append(data)


def read(page: str) -> Element:
    """The page as a tree; every tag has to be closed in its place."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert reader.at is reader.root
    return reader.root


def span(days: int = 270, start: datetime = NOW) -> ms.Span:
    """So many days from `start`."""
    return ms.Span(start=start, end=start + timedelta(days=days))


def sample_plan(contract: ms.Contract, **facts: Any) -> World:
    """The sample fleet and its plan, with other facts."""
    fleet, declared = ms.load_fleet(contract, str(SAMPLE))
    return fleet, ms.make_plan(contract, fleet, replace(declared, **facts), span(), now=NOW)


def large_fleet(customers: int, each: int) -> ms.Fleet:
    """Customers without contacts, all alike."""
    return ms.Fleet(
        customers=tuple(
            ms.Customer(
                key=f"c{n}",
                name=f"Customer {n}",
                language=Language.EN,
                package="premium",
                instances=tuple(ms.Instance(key=f"c{n}-i{i}", host="h.example") for i in range(each)),
            )
            for n in range(customers)
        )
    )


@cache
def contract() -> ms.Contract:
    """The built-in contract."""
    return ms.load_contract()


@cache
def sample() -> World:
    """The sample fleet and its plan."""
    return sample_plan(contract())


@cache
def hostile() -> World:
    """A plan in which every text that somebody types, and every holiday, tries to leave its place."""
    nasty = replace(
        contract(),
        title=HOSTILE,
        holidays=HolidayCalendar(
            country="DE",
            subdivision="BW",
            language="xx",
            source=lambda *about: {date(about[-1], 12, 1): HOSTILE},
        ),
    )
    fleet, declared = ms.load_fleet(contract(), str(SAMPLE))
    fleet = replace(fleet, customers=tuple(replace(each, name=f"{each.key} {HOSTILE}") for each in fleet.customers))
    declared = replace(
        declared,
        windows=tuple(replace(each, reason=HOSTILE) for each in declared.windows),
        freezes=tuple(replace(each, reason=HOSTILE) for each in declared.freezes),
    )
    return fleet, ms.make_plan(nasty, fleet, declared, span(), now=NOW)
