"""How the tests run: property tests the same way every time, unless somebody asks for more."""

import os
import sys

import pytest
from hypothesis import HealthCheck, Phase, settings

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


@pytest.fixture(autouse=os.environ.get("HYPOTHESIS_PROFILE") == "mutants")
def nothing_remembered():
    """A mutant is asked, not the memory of an earlier test: the caches of the package are emptied before each test."""
    for name, module in list(sys.modules.items()):
        if name.startswith("maintsched."):
            for value in list(vars(module).values()):
                if hasattr(value, "cache_clear"):
                    value.cache_clear()
