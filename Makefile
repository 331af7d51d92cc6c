# `make help` lists every target. The work is done by scripts/.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help run setup package bundle test test-long test-plain-page test-minutes test-measured test-release lint format types test-js test-py \
	coverage bench bench-quick soak screenshots lock audit sbom clean

VENV := .venv/bin
export CHROMIUM PYTHON
# Each of several test processes would otherwise compile every module and every test again.
unexport PYTHONDONTWRITEBYTECODE

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 12

run: ## install what running needs and serve http://127.0.0.1:8080 (with GEMINI_API_KEY: real Google)
	@scripts/setup run
	@exec $(VENV)/broker dev

setup: ## install everything that tests need (.venv, node_modules, system packages)
	@scripts/setup test

package: ## build the wheel and the npm package of this version into dist/
	@scripts/setup package
	@rm -rf dist/live_broker-*.whl dist/live-broker-client-*.tgz
	node scripts/bundle.mjs
	$(VENV)/python -m hatchling build --target wheel --directory dist
	node scripts/package.mjs

bundle: ## bundle the pages' modules and styles for a package or an image (needs node_modules)
	node scripts/bundle.mjs

test: setup ## set up, then run every check and the fast form of every test
	@$(MAKE) lint
	@$(MAKE) --jobs=2 --output-sync=target types test-js
	@$(MAKE) test-py

# Targets of their own, so that `make --keep-going` runs each of them.
test-long: setup test-plain-page test-minutes test-measured ## run all long tests: test-plain-page, test-minutes and test-measured

test-plain-page: ## run tests of the pages as single modules, as a checkout without Node serves them
	$(PYTEST) --plain-modules -m $(IN_FAST) --numprocesses 3 --dist loadfile $(PLAIN_PAGE)

test-minutes: ## run the tests that take minutes or repeat a promise many times
	$(PYTEST) $(LONG)

test-measured: ## run the tests that measure times, one after the other
	$(PYTEST) -m measured --durations=40

# Repetitions that are too many for CI.
test-release: setup ## run what a release needs beyond CI (more than two hours)
	CROSSINGS=2000 $(PYTEST) tests/store/test_crossings.py --numprocesses 2 --dist load
	FUZZ=20000 $(PYTEST) tests/http/test_openapi_fuzz.py -m long
	$(PYTEST) -m release --numprocesses 2 --dist loadfile --durations=40
	ROUNDS=200 $(PYTEST) tests/load/test_limits_are_exact_on_four_workers.py -m measured
	ROUNDS=200 $(PYTEST) tests/load/test_budgets_are_exact.py
	HANG_SECONDS=60 $(PYTEST) tests/load/test_hanging_google.py
	MINUTES=45 $(PYTEST) tests/browser/test_faulty_conversation.py
	$(VENV)/python -m tests.load.bench_export
	$(MAKE) soak SOAK_MINUTES=60

lint: ## Ruff and Biome: rules, complexity and format; Vulture: code that nothing uses; Bandit: security
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	@scripts/unused
	$(VENV)/bandit --quiet --configfile pyproject.toml --recursive broker
	npm run --silent lint

format: ## let Ruff and Biome repair what they can
	$(VENV)/ruff check --fix .
	$(VENV)/ruff format .
	npx biome check --write

types: ## mypy --strict over Python, tsc --checkJs --strict over web/
	$(VENV)/mypy
	npm run --silent types

test-js: ## run the unit tests of the JavaScript library in Node
	npm run --silent test

PYTEST = CHROMIUM="$$(scripts/find-chromium)" $(VENV)/pytest
PLAIN_PAGE = $(addprefix tests/browser/test_,delivery.py conversation.py ops_lists.py docs_page.py page_errors.py)
# Most tests wait more than they compute, so more of them run at a time than there are processors.
IN_FAST = "not long and not measured and not release"
LONG = -m "long and not measured and not release" --numprocesses 3 --dist loadfile --no-loadscope-reorder --durations=40
FAST = -m $(IN_FAST) --numprocesses 4 --dist loadfile --no-loadscope-reorder --durations=40

test-py: ## run the Python and browser tests (PYTEST_ARGS="tests/http -k token": only those, in one process)
ifdef PYTEST_ARGS
	$(PYTEST) $(PYTEST_ARGS)
else
	$(PYTEST) $(FAST)
endif

coverage: ## run the fast Python and browser tests and print the coverage of broker/
	$(PYTEST) $(FAST) --cov --cov-report=term

bench: ## measure the broker beside other endpoints; writes docs/performance.md and docs/scaling.md (12 minutes)
	@scripts/setup bench
	$(VENV)/python -m tests.load.bench
	$(VENV)/python -m tests.load.bench_issuers

bench-quick: setup ## print processor time and statements of a token, as ratios to a plain endpoint (2 minutes)
	$(VENV)/python -m tests.load.bench --quick

SOAK_MINUTES = 10
soak: setup ## inject faults into a loaded broker, then audit its ledger (SOAK_MINUTES=60: an hour)
	$(VENV)/python -m tests.load.soak --minutes $(SOAK_MINUTES)

screenshots: setup ## take the README's picture of the demo page again
	CHROMIUM="$$(scripts/find-chromium)" $(VENV)/python -m tests.docs.screenshots

lock: ## rewrite the locks from pyproject.toml and package.json (LOCK_ARGS=--upgrade)
	@scripts/lock $(LOCK_ARGS)

audit: setup ## check every locked package against the databases of known vulnerabilities (needs the network)
	$(VENV)/python -m tests.supply_chain.audit

sbom: setup ## write the bill of materials (SBOM) of a deployment into dist/, in CycloneDX format
	$(VENV)/python -m tests.supply_chain.sbom

clean: ## remove everything that the other targets made, also the development database
	rm -rf .venv node_modules var build dist web/bundle .mypy_cache .ruff_cache .pytest_cache .hypothesis tests/artifacts .coverage*
