"""Mails of a group: put together from shared words, they are byte for byte those that each letter gives alone."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench import mailhouse
from maintsched.contract import Contract
from maintsched.errors import FileError, MaintschedError
from maintsched.fleet import CalendarMethod, Contact, Language
from maintsched.intake.config import Config, MailConfig, ProviderConfig
from maintsched.mail import groups as groups_module
from maintsched.mail import templates as templates_module
from maintsched.mail.blanks import VALUE_MAX, Blank, Blanks, Book, Form, NotShared, is_fit
from maintsched.mail.compose import compose
from maintsched.mail.groups import KEPT_MAX, Groups, Shared
from maintsched.mail.letter import Composed
from maintsched.mail.templates import Templates, builtin_folder
from maintsched.notices import Notice, NoticeKind
from maintsched.store.ledger import ActionState, claim
from maintsched.store.outbox import StoredNotice, read_notices
from maintsched.worker.again import composed_notice
from maintsched.worker.perform import prepare
from maintsched.worker.post import Addressee, letter_of, shared_of
from maintsched.worker.record import record_due
from tests.notice_samples import RUNS, STAMP, bare, contract, full

KINDS = tuple(NoticeKind)
each_kind = pytest.mark.parametrize("kind", KINDS)
each_language = pytest.mark.parametrize("language", tuple(Language))
ZONES = ("Europe/Berlin", "Asia/Kathmandu")
INSTANCE = {"environment": "prod", "impact": "outage", "components": ["intrexx", "linux"]}
WORK = {"items": [["intrexx", "12.0.4", "security"], ["linux", None, "os"]]}

Person = tuple[str, str, str, tuple[tuple[str, str], ...]]
"""Customer, its name, a contact's name, and key and link of each instance."""

ODD = st.text(st.sampled_from("#-| *>`=%&<'\"\\;,:/.()[]{}@aÄß語\u00a0\u202e\ue000\uf001"), min_size=1, max_size=40)
PLAIN = st.text(st.characters(codec="utf-8"), min_size=1, max_size=80)
HOSTILE = st.sampled_from(
    (
        "<script>alert(1)</script> & \"Söhne\" 'AG'",
        "%s %d %(x)s 100% {{ 7 * 7 }} {% raw %}",
        "a|b|c",
        "https://evil.example/x",
        "see https://evil.example, http://b.example.",
        "https:",
        "http",
        "//evil.example",
        "# a heading",
        "- an item",
        "two  spaces",
        " at the ends ",
        "ends with \\",
        "\\n;,\\;",
        "=20=3D.",
        ".",
        "w" * 100,
        "many words " * 20 + "end",
        "x" * (VALUE_MAX + 1),
        "Ünïcödé 名前 " * 5 + "Ende",
        "\ue000\ue001",
    )
)
KEYS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", fullmatch=True)
LINKS = st.one_of(
    st.from_regex(r"https?://[a-z]{1,20}\.example(/[!-~]{0,30})?", fullmatch=True).filter(
        lambda link: "=?" not in link
    ),
    st.sampled_from(("https://a.example/.", "https://a.example/?a=1&b=(2)", "https://a.example/http://b.example/%s")),
)


def _is_name(text: str) -> bool:
    try:
        person_of(("acme", text, text, ()), Language.EN)
    except MaintschedError:
        return False
    return bool(text.strip())


NAMES = st.one_of(ODD, PLAIN, HOSTILE).filter(_is_name)


def people(instances: int) -> st.SearchStrategy[list[Person]]:
    """Some people with so many instances each: a group, unless an odd name falls out of it."""
    named = st.lists(st.tuples(KEYS, LINKS), min_size=instances, max_size=instances, unique=True).map(tuple)
    return st.lists(st.tuples(KEYS, NAMES, NAMES, named), min_size=3, max_size=4)


def person_of(person: Person, language: Language, zone: str = ZONES[0], **changed: Any) -> Addressee:
    customer, customer_name, name, _ = person
    contact = Contact(key="eva", name=name, email="eva@acme.example", roles=("user",), zone=ZoneInfo(zone), **changed)
    return Addressee(
        contact=contact, customer=customer, customer_name=customer_name, sender=None, language=language, salt="salt"
    )


