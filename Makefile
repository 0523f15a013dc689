# Only python3 (3.11 or later), make and a package index are assumed. Everything lives in .venv.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

.PHONY: demo test check static unit soak bench lock docs schemas clean help

help:  ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# The lock names everything, so nothing is resolved here (--no-deps): a resolver may prefer a release of after the lock,
# which has no hash in it. "pip check" says so if the lock ever misses something.
$(READY): requirements-dev.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "watchkeeper needs Python 3.11 or later; set PYTHON=python3.12 for example")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(BIN)/python -m pip check --disable-pip-version-check
	touch $(READY)

demo: $(READY)  ## break real services and watch them be judged and repaired
	$(BIN)/watchkeeper demo

test: static unit  ## style, types, import contracts, and every test

check: test

static: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

unit: $(READY)
	$(BIN)/pytest -n 2 --dist loadfile

soak: $(READY)  ## the long runs: hundreds of kills, thousands of seeds; writes docs/soak.md
	$(BIN)/python tests/soak.py

bench: $(READY)  ## measure on this machine
	$(BIN)/watchkeeper bench

lock: $(READY)  ## resolve the dependencies again
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --universal --python-version 3.11 --no-header pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --universal --python-version 3.11 --no-header pyproject.toml --group dev -o requirements-dev.lock

docs: $(READY)  ## write the generated parts of the documents, and docs/schemas, again
	$(BIN)/python docs/generate.py

schemas: docs

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .hypothesis .coverage mutants
