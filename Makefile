# Every target sets up .venv by itself; nothing has to be installed by hand beyond what the README names.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PACKAGES := api bench connectors dashboards flows ingest marketplace ops runtime saga_consumers

# Of which modules `make mutants` changes the rules: a pattern such as MUTANTS='marketplace.masking*'.
MUTANTS ?= *

PIP := $(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps --no-compile
COMPILE := --quiet --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-header

.DEFAULT_GOAL := help
.PHONY: help demo verify test tests rewritten check chaos mutants bench claims drills clean setup browser nginx lock reference snippet screenshots secrets compose-check helm-check rehearsal image-check

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "  %-18s %s\n", $$1, $$2 }'

setup: $(READY) browser nginx ## the environment in .venv, a browser and nginx for the tests; other targets make what they need

# uv installs in an eighth of pip's time. It comes by pip, asks the index that pip asks, and is not needed.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] < (3, 13) else "Python 3.11 or 3.12 is needed; this is " + sys.version.split()[0] + " (PYTHON=... chooses another)")'
	@echo "setting up $(VENV) (once, about a minute)"
	@$(PYTHON) -m venv --clear $(VENV)
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock >$(VENV)/uv.txt
	@index=$$($(BIN)/pip config list | sed -nE "s/^.*\.index-url='(.*)'$$/\1/p" | tail -n 1); \
	$(PIP) --requirement $(VENV)/uv.txt && \
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --no-deps $${index:+--default-index "$$index"} --requirement requirements.lock \
	|| { echo "uv cannot install here: pip does it, which takes some minutes" && $(PIP) --requirement requirements.lock; }
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q -j 0 $(VENV)/lib $(PACKAGES) >/dev/null || true
	@touch $(READY)

demo: $(READY) ## shops with a history and live traffic, on a dashboard; without a terminal, in the background
	@if [ -t 1 ]; then exec $(BIN)/marketplace demo; else exec $(BIN)/marketplace demo --detach; fi

verify: $(READY) ## the parts come up, traffic flows, and every number is compared with an independent oracle
	$(BIN)/marketplace demo --once

check: $(READY) ## style, types and import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=. $(BIN)/lint-imports --no-cache

