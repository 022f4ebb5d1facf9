"""The public names: complete, sorted, lazily imported, documented."""

import importlib

import pytest

import maintsched as ms


def test_all_is_sorted_and_every_name_is_there():
    assert ms.__all__ == sorted(ms.__all__)
    assert len(set(ms.__all__)) == len(ms.__all__)
    assert set(ms.__all__) <= set(dir(ms))


@pytest.mark.parametrize("name", ms.__all__)
def test_a_public_name_has_a_docstring(name):
    assert getattr(ms, name).__doc__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'windoow'"):
        _ = ms.windoow


def test_availability_is_the_function_before_and_after_its_module_was_imported():
    assert callable(ms.availability)
    importlib.import_module("maintsched.availability")
    assert callable(ms.availability)
    assert ms.availability.__module__ == "maintsched.availability"
