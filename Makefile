# Corral needs Python 3.11 and make, nothing else: the rest is installed into .venv.
# Arguments for the program behind a target: make test ARGS="tests/unit -k envelope"

PYTHON ?= python3.11
VENV   := .venv
PY     := $(VENV)/bin/python
ARGS   ?=

# The stamps tell what .venv holds. A demo needs only what runs Corral; tests add to the same folder,
# with the same versions, because each of the requirement files is a cut of requirements-dev.txt.
RUNS   := $(VENV)/.installed-requirements
TESTS  := $(VENV)/.installed-requirements-dev
NODE   := $(if $(shell command -v npm),tests/node/node_modules/.installed)
PIP    := $(PY) -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help demo dev test check fix lock lock-check format lint types layers coverage bench soak clean
.NOTPARALLEL:
.DELETE_ON_ERROR:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- Run --------------------------------------------------------------------------------------

demo: $(RUNS) ## run the main job once: documents in, signed callbacks out
	$(PY) -m corral demo $(ARGS)

dev: $(RUNS) ## run the same stack until Ctrl-C
	$(PY) -m corral dev --with-parent $(ARGS)

# --- Test -------------------------------------------------------------------------------------

test: $(TESTS) $(NODE) ## run the tests
	$(PY) -m pytest $(ARGS)

check: format lint types layers lock-check coverage ## do exactly what CI does, the quickest first

format: $(TESTS)
	$(PY) -m ruff format --check .

lint: $(TESTS)
	$(PY) -m ruff check .

types: $(TESTS)
	$(PY) -m mypy

layers: $(TESTS)
	$(VENV)/bin/lint-imports

# An absolute path, because processes that tests start have working folders of their own.
coverage: export COVERAGE_FILE = $(CURDIR)/.coverage
coverage: $(TESTS) $(NODE)
	$(PY) -m coverage erase
	$(PY) -m pytest --cov --cov-report=term --cov-report=json:.coverage.json $(ARGS)
	$(PY) -m tests.support.complete_coverage .coverage.json

fix: $(TESTS) ## format the code and mend what the linter can
	$(PY) -m ruff check --fix-only .
	$(PY) -m ruff format .

# --- Measure ----------------------------------------------------------------------------------

bench: $(TESTS) ## measure Corral beside its peers: make bench ARGS="worker --json FILE"
	$(PY) -m bench $(ARGS)

soak: $(TESTS) ## kill workers and restart the server under 200,000 jobs: make soak ARGS="--jobs 20000"
	$(PY) -m tests.soak --json bench/results/soak.json $(ARGS)

# --- Requirements -----------------------------------------------------------------------------

# $(call compile,FOLDER): the requirement files in FOLDER, from the pyproject.toml and the pins there.
# The widest comes first and binds the others, so no two of them can disagree.
UV      = $(abspath $(VENV))/bin/uv pip compile --quiet pyproject.toml
compile = cd $(1) \
  && $(UV) $(UPGRADE) --extra laptop --extra dev -o requirements-dev.txt \
  && $(UV) --extra laptop -c requirements-dev.txt -o requirements.txt \
  && $(UV) -c requirements-dev.txt -o requirements-prod.txt

lock: $(TESTS) ## compile the requirement files; UPGRADE=--upgrade takes newer releases
	$(call compile,.)

# Starts from the pins as they are: red when pyproject.toml has moved on, not when a package has.
lock-check: $(TESTS)
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT \
	  && cp pyproject.toml requirements*.txt "$$folder" \
	  && ($(call compile,"$$folder")) \
	  && for file in requirements-dev.txt requirements.txt requirements-prod.txt; do \
	       diff -u $$file "$$folder/$$file" || { echo "$$file is not what pyproject.toml asks for: run 'make lock'" >&2; exit 1; }; \
	     done && echo "requirements are as pyproject.toml asks"

# --- Installed once ---------------------------------------------------------------------------

$(PY):
	@command -v $(PYTHON) >/dev/null || { \
	  echo "Corral runs on Python 3.11 and found no $(PYTHON)." >&2; \
	  echo "Install it, or name yours: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { \
	  echo "Corral runs on Python 3.11; $(PYTHON) is $$($(PYTHON) --version)." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make a virtual environment; on Debian: apt-get install python3.11-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(RUNS): requirements.txt | $(PY)
	@echo "installing what runs Corral into $(VENV) ..."
	@$(PIP) install --require-hashes -r requirements.txt
	@touch $@

$(TESTS): requirements-dev.txt $(RUNS)
	@echo "installing what tests Corral into $(VENV) ..."
	@$(PIP) install --require-hashes -r requirements-dev.txt
	@touch $@

tests/node/node_modules/.installed: tests/node/package-lock.json
	cd tests/node && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

clean: ## remove what make has made; .corral, the data of `make dev`, stays
	rm -rf $(VENV) tests/node/node_modules .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
