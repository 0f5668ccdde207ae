PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint notebooks docs matrix

demo: .venv/installed-serving
	$(BIN)/tfnorm demo

test: .venv/installed-test
	$(BIN)/python -m pytest -n 2 --dist worksteal $(PYTEST_ARGS)

lint: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

# Read from the repository and the installed packages alone: no network.
docs: .venv/installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

# Hours for all cells; MATRIX_ARGS='--python 3.12 --versions oldest' is one.
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
