# Set-up is part of every target: .venv is made, and made again when requirements.txt changes.
PYTHON ?= python3
BIN := .venv/bin
DEMO ?= runs/demo

.PHONY: demo page test test-slow check figure clean

.venv/ready: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

demo: .venv/ready  ## train, evaluate, export and color on this machine, in minutes
	$(BIN)/python tools/quickstart.py --workdir=$(DEMO)

.venv/page: .venv/ready requirements-page.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt -r requirements-page.txt
	touch $@

.venv/optional: .venv/page requirements-*.txt  ## what single tools need: page, archives, servers, phones
	$(BIN)/pip install --quiet --disable-pip-version-check $(patsubst %,-r %,$(sort $(wildcard requirements*.txt)))
	touch $@

page: .venv/page  ## serve the page that colors pictures, with the shipped weights
	$(BIN)/python tools/demo.py

test: .venv/ready  ## everything that needs neither network nor GPU
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: .venv/ready
	$(BIN)/python -m pytest -m slow

check: .venv/ready  ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

figure: .venv/ready  ## the drawing of the network in the README
	$(BIN)/python tools/draw_model.py --output=docs/residual_encoder.svg --overwrite

clean:
	rm -rf .venv build dist *.egg-info
