"""The markup of notices: lines become blocks; blocks become text and HTML that say the same."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintsched.mail.markup import (
    WIDTH,
    Facts,
    Heading,
    Items,
    MarkupRefused,
    Paragraph,
    Run,
    as_html,
    as_text,
    as_value,
    cleaned,
    read,
    wrapped,
)

HEAD = "Subject: s\n\n"
TEXTS = st.text(st.characters(codec="utf-8"), max_size=60)
ODD = st.text(st.sampled_from("#-| *>`=\n\r\u2028\u202e:/.@a\x02\x03\x04<&\"'"), max_size=20)
VALUES = st.one_of(TEXTS, ODD, st.just("https://a.example/?q=1&r=(2)"), st.just("see javascript:alert(1) http://x"))


class Page(HTMLParser):
    """The words of a piece of HTML, and where its links lead."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words = ""
        self.tags: list[str] = []
        self.links: list[str | None] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("href", "src")]
        if tag != "a":
            self.words += " "

    def handle_data(self, data):
        self.words += data


def words(text: str) -> list[str]:
    """The words of a text, without what only draws: underlines and the dashes of items."""
    return [word for word in text.split() if word.strip("-")]


def blocks(body: str):
    return read(HEAD + body).blocks


def plain(text: str) -> tuple[Run, ...]:
    return (Run(text),)


# --- lines ------------------------------------------------------------------------------------------------------------


def test_each_kind_of_line_becomes_its_block():
    body = "# One\n## Two\nsome\ntext\n\n- a\n  and more\n- b\n| k | v |\n|  | w |\n\nlast\n"
    assert blocks(body) == (
        Heading(1, plain("One")),
        Heading(2, plain("Two")),
        Paragraph(plain("some text")),
        Items((plain("a and more"), plain("b"))),
        Facts((("k", plain("v")), ("", plain("w")))),
        Paragraph(plain("last")),
    )


def test_an_empty_line_parts_lists_tables_and_paragraphs():
    kinds = [type(block) for block in blocks("- a\n\n- b\n\n| k | v |\n\n| k | v |\n\nx\n\n\n\ny")]
    assert kinds == [Items, Items, Facts, Facts, Paragraph, Paragraph]


def test_the_head_is_a_subject_and_perhaps_a_summary():
    draft = read("Subject: a  b\nSummary: c\n\nx")
    assert (draft.subject, draft.summary) == ("a b", "c")
    assert read("Subject: a\n\nx").summary == "a"


@pytest.mark.parametrize(
    "filled",
    [
        "",
        "x",
        "Subject: \n\nx",
        "subject: a\n\nx",
        "Subject: a\nx\n\nx",
        "Subject: a\nSummary: b\nc\n\nx",
        "Subject: a\n",
    ],
)
def test_a_head_that_is_none_is_refused(filled: str):
    with pytest.raises(MarkupRefused):
        read(filled)


@pytest.mark.parametrize(
    "line",
    ["### a", "#a", "#", "-a", "-", "---", "***", "* a", "> a", "+ a", "```", "| a |", "| a | b | c |", "| a | b",
     "===", "  a"],
)  # fmt: skip
def test_another_mark_of_markdown_is_refused(line: str):
    with pytest.raises(MarkupRefused) as refused:
        read(f"{HEAD}x\n\n{line}\n")
    assert refused.value.found == line


@pytest.mark.parametrize("line", ["1. Dezember", "a | b", "*strong*", "5 > 4", "a - b", "2 * 2", "(#3)"])
def test_ordinary_text_with_such_signs_stays_text(line: str):
    assert blocks(line) == (Paragraph(plain(line)),)


# --- values -----------------------------------------------------------------------------------------------------------


@given(VALUES)
def test_a_value_is_never_markup(value: str):
    body = "# {0}\n\n{0}\n\n- {0}\n- {0}\n\n| a{0} | {0} |\n|  | {0} |\n\nx\n{0}\n"
    filled = f"Subject: s{as_value(value)}\n\n" + body.format(as_value(value))
    shapes = [(type(b), len(getattr(b, "items", getattr(b, "rows", ())))) for b in read(filled).blocks]
    assert shapes == [(Heading, 0), (Paragraph, 0), (Items, 2), (Facts, 2), (Paragraph, 0)]


@given(VALUES)
def test_text_and_html_say_the_same_words(value: str):
    body = "# {0}\n\nx {0} y\n\n- {0}\n- b {0}\n\n| a {0} | {0} |\n|  | {0} |\n".format(as_value(value))
    made = blocks(body)
    assert words(Page(as_html(made)).words) == words(as_text(made))
    assert not set(as_text(made)) & set("\x02\x03\x04")


@given(VALUES)
def test_a_value_is_shown_as_it_is_but_for_what_nobody_sees(value: str):
    (block,) = blocks(f"x{as_value(value)}x")
    shown = "".join(run.text for run in block.runs)
    assert shown.split() == f"x{cleaned(value)}x".split()
    assert shown.isprintable() or any(c.isspace() for c in shown)


@given(VALUES)
def test_html_holds_only_the_tags_of_the_markup_and_links_to_the_web(value: str):
    page = Page(as_html(blocks(f"# {as_value(value)}\n\n- x {as_value(value)}\n| k | {as_value(value)} |\n")))
    assert set(page.tags) <= {"h1", "ul", "li", "table", "tr", "th", "td", "a"}
    assert all(re.match(r"https?://[^\s<>\"]+$", link or "") for link in page.links)


def test_a_link_is_an_address_of_the_template_or_a_whole_value():
    html = as_html(
        blocks(f"See https://a.example/x, or (http://b.example/{as_value('k')}). {as_value('https://c.example')}.")
    )
    assert Page(html).links == ["https://a.example/x", "http://b.example/k", "https://c.example"]


@pytest.mark.parametrize(
    "value", ["javascript:alert(1)", "data:text/html,x", "see https://evil.example", "https://a.example b", "ftp://a.example",
              'https://a.example"onclick=x']
)  # fmt: skip
def test_no_other_value_becomes_a_link(value: str):
    (paragraph,) = blocks(f"x {as_value(value)}")
    assert paragraph == Paragraph(plain(f"x {value}"))


def test_controls_and_turning_characters_are_taken_out_of_values():
    assert cleaned("a\u202eb\u200bc\x1b[0m\x00d") == "abc[0md"
    assert cleaned("a\r\nb\u2028c\x85d\te") == "a b c d e"
    assert cleaned("10\N{NO-BREAK SPACE}%") == "10\N{NO-BREAK SPACE}%"


# --- writing ----------------------------------------------------------------------------------------------------------


@given(st.lists(st.text(st.sampled_from("abcü"), min_size=1, max_size=30), min_size=1))
def test_lines_of_text_keep_to_the_width_and_lose_no_word(listed: list[str]):
    lines = list(wrapped(" ".join(listed), first="- ", rest="  "))
    assert " ".join(lines).removeprefix("- ").split() == listed
    assert max(map(len, lines)) <= WIDTH


def test_facts_stand_in_columns_and_a_second_line_belongs_to_the_first():
    made = blocks("| Start | now |\n|  | then |\n| A long label | x |\n")
    assert as_text(made) == "Start:        now\n              then\nA long label: x\n"
    assert as_html(made) == (
        '<table>\n<tr><th scope="row">Start:</th><td>now<br>then</td></tr>\n'
        '<tr><th scope="row">A long label:</th><td>x</td></tr>\n</table>'
    )


def test_what_html_would_read_is_escaped():
    assert as_html(blocks("<b>&\"'")) == "<p>&lt;b&gt;&amp;&quot;&#x27;</p>"
