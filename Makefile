# Every target sets up .venv by itself, and only when requirements.lock has changed.
# Extra arguments: make run ARGS="--profile full", make test ARGS=tests/test_cohort.py

UV := uv==0.13.9
BY_HASH := --require-hashes --only-binary :all:
BIN := .venv/bin
INSTALLED := .venv/requirements.lock
BENCH := .venv-bench
BENCHMARKS := $(addprefix benchmarks/,simulate.py bias_field.py registration.py skull_strip.py training.py \
	segment.py metrics.py widgets.py scale.py)
NOTEBOOKS = $(shell find notebooks -name '*.ipynb' -not -path '*/.ipynb_checkpoints/*')

# Else every kernel and every worker compiles TensorFlow anew, which doubles the time that its import takes.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
LANES := test-backends test-soak test-wheel
.PHONY: help run labs test test-all test-release $(LANES) coverage audit lint lab book picture bench interval-coverage volume-coverage \
	selection ablations lock clean venv install

help:  ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 20

run: venv  ## all six notebooks on the built-in cohort; the report is runs/latest/index.html
	$(BIN)/epitome run --cohort phantom --profile quick $(ARGS)

labs: venv  ## the labs of notebooks/labs, in the workspace of `make run`
	$(BIN)/epitome run interval_coverage leakage seed_autopsy --cohort phantom --profile quick $(ARGS)

PARALLEL := --numprocesses 2 --dist worksteal

test: venv  ## every module, in a few minutes
	$(BIN)/pytest $(or $(ARGS),$(PARALLEL) -m 'not (slow or backends or soak or wheel)')

test-all: venv  ## every test but those of `make test-release`
	$(BIN)/pytest $(or $(ARGS),$(PARALLEL))

test-release: $(LANES)  ## before each release: other backends, kills and fuzzing (20 minutes at most), the built wheel

$(LANES): venv
	$(BIN)/pytest -m $(@:test-%=%) $(or $(ARGS),--numprocesses 2)

coverage: venv  ## the lines that `make test-all` runs in this process, and those that it does not
	$(BIN)/pytest --cov $(or $(ARGS),$(PARALLEL))

audit: venv  ## known faults of the pinned packages, and of our own code; AUDIT_OFFLINE=1 leaves the packages out
	$(BIN)/bandit -q -c pyproject.toml -r epitome_kit training benchmarks
	@$(BIN)/python tests/helpers/audit_packages.py $(BIN)/pip-audit

lint: venv  ## style of code, notebooks and workflows; notebooks carry no output
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy
	@TF_CPP_MIN_LOG_LEVEL=3 PYTHONPATH=. $(BIN)/python tests/helpers/check_docstrings.py
	$(BIN)/codespell
	$(BIN)/nbstripout --verify --keep-id $(NOTEBOOKS) docs/colab.ipynb < /dev/null
	$(BIN)/actionlint .github/workflows/*.yml

lab: venv  ## JupyterLab on the notebooks
	$(BIN)/epitome lab $(ARGS)

WORKSPACE := runs/latest

book: venv  ## a site of the notebooks that were executed in WORKSPACE=runs/latest; open build/book/index.html
	@PYTHONPATH=. $(BIN)/python book/build.py $(WORKSPACE)

picture: venv  ## the picture of README.md, from the phantoms of `make run`
	@PYTHONPATH=. $(BIN)/python book/five_steps.py $(WORKSPACE)

bench: venv  ## the kit against other tools, one after the other; writes benchmarks/results.md
	@cmp -s requirements-bench.lock $(BENCH)/requirements.lock || { \
		$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(BENCH) && \
		$(BIN)/uv pip install --quiet --python $(BENCH)/bin/python --require-hashes \
			--build-constraints requirements-bench.lock -r requirements-bench.lock && \
		cp requirements-bench.lock $(BENCH)/requirements.lock; }
	for script in $(BENCHMARKS); do PYTHONPATH=. $(BENCH)/bin/python $$script || exit 1; done

interval-coverage: venv  ## how often intervals and p values of `epitome grade` keep their promise; hours, resumable
	PYTHONPATH=. $(BIN)/python benchmarks/interval_coverage.py $(ARGS)

volume-coverage: venv  ## the intervals of volumes on eight cohorts of known truth; hours; benchmarks/volume_coverage.md
	PYTHONPATH=. $(BIN)/python benchmarks/volume_coverage.py --workers 2 $(ARGS)

ablations: venv  ## the grading pipeline with parts of its features left out, on phantoms (half an hour); benchmarks/ablations.md
	PYTHONPATH=. $(BIN)/python benchmarks/ablations.py $(ARGS)

selection: venv  ## ways to select features, on many simulated cohorts (an hour); writes benchmarks/selection.md
	PYTHONPATH=. $(BIN)/python benchmarks/selection.py $(ARGS)

lock: venv  ## pin the packages of pyproject.toml again; ARGS=--upgrade takes newer ones
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --extra all --group dev \
		pyproject.toml -o requirements.lock --quiet $(ARGS)
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --extra all --group bench \
		pyproject.toml -o requirements-bench.lock --quiet $(ARGS)
	echo $(UV) | $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header \
		- -o requirements-uv.lock --quiet

clean:  ## remove .venv and caches; runs/ and data/ stay
	rm -rf .venv $(BENCH) .pytest_cache .ruff_cache .mypy_cache .hypothesis build dist
	find . \( -path ./runs -o -path ./data -o -path ./.git \) -prune -o \
		-type d \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} +
	@for folder in runs data; do \
		if [ -d $$folder ]; then echo "kept: $$(du -sh $$folder | tr '\t' ' ') (remove it by hand)"; fi; \
	done

venv:
	@cmp -s requirements.lock $(INSTALLED) || $(MAKE) --no-print-directory install

# The first Python that runs, has a supported version and can make an environment.
PYTHONS := python3.11 python3.12 python3.13 python3 python
SUPPORTED := import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))

install:
	@for python in $(or $(PYTHON),$(PYTHONS)); do \
		if $$python -c '$(SUPPORTED)' 2> /dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo 'setup: expected Python 3.11, 3.12 or 3.13 with its venv module.' >&2; \
		echo 'Received: none of $(or $(PYTHON),$(PYTHONS)).' >&2; \
		echo 'Try: `sudo apt-get install python3-venv`, or `make PYTHON=/path/to/python3.12`.' >&2; \
		exit 1; \
	fi; \
	echo "Setting up .venv with $$($$found --version) (once: a download of about 1 GB, 3 GB on disk)"; \
	$$found -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(BY_HASH) -r requirements-uv.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python $(BY_HASH) -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@cp requirements.lock $(INSTALLED)
