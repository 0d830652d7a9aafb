# Set-up is part of every target: .venv is made, and made again when what it holds is changed.
PYTHON ?= python3
BIN := .venv/bin
DEMO ?= runs/demo
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check
.DEFAULT_GOAL := help

.PHONY: help quickstart demo web page test test-fast test-slow test-cluster check format format-check lint types figure clean

help:  ## print this list
	@awk -F ':[^#]*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/ready: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(INSTALL) -r requirements.txt --editable ".[dev]"
	touch $@

.venv/web: .venv/ready
	$(INSTALL) --editable ".[dev,web]"
	touch $@

.venv/optional: .venv/ready
	$(INSTALL) --editable ".[dev,web,heic,beam,dask,litert,onnx,serving]"
	touch $@

quickstart: .venv/ready  ## train, evaluate, export and color on this machine, in minutes
	$(BIN)/python tools/quickstart.py --workdir=$(DEMO)

demo: quickstart  ## the same as quickstart

web: .venv/web  ## serve the web page that colors pictures, with the shipped weights
	$(BIN)/python tools/demo.py

page: web  ## the same as web

check: format-check lint types  ## format, lint and types, without changing a file

format: .venv/ready  ## format the code
	$(BIN)/ruff check --select I --fix .
	$(BIN)/ruff format .

format-check: .venv/ready
	$(BIN)/ruff format --check .

lint: .venv/ready  ## look for mistakes
	$(BIN)/ruff check .

types: .venv/ready  ## check types
	$(BIN)/mypy

test: .venv/ready  ## run all tests but those that need minutes, the network or a GPU
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-fast: .venv/ready  ## run the quick tests, below two minutes on two cores
	$(BIN)/python -m pytest -n 2 --dist loadfile -m 'fast and not slow and not network and not gpu and not cluster'

test-slow: .venv/ready  ## run the tests that need minutes each
	$(BIN)/python -m pytest -m slow

test-cluster: .venv/optional  ## run the tests that kill workers and schedulers
	$(BIN)/python -m pytest -m cluster

figure: .venv/ready  ## draw the network of the README
	$(BIN)/python tools/draw_model.py --output=docs/residual_encoder.svg --overwrite

clean:  ## remove what was built and installed
	rm -rf .venv build dist *.egg-info
