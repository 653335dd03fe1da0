# Each target says in one line what it is for: `make help`.
SHELL := /bin/bash
PYTHON ?= $(shell scripts/fastest_python.sh)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EXPLORER := clients/explorer/dist/index.html

.DEFAULT_GOAL := help
.PHONY: help run test check fuzz install schema docs bench flash-sale bench-overload bench-router bench-cache bench-peers differential clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  \033[36mmake %-14s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: install ## Start the whole shop in one process on http://127.0.0.1:4000 (DURE_PORT)
	@exec $(BIN)/dure up

test: install ## Run every test; throw-away servers are started for it (REQUIRE_SERVICES=1: none may be missing)
	$(BIN)/pytest --numprocesses 2 $(PYTEST_ARGS)

fuzz: install ## schemathesis over REST and the graph with its default budget, as each kind of caller (FUZZ_ARGS="mariadb partner")
	$(BIN)/python -m tests.dure.fuzz $(FUZZ_ARGS)

check: install ## Lint, types (mypy strict), import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy router subgraphs messaging db dure
	$(BIN)/lint-imports

install: $(STAMP) $(EXPLORER) ## Make .venv and install everything into it

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || { \
		python="$(PYTHON)"; \
		command -v "$${python:-none}" >/dev/null || { echo "dure needs Python 3.11 or newer with its venv module; none was found (set PYTHON=...)"; exit 1; }; \
		"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "dure needs Python 3.11 or newer; $$("$$python" --version) was found (set PYTHON=...)"; exit 1; }; \
		"$$python" -m venv $(VENV); }
	@echo "Installing into $(VENV) (first time: about two minutes) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

$(EXPLORER): clients/explorer/package-lock.json clients/explorer/build.mjs $(wildcard clients/explorer/src/*)
	@if command -v npm >/dev/null; then \
		echo "Building the explorer ..."; \
		cd clients/explorer && npm ci --silent --no-audit --no-fund && npm run --silent build; \
	else echo "npm was not found: the shop runs without its explorer"; fi

schema: install ## Print the subgraphs' SDL into schema/ and compose the supergraph
	$(BIN)/dure schema --write

docs: install ## Generate the parts of docs/ that come from code (ERDs, event catalogue, settings)
	$(BIN)/dure docs

clean: ## Delete the shop's data (.dure); the next start makes it anew
	rm -rf .dure

differential: install ## Compare federated answers with the unsplit schema's over random graphs (CASES=20000 SEED=1)
	@$(BIN)/python -m tests.router.differential.long_run

bench: install ## Purchases a second until PAID, in each mode, verified, and docs/capacity.md (BENCH_ARGS='--modes one-process-sqlite --reads 0.9')
	@$(BIN)/python -m benchmarks.shop $(BENCH_ARGS)
	@$(BIN)/python -m benchmarks.shop.capacity

flash-sale: install ## 5,000 customers, 500 units, Redis flushed and a service killed in the middle (FLASH_ARGS='--customers 500')
	@$(BIN)/python -m benchmarks.flash_sale $(FLASH_ARGS)

bench-overload: install ## Three times the load that the router can take: what is served, what is refused and how soon
	@$(BIN)/python -m benchmarks.overload

bench-router: install ## CPU a request of the router, beside the gateways installed in PEERS=DIR
	@$(BIN)/python -m benchmarks.router

bench-cache: install ## CPU a request of hot pages with the router's cache and without (REQUESTS=1500)
	@$(BIN)/python -m benchmarks.cache

bench-peers: ## Install other gateways from npm, to be measured with PEERS=benchmarks/router/peers
	cd benchmarks/router/peers && npm install --no-audit --no-fund
