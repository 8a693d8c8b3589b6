# Everything runs in .venv, made on first use from Python and pip alone.
PYTHON ?= python3
BIN = .venv/bin

.PHONY: demo test check bench docs clean

demo: .venv/ready
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh sample_data/demo.sh

test: .venv/ready
	$(BIN)/python -m pytest

check: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: .venv/ready
	$(BIN)/python tests/bench/speed.py

docs: .venv/ready
	$(BIN)/python docs/generate.py

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache
	find im2rec tests sample_data docs -name __pycache__ -type d -exec rm -rf {} +

.venv/ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[fast,dev]"
	touch $@
