# Requirements: Python 3.11 or newer, and make. `make help` lists the targets.
#
# The first target that needs it creates .venv and installs the locked packages by hash. Later targets
# install again only if a lock or pyproject.toml has changed.

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
SHELL := /bin/sh
# pytest compiles each test module again in each run if it must not keep the result.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?=
PYTEST ?=
MUTATE ?=
UV ?= $(shell command -v uv >/dev/null 2>&1 && echo uv || echo python3 -m uv)
BIN := .venv/bin
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 $(BIN)/python -m pip --quiet
SOURCES := src tests tools benchmarks
SCHEMAS = $(wildcard schema/*.json)
WORKFLOWS = $(wildcard .github/workflows/*.yml .github/workflows/*.yaml)
ACTION = $(wildcard action.yml)

.PHONY: help demo test test-fast test-slow test-wheel bench mutate check fix lock clean lint types architecture documents workflows templates

help: ## list the targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

demo: .venv/demo.stamp ## plan, apply and repair on a simulated AWS on this machine
	@$(BIN)/ssm-reconcile demo

test: .venv/dev.stamp ## tests in parallel; PYTEST="-k name" passes options to pytest
	$(BIN)/python -m pytest -n auto --dist worksteal $(PYTEST)

test-fast: .venv/dev.stamp ## unit tests and cases that take milliseconds; takes a minute
	$(BIN)/python -m pytest -n logical --dist worksteal -m "not bench and not slow and not large" tests/unit tests/cases $(PYTEST)

test-slow: .venv/dev.stamp ## tests that install, run workflows or documents, or need a browser; takes 8 minutes
	$(BIN)/python -m pytest -n auto --dist worksteal -m slow tests/browser tests/docs tests/e2e tests/events tests/workflows $(PYTEST)

test-wheel: .venv/dev.stamp ## end-to-end tests with the command of an installed wheel; takes 10 minutes
	INSTALLED_WHEEL=1 $(BIN)/python -m pytest -n auto --dist worksteal tests/e2e $(PYTEST)

bench: .venv/dev.stamp ## measure calls, time and memory; writes benchmarks/RESULTS.md and the numbers of README.md; takes 25 minutes
	PYTHONPATH=src:. $(BIN)/python -m benchmarks
	$(BIN)/python -m pytest -m bench tests

mutate: .venv/dev.stamp ## change the code in 300 places and list the changes that no test finds; takes about 20 minutes
	$(BIN)/python tools/mutate.py $(MUTATE)

check: lint types architecture documents workflows templates ## static checks: style, types, architecture, documents, workflows, templates

fix: .venv/dev.stamp ## automatic fixes: imports, style, layout, reference pages
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/python tools/reference.py

lock: ## newest versions of all dependencies, with hashes, for every platform
	@$(UV) --version >/dev/null 2>&1 || { echo "make lock needs uv: install it (python3 -m pip install uv), or give its path: make lock UV=/path/to/uv" >&2; exit 1; }
	$(LOCK) --upgrade --extra dev --output-file requirements/dev.txt
	$(LOCK) --extra demo --constraint requirements/dev.txt --output-file requirements/demo.txt
	$(COMPILE) --extra lambda --constraint requirements/dev.txt $(TERMINAL:%=--no-emit-package %) --output-file requirements/lambda.txt
	$(LOCK) --constraint requirements/dev.txt --output-file requirements/run.txt
	$(COMPILE_ALONE) --upgrade --group installers --output-file requirements/installers.txt

clean: ## remove all generated files, .venv included
	rm -rf .venv build dist htmlcov .mutate .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The parts of `check`.

lint: .venv/dev.stamp
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

types: .venv/dev.stamp
	$(BIN)/mypy --strict

architecture: .venv/dev.stamp
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest --quiet tests/architecture

documents: .venv/dev.stamp
	$(BIN)/python tools/reference.py --check
	$(if $(SCHEMAS),$(BIN)/check-jsonschema --check-metaschema $(SCHEMAS))
	$(BIN)/ssm-reconcile validate replication.yaml
	for spec in examples/*/replication.yaml examples/*/specs; do $(BIN)/ssm-reconcile validate $$spec || exit 1; done

workflows: .venv/dev.stamp
	$(BIN)/shellcheck .ci/run deploy/build.sh
	$(if $(WORKFLOWS),$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows $(WORKFLOWS))
	$(if $(ACTION),$(BIN)/check-jsonschema --builtin-schema vendor.github-actions $(ACTION))
	$(if $(WORKFLOWS)$(ACTION),$(BIN)/zizmor --offline --quiet --strict-collection --persona pedantic --config .github/zizmor.yml $(WORKFLOWS) $(ACTION))
	$(BIN)/python -m pytest --quiet tests/workflows/test_scripts.py

# The second line translates the SAM template, and compares the policies with `iam event` and with the actions of IAM.
templates: .venv/dev.stamp
	$(BIN)/cfn-lint --include-checks I3510 --non-zero-exit-code informational deploy/*.yaml
	$(BIN)/python -m pytest --quiet tests/events/test_templates.py tests/events/test_roles.py

# Installation. Each lock includes the build backend, so only locked packages are downloaded. The lock of the
# Lambda function, which deploy/build.sh installs, has neither the backend nor the packages of the terminal.

COMPILE_ALONE = $(UV) pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-header
COMPILE = $(COMPILE_ALONE) pyproject.toml
LOCK = $(COMPILE) --group build
TERMINAL = click rich markdown-it-py mdurl pygments

INSTALL = $(PIP) install --require-hashes --requirement $< && \
	$(PIP) install --no-deps --no-build-isolation --editable . && touch $@

.venv/demo.stamp: requirements/demo.txt pyproject.toml | .venv/pyvenv.cfg
	@echo "installing the packages of $< into .venv (once; about a minute)" >&2
	@$(INSTALL)

.venv/dev.stamp: requirements/dev.txt pyproject.toml | .venv/pyvenv.cfg
	@echo "installing the packages of $< into .venv (once; a few minutes at most)" >&2
	@$(INSTALL)

# Each candidate is run, because the path can contain stubs of a version manager that do not work.
.venv/pyvenv.cfg:
	@for python in $(if $(PYTHON),"$(PYTHON)",python3.13 python3.12 python3.11 python3); do \
		if "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
			echo "creating .venv with $$("$$python" --version)" >&2; \
			exec "$$python" -m venv .venv; \
		fi; \
	done; \
	echo "no Python 3.11 or newer (with venv) found$(if $(PYTHON), at PYTHON=$(PYTHON)). Install one, or give its path: make PYTHON=/path/to/python3.11" >&2; \
	exit 1
