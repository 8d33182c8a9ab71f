# Everything runs in .venv, which is set up on first use; PYTHON chooses what it is made from.
PYTHON ?= python3
BIN := .venv/bin
NP ?= 2
# Tests at once, but where they share daemons: many are a few processes that wait for one another.
TESTS ?= 2
AT_ONCE := -n $(TESTS) --dist worksteal

.PHONY: help run mpitest test test-mpi test-kill test-backends test-clusters test-frameworks
.PHONY: test-browsers test-images test-trackers images check format clean jobfiles bench bench-costs bench-kaggle bench-memory
.PHONY: bench-live bench-page bench-peers bench-pruning bench-threads scaling simulate

help:
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1	\2/p' Makefile | expand -t 12

run: .venv/runs ## train the shipped grid on NP ranks
	$(BIN)/mpirun -np $(NP) $(BIN)/python rismpi.py $(OPTIONS)

mpitest: .venv/runs ## prove that MPI works here
	$(BIN)/mpirun -np $(NP) $(BIN)/python mpitest.py

test: .venv/tests ## all tests
	$(BIN)/python -m pytest $(AT_ONCE)

test-mpi: .venv/tests ## those that start mpirun
	$(BIN)/python -m pytest $(AT_ONCE) tests/mpi

test-kill: .venv/tests ## kill searches at many random moments
	KILL_ROUNDS=$${KILL_ROUNDS:-10} KILL_SEED=$${KILL_SEED:-$$(date +%s)} \
	$(BIN)/python -m pytest tests/mpi/test_stopping.py -k kills_lose_nothing

test-backends: .venv/backends ## a small search on JAX and on PyTorch; the sampler that needs PyTorch
	$(BIN)/python -m pytest $(AT_ONCE) tests/mpi/test_backends.py tests/test_model_based.py

test-frameworks: .venv/frameworks ## pictures, and the examples that need JAX, PyTorch, DVC or Jupyter
	$(BIN)/python -m pytest $(AT_ONCE) tests/frameworks

test-browsers: .venv/browsers ## report.html in Chromium
	$(BIN)/python -m pytest tests/browsers

test-trackers: .venv/trackers ## searches beside W&B, MLflow and TensorBoard, offline
	$(BIN)/python -m pytest $(AT_ONCE) tests/trackers

test-images: .venv/images ## build the container images and run them (root on Debian)
	IMAGE_TESTS=1 $(BIN)/python -m pytest tests/images

images: ## container images, by docker, podman or buildah (IMAGES="mpi-test mpi-ml": only these)
	docker/build $(IMAGES)

bench: .venv/runs ## speed against a new model for each trial; start; dispatch; packing (minutes)
	$(BIN)/python -m benchmarks.bench $(OPTIONS)
	$(BIN)/python -m benchmarks.start
	$(BIN)/python -m benchmarks.dispatch
	$(BIN)/python -m benchmarks.packing

bench-page: .venv/browsers ## report.html of 3,000 trials: made, opened, drawn
	$(BIN)/python -m benchmarks.page $(OPTIONS)

bench-kaggle: .venv/runs ## one network on 42,000 images, against plain Keras
	$(BIN)/python -m benchmarks.kaggle $(OPTIONS)

bench-costs: .venv/runs ## predicted against seen time of each network of the ris grid
	$(BIN)/python -m benchmarks.costs $(OPTIONS)

bench-memory: .venv/runs ## a rank's memory after 50 and after 1,000 trials
	$(BIN)/python -m benchmarks.memory $(OPTIONS)

bench-live: .venv/runs ## what the live view costs a search, and a refresh of it at 1,000 ranks
	$(BIN)/python -m benchmarks.live $(OPTIONS)

bench-pruning: .venv/runs ## what pruning saves and costs, on train.csv (half an hour)
	$(BIN)/python -m benchmarks.pruning $(OPTIONS)

bench-threads: .venv/runs ## many ranks against many threads
	$(BIN)/python -m benchmarks.threads $(OPTIONS)

scaling: .venv/runs ## the same search at np 1, 2, 4 …
	$(BIN)/python -m benchmarks.scaling $(OPTIONS)

simulate: .venv/runs ## how many ranks one manager serves
	$(BIN)/python -m benchmarks.simulate $(OPTIONS)

bench-peers: .venv-peers/runs ## the same trials with other tools (OPTIONS="--space shipped")
	.venv-peers/bin/python -m benchmarks.peers $(OPTIONS)

test-clusters: .venv/tests ## job files under a real Slurm, and a stand-in for LSF
	$(BIN)/python -m pytest tests/slurm
	$(BIN)/python -m pytest $(AT_ONCE) tests/lsf

check: .venv/tests ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

jobfiles: .venv/runs ## write slurm/* and lsf/* anew, each by the command in its second line
	@for file in slurm/* lsf/*; do \
	  sed -n '2s/^# python -m hpo submit/$(subst /,\/,$(BIN))\/python -m hpo submit --dry-run/p' $$file \
	    | sh > $$file.new 2>/dev/null && mv $$file.new $$file || exit 1; done

format: .venv/tests
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv .venv-peers .pytest_cache .mypy_cache .ruff_cache .hypothesis

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

.venv/backends .venv/browsers .venv/images .venv/trackers: .venv/%: requirements-%.txt .venv/tests
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

.venv/frameworks: requirements-examples.txt .venv/backends
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-examples.txt
	@touch $@

# benchmarks/peers.py installs the peers themselves, one by one: it names one that cannot be.
.venv-peers/runs: requirements.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@
