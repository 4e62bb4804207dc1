# Each target makes the virtual environment it needs; nothing is installed outside it.
# A stamp is older than setup.py when the requirements have changed: install again.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
CHECKPOINT ?= nano
EXAMPLE := interaction/assets/nano/example

# Two workers on two cores: keep each worker's numerics on one thread.
TEST_ENV := JAX_PLATFORMS=$(or $(JAX_PLATFORMS),cpu) \
	XLA_FLAGS="$(XLA_FLAGS) --xla_cpu_multi_thread_eigen=false" \
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MPLBACKEND=Agg

# A PYTHON named by the user is taken or refused; the default may be replaced.
ifeq ($(origin PYTHON),file)
CANDIDATES := $(PYTHON) python3.12 python3.11
else
CANDIDATES := $(PYTHON)
endif

.PHONY: help demo test live lint clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    a recorded person talks with the shipped checkpoint -> demo/"
	@echo "make test    install and run the tests"
	@echo "make live    compare with transformers on random models (installs torch)"
	@echo "make lint    style, errors and types, by ruff and mypy"
	@echo "make clean   remove the environment, caches and demo/"
	@echo "PYTHON=...   the interpreter to build .venv with (3.11 or later)"

demo: $(VENV)/.stamp-run
	@$(BIN)/python -m interaction.talk --checkpoint=$(CHECKPOINT) \
		--input=$(EXAMPLE).wav --video=$(EXAMPLE).mp4 --output=demo/reply.wav --mix=demo/mix.wav \
		--timeline=demo/timeline.png --report=demo/report.json

test: $(VENV)/.stamp-dev
	@$(TEST_ENV) $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

live: $(VENV)/.stamp-interop
	@$(TEST_ENV) $(BIN)/python -m pytest -n 2 -rA tests/interop/test_live.py $(ARGS)

lint: $(VENV)/.stamp-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

clean:
	rm -rf $(VENV) demo build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@for p in $(CANDIDATES); do \
	  if $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	  then found=$$p; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "error: Python 3.11 or later is needed (tried: $(CANDIDATES));" \
	    "install one or run make PYTHON=/path/to/python3.12" >&2; exit 2; \
	fi; \
	echo "making $(VENV) with $$($$found --version)"; \
	$$found -m venv $(VENV) >/dev/null 2>&1 || { rm -rf $(VENV); \
	  echo "error: $$found cannot make a virtual environment;" \
	    "install its venv module (Debian: python3-venv)" >&2; exit 2; }

$(VENV)/.stamp-run: setup.py | $(VENV)/bin/python
	@echo "installing interaction into $(VENV)"
	@$(PIP) install --use-pep517 -e .
	@touch $@

$(VENV)/.stamp-dev: setup.py | $(VENV)/bin/python
	@echo "installing interaction, test tools and linters into $(VENV)"
	@$(PIP) install --use-pep517 -e '.[dev]'
	@touch $@ $(VENV)/.stamp-run

$(VENV)/.stamp-interop: setup.py | $(VENV)/bin/python
	@echo "installing interaction, torch and transformers into $(VENV)"
	@$(PIP) install --use-pep517 -e '.[dev,interop]'
	@touch $@ $(VENV)/.stamp-run $(VENV)/.stamp-dev
