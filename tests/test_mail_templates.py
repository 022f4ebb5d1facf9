"""Templates: where they come from, what they may do, and how a fault in one is told."""

from pathlib import Path

import pytest

from maintsched.errors import FileError
from maintsched.fleet import Language
from maintsched.mail.markup import Heading, Paragraph, Run, as_text
from maintsched.mail.templates import Templates, builtin_folder
from maintsched.notices import NoticeKind
from tests.letters import builtin, context

DE, EN = Language.DE, Language.EN
REMINDER, MOVED = NoticeKind.REMINDER, NoticeKind.MOVED


def own(folder: Path, body: str, *, name: str = "en/reminder.md", head: str = "Subject: s\n\n") -> Templates:
    """Templates of an operator who has written one file."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(head + body, encoding="utf-8")
    return Templates(folder)


def text(templates: Templates, **changed) -> str:
    draft = templates.draft(EN, REMINDER, context(REMINDER, EN, **changed))
    return as_text(draft.blocks).rstrip("\n")


def refusal(templates: Templates, **changed) -> FileError:
    with pytest.raises(FileError) as refused:
        text(templates, **changed)
    return refused.value


# --- where they come from ---------------------------------------------------------------------------------------------


def test_a_file_of_the_operator_stands_before_the_built_in_one(tmp_path: Path):
    templates = own(tmp_path, "Hi {{ contact.name }}\n")
    assert text(templates) == "Hi Eva Musterfrau"
    assert templates.path(EN, REMINDER) == tmp_path / "en/reminder.md"


def test_what_the_operator_has_not_written_stays_built_in(tmp_path: Path):
    templates = own(tmp_path, "x")
    words = context(REMINDER, DE)
    assert templates.draft(DE, REMINDER, words) == builtin().draft(DE, REMINDER, words)
    assert templates.path(DE, REMINDER) == builtin_folder() / "de/reminder.md"


def test_a_part_of_the_operator_goes_into_the_built_in_templates(tmp_path: Path):
    templates = own(tmp_path, "## Call us\n", name="en/_footer.md", head="")
    draft = templates.draft(EN, REMINDER, context(REMINDER, EN))
    assert draft.blocks[-1] == Heading(2, (Run("Call us"),))


def test_a_part_is_looked_for_in_the_language_of_whoever_takes_it_in(tmp_path: Path):
    own(tmp_path, "englisch", name="en/_p.md", head="")
    own(tmp_path, "deutsch", name="de/_p.md", head="")
    templates = own(tmp_path, '{% include "_p.md" %}', name="de/reminder.md")
    assert templates.draft(DE, REMINDER, {}).blocks == (Paragraph((Run("deutsch"),)),)


def test_a_file_is_read_once_so_that_digest_and_words_belong_together(tmp_path: Path):
    templates = own(tmp_path, "one")
    digest = templates.digest(EN, REMINDER)
    assert text(templates) == "one"
    own(tmp_path, "two")
    assert (text(templates), templates.digest(EN, REMINDER)) == ("one", digest)
    assert text(Templates(tmp_path)) == "two"


@pytest.mark.parametrize("name", ["en/reminder.md", "en/_footer.md", "en/_window.md", "layout.html"])
def test_the_digest_covers_the_template_its_parts_and_the_layout(tmp_path: Path, name: str):
    before = (builtin_folder() / name).read_text(encoding="utf-8")
    templates = own(tmp_path, before, name=name, head="")
    assert templates.digest(EN, REMINDER) == builtin().digest(EN, REMINDER)
    templates = own(tmp_path, before + "x", name=name, head="")
    assert templates.digest(EN, REMINDER) != builtin().digest(EN, REMINDER)
    assert (templates.digest(DE, REMINDER) == builtin().digest(DE, REMINDER)) is (name != "layout.html")


# --- what they may do -------------------------------------------------------------------------------------------------


def test_lines_of_instructions_leave_no_lines_behind(tmp_path: Path):
    templates = own(tmp_path, "{% for item in [1, 2] %}\n  {% if item %}\n- {{ item }}\n  {% endif %}\n{% endfor %}\n")
    assert text(templates) == "- 1\n- 2"


def test_macros_and_set_blocks_make_markup_of_the_template_and_keep_values_values(tmp_path: Path):
    body = "{% macro m(x) %}- {{ x }}\n{% endmacro %}{% set s %}## T\n{% endset %}{{ s }}{{ m(work[0]) }}{{ m('b') }}"
    assert text(own(tmp_path, body), work=["# a | b"]) == "T\n-\n\n- # a | b\n- b"


def test_texts_can_be_put_together_in_every_way(tmp_path: Path):
    body = "{{ 'a' ~ 1 ~ 'b' }} {{ 'a' + 'b' }} {{ [1, 2]|join('-') }} {{ 'a&b'|replace('&', '+') }} {{ 1 + 2 * 3 }}"
    assert text(own(tmp_path, body)) == "a1b ab 1-2 a+b 7"


def test_a_key_may_bear_the_name_of_a_method(tmp_path: Path):
    assert text(own(tmp_path, "{{ run.items }}"), run={"items": "three"}) == "three"


# --- how faults are told ----------------------------------------------------------------------------------------------

FAULTS = {
    "{{ widow.start }}": "'widow' is undefined",
    "{{ window.strat }}": "no attribute 'strat'",
    "{% if window.strat %}x{% endif %}": "no attribute 'strat'",
    "{% for x in works %}{% endfor %}": "'works' is undefined",
    "{{ window.holiday }}": "nothing",
    "{{ window }}": "a value of type dict",
    "{{ late }}": "a value of type bool",
    "{{ work|join(1) }}": "",
    "{{ 1 / 0 }}": "division by zero",
    "{{ 'a' * 3 }}": '"a" and 3',
    "{{ 'x'|upcase }}": "No filter named 'upcase'",
    "{% if x %}": "Unexpected end of template",
    "{% fi x %}": "unknown tag 'fi'",
    "{{ range(3) }}": "'range' is undefined",
    "{{ contact.name.upper() }}": "unsafe",
    '{% include "_non.md" %}': "none",
    "* item": '"* item"',
    "{{ contact.name }} x\n\n### x {{ contact.name }}": '"### x Eva Musterfrau"',
}


@pytest.mark.parametrize("body", FAULTS)
def test_a_fault_names_file_and_line(tmp_path: Path, body: str):
    error = refusal(own(tmp_path, f"first\n\n{body}\n"))
    assert error.path == str(tmp_path / "en/reminder.md")
    assert error.line == 5 + body.count("\n")
    assert FAULTS[body] in str(error)
    assert "\n" not in str(error)


def test_a_fault_in_a_part_names_the_part(tmp_path: Path):
    templates = own(tmp_path, "\nx {{ nobody }}\n", name="en/_footer.md", head="")
    error = refusal(templates)
    assert (error.path, error.line) == (str(tmp_path / "en/_footer.md"), 2)


@pytest.mark.parametrize(
    ("data", "line", "found"),
    [
        (b"Subject: s\n\n\xff", 3, "other bytes"),
        (b"Subject: s\n\nx\x00", 3, "x00"),
        (b"Subject: s\n\nx\ty", 3, "\\t"),
        ("Subject: s\n\nx\u202ey".encode(), 3, "u202e"),
        (b"x" * (256 * 1024 + 1), None, "more"),
    ],
)
def test_a_file_that_is_no_text_is_refused(tmp_path: Path, data: bytes, line: int | None, found: str):
    templates = own(tmp_path, "")
    (tmp_path / "en/reminder.md").write_bytes(data)
    error = refusal(templates)
    assert error.line == line
    assert found in error.found


def test_a_file_from_another_system_reads_the_same(tmp_path: Path):
    templates = own(tmp_path, "")
    (tmp_path / "en/reminder.md").write_bytes(b"\xef\xbb\xbfSubject: s\r\n\r\na\r\nb\r\n")
    assert text(templates) == "a b"


def test_a_part_with_a_computed_name_is_refused_because_no_digest_can_cover_it(tmp_path: Path):
    templates = own(tmp_path, "{% include contact.name %}")
    with pytest.raises(FileError, match="in quotes"):
        templates.digest(EN, REMINDER)
    assert "in quotes" in str(refusal(templates))
    assert refusal(templates).line == 3


@pytest.mark.parametrize(
    "name", ["../secret.md", "../../secret.md", "../de/reminder.md", "/etc/passwd", "de/reminder.md", "..", "a/../b.md"]
)
def test_no_part_comes_from_anywhere_else(tmp_path: Path, name: str):
    (tmp_path / "secret.md").write_text("secret")
    refusal(own(tmp_path / "own", f'{{% include "{name}" %}}'))


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path):
    (tmp_path / "secret.md").write_text("Subject: s\n\nsecret")
    templates = own(tmp_path / "own", "x")
    (tmp_path / "own/en/reminder.md").unlink()
    (tmp_path / "own/en/reminder.md").symlink_to(tmp_path / "secret.md")
    assert "a link out of it" in str(refusal(templates))


# --- the layout -------------------------------------------------------------------------------------------------------


def frame(folder: Path, page: str) -> str:
    return own(folder, page, name="layout.html", head="").frame(EN, "a <b>", (Paragraph((Run("x & y"),)),))


def test_a_layout_of_the_operator_stands_around_the_words(tmp_path: Path):
    assert frame(tmp_path, "<p>{{ title }}</p>{{ body }}") == "<p>a &lt;b&gt;</p><p>x &amp; y</p>"


def test_a_layout_that_leaves_the_words_out_is_refused(tmp_path: Path):
    with pytest.raises(FileError, match=r"\{\{ body \}\}"):
        frame(tmp_path, "<p>{{ title }}</p>")


@pytest.mark.parametrize(
    "page",
    ["<script>", "<IMG src=x>", "<p onclick='x'>", "<a href='javascript:x'>", "<style>@import 'x'</style>", "<form>",
     "<p style='background:url(x)'>", "<link rel=x>", "<iframe>"],
)  # fmt: skip
def test_a_layout_that_does_or_fetches_something_is_refused(tmp_path: Path, page: str):
    with pytest.raises(FileError, match=r"layout\.html, line 2: expected a page without scripts"):
        frame(tmp_path, "{{ body }}\n" + page)


# --- the whole folder -------------------------------------------------------------------------------------------------


def test_every_kind_has_a_built_in_template_in_every_language():
    assert [str(error) for error in builtin().check()] == []


def test_a_check_names_a_folder_that_is_not_there_while_mails_still_go_out(tmp_path: Path):
    templates = Templates(tmp_path / "none")
    assert [error.expected for error in templates.check()] == ["a folder of templates"]
    assert templates.draft(EN, REMINDER, context(REMINDER, EN)) == builtin().draft(EN, REMINDER, context(REMINDER, EN))


def test_a_check_names_faults_and_files_that_nobody_asks_for(tmp_path: Path):
    own(tmp_path, "{% if %}")
    own(tmp_path, "x", name="en/remindr.md")
    own(tmp_path, "x", name="README.md")
    templates = own(tmp_path, "x", name="fr/reminder.md")
    found = {Path(error.path).relative_to(tmp_path).as_posix(): error.line for error in templates.check()}
    assert found == {"en/reminder.md": 3, "en/remindr.md": None, "fr/reminder.md": None}
