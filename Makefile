# `make` lists the targets. Only Python 3.11 or later and make are needed.

PYTHON ?= python3
PY := .venv/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --quiet
LOCK := $(PY) -m uv pip compile pyproject.toml --group build --universal --generate-hashes --no-emit-index-url --custom-compile-command "make lock" --quiet
TEST_WORKERS ?= auto

# A .venv knows where it was made: one that was moved, or whose Python is gone, is made anew.
MADE_IN := $(shell $(PY) -c 'print(open(".venv/.made").read().strip())' 2>/dev/null)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test check bench-live format lock clean FORCE

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: .venv/.run ## serve a demo on http://127.0.0.1:8000, with a database of its own in ./var
	@exec $(PY) -m rowlock demo

test: .venv/.dev ## run all tests, on PostgreSQL 18, 16 and 15
	@sh scripts/install-debian-packages.sh
	$(PY) -m pytest -n $(TEST_WORKERS) --maxprocesses=8
	$(PY) -m pytest -n $(TEST_WORKERS) --maxprocesses=8 -m postgres --postgres=16
	$(PY) -m pytest -n $(TEST_WORKERS) --maxprocesses=8 -m postgres --postgres=15

check: .venv/.dev ## check format, lint, types and import contracts
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	.venv/bin/lint-imports

bench-live: .venv/.dev ## measure live seat maps, on a database of its own (docs/benchmarks.md)
	$(PY) -m benchmarks.live_maps

format: .venv/.dev ## format the code, and mend what the linter can
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

lock: .venv/.dev ## resolve the dependencies anew, with hashes
	$(LOCK) -o requirements.lock
	$(LOCK) --group dev -c requirements.lock -o requirements-dev.lock

clean: ## remove .venv and caches; ./var, the database, stays
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# A stamp is written last, so that an interrupted installation is begun again.

ifneq ($(MADE_IN),$(CURDIR))
.venv/.made: FORCE
endif

.venv/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Rowlock needs Python 3.11 or later: make PYTHON=python3.12 ..., say ($(PYTHON) is older, or missing)" >&2; exit 2; }
	@rm -rf .venv
	@echo "Making .venv ..."
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "$(PYTHON) can't make a virtual environment. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 2; }
	@printf '%s\n' "$(CURDIR)" > .venv/.made

# The development lock holds all of requirements.lock, so either stamp will do for `make run`.
.venv/.run: requirements.lock pyproject.toml .venv/.made
	@rm -f .venv/.run
	@echo "Installing the locked dependencies ..."
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch .venv/.run

.venv/.dev: requirements-dev.lock pyproject.toml .venv/.made
	@rm -f .venv/.dev
	@echo "Installing the locked dependencies, with those for development ..."
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch .venv/.run .venv/.dev
