# The two commands: `make lab` runs the main job, `make test` checks everything. Each does its own set-up and is
# quick the second time. PYTHON names the interpreter the virtual environment is made from.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
BIN := $(CURDIR)/$(VENV)/bin
STAMPS := .make
PORT ?= 8888
LAB_FLAGS ?=

FRONT := $(shell find labextension/src labextension/style labextension/schema -type f 2>/dev/null) \
         $(wildcard labextension/*.json labextension/*.mjs labextension/*.js)
WORK := $(patsubst notebooks/%,work/%,$(wildcard notebooks/*.ipynb notebooks/*.yaml))

TIMED := $(BIN)/python $(CURDIR)/tools/timed.py
# checks that use one core each stand side by side; what each prints stays together
PARALLEL := $(MAKE) --no-print-directory -j2 --output-sync=target

BY_FILE := --dist loadfile --no-loadscope-reorder
QUICK := not browser and not slow and not cuda
# these tests wait for processes: beside the trainings of other tests they would wait too long
APART := $(addprefix tests/,tensorboards chaos executor clusters)
# the files with tests in a browser: to import all the others takes a worker half a minute
BROWSER := $(sort $(shell grep -rl --include='test_*.py' 'mark.browser' tests))

.PHONY: help setup system lab demo test check static lint lint-python lint-front unit vitest pytest unit-tests processes browser acceptance chaos soak bench bench-quick bench-gpu notebooks pictures audit wheel clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# ── set-up ──────────────────────────────────────────────────────────────────────────────────────────────────────
$(STAMPS)/venv:
	@mkdir -p $(STAMPS)
	$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if v >= (3, 11) else f"imgcls-lab needs Python 3.11 or newer, this is {v.major}.{v.minor}; set PYTHON=")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	touch $@

# Python packages first (the front end is built with jupyter-builder, a Python package) ...
$(STAMPS)/packages: $(STAMPS)/venv pyproject.toml tools/requirements.py
	@echo "Installing the Python packages; the first time this downloads about 2 GB."
	$(BIN)/pip install --quiet --disable-pip-version-check $$($(BIN)/python tools/requirements.py)
	touch $@

labextension/node_modules/.package-lock.json: labextension/package.json labextension/package-lock.json
	@command -v npm >/dev/null || { echo "Node.js with npm (20 or newer) is needed to build from a checkout: apt install nodejs npm. A wheel needs neither."; exit 1; }
	# not `npm ci`: it refuses a lock that lacks the builds for other platforms
	(cd labextension && npm install --no-audit --no-fund --loglevel=error)
	touch $@

# ... then the front end, then the package itself, editable.
$(STAMPS)/front: $(STAMPS)/packages labextension/node_modules/.package-lock.json $(FRONT)
	(cd labextension && PATH="$(BIN):$$PATH" npm run --silent build:prod)
	touch $@

$(STAMPS)/setup: $(STAMPS)/packages $(STAMPS)/front
	SKIP_JUPYTER_BUILDER=1 $(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/python tools/develop.py
	touch $@

setup: $(STAMPS)/setup ## install everything into .venv and build the front end

# ── the main job ────────────────────────────────────────────────────────────────────────────────────────────────
lab: setup $(WORK) ## open JupyterLab on your copy of the quickstart notebook (in work/), with the demo data
	$(BIN)/imgcls-lab demo --prepare-only
	$(BIN)/jupyter lab --port=$(PORT) --ServerApp.root_dir="$(CURDIR)" \
		--LabApp.default_url=/lab/tree/work/quickstart.ipynb $(LAB_FLAGS)

# Order-only: a copy is its user's, and is never written over. Delete it to get the shipped one again.
work/%: | notebooks/%
	@mkdir -p work
	cp notebooks/$* $@

demo: setup ## the same main job without a browser
	$(BIN)/imgcls-lab demo

# ── checks ──────────────────────────────────────────────────────────────────────────────────────────────────────
tests/hub/node_modules/.package-lock.json: tests/hub/package.json tests/hub/package-lock.json
	(cd tests/hub && npm install --no-audit --no-fund --loglevel=error)
	touch $@

system: tests/hub/node_modules/.package-lock.json ## the browser and the database server (Debian packages) and the hub's proxy (npm) that the tests use
	@bash tools/system.sh

test: setup system ## everything that CI checks
	@rm -f $(STAMPS)/times.jsonl
	trap '$(BIN)/python tools/timed.py --report' EXIT
	# a failure of one stage does not hide those of the next
	$(MAKE) --no-print-directory --keep-going static unit-tests processes browser

check: setup ## the inner loop, in less than four minutes: style, types, and the tests nearest to what has changed
	@$(BIN)/python tools/check.py

lint: setup ## style, types and layers of imports, Python and TypeScript
	@$(PARALLEL) lint-python lint-front

static: setup
	$(PARALLEL) --keep-going lint-python lint-front vitest

lint-python: setup
	@$(TIMED) ruff $(BIN)/ruff check .
	$(TIMED) format $(BIN)/ruff format --check .
	$(TIMED) layers $(BIN)/lint-imports --no-cache
	$(TIMED) mypy $(BIN)/mypy

lint-front: setup
	@cd labextension
	$(TIMED) eslint npm run --silent lint
	$(TIMED) tsc npm run --silent check

unit: vitest pytest ## all tests but the browser's

vitest: setup
	@cd labextension
	$(TIMED) vitest npm test --silent

# three workers on two cores: many tests wait for a process, a file or a socket. In the order of the folders, whose first
# have the longest tests: by default the files with the fewest tests come last, and those are the longest
pytest: unit-tests processes

unit-tests: setup
	$(TIMED) "unit tests" $(BIN)/pytest -m "$(QUICK)" -n 3 $(BY_FILE) tests $(APART:%=--ignore=%)

processes: setup
	$(TIMED) processes $(BIN)/pytest -m "$(QUICK)" -n 2 $(BY_FILE) $(APART)

browser: setup system ## a real JupyterLab in a real Chromium
	$(TIMED) browser $(BIN)/pytest -m "browser and not slow" -n 2 $(BY_FILE) $(BROWSER)

acceptance: setup system ## every line an issue is judged by, and every slow test
	$(BIN)/pytest tests/acceptance tests/security/test_second_user.py -m "not cuda" -s
	$(BIN)/pytest tests --ignore=tests/acceptance -m "slow and not cuda" -s

chaos: setup system ## faults at full length: over an hour; `make test` runs a quick part of it
	CHAOS=full $(BIN)/pytest tests/chaos tests/store/test_store_machine.py -s

soak: setup ## an hour under load (SOAK_MINUTES): files, memory and database must not grow
	$(BIN)/python tests/chaos/soak.py

bench: setup system ## every figure of docs/performance.md that needs no GPU: an hour or so
	$(BIN)/python -m benchmarks

bench-quick: setup system ## a small part of it, in less than five minutes
	$(BIN)/python -m benchmarks --quick

bench-gpu: setup ## the figures that need an NVIDIA GPU
	$(BIN)/python -m benchmarks --gpu

notebooks: setup ## execute the notebooks that are shipped, and store them with what they show
	$(BIN)/python tools/notebooks.py

pictures: setup system ## take the pictures of the docs in a real JupyterLab
	$(BIN)/python tools/pictures.py docs/pictures

# pip-audit has packages of its own, which are not ours to install: it gets a virtual environment of its own
$(STAMPS)/audit/bin/pip-audit:
	@mkdir -p $(STAMPS)
	$(PYTHON) -m venv $(STAMPS)/audit
	$(STAMPS)/audit/bin/pip install --quiet --disable-pip-version-check pip-audit

audit: setup $(STAMPS)/audit/bin/pip-audit ## known vulnerabilities of all packages, Python and npm; needs the network
	@$(BIN)/python tools/audit.py $(STAMPS)/audit/bin/pip-audit "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"

wheel: setup ## build the wheel; it carries the front end and needs no Node.js
	$(BIN)/python -m build --wheel --no-isolation --outdir dist .

clean: ## remove what was built; the virtual environment and your runs stay
	rm -rf $(STAMPS) dist labextension/lib imgcls_lab/labextension imgcls_lab/widgets/static labextension/node_modules
