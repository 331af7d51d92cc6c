# `make help` lists every target. What they do is in scripts/; this file only names it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help run setup test lint format types test-js test-py bench lock clean

VENV := .venv/bin
export CHROMIUM PYTHON

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 10

run: ## set up what running needs and serve http://127.0.0.1:8080 (GEMINI_API_KEY: real Google)
	@scripts/setup run
	@exec $(VENV)/broker dev

setup: ## install everything that tests need (.venv, node_modules, system packages)
	@scripts/setup test

test: setup ## set up and run every check and every test
	@$(MAKE) lint
	@$(MAKE) --jobs=2 --output-sync=target types test-js
	@$(MAKE) test-py

lint: ## ruff over Python, Biome over JavaScript: rules and format
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	npm run --silent lint

format: ## let ruff and Biome rewrite what they can
	$(VENV)/ruff check --fix .
	$(VENV)/ruff format .
	npx biome check --write

types: ## mypy --strict over Python, tsc --checkJs --strict over web/
	$(VENV)/mypy
	npm run --silent types

test-js: ## the library's unit tests, in Node
	npm run --silent test

PYTEST = CHROMIUM="$$(scripts/find-chromium)" $(VENV)/pytest

test-py: ## all the other tests (PYTEST_ARGS="tests/http -k token": those, one after the other)
ifdef PYTEST_ARGS
	$(PYTEST) $(PYTEST_ARGS)
else
	$(PYTEST) -m "not measured" --numprocesses 3 --dist loadfile --no-loadscope-reorder
	$(PYTEST) -m measured
endif

bench: ## measure mints per second and latency, by hand
	$(VENV)/python -m tests.load.bench_mint
	$(VENV)/python -m tests.load.bench_issuers

lock: ## write the locks again from pyproject.toml and package.json (LOCK_ARGS=--upgrade)
	@scripts/lock $(LOCK_ARGS)

clean: ## remove what the other targets made, the development database too
	rm -rf .venv node_modules var build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis tests/artifacts
