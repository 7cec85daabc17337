# Every target sets up what it needs; a bare machine with Python 3.11+ and make is enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LEVEL ?= all
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
EXTRAS := ingestor projector gateway notifier ops sandbox local dev

.DEFAULT_GOAL := help
.PHONY: help up down demo smoke check test bench fmt lock docs screenshots clean

help: ## Say what each target does
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Umbra needs Python 3.11 or newer; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.local: requirements/local.txt pyproject.toml | $(VENV)/bin/python
	$(PIP) install --require-hashes -r requirements/local.txt
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt pyproject.toml | $(VENV)/bin/python
	$(PIP) install --require-hashes -r requirements/dev.txt
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/.local

demo: $(VENV)/.local ## Run the whole stack on this machine and print the address to open
	$(BIN)/umbra up

up: $(VENV)/.local ## The same in the background
	$(BIN)/umbra up --detach

down: $(VENV)/.local ## Stop it; the data stays
	$(BIN)/umbra down

smoke: $(VENV)/.local ## Start on free ports, follow one change to the browser, stop, print one line of JSON
	@$(BIN)/umbra smoke

check: $(VENV)/.dev ## ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=. $(BIN)/lint-imports

fmt: $(VENV)/.dev ## Format and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: $(VENV)/.dev ## Run the tests: LEVEL=unit|contract|integration|e2e|all|long
	$(BIN)/python -m tests $(LEVEL)

bench: $(VENV)/.dev ## Run a benchmark: NAME=path [QUICK=1]
	$(BIN)/python -m bench $(or $(NAME),path) $(if $(QUICK),--quick)

docs: $(VENV)/.dev ## Write what is made from the code: schemas, AsyncAPI, settings and metrics tables
	$(BIN)/python -m schemas
	$(BIN)/python -m docs.generate

screenshots: $(VENV)/.dev ## Take the README's pictures from a running stack
	$(BIN)/python docs/screenshots.py

lock: | $(VENV)/bin/python ## Resolve the hashed requirement files anew
	$(PIP) install uv
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --universal --python-version 3.11 \
	  --custom-compile-command 'make lock' $(UPGRADE) --extra dev pyproject.toml -o requirements/dev.txt
	@for extra in $(filter-out dev,$(EXTRAS)); do \
	  $(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --universal --python-version 3.11 \
	    --custom-compile-command 'make lock' --constraint requirements/dev.txt --extra $$extra pyproject.toml \
	    -o requirements/$$extra.txt || exit 1; done
	@for clients in clients clients-airbyte; do \
	  $(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --universal --python-version 3.11 \
	    --custom-compile-command 'make lock' $(UPGRADE) requirements/$$clients.in \
	    -o requirements/$$clients.txt || exit 1; done

clean: ## Remove the environment and caches; data under .umbra stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
