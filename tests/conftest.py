"""How the tests run: property tests the same way every time, unless somebody asks for more."""

import json
import os
import signal
import sys
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

from maintsched import birth

pytest_plugins = ["tests.databases"]

settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile(
    "fuzz", max_examples=20_000, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(  # a mutant is found or not: nobody looks at the smallest example
    "mutants",
    derandomize=True,
    deadline=None,
    max_examples=50,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


ASKED_OF_MUTANTS = os.environ.get("HYPOTHESIS_PROFILE") == "mutants"
LIMIT = 20.0
"""Seconds of work after which a mutant that does not come to an end is noticed; no test takes a quarter of it."""


class NoEnd(BaseException):
    """A test has worked longer than any does; no `except Exception` on the way takes it for a failing example."""


@pytest.fixture(autouse=ASKED_OF_MUTANTS)
def nothing_remembered():
    """A mutant is asked, not the memory of an earlier test: the caches of the package are emptied before each test."""
    for name, module in list(sys.modules.items()):
        if name.startswith("maintsched."):
            for value in list(vars(module).values()):
                if hasattr(value, "cache_clear"):
                    value.cache_clear()
    birth._SETTLERS.clear()


@pytest.fixture(autouse=ASKED_OF_MUTANTS)
def some_end():
    """A mutant that runs for ever fails its first test, not the time limit of all of them together."""

    def stop(*_):
        raise NoEnd

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT)
    yield
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    signal.signal(signal.SIGVTALRM, before)


@cache
def seconds_of_tests():
    """Return how long each test took when mutmut looked which of them reach which function."""
    figures = Path("mutmut-stats.json")
    return json.loads(figures.read_text())["duration_by_test"] if figures.exists() else {}


def pytest_collection_modifyitems(items):
    """Ask a mutant the quick tests first: one that is noticed is mostly noticed by them."""
    if ASKED_OF_MUTANTS:
        items.sort(key=lambda item: seconds_of_tests().get(item.nodeid, 0.0))
