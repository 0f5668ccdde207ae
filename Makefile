PYTHON ?= python3
BIN := .venv/bin

.PHONY: help demo test test-all lint docs notebooks matrix

# On two cores: the first figure where nobody else uses them, the second where somebody does.
help:
	@echo 'make demo       trains, exports, serves and verifies a DIN      1 to 4 minutes'
	@echo 'make lint       formatting, lint, import contracts, types       half a minute to 2'
	@echo 'make docs       the documentation, strictly, into site/         half a minute to 1'
	@echo 'make test       the tests but for the slow ones                 5 to 12 minutes'
	@echo 'make test-all   all tests; PYTEST_ARGS are given to pytest      10 to 27 minutes'
	@echo 'make notebooks  executes the notebooks into build/notebooks     2 to 6 minutes'
	@echo 'make matrix     the tests with the oldest and newest versions   an hour to 5; MATRIX_ARGS name a part'
	@echo 'The first of each installs what it needs into .venv             a few minutes'

demo: .venv/installed-serving
	$(BIN)/tfnorm demo

# Three processes keep two cores busy, as some tests wait: for servers, for the disk, for a time that must pass.
# What pytest makes of the tests' assertions is kept for the next run, whatever the environment says.
PYTEST = PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 3 --dist worksteal

# PYTEST_ARGS are given to pytest.
test: .venv/installed-test
	$(PYTEST) -m "not slow" $(PYTEST_ARGS)

test-all: .venv/installed-test
	$(PYTEST) $(PYTEST_ARGS)

lint: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

# Read from the repository and the installed packages alone: no network.
docs: .venv/installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

# MATRIX_ARGS='--python 3.12 --versions oldest' is one cell.
matrix: .venv/installed-matrix
	$(BIN)/python scripts/matrix.py $(MATRIX_ARGS)

notebooks: .venv/installed-notebooks
	$(BIN)/python notebooks/run.py

# One stamp an extra. Packages that are there already are not asked for again, so this works offline.
.venv/installed-%: setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "tfnorm needs Python 3.10 or newer; $(PYTHON) is " + sys.version.split()[0] + ". Name another: make PYTHON=python3.12")'
	@$(BIN)/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet 'setuptools>=70.1'
	$(BIN)/python -m pip install --quiet --no-build-isolation --editable '.[$*]'
	@touch $@
