# Everything runs in .venv, which is set up on first use; PYTHON chooses what it is made from.
PYTHON ?= python3
BIN := .venv/bin
NP ?= 2

.PHONY: help run mpitest test test-mpi test-kill check format clean

help:
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1	\2/p' Makefile | expand -t 12

run: .venv/runs ## train the shipped grid on NP ranks
	$(BIN)/mpirun -np $(NP) $(BIN)/python rismpi.py $(OPTIONS)

mpitest: .venv/runs ## prove that MPI works here
	$(BIN)/mpirun -np $(NP) $(BIN)/python mpitest.py

test: .venv/tests ## all tests
	$(BIN)/python -m pytest

test-mpi: .venv/tests ## those that start mpirun
	$(BIN)/python -m pytest tests/mpi

test-kill: .venv/tests ## kill searches at many random moments
	KILL_ROUNDS=$${KILL_ROUNDS:-10} KILL_SEED=$${KILL_SEED:-$$(date +%s)} \
	$(BIN)/python -m pytest tests/mpi/test_stopping.py -k kills_lose_nothing

check: .venv/tests ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/tests
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "expected Python 3.10 or newer, found $$($(PYTHON) --version); set PYTHON=…" >&2; exit 2; }
	$(PYTHON) -m venv .venv

.venv/runs: requirements.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/tests: requirements-dev.txt .venv/runs
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
