# Two commands on a fresh machine (Python 3.11, gcc, libgmp and Python headers):
#   make demo    install, then twelve hospitals train one model on this machine
#   make test    install, then every check and every test but the long ones
PYTHON ?= python3.11
FUZZ_SECONDS ?= 60
VENV := .venv
BIN := $(VENV)/bin

# The programs that a target starts share what one of them compiled.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test deep fuzz bench check clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t12

$(VENV)/ready: pyproject.toml configs/constraints.txt
	@$(PYTHON) --version >/dev/null 2>&1 || { echo "no $(PYTHON): install Python 3.11, or name it: make PYTHON=..." >&2; exit 78; }
	@echo "installing into $(VENV): once, a few minutes"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint configs/constraints.txt --editable '.[devchain,dev]'
	@touch $@

demo: $(VENV)/ready  ## twelve hospitals train one model over libp2p and settle it on a chain
	@$(BIN)/flocknode demo $(ARGS)

test: $(VENV)/ready  ## every check and every test, timed by tier
	@$(BIN)/python scripts/run_tests.py

deep: $(VENV)/ready  ## the long campaigns, where they stopped; see tests/deep/README.md
	@$(BIN)/pytest -q -o faulthandler_timeout=600 --resume $(or $(DEEP),tests/deep) $(ARGS)

fuzz: $(VENV)/ready  ## look for bytes that break a decoder, FUZZ_SECONDS for each
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint configs/constraints.txt --editable '.[fuzz]'
	@for target in messages machine task training frames; do \
	  $(BIN)/python -m tests.fuzz.run $$target $(FUZZ_SECONDS) || exit 1; done

bench: $(VENV)/ready  ## measure this machine; ARGS names benchmarks or --plot FILE.svg
	@$(BIN)/flocknode bench $(ARGS)

check: $(VENV)/ready  ## the checks alone: style, types, layers, artifacts
	@$(BIN)/python scripts/run_tests.py checks

clean:  ## remove what the targets made
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .fuzz contracts/out contracts/cache contracts/node_modules
	find flocknode scripts tests -name __pycache__ -type d -exec rm -rf {} +
