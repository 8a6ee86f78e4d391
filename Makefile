# `make` or `make help` lists what can be done. Each target works alone on a machine with Python 3.11 and make.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
REAL_LOGS ?= ../shared/real_logs

.PHONY: help demo test format lint check docs app sample-logs stores bench gpu
.DEFAULT_GOAL := help

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

.venv/demo: pyproject.toml constraints.txt  # what trains, judges and shows a run
	$(PYTHON) -m venv .venv
	$(INSTALL) -e '.[train,app,report]'
	@touch $@

.venv/dev: .venv/demo
	$(INSTALL) -e '.[dev]'
	@touch $@

demo: .venv/demo  ## train a small model well and badly, and judge both (about two minutes)
	$(BIN)/lmdiag demo

test: .venv/dev  ## run all tests
	$(BIN)/python -m pytest --numprocesses auto
	@touch .venv/tested

format: .venv/dev  ## format the code
	$(BIN)/ruff format .

lint: .venv/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m docs.generate --check

.venv/tested: $(shell git ls-files '*.py' '*.toml' '*.jsonl' '*.md' '*.jinja')
	$(MAKE) test

check: lint .venv/tested  ## format, lint, types, generated pages, and the tests if anything changed since: before every commit

docs: .venv/dev  ## write the generated pages anew
	$(BIN)/python -m docs.generate

app: .venv/demo  ## open the app in the browser
	$(BIN)/lmdiag app

sample-logs: .venv/dev  ## train everything behind sample_logs/ anew (some minutes)
	$(BIN)/python -m trainers.sample_logs

stores: .venv/dev  ## let each tracker write the store that its reader is tested on anew, or that of NAME=dvclive alone
	$(BIN)/python -m tests.readers.stores.renew $(NAME)

bench: .venv/dev  ## measure accuracy on labelled logs, where there are some
	$(BIN)/python benchmarks/accuracy.py --corpus $(REAL_LOGS)/logs --labels $(REAL_LOGS)/labels.jsonl

gpu: .venv/dev  ## measure the trainers on a CUDA device (at most eight minutes), and write docs/gpu.md
	$(BIN)/python -m benchmarks.gpu
