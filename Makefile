# make demo    a simulated class through the whole stream, no server needed
# make test    tests in WORKERS=3 processes, on servers they start; ARGS="-m long" for the long ones
# make bench   everything measured, side by side; ARGS="--only guards", ARGS=--help
# make capacity  docs/capacity.md written again from bench/measured_costs.json
# make soak    an hour under load, a kill each minute, then all compared; ARGS="--minutes 3"
# make fuzz    inputs that break a decoder, looked for by coverage (DECODER=event SECONDS=120)
# make audit   OULAD through worker and all six stores, then `learner audit` (EVENTS=all for all)
# make faults  kills, freezes and outages in rounds, all compared; ARGS="--rounds 20 --fault NAME"
# make check   linter, formatter, types
# make schemas docs/schemas/ and docs/settings.md, written again from the code
# make lock    requirements/*.lock, resolved again (needs uv)

.DEFAULT_GOAL := help
.PHONY: help demo test bench capacity soak fuzz audit faults check format schemas lock

BIN := .venv/bin
PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11,$(shell \
	$(name) -c 'import sys; print("$(name)" if sys.version_info >= (3, 11) else "")' 2>/dev/null)))
UV ?= uv
WORKERS ?= 3

help:
	@sed -n 's/^# //p' Makefile

demo: .venv/runtime.installed
	@$(BIN)/learner demo

test: .venv/dev.installed
	@$(BIN)/pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder $(ARGS)

bench: .venv/dev.installed .venv/bench.ready
	@PYTHONPATH=.:tests $(BIN)/python -m bench $(ARGS)

capacity: .venv/dev.installed
	@PYTHONPATH=.:tests $(BIN)/python -m bench.capacity_report --page

soak: .venv/dev.installed
	@PYTHONPATH=.:tests $(BIN)/python -m bench.soak $(ARGS)

fuzz: .venv/fuzz.ready
	@PYTHONPATH=.:tests:.venv/fuzz $(BIN)/python -m fuzz $(or $(DECODER),event) $(or $(SECONDS),120)

audit: .venv/dev.installed
	@PYTHONPATH=.:tests $(BIN)/python -m bench.stores_in_step $(if $(EVENTS),--events $(EVENTS))

faults: .venv/dev.installed
	@PYTHONPATH=.:tests $(BIN)/python -m faults $(ARGS)

check: .venv/dev.installed
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

format: .venv/dev.installed
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

schemas: .venv/dev.installed
	@$(BIN)/learner schemas export docs/schemas
	@$(BIN)/learner settings --markdown > docs/settings.md

RESOLVE = $(UV) pip compile --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --quiet
LOCK = $(RESOLVE) pyproject.toml --group build
lock:
	@command -v $(UV) >/dev/null || { echo "make lock needs uv: https://docs.astral.sh/uv/"; exit 1; }
	@$(LOCK) -o requirements/runtime.lock >/dev/null
	@$(LOCK) -o requirements/stores.lock --extra stores --extra disk >/dev/null
	@$(LOCK) -o requirements/dev.lock --group dev --all-extras >/dev/null
	@$(RESOLVE) -o requirements/bench.lock --group bench >/dev/null

# The venv holds what a lock says and this folder in editable form. Again only when a lock changed.
.venv/%.installed: requirements/%.lock pyproject.toml | .venv/bin/python
	@echo "installing what requirements/$*.lock names (once) …" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		--requirement requirements/$*.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--no-build-isolation --editable .
	@touch $@

# Beside what is installed, and of no use to anything but `make fuzz`.
.venv/fuzz.ready: tests/fuzz/atheris.lock .venv/dev.installed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade \
		--require-hashes --requirement tests/fuzz/atheris.lock --target .venv/fuzz
	@touch $@

# Quix Streams, which the worker is measured against: it wants older releases of what we use.
.venv/bench.ready: requirements/bench.lock | .venv/bin/python
	@echo "installing what $< names, in a venv of its own (once) …" >&2
	@$(BIN)/python -m venv .venv/bench
	@.venv/bench/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		--requirement $<
	@touch $@

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed and none was found; name one:" \
		"make PYTHON=/path/to/python3 …" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is" \
		"older than Python 3.11; name a newer one: make PYTHON=/path/to/python3 …" >&2; exit 1; }
	@"$(PYTHON)" -m venv .venv || { rm -rf .venv; echo "$(PYTHON) could not make a venv (on" \
		"Debian: apt install python3-venv)" >&2; exit 1; }
