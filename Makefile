# make demo   a virtual environment, the package, two answers about a GIF, a picture of what they rest on
# make test   everything that CI runs: format, lint, types, tests
# make lint   the first three of these
# make clean  remove the virtual environment and what the above left behind

# The first Python of 3.11 or newer on the PATH; another one: make test PYTHON=/path/to/python
PYTHON ?= $(shell for python in python3 python3.11 python3.12 python3.13 python; do \
	$$python -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; \
	done)
# The tests run the training code, which needs torch; any version from 2.4 on will do. This one is pinned so that pip
# takes a CPU build where it is offered one. On Linux the build of PyPI brings gigabytes of CUDA; to get the small
# one: make test TORCH="torch --index-url https://download.pytorch.org/whl/cpu"
TORCH ?= torch==2.13.0

BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test lint clean

demo: .venv/demo-installed
	mkdir -p demo
	$(BIN)/gifqa ask examples/chelsea.gif "What animal is this?" --evidence demo/animal.png
	$(BIN)/gifqa ask examples/chelsea.gif "What is the cat doing?" --evidence demo/doing.png
	@echo "What the answers rest on: demo/animal.png demo/doing.png"

test: lint
	$(BIN)/python -m pytest

lint: .venv/test-installed
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "No Python of 3.11 or newer was found; install one, or name it: make $(MAKECMDGOALS) PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv .venv

.venv/demo-installed: .venv/bin/python pyproject.toml
	$(PIP) --editable .
	@touch $@

# torch by itself and first: TORCH may name an index that has nothing else.
.venv/test-installed: .venv/bin/python pyproject.toml
	$(PIP) $(TORCH)
	$(PIP) --editable '.[dev,synth,eval,train]'
	@touch $@ .venv/demo-installed

clean:
	rm -rf .venv demo .pytest_cache .mypy_cache .ruff_cache