def stored_for(person: Person, kind: NoticeKind, facts: dict[str, Any], **changed: Any) -> StoredNotice:
    """A notice of a kind to a person, about its own instances."""
    if "window" in facts:
        facts = facts | {
            "instances": [{**INSTANCE, "key": key, "url": link} for key, link in person[3]] or facts["instances"],
            "work": [{**WORK, "instance": key} for key, _ in person[3]] if facts.get("work") else [],
        }
    fields = {
        "kind": kind,
        "label": str(kind),
        "subject": facts.get("window", {}).get("id", "instance/acme-prod"),
        "revision": 0,
        "customer": person[0],
        "contact": "eva",
        "required": True,
        "sequence": 3,
        "stamp": STAMP,
        "not_before": STAMP,
        "deadline": None,
        "late": False,
        "facts": facts,
    }
    return StoredNotice(notice=Notice(**(fields | changed)), state=ActionState.RUNNING, attempt=0, give_up_at=None)


@cache
def config() -> Config:
    return Config(
        mail=MailConfig(host="mail.example", sender="notices@hosting.example", reply_to="help@hosting.example"),
        provider=ProviderConfig(
            name="Müller & Söhne Hosting", domain="hosting.example", contact="help@hosting.example"
        ),
    )


@cache
def shipped() -> Templates:
    return Templates()


class Desk:
    """Composes notices alone and in groups."""

    def __init__(self, templates: Templates) -> None:
        self.templates = templates
        self.groups = Groups(templates)

    def both(self, stored: StoredNotice, who: Addressee, terms: Contract | None = None) -> tuple[Composed, Composed]:
        terms = terms or contract()
        letter = letter_of(terms, config(), stored, who, "notice/reminder/x/0/acme/eva")
        together = self.groups.compose(letter, partial(shared_of, terms, config(), stored, who))
        return compose(letter, self.templates), together

    @property
    def skeletons(self) -> int:
        """How many groups have one."""
        return sum(each is not None for each in self.groups._known.values())


def assert_same(pairs: Sequence[tuple[Composed, Composed]]) -> None:
    for alone, together in pairs:
        assert together.data == alone.data
        assert together == alone


# --- the law ----------------------------------------------------------------------------------------------------------


@each_kind
@each_language
@given(
    some=st.integers(1, 3).flatmap(people),
    zone=st.sampled_from(ZONES),
    calendar=st.sampled_from(CalendarMethod),
    late=st.booleans(),
)
@settings(max_examples=15)  # for each kind and language
def test_bytes_of_a_group_are_those_of_each_mail_alone_whatever_the_names(
    kind, language, some, zone, calendar, late
) -> None:
    desk, facts = Desk(shipped()), full(kind)
    for _ in range(2):  # with the second of a group comes the skeleton; the first then has one too
        readers = [person_of(person, language, zone, calendar=calendar) for person in some]
        notices = [stored_for(person, kind, facts, late=late) for person in some]
        assert_same([desk.both(stored, who) for stored, who in zip(notices, readers, strict=True)])


@each_kind
@each_language
@pytest.mark.parametrize("facts", [full, bare], ids=["full", "bare"])
def test_ordinary_mails_of_every_kind_are_put_together_from_one_skeleton(kind, language, facts) -> None:
    desk = Desk(shipped())
    some = [ordinary(number) for number in range(5)]
    assert_same([desk.both(stored_for(each, kind, facts(kind)), person_of(each, language)) for each in some])
    assert desk.skeletons == 1


def ordinary(number: int, instances: int = 2) -> Person:
    named = tuple((f"c{number}-i{place}", f"https://c{number}-{place}.example") for place in range(instances))
    return f"c{number}", f"Kunde {number} GmbH & Co. KG", f"Eva Müller {number}", named


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.sampled_from(Language), st.sampled_from(ZONES))))
def test_letters_of_many_groups_in_any_order_are_not_mixed_up(order) -> None:
    desk = Desk(shipped())
    made = []
    for number, late, language, zone in order:
        person = ordinary(number, instances=1 + number % 3)
        stored = stored_for(person, NoticeKind.MOVED, full(NoticeKind.MOVED), late=late)
        made.append(desk.both(stored, person_of(person, language, zone)))
    assert_same(made)


