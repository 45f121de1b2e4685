# `make` or `make help` lists the targets. Every target sets up .venv first if needed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEVELOPERS := $(VENV)/.ready-developers
MANUAL := $(VENV)/.ready-manual
SITE := docs/_build/html
LOGS ?= outputs
# Compiles byte code at install, even if the environment disables it: it halves the start-up time.
PIP := env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help setup format format-check lint types unit test test-fast test-extras docs test-docs demo tensorboard clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## create .venv with the pinned versions of constraints.txt

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
		|| { echo "keypoints needs Python 3.11 to 3.13; name one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV): a few minutes the first time"
	@$(PIP) pip setuptools wheel hatchling
	@$(PIP) --no-build-isolation --editable '.[demo,detect,export]'
	@touch $@

# The tools of developers: nobody who only trains and predicts needs them.
$(DEVELOPERS): $(READY)
	@echo "Installing the tools of developers"
	@$(PIP) --no-build-isolation --editable '.[dev,parallel,slurm,search]'
	@touch $@

$(MANUAL): $(READY)
	@echo "Installing what builds the manual"
	@$(PIP) --no-build-isolation --editable '.[docs]'
	@touch $@

format: $(DEVELOPERS) ## rewrite the code in the project's format
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix-only

format-check: $(DEVELOPERS)
	@$(BIN)/ruff format --check

lint: $(DEVELOPERS) ## check the code with ruff
	@$(BIN)/ruff check

types: $(DEVELOPERS) ## check the types
	@$(BIN)/mypy

# One process per core, each with one torch thread; more than four would need too much memory. Byte code is kept,
# because the tests start many processes.
PYTEST := env -u PYTHONDONTWRITEBYTECODE OMP_NUM_THREADS=1 $(BIN)/pytest
PARALLEL := --numprocesses=logical --maxprocesses=4 --dist=loadfile --no-loadscope-reorder
# Tests that train nothing, of parts on which the others build.
FAST := config data datamodules runs schemes synthetic tasks \
	$(patsubst %,test_%.py,crop components file_kinds geometry import_layers landmarks language structured_files threads)
SLOW := config/test_options.py config/test_compose.py data/test_augmentation.py

unit: $(DEVELOPERS) ## run only the tests
	@$(PYTEST) $(PARALLEL)

test-fast: $(DEVELOPERS) ## run the tests of data, configuration and tasks, while you write
	@$(PYTEST) $(PARALLEL) $(addprefix tests/,$(FAST)) $(addprefix --ignore=tests/,$(SLOW))

test: format-check lint types unit ## check format, lint and types, and run the tests

# Not part of `make test`: it installs some fifty packages that a training does not need.
test-extras: $(DEVELOPERS) ## install wandb, mlflow and timm, and test with them
	@$(PIP) --no-build-isolation --editable '.[dev,parallel,slurm,search,wandb,mlflow,timm]'
	@$(PYTEST) tests/extras tests/models/test_timm.py

# --fresh-env: Sphinx does not see that the schemas or its extension changed.
docs: $(MANUAL) ## build the manual in docs/_build, offline; a broken link is an error
	@$(BIN)/python -m sphinx --builder html --fresh-env --fail-on-warning --keep-going --quiet docs $(SITE)
	@echo "The manual is in $(SITE)/index.html"

# Not part of `make test`: it builds the manual.
test-docs: $(DEVELOPERS) $(MANUAL) ## build the manual, and test what its pages show
	@$(PYTEST) tests/test_readme.py tests/docs

demo: $(READY) ## make up faces, train on them with three learning rates, and compare
	@$(BIN)/keypoints data synthesize
	@$(BIN)/keypoints train experiment=nose_tip sweep=learning_rate paths.data=data/synthetic

tensorboard: $(READY) ## show the runs in the browser (LOGS=outputs/…)
	@$(BIN)/tensorboard --logdir $(LOGS)

clean: ## remove .venv and the caches; runs, results and data stay
	@rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis docs/_build
