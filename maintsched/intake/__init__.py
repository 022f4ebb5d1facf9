"""Intake: contract, fleet and fact files become values here, or one error that names file, line, key and way out."""

from maintsched.intake.contracts import builtin_contracts, load_contract
from maintsched.intake.declarations import load_fleet

__all__ = ["builtin_contracts", "load_contract", "load_fleet"]
