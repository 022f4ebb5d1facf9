"""An error in a file names the line it stands on, however the file is written."""

import json
import time
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintsched.errors import FileError
from maintsched.intake import load_contract, load_fleet
from maintsched.intake.lines import line_of, line_of_json_word, line_of_repeated_json_key, line_too_deep

KEYS = st.sampled_from(
    ["a", "b", "key", "x-1", "7", "a.b", "c d", "ü", "#", "]", "=", '"', "'", "\\", "[[a]]", "{", ""]
)
TEXTS = st.text(st.sampled_from("ab #[]{}=,.\"'\\\n\tü\u2028\x85"), max_size=12)
SCALARS = st.one_of(st.integers(-9, 9), st.booleans(), TEXTS)
TREES = st.dictionaries(
    KEYS,
    st.recursive(
        SCALARS,
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
        max_leaves=12,
    ),
    max_size=5,
)


class TomlWriter:
    """Writes tables in every way that TOML has, chosen by `chance`, and notes the line of each path."""

    def __init__(self, chance):
        self.chance = chance
        self.text = ""
        self.lines = {}

    def note(self, path):
        self.lines.setdefault(path, self.text.count("\n") + 1)

    def blank(self):
        self.text += self.chance.choice(["", "", "\n", "  ", '# [x] = { "\n', "\n\t\n# '''\n"])

    def gap(self):
        """Anything that may stand between the items of a list."""
        self.text += self.chance.choice(["", " ", "\n", "\n  # ] }\n\t"])

    def key(self, key):
        bare = key and all(c.isascii() and (c.isalnum() or c in "-_") for c in key)
        if bare and self.chance.random() < 0.7:
            return key
        return f"'{key}'" if "'" not in key and self.chance.random() < 0.5 else json.dumps(key, ensure_ascii=False)

    def string(self, text):
        if self.chance.random() < 0.3 and "\\" not in text and '"' not in text:
            return f'"""{chr(10) if self.chance.random() < 0.5 or text[:1] == chr(10) else ""}{text}"""'
        if self.chance.random() < 0.3 and "'" not in text and "\n" not in text:
            return f"'{text}'"
        return json.dumps(text, ensure_ascii=False)

    def value(self, value, path, *, inline=False):
        self.note(path)
        if isinstance(value, dict):
            self.text += "{ "
            for index, (key, item) in enumerate(value.items()):
                self.text += ", " if index else ""
                self.note((*path, key))
                self.text += f"{self.key(key)} = "
                self.value(item, (*path, key), inline=True)
            self.text += " }"
        elif isinstance(value, list):
            self.text += "["
            for index, item in enumerate(value):
                self.gap()
                self.value(item, (*path, index))
                self.gap()
                self.text += "," if index < len(value) - 1 or self.chance.random() < 0.5 else ""
            self.gap()
            self.text += "]"
        elif isinstance(value, str):
            self.text += self.string(value)
        else:
            self.text += json.dumps(value)

    def table(self, table, path=(), names=()):
        """Write the simple values first, then those with a header of their own."""
        later = []
        for key, value in table.items():
            own_header = isinstance(value, dict) or (
                isinstance(value, list) and value and all(isinstance(item, dict) for item in value)
            )
            if own_header and self.chance.random() < 0.6:
                later.append((key, value))
            elif isinstance(value, dict) and value and self.chance.random() < 0.5:
                self.dotted(key, value, path)
            else:
                self.blank()
                self.statement(self.key(key), value, (*path, key))
        for key, value in later:
            self.headed(key, value, path, names)

    def dotted(self, key, value, path):
        for inner, item in value.items():
            self.blank()
            self.note((*path, key))
            self.statement(f"{self.key(key)} . {self.key(inner)}", item, (*path, key, inner))

    def statement(self, key, value, path):
        self.text += f"{key} = "
        self.value(value, path)
        self.text += self.chance.choice(["\n", " # = [\n"])

    def headed(self, key, value, path, names):
        here, names = (*path, key), (*names, self.key(key))
        items = value if isinstance(value, list) else [value]
        for index, item in enumerate(items):
            self.blank()
            self.note(here)
            at = (*here, index) if isinstance(value, list) else here
            self.note(at)
            name = ".".join(names)
            self.text += f"[[ {name} ]]\n" if isinstance(value, list) else f"[{name}]\n"
            self.table(item, at, names)


@given(tree=TREES, chance=st.randoms(use_true_random=False), crlf=st.booleans())
def test_every_value_of_a_toml_file_is_found_on_its_line(tree, chance, crlf):
    writer = TomlWriter(chance)
    writer.table(tree)
    text = writer.text
    assert tomllib.loads(text) == tree
    if crlf:
        text = text.replace("\n", "\r\n")
    for path, line in writer.lines.items():
        assert line_of(text, path, "toml") == line, (path, text)