@pytest.mark.parametrize("url", [None, "https://a.example/."])
def test_an_instance_without_a_link_or_with_an_odd_one_is_told_as_alone(url) -> None:
    desk, kind = Desk(shipped()), NoticeKind.REMINDER
    made = []
    for number in range(4):
        person = ordinary(number, instances=1)
        notice = stored_for(person, kind, full(kind))
        facts = {**notice.notice.facts, "instances": [{**INSTANCE, "key": f"k{number}", "url": url}]}
        made.append(
            desk.both(replace(notice, notice=replace(notice.notice, facts=facts)), person_of(person, Language.DE))
        )
    assert_same(made)
    assert desk.skeletons == (url is None)


@each_kind
def test_facts_that_hold_characters_of_blanks_are_told_as_alone(kind) -> None:
    desk = Desk(shipped())
    facts = full(kind)
    for name in ("window", "alert", "deferral", "report", "outage"):
        if name in facts:
            facts[name] = {**facts[name], "reason": "\ue003 \uf004", "title": "\ue002", "release": "\ue000"}
    some = [ordinary(number) for number in range(4)]
    assert_same([desk.both(stored_for(each, kind, facts), person_of(each, Language.DE)) for each in some])


def test_what_differs_in_the_stamp_or_the_facts_is_no_group() -> None:
    desk, kind = Desk(shipped()), NoticeKind.STARTED
    assert kind in RUNS
    person, who = ordinary(1), person_of(ordinary(1), Language.EN)
    for stamp in (STAMP, STAMP.replace(minute=31)):
        for reason in ("one", "two"):
            facts = full(kind)
            facts["window"] = {**facts["window"], "reason": reason}
            assert_same([desk.both(stored_for(person, kind, facts, stamp=stamp), who)])
    assert not desk.skeletons


def test_a_great_many_groups_are_forgotten_and_found_again(monkeypatch) -> None:
    monkeypatch.setattr(groups_module, "KEPT_MAX", 2)
    assert KEPT_MAX > 2
    desk, kind = Desk(shipped()), NoticeKind.REMINDER
    some = [ordinary(number, instances=1 + number % 3) for number in range(12)]
    for _ in range(2):
        assert_same([desk.both(stored_for(each, kind, full(kind)), person_of(each, Language.EN)) for each in some])


# --- templates that a skeleton cannot carry ---------------------------------------------------------------------------

