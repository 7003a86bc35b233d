# `make` lists the targets. Only Python 3.11 or later and make are needed.

PYTHON ?= python3
PY := .venv/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --quiet
LOCK := $(PY) -m uv pip compile pyproject.toml --group build --universal --generate-hashes --no-emit-index-url --custom-compile-command "make lock" --quiet
TEST_WORKERS ?= auto

# A .venv knows where it was made: one that was moved, or whose Python is gone, is made anew.
MADE_IN := $(shell $(PY) -c 'print(open(".venv/.made").read().strip())' 2>/dev/null)

# The page is made with Node 20 or later and npm. Where they are missing it is left out, and said so; never in CI.
HAS_NODE := $(shell command -v npm >/dev/null && node -e 'process.exit(Number(parseInt(process.versions.node) < 20))' 2>/dev/null && echo yes)
NO_NODE = { echo "Left out: $(1) (Node 20 or later and npm are missing)" >&2; test -z "$$CI"; }
OPENAPI := web/node_modules/.openapi.json
PAGE_SOURCES := $(shell find web/src web/public -type f ! -name '*.test.*' 2>/dev/null) web/index.html web/vite.config.ts web/tsconfig.json

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run page test check fuzz torture audit licences bench bench-full bench-live bench-overload format schema lock clean test-web check-web format-web FORCE

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: .venv/.run ## serve a demo on http://127.0.0.1:8000, with a database of its own in ./var
	@CI= $(MAKE) --no-print-directory --silent page || echo "The page could not be built; serving without it." >&2
	@exec $(PY) -m rowlock demo

page: src/rowlock/page/index.html ## build the page into src/rowlock/page

test: .venv/.dev ## run all tests, on PostgreSQL 18, 16 and 15, and those of the page in Chromium
	@sh scripts/install-debian-packages.sh
	$(PY) -m pytest -n $(TEST_WORKERS) --maxprocesses=8
	$(PY) -m pytest -n $(TEST_WORKERS) --maxprocesses=8 -m postgres --postgres=16
	$(PY) -m pytest -n $(TEST_WORKERS) --maxprocesses=8 -m postgres --postgres=15
	@$(MAKE) --no-print-directory test-web

check: .venv/.dev ## check format, lint, types and import contracts
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	.venv/bin/lint-imports
	@$(MAKE) --no-print-directory check-web

fuzz: .venv/.dev ## feed every parser with bad inputs, and count them (docs/reliability.md)
	$(PY) -m tests.fuzz

# Neither is installed with the rest: they need the world's lists of vulnerabilities, which are not there everywhere.
audit: .venv/.dev ## look the locked dependencies up in the lists of known vulnerabilities
	@$(PY) -m venv .venv/audit && .venv/audit/bin/pip --disable-pip-version-check --quiet install pip-audit
	@.venv/audit/bin/pip-audit --strict --require-hashes --disable-pip -r requirements.lock || { echo "make audit: the Python packages were not found free of known vulnerabilities (or the list could not be had; see above)" >&2; exit 1; }
	@cd web && npm audit --omit=dev || { echo "make audit: the page's packages were not found free of known vulnerabilities (or the list could not be had; see above)" >&2; exit 1; }

licences: .venv/.dev ## list the licences of what Rowlock stands on; fails where one is not accepted
	@$(PY) scripts/list_licences.py

bench: .venv/.dev ## measure bookings beside PostgreSQL alone and Express, in some eighteen minutes (docs/benchmarks.md)
	$(PY) -m benchmarks.compare

bench-full: .venv/.bench ## measure the rest, curves included, in some forty minutes
	$(PY) -m benchmarks.full --plots docs/images

bench-live: .venv/.dev ## measure live seat maps, on a database of its own (docs/benchmarks.md)
	$(PY) -m benchmarks.live_maps

torture: .venv/.dev ## break everything under load for MINUTES=30, and check the history; SEED=1 plays it again (root)
	@sh scripts/install-debian-packages.sh
	$(PY) -m tests.faults.torture --minutes $(or $(MINUTES),30) $(if $(SEED),--seed $(SEED))

bench-overload: .venv/.dev ## measure five times as many callers as serve best, for SECONDS=300 (docs/reliability.md)
	$(PY) -m benchmarks.overload --seconds $(or $(SECONDS),300)

format: .venv/.dev ## format the code, and mend what the linter can
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .
	@$(MAKE) --no-print-directory format-web

lock: .venv/.dev ## resolve the dependencies anew, with hashes
	$(LOCK) -o requirements.lock
	$(LOCK) --group dev -c requirements.lock -o requirements-dev.lock
	$(LOCK) --group dev --group bench -c requirements-dev.lock -o requirements-bench.lock

clean: ## remove .venv, node_modules, the built page and caches; ./var, the database, stays
	rm -rf .venv web/node_modules web/test-results web/screenshots src/rowlock/page build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

ifeq ($(HAS_NODE),yes)
test-web: .venv/.dev src/rowlock/page/index.html
	@sh scripts/install-debian-packages.sh
	cd web && npm test --silent
	cd web && npm run --silent e2e

check-web: $(OPENAPI)
	cd web && npm run --silent lint
	cd web && npm run --silent types
	@cd web && npm run --silent schema -- --check || { echo "web/src/shared/api/schema.d.ts is not what the server's OpenAPI says: make schema" >&2; exit 1; }

format-web: web/node_modules/.made
	cd web && npm run --silent format

schema: $(OPENAPI) ## renew the page's types after a change to the API
	cd web && npm run --silent schema

$(OPENAPI): web/node_modules/.made .venv/.dev FORCE
	@$(PY) -m rowlock openapi > $@

web/node_modules/.made: web/package-lock.json web/package.json web/.npmrc
	@echo "Installing the page's locked dependencies ..."
	@cd web && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --no-audit --no-fund --loglevel=error
	@touch $@

src/rowlock/page/index.html: web/node_modules/.made $(PAGE_SOURCES)
	@echo "Building the page ..."
	@cd web && npm run --silent build -- --logLevel warn
	@touch $@
else
test-web:
	@$(call NO_NODE,the page's tests)

check-web:
	@$(call NO_NODE,the page's checks)

format-web: ;

schema:
	@$(call NO_NODE,the page's types); exit 2

src/rowlock/page/index.html:
	@$(call NO_NODE,building the page)
endif

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

.venv/.bench: requirements-bench.lock .venv/.dev
	@rm -f .venv/.bench
	@$(PIP) install --require-hashes -r requirements-bench.lock
	@touch .venv/.bench
