"""Each bad file is refused with the line, the key and the words that help: expected.toml says which."""

import time
import tomllib
from pathlib import Path

import pytest

from maintsched.errors import FileError, printable
from maintsched.intake import load_contract, load_fleet

HERE = Path(__file__).parent
BAD, BASE = HERE / "bad_files", HERE / "good_files" / "base.toml"
CASES = tomllib.loads((BAD / "expected.toml").read_text(encoding="utf-8"))
CONTRACT = load_contract()


def refusal(name, case):
    path = BAD / name
    paths = [BASE, path] if name.startswith("facts/") or "beside" in case else [path]
    with pytest.raises(FileError) as caught:
        load_contract(path) if name.startswith("contract/") else load_fleet(CONTRACT, *paths)
    return caught.value


@pytest.mark.parametrize("name", CASES)
def test_a_bad_file_is_refused_with_its_line_key_and_words(name):
    case = CASES[name]
    began = time.process_time()
    error = refusal(name, case)
    message = str(error)
    key = None if error.key is None else printable(error.key)
    assert (error.line, key) == (case.get("line"), case.get("key")), message
    assert case["expected"] in error.expected, message
    assert case["found"] in printable(error.found), message
    assert message.isprintable()
    assert message.startswith(str(BAD / name) + (f", line {error.line}: " if error.line else ": "))
    assert len(message) < 1000 + len(str(BAD))
    assert time.process_time() - began < 1


def test_every_bad_file_is_expected():
    files = {str(path.relative_to(BAD)) for path in BAD.rglob("*") if path.is_file() and path.parent.suffix == ""}
    assert files - {"expected.toml"} == {name for name in CASES if (BAD / name).is_file()}


def test_the_bad_files_are_many_of_each_kind():
    kinds = [name.partition("/")[0] for name in CASES]
    assert min(kinds.count(kind) for kind in ("contract", "fleet", "facts")) >= 50