ASKING = {
    "a branch": '{% if contact.name == "Eva Müller 1" %}\nOne.\n\n{% endif %}',
    "an order": '{% if customer.key < "c2" %}\nLess.\n\n{% endif %}',
    "a test": "{% if contact.name is string %}\nText.\n\n{% endif %}",
    "a look inside": '{% if "1" in contact.name %}\nIn.\n\n{% endif %}',
    "a length": "{{ contact.name|length }} characters.\n",
    "a piece": "{{ contact.name[:3] }} or {{ contact.name|first }}.\n",
    "letters": "{% for letter in customer.key %}{{ letter }} {% endfor %}.\n",
    "a set": "{% set said %}{{ contact.name }}{% endset %}\n{{ said|upper }}!\n",
    "a macro": "{% macro m(x) %}{{ x }}{% endmacro %}\n{{ m(contact.name)|length }}!\n",
    "an order of instances": '{{ (instances|sort(attribute="key", reverse=true)|first).key }}!\n',
    "unique": '{{ instances|map(attribute="key")|unique|join(" ") }}!\n',
    "a number": "{{ customer.key|int(7) }}!\n",
    "a sum": '{{ "a" + customer.key }}!\n',
    "a heading": "# For {{ customer.name }}\n",
    "a label": "| {{ customer.key }} | a row |\n",
    "part of a link": "See https://portal.example/{{ customer.key }} for more.\n",
    "the beginning of a link": "See {{ customer.key }}://x.example for more.\n",
    "the end of a protocol": "See {{ customer.key }}s://x.example for more.\n",
    "a list": "{% for instance in instances %}{{ instance.key|list|length }}{% endfor %}!\n",
    "a default": "Hello {{ contact.nick|default(contact.name) }}!\n",
    "a dictionary": "{{ {customer.key: 1}|length }}!\n",
    "a look up": '{{ {"c1": "one"}[customer.key]|default("none") }}!\n',
    "a bar between": '{{ instances|map(attribute="key")|join("|") }}!\n',
}
CARRIED = {
    "put out": "Hello {{ contact.name }}: {{ contact.name }}!\n",
    "upper case": "{{ contact.name|upper }}!\n",
    "cut off": '{{ customer.name|truncate(12, true, "…") }}!\n',
    "replaced": '{{ contact.name|replace("ü", "ue") }}!\n',
    "a row": "| Customer | {{ customer.name }} |\n| Link | {{ instances[0].url }} |\n",
    "joined": '{{ "a" ~ customer.key ~ "b" }} {{ instances|map(attribute="key")|map("upper")|join(", ") }}!\n',
    "whether there is one": "{% if contact.name and contact.name is defined %}\nYes.\n{% endif %}\n",
    "items": "{% for instance in instances %}\n- {{ instance.key }}: {{ instance.url }}.\n{% endfor %}\n",
    "how many there are": "{% for instance in instances %}{{ loop.index }} of {{ instances|length }}{% endfor %}!\n",
    "percent": "100 % of {{ customer.name }}: %s!\n",
}


def changed_templates(folder, monkeypatch, body: str) -> Templates:
    """The shipped templates, as if the one of reminders had been written otherwise."""
    shutil.copytree(builtin_folder(), folder / "notices")
    for language in Language:
        path = folder / "notices" / str(language) / "reminder.md"
        path.write_text(f"Subject: s {{{{ window.start.short }}}}\n\n{body}\nEnd.\n", encoding="utf-8")
    monkeypatch.setattr(templates_module, "builtin_folder", lambda: folder / "notices")
    return Templates()


@pytest.mark.parametrize("body", [*ASKING.values(), *CARRIED.values()], ids=[*ASKING, *CARRIED])
def test_a_template_that_asks_more_of_a_value_than_to_put_it_out_is_filled_for_each_mail(
    body, tmp_path, monkeypatch
) -> None:
    desk = Desk(changed_templates(tmp_path, monkeypatch, body))
    some = [*(ordinary(number) for number in range(4)), ("http", "a|b", "Ö" * 30, ordinary(9)[3])]
    for person in some:
        stored = stored_for(person, NoticeKind.REMINDER, full(NoticeKind.REMINDER))
        letter = letter_of(contract(), config(), stored, person_of(person, Language.EN), None)
        share = partial(shared_of, contract(), config(), stored, person_of(person, Language.EN))
        assert outcome(lambda: desk.groups.compose(letter, share)) == outcome(lambda: compose(letter, desk.templates))  # noqa: B023 - called at once
    assert desk.skeletons == (body in CARRIED.values())


