# Everything one does with this project. `make` alone lists it.

SHELL := bash
VENV := .venv
PY := $(VENV)/bin/python
PORT ?= 8000
SANDBOX_PORT ?= 8765
SIZE ?= full
ARGS ?=
SEED ?=
MONTH ?=
P ?=
UV := var/tools/uv

# The first Python on this machine that is new enough; another one: make run PYTHON=/path/to/python3
PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11,$(shell $(name) -c 'import sys; sys.version_info >= (3, 11) and print("$(name)")' 2>/dev/null)))

# Said outright, so that a production .env beside this file is left alone.
DEVELOPMENT := REFUNDDASH_DEBUG=1 REFUNDDASH_ALLOWED_HOSTS=127.0.0.1,localhost REFUNDDASH_REDIS_URL= \
	REFUNDDASH_SANDBOX_URL=http://127.0.0.1:$(SANDBOX_PORT) WEB_PORT=$(PORT) SANDBOX_PORT=$(SANDBOX_PORT) \
	PYTHONUNBUFFERED=1 $(if $(MONTH),SANDBOX_BEGINS="--month $(MONTH)")
SQLITE := REFUNDDASH_DATABASE_URL=$${REFUNDDASH_DATABASE_URL:-sqlite:///var/refunddash.sqlite3}
PYTEST := $(PY) -m pytest -n auto
TEMPLATES := git ls-files -z --cached --others --exclude-standard '*.html' | xargs -0
# Without the project's own options, which leave these folders out.
PYTEST_ALONE := $(PY) -m pytest -o addopts="--strict-markers --strict-config -ra"

.PHONY: help run test lint format types postgres-test browser-test external-test promises crash-test simulate month demo-month bench screenshots lock clean

help: ## List what can be done here
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.run ## Start everything with practice processors on http://127.0.0.1:8000 (PORT=, SANDBOX_PORT=)
	@$(DEVELOPMENT) $(SQLITE) $(PY) manage.py demo --accounts connectors/sandbox/demo.json --port $(PORT) --check-ports
	@echo "Starting the web server, the worker and the practice processors ..."
	@$(DEVELOPMENT) $(SQLITE) REFUNDDASH_LOG_LEVEL=$${REFUNDDASH_LOG_LEVEL:-WARNING} $(PY) deploy/develop.py

test: $(VENV)/.dev ## Run the whole test suite on SQLite (ARGS="-k name" for a part)
	@$(SQLITE) $(PYTEST) $(ARGS)

lint: $(VENV)/.dev ## Check style, templates and the direction of imports
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(TEMPLATES) $(VENV)/bin/djade --check
	$(TEMPLATES) $(PY) -m djhtml --check --tabwidth 2
	$(VENV)/bin/lint-imports

format: $(VENV)/.dev ## Rewrite code and templates in the project's style
	$(PY) -m ruff check --fix-only .
	$(PY) -m ruff format .
	$(TEMPLATES) $(VENV)/bin/djade
	$(TEMPLATES) $(PY) -m djhtml --tabwidth 2

types: $(VENV)/.dev ## Check types
	$(DEVELOPMENT) $(SQLITE) $(PY) -m mypy .

postgres-test: $(VENV)/.dev ## Run the whole test suite on PostgreSQL (REFUNDDASH_TEST_POSTGRES_URL, or a throwaway cluster)
	@.ci/with-postgres $(PYTEST) $(ARGS)

browser-test: $(VENV)/.dev ## Run the tests that need a browser (Chromium)
	@$(SQLITE) $(PYTEST_ALONE) tests/browser $(ARGS)

external-test: $(VENV)/.dev var/tools/localstripe/.made ## Run the tests against localstripe, a fake by other people
	@LOCALSTRIPE=$(CURDIR)/var/tools/localstripe/bin/localstripe $(SQLITE) $(PYTEST_ALONE) tests/external $(ARGS)

promises: $(VENV)/.dev ## Try to prove each promise of docs/promises.md wrong (P="P10 P12", SIZE=smoke, SEED=)
	@$(PY) -m tests.promises $(P) --size $(SIZE) $(if $(SEED),--seed $(SEED))

crash-test: $(VENV)/.dev ## kill -9 everything, again and again, and look for what was lost (SIZE=smoke, SEED=)
	@$(PY) -m tests.crash --size $(SIZE) $(if $(SEED),--seed $(SEED))

demo-month: $(VENV)/.run ## Beside `make run MONTH=500`: hand in that month's files and books, and compare
	@$(DEVELOPMENT) $(SQLITE) REFUNDDASH_LOG_LEVEL=ERROR $(PY) manage.py demo --month

simulate: $(VENV)/.dev ## Months of both processors in one process under a virtual clock (SEED=, SIZE=smoke)
	@$(PY) -m tests.simulation --size $(SIZE) $(if $(SEED),--seed $(SEED))

month: $(VENV)/.dev ## A month of both processors with planted differences, all of them found (SEED=, SIZE=smoke)
	@$(PY) -m tests.month --size $(SIZE) $(if $(SEED),--seed $(SEED)) $(ARGS)

bench: $(VENV)/.dev ## Measure on PostgreSQL (SIZE=smoke for a short run)
	@POSTGRES_OPTIONS="-c fsync=on" .ci/with-postgres $(PY) -m tests.benchmarks --size $(SIZE) $(ARGS)

screenshots: $(VENV)/.dev ## Make the pictures in docs/ (needs Chromium)
	@$(SQLITE) $(PYTEST_ALONE) tests/browser/screenshots.py $(ARGS)

lock: $(UV)/.made ## Pin every dependency with its hashes (UPGRADE=1 for newer versions)
	$(call compile,--extra dev --extra parquet pyproject.toml,dev)
	$(call compile,--constraints requirements/dev.lock pyproject.toml,run)
	$(call compile,requirements/localstripe.in,localstripe)

clean: ## Remove what can be made again; data in var/ stays
	rm -rf $(VENV) var/tools var/static var/test*.sqlite3* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

compile = $(UV)/bin/uv pip compile --quiet $(if $(UPGRADE),--upgrade) --universal --python-version 3.11 --generate-hashes \
	--no-annotate --no-header $(1) --output-file requirements/$(2).lock

# A virtual environment: $(call install,folder,lock). One whose lock has changed is made anew. pip's own lines become one
# line a package.
define install
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11 or newer is needed: make $(MAKECMDGOALS) PYTHON=/path/to/python3"; exit 1; }
	@if [ -e $@ ] || ! $(1)/bin/python -c '' 2>/dev/null; then rm -rf $(1); fi
	@[ -x $(1)/bin/pip ] || { echo "Making $(1) with $$($(PYTHON) --version) ..."; $(PYTHON) -m venv $(1); } \
		|| { rm -rf $(1); echo "On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "Installing $$(grep -c '==' $(2)) packages, each checked against its hash ..."
	@set -o pipefail; $(1)/bin/python -m pip install --disable-pip-version-check --no-input --require-hashes -r $(2) \
		| awk '/^(Collecting|Processing)/ {sub(/.*\//, "", $$2); printf "  %3d  %s\n", ++n, $$2; fflush()} /^Installing/ {print "  unpacking ..."; fflush()}'
	@touch $@
endef

$(VENV)/.run: requirements/run.lock
	$(call install,$(VENV),$<)

$(VENV)/.dev: requirements/dev.lock
	$(call install,$(VENV),$<)
	@touch $(VENV)/.run

var/tools/localstripe/.made: requirements/localstripe.lock
	@mkdir -p var/tools
	$(call install,var/tools/localstripe,$<)

$(UV)/.made:
	@mkdir -p var/tools
	$(PYTHON) -m venv $(UV)
	$(UV)/bin/pip install --quiet --disable-pip-version-check uv==0.13.9
	@touch $@