# The shell is Chromium without its windows, which nobody looks at: it takes a third less of the machine.
browser: ## Chromium for the browser tests, if it is missing and can be installed
	@command -v chromium-headless-shell >/dev/null || { \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "installing chromium with apt-get, for the browser tests (once)"; \
		install() { DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$$1"; }; \
		{ apt-get update -qq && { install chromium-headless-shell || command -v chromium || install chromium; }; } >/dev/null 2>&1 \
		|| echo "chromium cannot be installed here: the browser tests are skipped"; \
	elif ! command -v chromium >/dev/null && ! command -v chromium-browser >/dev/null && ! command -v google-chrome >/dev/null; then \
		echo "no chromium here, and only root can install it, where there is apt-get: the browser tests are skipped"; \
	fi; }

# The package starts a server on port 80, which nobody asked for.
nginx: | browser ## nginx for `up --proxy` and its tests, if it is missing and can be installed
	@PATH="$$PATH:/usr/sbin:/usr/local/sbin"; command -v nginx >/dev/null || { \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "installing nginx with apt-get, for 'up --proxy' (once)"; \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -qq -y --no-install-recommends nginx \
		&& if [ -d /run/systemd/system ]; then systemctl disable --now nginx; fi; } >/dev/null 2>&1 \
		|| echo "nginx cannot be installed here: the tests of the proxy are skipped"; \
	else \
		echo "no nginx here, and only root can install it, where there is apt-get: the tests of the proxy are skipped"; \
	fi; }

# Checked beside the first tests: together they take half a minute less than one after the other. Tests start some
# hundred processes, each of which would compile its modules where Python is kept from writing what it compiled.
test: ## everything that CI runs
	@$(MAKE) --no-print-directory --jobs 2 setup rewritten
	@$(MAKE) --no-print-directory --jobs 2 check tests

tests: $(READY)
	@$(BIN)/python -m compileall -q $(PACKAGES)
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

# pytest compiles tests in a way of its own. Its processes begin at one moment, and each would do it for all of them.
rewritten: $(READY)
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/pytest --collect-only -qq >/dev/null || true

chaos: $(READY) ## the kill tests with many seeds, and all tests that are too long for every run
	CHAOS_SEEDS=20 FLOOD=whole $(BIN)/pytest -m "chaos or long"

# Rules are changed in some 5,400 places, of which mypy refuses more than half; the fast tests that reach each of the
# others must fail. Two hours or more on two cores, a module alone some minutes; a run that was stopped goes on where it
# was, and functions that did not change keep their result.
mutants: $(READY) ## which changes of the rules no test sees, by module; MUTANTS='marketplace.masking*' for some
	PATH="$(CURDIR)/$(BIN):$$PATH" HYPOTHESIS_PROFILE=mutants nice -n 10 $(BIN)/mutmut run --max-children 2 $(if $(filter-out *,$(MUTANTS)),'$(MUTANTS)')
	HYPOTHESIS_PROFILE=mutants nice -n 10 $(BIN)/python -m ops.mutants --only '$(MUTANTS)'

bench: $(READY) ## the click flow compared with its parts and with rivals, in one table; BENCH="--clicks 200000 --rounds 1" for a quick look
	$(BIN)/python -m bench $(BENCH)

claims: $(READY) ## collector, REST API, imports of products, search, orders, latency, growth, restart, memory and a soak, each with short sizes, one after the other (20 minutes)
	$(BIN)/python -m bench.claims.collector --rounds 2 --seconds 4
	$(BIN)/python -m bench.claims.api --rounds 2 --seconds 4
	$(BIN)/python -m bench.claims.catalog
	$(BIN)/python -m bench.claims.search --products 20000
	$(BIN)/python -m bench.claims.outbox --seconds 10
	$(BIN)/python -m bench.claims.orders --orders 200
	$(BIN)/python -m bench.claims.saga --rates 10 20 --seconds 10
	$(BIN)/python -m bench.claims.latency --seconds 35 --saturate 25
	$(BIN)/python -m bench.claims.growth --repeats 1
	$(BIN)/python -m bench.claims.restart --small 200000 --large 2000000 --per-hour 100000 --repeats 3
	$(BIN)/python -m bench.claims.memory --ids 2000000 --traffic 200000 --small 50000 --large 500000
	$(BIN)/python -m bench.claims.soak --minutes 5 --every 30

drills: $(READY) ## each process frozen, each disk full, expensive clients: the effect on others (an hour; the disks need root)
	$(BIN)/python -m bench.faults.hangs
	$(BIN)/python -m bench.faults.disks
	$(BIN)/python -m bench.faults.floods

screenshots: $(READY) browser ## pictures of a running demo, dashboard and storefront, into docs/images; asks for its owner's password
	$(BIN)/python -m ops.screenshots --email owner@brooklyn-coffee.example

secrets: $(READY) ## files with secrets for `docker compose up`, where they are missing
	@$(BIN)/marketplace deploy secrets

compose-check: $(READY) ## what the tools that would run compose.yml say of it, and whether it agrees with the code
	$(BIN)/pytest -v -n0 tests/unit/deploy/test_compose.py tests/unit/deploy/test_compose_parts.py tests/unit/deploy/test_pages.py \
		tests/unit/deploy/test_clickhouse_backup.py tests/unit/deploy/test_image.py tests/integration/test_deploy_parts.py

rehearsal: $(READY) ## every process of compose.yml by its own command, without containers, until an order is confirmed
	CHAOS_SEEDS=20 $(BIN)/pytest -q -n0 -s tests/integration/test_compose_rehearsal.py

image-check: $(READY) ## the steps of the Dockerfile in a fresh Debian root, and a process in it (root only; some minutes)
	CHAOS_SEEDS=20 $(BIN)/pytest -q -n0 -s tests/integration/test_image_steps.py

# kubeconform is made where Go is; the tests hold the same schemas against the chart without it.
helm-check: $(READY) ## what helm and the schemas of Kubernetes say of the chart, and whether it agrees with the code
	@for values in helm/values/*.yaml; do echo "$$values"; $(BIN)/helm lint --strict helm/marketplace --values "$$values" || exit 1; done
	@if ! command -v kubeconform $(BIN)/kubeconform >/dev/null; then \
		if command -v go >/dev/null; then GOBIN="$(CURDIR)/$(BIN)" go install github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0; \
		else echo "no Go here: kubeconform is left out"; fi; fi
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pytest -n0 -v tests/unit/deploy/test_chart.py tests/unit/deploy/test_chart_ways.py

reference: $(READY) ## write the generated pages of docs/reference
	$(BIN)/python -m ops.reference.cli
	$(BIN)/python -m ops.reference.metrics
	$(BIN)/python -m ops.reference.settings
	$(BIN)/python -m ops.reference.services
	$(BIN)/python -m ops.reference.saga
	$(BIN)/python -m ops.reference.access
	$(BIN)/python -m ops.reference.api

snippet: $(READY) ## make ingest/http/m.js of snippet.js, after a change of it
	$(BIN)/python -m ops.snippet

lock: $(READY) ## update the locks (all, of the image, and of the image with the embedded stack) after a change of versions in pyproject.toml
	$(BIN)/pip install --quiet pip-tools
	$(BIN)/pip-compile $(COMPILE) --extra stack --extra geoip --extra dev --output-file requirements.lock pyproject.toml
	@# What a lock has already is kept: beginning as copies of the whole one, they have the same versions.
	for name in image stack build; do cp requirements.lock requirements-$$name.lock; done
	$(BIN)/pip-compile $(COMPILE) --extra geoip --output-file requirements-image.lock pyproject.toml
	$(BIN)/pip-compile $(COMPILE) --extra geoip --extra stack --output-file requirements-stack.lock pyproject.toml
	$(BIN)/pip-compile $(COMPILE) --only-build-deps --build-deps-for wheel --output-file requirements-build.lock pyproject.toml

clean: ## everything that was built or downloaded into the tree; data in .marketplace stays
	rm -rf $(VENV) .bench mutants build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