def outcome(make: Any) -> Any:
    try:
        return make()
    except MaintschedError as error:
        return str(error)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<title>{{ title }}</title>", "<title>{{ title|upper }}</title>"),
        ("<title>{{ title }}</title>", "<title>{% if title|length > 80 %}long{% endif %}</title>"),
        ("{{ body }}", '{{ body }}{% if "c1" in body %}one{% endif %}'),
    ],
)
def test_a_layout_that_looks_at_what_it_holds_is_filled_for_each_mail(old, new, tmp_path, monkeypatch) -> None:
    shutil.copytree(builtin_folder(), tmp_path / "notices")
    layout = tmp_path / "notices" / "layout.html"
    layout.write_text(layout.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    monkeypatch.setattr(templates_module, "builtin_folder", lambda: tmp_path / "notices")
    desk, kind = Desk(Templates()), NoticeKind.REMINDER
    some = [ordinary(number) for number in range(4)]
    assert_same([desk.both(stored_for(each, kind, full(kind)), person_of(each, Language.DE)) for each in some])
    assert not desk.skeletons


@pytest.mark.parametrize("own", ["en/reminder.md", "en/_footer.md", "layout.html"])
def test_an_operators_own_template_is_filled_for_each_mail(own, tmp_path) -> None:
    (tmp_path / own).parent.mkdir(exist_ok=True)
    shutil.copy(builtin_folder() / own, tmp_path / own)
    desk, kind = Desk(Templates(tmp_path)), NoticeKind.REMINDER
    some = [ordinary(number) for number in range(4)]
    assert_same([desk.both(stored_for(each, kind, full(kind)), person_of(each, Language.EN)) for each in some])
    assert not desk.skeletons
    assert not desk.groups._seen
    assert_same([desk.both(stored_for(each, kind, full(kind)), person_of(each, Language.DE)) for each in some])
    assert desk.skeletons == (own != "layout.html")


# --- blanks -----------------------------------------------------------------------------------------------------------


@given(st.one_of(ODD, PLAIN, HOSTILE))
@example("")
def test_what_fits_a_blank_is_put_out_as_it_is(text) -> None:
    if is_fit(text):
        assert text == text.strip()
        assert "://" not in text
        assert text.isprintable()
    else:
        with pytest.raises(NotShared):
            Blanks().text(text)


@given(
    st.lists(st.one_of(PLAIN, HOSTILE).filter(is_fit), min_size=1, max_size=5), st.text(alphabet="a%{}s ", max_size=9)
)
def test_a_form_is_filled_with_values_as_they_are(values, between) -> None:
    blanks = Blanks()
    form = Form(between.join([*(blanks.text(each) for each in values), ""]))
    assert form.filled(values) == between.join([*values, ""])


@pytest.mark.parametrize(
    "ask",
    [str, repr, len, iter, hash, int, float, lambda b: b == "x", lambda b: b < "x", lambda b: "x" in b, lambda b: b[0],
     lambda b: b + "x", lambda b: f"{b}", lambda b: b != "x", lambda b: b * 2],
)  # fmt: skip
def test_a_blank_tells_nothing(ask) -> None:
    with pytest.raises(NotShared):
        ask(Blank.numbered(0, Book(1)))


# --- a pass -----------------------------------------------------------------------------------------------------------


def test_the_digest_of_a_notice_does_not_depend_on_how_it_was_made() -> None:
    with mailhouse.house_of(mailhouse.fleet_of(14, instances=2)) as house:
        record_due(house, now=mailhouse.REMINDED)
        with house.store.writing() as connection:
            lease = mailhouse.REMINDED.replace(hour=9)
            keys = claim(connection, now=mailhouse.REMINDED, owner="me", lease_until=lease, limit=100)
            stored = {each.key: each for each in read_notices(connection, keys=keys)}
        groups = Groups(house.templates)
        batches = [prepare(house, keys[at : at + 5], now=mailhouse.REMINDED, groups=groups) for at in range(0, 14, 5)]
        made = {each.stored.key: each.composed for batch in batches for each in batch if each.composed is not None}
        alone = {key: composed_notice(house, notice) for key, notice in stored.items()}
    assert len(made) == 14
    assert {key: mail.digest for key, mail in made.items()} == {key: mail.digest for key, mail in alone.items()}
    assert made == alone
    assert sum(each is not None for each in groups._known.values()) == 6


def test_letters_whose_words_are_missing_are_refused_as_alone() -> None:
    kind, person = NoticeKind.REMINDER, ordinary(1)
    stored = stored_for(person, kind, full(kind))
    letter = letter_of(contract(), config(), stored, person_of(person, Language.EN), None)
    groups, shared = Groups(shipped()), Shared(group="g", values=(), words=dict)
    for _ in range(3):
        with pytest.raises(FileError, match=r"reminder\.md"):
            groups.compose(replace(letter, context={}), lambda: shared)
