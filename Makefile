# Everything a contributor needs. Each target makes the environment it wants; nothing has to be installed before.
#   PYTHON=...       which Python to build on (default: the newest that works)
#   WORKERS=4        how many processes the tests use
#   PYTEST_ARGS=...  more arguments for pytest
#   MUTANTS=...      which mutants, such as "maintsched.spans.*" (default: all)
#   MUTATIONS=...    how many changed files `make fuzz` reads
#   SEED=...         where their randomness, and that of `make crash`, begins (default: somewhere new; a failure says where)
#   KILLS=...        how many random kills `make crash` tries

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?=
WORKERS ?= 2
PYTEST_ARGS ?=
MUTANTS ?=
MUTATIONS ?= 200000
KILLS ?= 2000
SEED ?= $(shell date +%s)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help demo test check gaps bench crash mutants fuzz format reference wheel-test clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.runtime ## the whole story in a minute: plan, announce, tell, prove; results in demo/
	@$(BIN)/maintsched demo demo

test: $(VENV)/.dev ## run all tests, those of the docs included
	$(BIN)/python -m pytest -n $(WORKERS) $(PYTEST_ARGS)

check: $(VENV)/.dev ## the gate: format, lint, boundaries, types, tests with coverage, the built wheel
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(MAKE) test PYTEST_ARGS="--cov $(PYTEST_ARGS)"
	$(MAKE) wheel-test

gaps: $(VENV)/.dev ## after `make check`: what tests of the core and of the delivery have not reached, each except named
	$(BIN)/python -m tools.coverage_gaps

bench: $(VENV)/.bench ## measure speed against the reference libraries
	$(BIN)/python bench/run.py

crash: $(VENV)/.dev ## kill processes at every commit and in the midst of every mail, thousands of times: nothing is lost
	$(BIN)/python -m tools.run_crashes --workers $(WORKERS) --kills $(KILLS) --seed $(SEED)

mutants: $(VENV)/.dev ## change the pure modules in small ways and see whether a test notices (MUTANTS="maintsched.spans.*")
	TZ=Pacific/Auckland HYPOTHESIS_PROFILE=mutants $(BIN)/mutmut run --max-children $(WORKERS) $(MUTANTS)
	$(BIN)/mutmut results

fuzz: $(VENV)/.dev ## run the property tests and the changed files long and with fresh random cases
	HYPOTHESIS_PROFILE=fuzz MAINTSCHED_MUTATIONS=$(MUTATIONS) MAINTSCHED_SEED=$(SEED) \
		$(BIN)/python -m pytest -n $(WORKERS) -m 'hypothesis or fuzz' $(PYTEST_ARGS)

format: $(VENV)/.dev ## format the code and mend what the linter can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

reference: $(VENV)/.dev ## write the generated pages of the docs, renew what their examples print
	$(BIN)/python -m tools.make_reference --transcripts

wheel-test: $(VENV)/.dev ## build sdist and wheel, try the wheel in a fresh environment
	tools/wheel_test.sh $(BIN)/python

clean: ## remove the environment and everything that was made
	rm -rf $(VENV) .strangers demo dist build mutants htmlcov .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache \
		.import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment. The stamps say which set of packages is in it; they grow old only when pyproject.toml changes.

$(BIN)/python:
	@python=$$(tools/find_python.sh $(PYTHON)); echo "making $(VENV) with $$python"; "$$python" -m venv --clear $(VENV)

$(VENV)/.runtime: pyproject.toml | $(BIN)/python
	$(PIP) install --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(PIP) install --editable '.[dev]'
	@touch $(VENV)/.runtime $@

$(VENV)/.bench: pyproject.toml | $(BIN)/python
	$(PIP) install --editable '.[bench]'
	@touch $(VENV)/.runtime $@