class JsonWriter:
    def __init__(self, chance):
        self.chance = chance
        self.text = ""
        self.lines = {}

    def gap(self):
        self.text += self.chance.choice(["", " ", "\n", "\r\n\t "])

    def value(self, value, path):
        self.gap()
        self.lines.setdefault(path, self.text.count("\n") + 1)
        if not isinstance(value, dict | list):
            self.text += json.dumps(value, ensure_ascii=self.chance.random() < 0.5)
            return
        self.text += "{" if isinstance(value, dict) else "["
        for index, item in enumerate(value):
            self.text += "," if index else ""
            if isinstance(value, dict):
                self.gap()
                self.lines[*path, item] = self.text.count("\n") + 1
                self.text += json.dumps(item)
                self.gap()
                self.text += ":"
            self.value(
                value[item] if isinstance(value, dict) else item, (*path, item if isinstance(value, dict) else index)
            )
        self.gap()
        self.text += "}" if isinstance(value, dict) else "]"


@given(tree=TREES, chance=st.randoms(use_true_random=False))
def test_every_value_of_a_json_file_is_found_on_its_line(tree, chance):
    writer = JsonWriter(chance)
    writer.value(tree, ())
    assert json.loads(writer.text) == tree
    del writer.lines[()]
    for path, line in writer.lines.items():
        assert line_of(writer.text, path, "json") == line, (path, writer.text)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("a", "b", "missing"), 4),  # the table around it
        (("a", "list", 1, "y"), 7),  # the item around it
        (("a", "deep"), 9),  # a table without a header of its own: what lies in it
        (("a", "deep", "er", "z"), 9),
        (("a", "missing"), 2),
        (("a", "number", "x"), 3),  # not a table at all
        (("missing",), None),
        (("c", "x", "missing"), 12),
        (("c", "y", 2), 13),
        (("c", "y", 1, "z"), 14),
    ],
)
def test_what_is_not_there_is_reported_at_the_nearest_table(path, line):
    text = "# a comment\n[a]\nnumber = 7\n[a.b]\n[[a.list]]\n\n[[a.list]]\nx = 1\n[a.deep.er]\ny = 1\n"
    text += "[c]\nx = { y = 1 }\ny = [ 1,\n{ x = 2 }]\n"
    assert line_of(text, path, "toml") == line


def test_a_table_is_where_its_own_header_is_even_after_one_of_its_parts():
    assert line_of("[a.b]\nx = 1\n[a]\ny = 1\n", ("a", "missing"), "toml") == 3


def test_what_is_not_there_in_json_is_reported_at_the_nearest_value():
    text = '{"a": {\n "b": [1,\n 2]}}'
    assert line_of(text, ("a", "b", 7), "json") == 2
    assert line_of(text, ("a", "b", 1, "x"), "json") == 3
    assert line_of(text, ("c",), "json") is None


def test_brackets_in_texts_and_comments_open_no_level():
    assert line_too_deep('a = "[[["\n# [[[\nb = [[[1]]]', "toml", 2) == 3
    assert line_too_deep('{"a": "[[[",\n"b": [[1]]}', "json", 2) == 2
    assert line_too_deep("a = [[1]]", "toml", 2) is None


def test_words_and_keys_of_json_are_not_looked_for_in_texts():
    text = '{"NaN": "NaN",\n "a": {"b": 1}, "b": 2,\n "c": [NaN], "b": 3}'
    assert line_of_json_word(text, "NaN") == 3
    assert line_of_repeated_json_key(text, "b") == 3
    assert line_of_json_word(text, "Infinity") is None
    assert line_of_repeated_json_key(text, "a") is None


def test_to_find_a_line_in_five_million_bytes_takes_less_time_than_to_read_them(tmp_path):
    head = '[[customer]]\nkey = "a"\nname = "A"\nlanguage = "de"\npackage = "premium"\n'
    one = '[[customer.instance]]\nkey = "k{}"\nhost = "10.0.0.5"\nversions = {{ intrexx = "12.0.3" }}\n'
    text = head + "".join(one.format(number) for number in range(56_000))
    path = tmp_path / "large.toml"
    contract = load_contract()
    path.write_text(text, encoding="utf-8")
    began = time.process_time()
    load_fleet(contract, path)
    good = time.process_time() - began
    path.write_text(text + "wave = 100\n", encoding="utf-8")
    assert path.stat().st_size > 4_900_000
    began = time.process_time()
    with pytest.raises(FileError) as caught:
        load_fleet(contract, path)
    assert caught.value.line == 224_006
    assert time.process_time() - began < 2 * good
