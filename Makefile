# Everything runs in .venv, made on first use from Python and pip alone.
PYTHON ?= python3
BIN = .venv/bin

.PHONY: demo test test-without-kernel test-torch fuzz torture check bench docs clean

demo: .venv/ready
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh sample_data/demo.sh

# A process for each CPU; a file of tests stays in one, as its tests share what is slow to make. Files come in the order
# of their names: by the number of their tests, the few that take a minute would come last, and run alone.
TEST = $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

test: .venv/ready
	$(TEST)

# What decodes images, once more without the compiled JPEG decoder, which must change nothing.
test-without-kernel: .venv/ready
	IM2REC_KERNEL=0 $(TEST) tests/golden tests/docs/test_docs.py::test_every_command_of_the_readme_prints_what_the_readme_says tests/property/test_codec_laws.py \
		tests/unit/test_codec.py tests/unit/test_loader.py tests/unit/test_engines.py tests/unit/test_image_record*.py \
		tests/unit/test_state.py tests/unit/test_mean_image.py tests/unit/test_bad_records.py \
		tests/faults/test_iterator_faults.py tests/cli/test_iterate_cli.py

# The datasets for PyTorch, with a real one in an environment of its own, which is made on first use.
test-torch:
	python=$$($(PYTHON) tests/pytorch/environment.py) && \
		PYTHONPATH="$(CURDIR)" "$$python" -m pytest -n auto --dist loadfile tests/pytorch

# Every parser on mutated inputs, SECONDS for all together; TARGET=frames is one alone, SEED=1 repeats a run.
SECONDS ?= 60
fuzz: .venv/ready
	PYTHONPATH=tests $(BIN)/python -m fuzz --seconds $(SECONDS) $(if $(TARGET),--target $(TARGET)) $(if $(SEED),--seed $(SEED)) $(if $(OWN),--own)

# Packs that are killed, and whose disk is full, gone on with; a quarter of an hour on two CPUs. SEED=2 is another one.
torture: .venv/ready
	$(BIN)/python tests/faults/torture.py --kills 300 --disks 50 --jobs 2 $(if $(SEED),--seed $(SEED))
	$(BIN)/python tests/bench/going_on.py

check: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python docs/generate.py --check

bench: .venv/ready
	$(BIN)/python tests/bench/speed.py
	$(BIN)/python tests/bench/open_index.py

# The pages that follow from the code, and the site with all pages; any warning ends it (with --quiet none would). The
# variable is of mkdocs-material, which else advertises at every start.
docs: .venv/docs
	$(BIN)/python docs/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "open build/site/index.html"

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find im2rec tests sample_data docs -name __pycache__ -type d -exec rm -rf {} +

.venv/ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[fast,dev]"
	touch $@

.venv/docs: .venv/ready
	$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --editable ".[docs]"
	touch $@
