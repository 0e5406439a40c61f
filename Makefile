# The two commands that matter are `make app` and `make test`; `make` alone lists them all.
#
# Every target makes what it needs first: the environment in .venv, the packages in it, TypeScript for the checks, a
# browser for the tests. A stamp in .venv remembers what is installed, so that nothing is installed twice, or asked for
# over the network.

# Which Python makes the environment; left empty, the usual names are tried.
PYTHON ?=
# Passed on to the page and to pytest.
ARGS ?=
PYTEST_ARGS ?=

CORES := $(shell nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
# Each test process loads torch: more than four gain little and cost memory.
WORKERS ?= $(shell [ $(CORES) -lt 4 ] && echo $(CORES) || echo 4)
# Threads of torch in each test process, so that together they use the cores once.
THREADS ?= $(shell n=$(WORKERS); [ $$n -gt 0 ] || n=1; [ $$n -le $(CORES) ] || n=$(CORES); expr $(CORES) / $$n)

VENV := .venv
VENV_PYTHON := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
DOCS_VENV := build/docs-venv
INSTALLED_DOCS := $(DOCS_VENV)/.installed
TSC := $(VENV)/typescript/node_modules/typescript/bin/tsc

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

.PHONY: app
app: $(INSTALLED)  ## start the page (ARGS="--port 7861" and the like are passed on)
	$(VENV_PYTHON) app.py $(ARGS)

.PHONY: test
test: lint  ## check the code and run all tests (PYTEST_ARGS="tests/test_flow.py -x" for a part, WORKERS=0 for one process)
	browser="$$($(VENV_PYTHON) scripts/ensure_browser.py)" && \
	SRFLOW_BROWSER="$$browser" OMP_NUM_THREADS=$(THREADS) \
		$(VENV_PYTHON) -m pytest -n $(WORKERS) --dist worksteal --timeout 900 $(PYTEST_ARGS)

.PHONY: test-gpu
test-gpu: $(INSTALLED_DEV)  ## the checks that need a GPU, which `make test` leaves out
	$(VENV_PYTHON) -m pytest -m gpu $(PYTEST_ARGS)

.PHONY: lint
lint: $(INSTALLED_DEV) $(TSC)  ## check rules, formatting and types, changing nothing
	$(VENV_PYTHON) -m ruff check .
	$(VENV_PYTHON) -m ruff format --check .
	@find app -name '*.pyi' -delete  # gradio writes them when the page is imported, and not as mypy reads them
	$(VENV_PYTHON) -m mypy
	$(VENV)/bin/node $(TSC) --project app/viewer/src/jsconfig.json

.PHONY: format
format: $(INSTALLED_DEV)  ## mend what can be mended and format
	$(VENV_PYTHON) -m ruff check --fix .
	$(VENV_PYTHON) -m ruff format .

.PHONY: docs
docs: $(INSTALLED_DOCS)  ## build the documentation into build/docs
	NO_MKDOCS_2_WARNING=1 $(DOCS_VENV)/bin/python -m mkdocs build --quiet
	@echo "build/docs/index.html"

.PHONY: install
install: $(INSTALLED_DEV)  ## the environment with all packages, nothing else

.PHONY: clean
clean:  ## remove caches and build leftovers; the environment, models and runs stay
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV_PYTHON):
	@sh scripts/make_venv.sh $(VENV) "$(PYTHON)"

# Order-only: an update of the system's Python changes the time of the interpreter, not what is installed.
$(INSTALLED): requirements.txt | $(VENV_PYTHON)
	$(VENV_PYTHON) -m pip install --disable-pip-version-check -r requirements.txt
	@touch $@

$(INSTALLED_DEV): requirements-dev.txt requirements.txt | $(VENV_PYTHON)
	$(VENV_PYTHON) -m pip install --disable-pip-version-check -r requirements-dev.txt
	@touch $(INSTALLED) $@

# An environment of its own: neither the page nor the tests need these packages.
$(INSTALLED_DOCS): docs/requirements.txt
	@[ -x $(DOCS_VENV)/bin/python ] || sh scripts/make_venv.sh $(DOCS_VENV) "$(PYTHON)"
	$(DOCS_VENV)/bin/python -m pip install --disable-pip-version-check -r docs/requirements.txt
	@touch $@

# The version, and what its files must be, are written down. npm comes with the packages above.
$(TSC): scripts/typescript/package.json scripts/typescript/package-lock.json | $(INSTALLED_DEV)
	@mkdir -p $(VENV)/typescript
	@cp scripts/typescript/package.json scripts/typescript/package-lock.json $(VENV)/typescript
	$(VENV)/bin/npm ci --prefix $(VENV)/typescript --no-audit --no-fund --no-update-notifier
	@touch $@
