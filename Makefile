# Everything a stranger needs: Python 3.11 or newer, and make. `make help` lists it all.
#
# The first target that needs it makes .venv and installs what the lock says, by hash; a later one
# installs again only when a lock or pyproject.toml has changed.

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
SHELL := /bin/sh

PYTHON ?=
PYTEST ?=
UV ?= $(shell command -v uv >/dev/null 2>&1 && echo uv || echo python3 -m uv)
BIN := .venv/bin
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 $(BIN)/python -m pip --quiet
SOURCES := src tests tools benchmarks
SCHEMAS = $(wildcard schema/*.json)
WORKFLOWS = $(wildcard .github/workflows/*.yml .github/workflows/*.yaml)
ACTION = $(wildcard action.yml)

.PHONY: help demo test test-fast bench check fix lock clean lint types house documents workflows

help: ## what there is
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

demo: .venv/demo.stamp ## the whole story on a pretended AWS on this machine, told as it goes
	@$(BIN)/ssm-reconcile demo

test: .venv/dev.stamp ## all tests, in parallel; PYTEST="-k name" passes options on
	$(BIN)/python -m pytest -n auto $(PYTEST)

test-fast: .venv/dev.stamp ## unit tests, cases and contract tests only, in a minute or two
	$(BIN)/python -m pytest -n auto tests/unit tests/cases tests/contract $(PYTEST)

bench: .venv/dev.stamp ## measure it: calls, time, memory against others, into benchmarks/RESULTS.md; some minutes
	$(BIN)/python -m pytest -m bench tests
	PYTHONPATH=src:. $(BIN)/python -m benchmarks

check: lint types house documents workflows ## everything that can be said without running it: style, types, house, docs

fix: .venv/dev.stamp ## mend what a tool can mend: imports, style, layout, the reference
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/python tools/reference.py

lock: ## newest versions of all dependencies, with hashes, for every platform
	@$(UV) --version >/dev/null 2>&1 || { echo "make lock needs uv: install it (python3 -m pip install uv), or say where it is: make lock UV=/path/to/uv" >&2; exit 1; }
	$(LOCK) --upgrade --extra dev --output-file requirements/dev.txt
	$(LOCK) --extra demo --constraint requirements/dev.txt --output-file requirements/demo.txt
	$(LOCK) --extra lambda --constraint requirements/dev.txt --output-file requirements/lambda.txt
	$(LOCK) --constraint requirements/dev.txt --output-file requirements/run.txt

clean: ## remove all that was made here, .venv too
	rm -rf .venv build dist htmlcov mutants .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The parts of `check`, each of use alone.

lint: .venv/dev.stamp
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

types: .venv/dev.stamp
	$(BIN)/mypy --strict

house: .venv/dev.stamp
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest --quiet tests/architecture

documents: .venv/dev.stamp
	$(BIN)/python tools/reference.py --check
	$(if $(SCHEMAS),$(BIN)/check-jsonschema --check-metaschema $(SCHEMAS))
	$(BIN)/ssm-reconcile validate replication.yaml
	for spec in examples/*/replication.yaml examples/*/specs; do $(BIN)/ssm-reconcile validate $$spec || exit 1; done

workflows: .venv/dev.stamp
	$(BIN)/shellcheck .ci/run deploy/build.sh
	$(BIN)/cfn-lint --non-zero-exit-code informational deploy/*.yaml
	$(if $(WORKFLOWS),$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows $(WORKFLOWS))
	$(if $(ACTION),$(BIN)/check-jsonschema --builtin-schema vendor.github-actions $(ACTION))
	$(if $(WORKFLOWS)$(ACTION),$(BIN)/zizmor --offline --quiet --strict-collection --persona pedantic --config .github/zizmor.yml $(WORKFLOWS) $(ACTION))
	$(BIN)/python -m pytest --quiet tests/workflows/test_scripts.py

# Installing. A lock holds the build backend too, so nothing but what it names is ever downloaded.

LOCK = $(UV) pip compile pyproject.toml --quiet --universal --python-version 3.11 --group build \
	--generate-hashes --no-emit-index-url --no-header

INSTALL = $(PIP) install --require-hashes --requirement $< && \
	$(PIP) install --no-deps --no-build-isolation --editable . && touch $@

.venv/demo.stamp: requirements/demo.txt pyproject.toml | .venv/pyvenv.cfg
	@echo "installing what $< names into .venv (once; a minute or so)" >&2
	@$(INSTALL)

.venv/dev.stamp: requirements/dev.txt pyproject.toml | .venv/pyvenv.cfg
	@echo "installing what $< names into .venv (once; a few minutes at most)" >&2
	@$(INSTALL)

# A candidate is run, not only looked up: a version manager's stub may be on the path and answer nothing.
.venv/pyvenv.cfg:
	@for python in $(if $(PYTHON),"$(PYTHON)",python3.13 python3.12 python3.11 python3); do \
		if "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
			echo "making .venv with $$("$$python" --version)" >&2; \
			exec "$$python" -m venv .venv; \
		fi; \
	done; \
	echo "no Python 3.11 or newer (with venv) found$(if $(PYTHON), at PYTHON=$(PYTHON)). Install one, or say where it is: make PYTHON=/path/to/python3.11" >&2; \
	exit 1
