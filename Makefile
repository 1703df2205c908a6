# Every target sets up .venv by itself; nothing has to be installed by hand beyond what the README names.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test check chaos bench clean setup lock reference

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] < (3, 13) else "Python 3.11 or 3.12 is needed; this is " + sys.version.split()[0] + " (PYTHON=... chooses another)")'
	@echo "setting up $(VENV) (once, about a minute)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(READY)

demo: $(READY) ## the parts come up, traffic flows, and every number is checked
	$(BIN)/marketplace demo --once

check: $(READY) ## style, types and import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=. $(BIN)/lint-imports --no-cache

test: check ## everything that CI runs
	$(BIN)/pytest

chaos: $(READY) ## the kill tests with many seeds
	CHAOS_SEEDS=20 $(BIN)/pytest tests/chaos

bench: $(READY)
	@ls bench/bench_*.py >/dev/null 2>&1 && for file in bench/bench_*.py; do $(BIN)/python $$file; done || echo "no benchmark yet"

reference: $(READY) ## write the command line reference anew
	$(BIN)/python -m ops.cli_reference

lock: $(READY) ## renew requirements.lock after a change of versions in pyproject.toml
	$(BIN)/pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-header --extra stack --extra dev --output-file requirements.lock pyproject.toml

clean: ## everything that was built or downloaded into the tree; data in .marketplace stays
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
