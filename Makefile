# Two commands matter: `make demo` and `make test`. Both set everything up in .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test check fast chaos benchmarks lock clean

demo: $(VENV)/server
	$(BIN)/assay demo examples/studies/digits-lenet.yaml $(if $(filter 1,$(DEMO_EXIT)),--exit)

# two files at a time: the fast ones and those that only compute, then those that start Ray, a browser or a whole service.
# In the order of their names: by the number of their tests, the usual order, some that take long would come last and alone.
TWO := -n 2 --dist loadfile --no-loadscope-reorder --durations 15

test: $(VENV)/dev
	$(BIN)/python -m pytest -m "not slow or computes" $(TWO)
	$(BIN)/python -m pytest -m "slow and not computes" $(TWO)

# the tests that need neither Ray nor a browser nor a whole service, and fit few models
fast: $(VENV)/dev
	$(BIN)/python -m pytest -m "not slow"

# the nightly form of tests/chaos: ASSAY_CHAOS_FAULTS faults (200), ASSAY_CHAOS_SEED chooses which
chaos: export ASSAY_CHAOS_FAULTS ?= 200
chaos: $(VENV)/dev
	$(BIN)/python -m pytest tests/chaos -rP

check: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m migrations.drift

benchmarks: $(VENV)/dev
	$(BIN)/python -m benchmarks

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/server: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) --editable '.[server]'
	touch $@

$(VENV)/dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) --editable '.[server,data,dev]'
	touch $@ $(VENV)/server

# Writes constraints.txt anew from what is installed. torch stays without its build tag, so that the lock fits any platform.
lock: $(VENV)/dev
	$(BIN)/python -m pip freeze --exclude-editable | sed -E 's/^(torch==[0-9.]+)\+.*/\1/' > constraints.txt

clean:
	rm -rf $(VENV) build *.egg-info
