# kit: `make demo` and `make test` are all the set-up there is.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test lint coverage mutate bench crash fuzz soak docs test-matrix clean

help:  ## what there is to make
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1	/'

$(INSTALLED): setup.cfg constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "kit needs Python 3.11 or newer, $(PYTHON) is " + sys.version.split()[0])'
	@echo "installing into $(VENV), once (again when setup.cfg or constraints.txt changes)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(INSTALLED)  ## a whole competition on real scanned digits: train, TTA, blend, submit
	@$(BIN)/kit demo

lint: $(INSTALLED)  ## style and types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check --quiet || (echo "make lint: run $(BIN)/ruff format"; exit 1)
	@$(BIN)/mypy
	@$(BIN)/python -m tools.commit_subjects

test: lint  ## style, types, and every test; three processes keep two cores busy, since tests wait for commands
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

coverage: $(INSTALLED)  ## the share of kit's lines that the tests run, with their subprocesses; slow below Python 3.12
	@$(BIN)/coverage erase
	-@$(BIN)/coverage run -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report
	@$(BIN)/coverage html --quiet --directory .coverage-html
	@echo "the lines that no test runs: .coverage-html/index.html"

mutate: $(INSTALLED)  ## changes folds, scores and blending one operator at a time, and lists what no test notices; 2 hours
	@OMP_NUM_THREADS=1 $(BIN)/python -m tools.mutate --jobs 2

test-matrix:  ## the tests on each installed Python, on the lowest versions of setup.cfg and on Colab's
	@$(PYTHON) -m tools.matrix

bench: $(INSTALLED)  ## the benchmarks that need nothing but kit
	@$(BIN)/python benchmarks/train_throughput.py
	@$(BIN)/python benchmarks/cache.py
	@$(BIN)/python benchmarks/batches.py
	@$(BIN)/python benchmarks/tta.py
	@$(BIN)/python benchmarks/host_memory.py
	@$(BIN)/python benchmarks/train_throughput.py --precision float32
	@echo "against peers, whose environments they need: see Whole commands and Blending in benchmarks/README.md:"
	@echo "  python benchmarks/peers.py grocery come|best|folds --env ../peers --train-py train.py"
	@echo "  python benchmarks/blend.py --peer ../peer/bin/python"

crash: $(INSTALLED)  ## kills a small competition at every write, and looks whether the same commands mend it; 10 minutes
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.crashing

fuzz: $(INSTALLED)  ## 30,000 damaged and odd files, handed to every reader; 3 minutes
	@FUZZ_CASES=2500 $(BIN)/python -m pytest tests/faults/test_fuzz.py

soak: $(INSTALLED)  ## trains, kills, resumes and blends at random for 20 minutes, and compares; MINUTES=5 for shorter
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.soak $(or $(MINUTES),20)

$(VENV)/.docs: $(INSTALLED)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	@touch $@

docs: $(VENV)/.docs  ## the site in site/: docs/, commands and API; a broken link fails
	@NO_MKDOCS_2_WARNING=1 PYTHONPATH=. $(BIN)/mkdocs build --strict --clean  # --quiet would hide warnings from --strict
	@echo "site/index.html; search needs a server: $(BIN)/python -m http.server --directory site 8000"

clean:  ## remove the environment and what runs have left
	rm -rf $(VENV) .matrix .coverage .coverage-html site cache runs data submissions/[0-9]* submissions/board.csv *.egg-info
