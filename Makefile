# Every target sets itself up: a virtual environment in .venv, filled anew only when what it is made from changed.
#
#   make test PYTHON=python3.12       the interpreter to build .venv with, the first time
#   make test ARGS='-k journal -x'   more arguments for pytest, the torture or the benchmarks

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready
FRAMEWORKS := $(VENV)/frameworks

# A checkout that was moved or copied has an environment that still points at its old place: make it again.
ifneq ($(shell cat $(READY) 2>/dev/null),$(shell pwd -P))
.PHONY: $(READY)
endif

.DEFAULT_GOAL := help
.PHONY: help setup demo test frameworks torture bench lint format clean

help:  ## this list
	@sed -n 's/^\([a-z][a-z]*\):[^#]*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-17s %s\n", $$1, $$2 }'

setup: $(READY)  ## the virtual environment, and nothing else

demo: $(READY)  ## train, record, compare and tag in a scratch repository
	@$(VENV)/bin/gitrepro demo

# Three at a time: with two, two cores stand idle a fifth of the time.
test: $(READY)  ## the tests, without the full torture counts (at most 20 minutes on 2 cores)
	@sh tests/setup_tools.sh
	@$(RUN) -m pytest -n 3 -m "not torture" $(ARGS)

frameworks: $(READY)  ## the bridges to Keras, XGBoost and LightGBM, in an environment of their own
	@$(FRAMEWORKS)/bin/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(FRAMEWORKS)
	@echo 'setting up $(FRAMEWORKS); the first time takes some minutes' >&2
	@$(FRAMEWORKS)/bin/python -m pip install -qq --disable-pip-version-check -c constraints.txt \
	  -e '.[torch,checks,keras,xgboost,lightgbm]' hypothesis pytest pytest-timeout pytest-xdist
	@KERAS_BACKEND=torch $(FRAMEWORKS)/bin/python -m pytest -n 2 tests/integrations/test_*_bridge.py $(ARGS)

torture: $(READY)  ## the full torture counts, in slices that can be resumed
	@sh tests/setup_tools.sh torture $(RUN)
	@$(RUN) -m tests.torture --all $(ARGS)

bench: $(READY)  ## every budget beside its floor; writes benchmarks/results/
	@$(RUN) -m benchmarks.run $(ARGS)

lint: $(READY)  ## ruff and mypy
	@$(RUN) -m ruff check --quiet .
	@$(RUN) -m ruff format --quiet --check .
	@$(RUN) -m mypy --no-error-summary

format: $(READY)  ## let ruff lay the code out
	@$(RUN) -m ruff format --quiet .

clean:  ## remove caches and built packages, keep .venv
	@rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'error: "$(PYTHON)" is not Python 3.11 or newer' >&2; \
	    echo 'do: make PYTHON=python3.12 $(MAKECMDGOALS)' >&2; exit 2; }
	@[ ! -e $@ ] || [ "$$(cat $@)" = "$$(pwd -P)" ] || rm -rf $(VENV)
	@$(RUN) -m pip --version >/dev/null 2>&1 || \
	  { sh tests/setup_tools.sh venv "$(PYTHON)" && $(PYTHON) -m venv --clear $(VENV); }
	@echo 'setting up $(VENV); the first time takes some minutes' >&2
	@$(RUN) -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@pwd -P > $@
