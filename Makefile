# `make` alone lists the targets. Nothing here needs more than Python >= 3.11, pip, git and make.

BIN := .venv/bin
STAMP := .venv/.installed
DOCS_STAMP := .venv/.installed-docs
OLDEST := .venv-oldest
# Without the shape checks: jaxtyping's plugin cannot begin before conftest.py in versions before 0.3.6.
UNCHECKED := -q --strict-markers
# Searched in this order for the first Python >= 3.11; `make install PYTHON=/path/to/python` puts one in front.
PYTHONS := $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11

.PHONY: help install test test-oldest test-learning test-nightly check format docs demo demo-full reproduce-tiny bench bench-peers clean
.DEFAULT_GOAL := help

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' Makefile

install: $(STAMP) ## Create .venv with the package, its tools and the command `kickstart`

$(STAMP): pyproject.toml constraints.txt src/kickstarting/native/kernels.cpp
	@set -e; python=; \
	for candidate in $(PYTHONS); do \
	  if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python="$$candidate"; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "error: none of [$(strip $(PYTHONS))] is Python >= 3.11; install one, or name it: make install PYTHON=/path/to/python" >&2; exit 1; \
	fi; \
	if [ ! -x $(BIN)/pip ]; then \
	  echo "creating .venv with $$("$$python" --version)"; \
	  "$$python" -m venv .venv || { echo "error: $$python cannot create a virtual environment; install its venv module" >&2; exit 1; }; \
	fi
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

test: install ## Run the tests on two cores, without those that learn for minutes
	$(BIN)/pytest -m "not slow" -n 2 --dist loadfile

test-learning: install ## Run the tests that learn for minutes
	$(BIN)/pytest -m slow

test-nightly: install ## The demo held to its bounds, fifty kills, and thousands of random inputs
	$(BIN)/pytest -m slow tests/test_demo.py tests/test_kills.py tests/test_fuzz.py tests/runs/test_signals.py

test-oldest: $(OLDEST)/.installed ## Run the tests with the oldest Python and packages that pyproject.toml admits
	$(OLDEST)/bin/pytest -o addopts="$(UNCHECKED)" -m "not slow"

$(OLDEST)/.installed: pyproject.toml constraints-oldest.txt
	@set -e; python=; \
	for candidate in $(PYTHON) python3.11 python3; do \
	  if "$$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then python="$$candidate"; break; fi; \
	done; \
	if [ -z "$$python" ]; then echo "error: no Python 3.11; name it: make test-oldest PYTHON=/path/to/python3.11" >&2; exit 1; fi; \
	"$$python" -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --disable-pip-version-check -c constraints-oldest.txt -e '.[test]'
	@touch $@

check: install ## Format, lint, types, import order, spelling; changes nothing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports --no-cache
	$(BIN)/codespell

format: install ## Format, and mend what the linter can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(DOCS_STAMP) ## Build the documentation into site/; a broken link or reference is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "open site/index.html"

$(DOCS_STAMP): $(STAMP)
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev,docs]'
	@touch $@

reproduce-tiny: install ## Every experiment of the paper at the scale `tiny`, to its report; for a nightly run
	$(BIN)/pytest -m slow tests/test_reproduce.py

demo: install ## The main job: a shipped teacher kickstarts a larger student, beside the same student from scratch
	$(BIN)/kickstart demo

demo-full: install ## The same with the teacher's own training and several seeds
	$(BIN)/kickstart demo --full

bench: install ## Measure steps per second and where the time goes
	$(BIN)/python benchmarks/throughput.py

bench-peers: install ## Other trainers and ours on the same workloads, each tuned and in an environment of its own
	$(BIN)/python benchmarks/peers/run.py

clean: ## Remove caches and build products; .venv, .venv-oldest and runs/ stay
	rm -rf build dist site .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests scripts benchmarks examples experiments -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
