# Everything starts from a fresh clone: each target first makes .venv and installs what it needs.
# `make test PYTHON=python3.12` chooses the interpreter that .venv is made from.

PYTHON ?= $(shell command -v python3 || command -v python)
BIN := .venv/bin

.NOTPARALLEL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# One stamp per extra; a change of the dependencies installs again.
.venv/installed-%: pyproject.toml constraints.txt | $(BIN)/pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[$*]'
	@touch $@

$(BIN)/pip:
	$(PYTHON) -m venv .venv

.PHONY: help demo test test-torch test-pytorch test-slow lint format types test-ecosystem test-frameworks test-references tutorials docs bench clean

help: ## show the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | awk -F'|' '{printf "make %-16s %s\n", $$1, $$2}'

demo: .venv/installed-lab ## race every optimizer beside its torch twin; pictures in race/
	$(BIN)/python -m myoptim race

# One thread per worker: two workers with two threads each would fight over two cores.
# child.py takes the package apart when it is imported, and the templates are for a student's folder.
test: .venv/installed-dev ## run the tests and the doctests
	OMP_NUM_THREADS=1 $(BIN)/python -u -m pytest -n 2 --dist loadgroup -m "not slow" --doctest-modules --ignore=tests/ecosystem --ignore=tests/frameworks --ignore=tests/references --ignore=tests/docs --ignore=myoptim/course/child.py --ignore=myoptim/course/templates tests myoptim

# An environment for each torch, which may be a download of 3 GB: make test-torch TORCH=2.14.1
TORCH ?= 2.13.0
test-torch: ## run the tests of core, lab and swap-in with another torch
	test -x .venv-torch-$(TORCH)/bin/pip || $(PYTHON) -m venv .venv-torch-$(TORCH)
	grep -v '^torch==' constraints.txt > .venv-torch-$(TORCH)/constraints.txt
	.venv-torch-$(TORCH)/bin/python -m pip install --quiet --disable-pip-version-check --constraint .venv-torch-$(TORCH)/constraints.txt --editable '.[dev]' 'torch==$(TORCH)'
	OMP_NUM_THREADS=1 .venv-torch-$(TORCH)/bin/python -m pytest -n 2 --dist loadgroup -m "not slow" tests/core tests/lab tests/swapin

FILE ?= ../pytorch/test/test_optim.py
test-pytorch: .venv/installed-dev ## run PyTorch's own tests on ours: FILE=../pytorch/test/test_optim.py
	OMP_NUM_THREADS=1 $(BIN)/python tests/torchs_own.py $(FILE) -q --tb=short

test-slow: .venv/installed-dev ## run the tests that take minutes
	OMP_NUM_THREADS=1 $(BIN)/python -u -m pytest -n 2 --dist loadgroup -m slow --ignore=tests/ecosystem --ignore=tests/frameworks --ignore=tests/references --ignore=tests/docs tests

lint: .venv/installed-dev ## check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: .venv/installed-dev ## apply both
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: .venv/installed-dev ## check the package's types, strictly
	$(BIN)/pyright --pythonpath $(BIN)/python

test-ecosystem: .venv/installed-ecosystem ## run the tests with Lightning, Accelerate, Trainer, skorch
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 tests/ecosystem

# An environment of its own: the frameworks bring versions that others need not have.
test-frameworks: .venv-frameworks/installed ## run the tests with Keras, optax, MLX, tinygrad, …
	OMP_NUM_THREADS=1 .venv-frameworks/bin/python -m pytest tests/frameworks --results docs/optimizers/dialects-runs.inc

.venv-frameworks/installed: pyproject.toml constraints.txt
	test -x .venv-frameworks/bin/pip || $(PYTHON) -m venv .venv-frameworks
	.venv-frameworks/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[frameworks]'
	@touch $@

# An environment of its own: nobody else needs them.
test-references: .venv-references/installed ## run the tests beside lion-pytorch, schedulefree, …
	OMP_NUM_THREADS=1 .venv-references/bin/python -m pytest tests/references --agreement docs/optimizers/agreement

.venv-references/installed: pyproject.toml constraints.txt
	test -x .venv-references/bin/pip || $(PYTHON) -m venv .venv-references
	.venv-references/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[references]'
	@touch $@

tutorials: .venv/installed-docs ## run every tutorial and write its notebook
	$(BIN)/python tutorials/run.py

docs: .venv/installed-docs .venv/installed-dev ## build the site in docs/_build, and check it
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build
	$(BIN)/python -m pytest tests/docs

bench: .venv/installed-lab ## time every optimizer beside torch.optim
	$(BIN)/python -m myoptim bench

clean: ## remove everything that make made, .venv included
	rm -rf .venv .venv-frameworks .venv-references .venv-torch-* docs/_build docs/mistakes docs/made docs/tutorials docs/jupyter_execute race .pytest_cache .ruff_cache .hypothesis dist
	find myoptim tests -name __pycache__ -type d -prune -exec rm -rf {} +
