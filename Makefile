# Needs Python 3.11+ and make. Every target sets up .venv by itself: `make test PYTHON=python3.12` picks the Python.
PYTHON ?= python3
BIN := .venv/bin
CODE := smallest_proto transports livekit_binding hatch_build.py $(wildcard tests bench fuzz examples tools)
TYPED := $(filter-out fuzz,$(CODE))
AS_COMPILED := PYTHONSAFEPATH=1 PYTHONPATH=$(CURDIR)/.venv/compiled:$(CURDIR)

.PHONY: help demo test compiled bench explore diagrams fuzz mutants autobahn differential lint format clean

help:
	@echo "make demo    speak a sentence and transcribe it, over real sockets, with no key"
	@echo "make test    everything that CI runs: lint, types, import contracts, tests, coverage"
	@echo "make compiled the core compiled by mypyc, and its tests against that (needs a C compiler)"
	@echo "make bench   what it costs beside every other client, into docs/benchmarks.md (9 minutes); COMPILED=1: with the core compiled"
	@echo "make fuzz    look for inputs that break it, SECONDS=60 over all targets (Linux on x86-64)"
	@echo "make mutants change the core in 10,900 ways: which ones does no test notice? (an hour)"
	@echo "make autobahn the WebSocket conformance suite against both ends of the wire (1 minute; needs a Python 2.7)"
	@echo "make differential our LiveKit plugin beside the official ones, over 2,000 random servers each (3 minutes)"
	@echo "make explore every state of the machines and the channel between them, on all cores (2 minutes)"
	@echo "make diagrams redraw docs/diagrams from the transition tables"
	@echo "make lint    the checks without the tests"
	@echo "make format  rewrite the code in the project's style"
	@echo "make clean   remove .venv and everything generated"

.venv/.installed: pyproject.toml hatch_build.py
	@echo "== set-up (.venv)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"Python 3.11+ is needed, {sys.executable} is {sys.version.split()[0]}: set PYTHON=")'
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[all]' --group dev
	@touch $@

demo: .venv/.installed
	@$(BIN)/smallest-proto demo

test: lint
	@echo "== tests, with branch coverage of smallest_proto"
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest --quiet --numprocesses auto --dist loadfile
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report
	@if command -v $(CC) >/dev/null; then $(MAKE) --no-print-directory compiled; \
	else echo "== skipped: the core compiled by mypyc, as there is no C compiler ($(CC))"; fi

.venv/.compiled: .venv/.installed $(shell find smallest_proto transports/smallest_transports livekit_binding -name '*.py')
	@echo "== the core compiled by mypyc (.venv/compiled)"
	@rm -rf .venv/compiled
	@SMALLEST_PROTO_COMPILE=1 $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --target .venv/compiled .
	@$(AS_COMPILED) $(BIN)/python -c 'import sys, smallest_proto.machine as m; sys.exit(m.__file__.endswith(".py") and f"{m.__file__} is not compiled")'
	@touch $@

compiled: .venv/.compiled
	@echo "== the tests of what is compiled"
	@$(AS_COMPILED) $(BIN)/python -m pytest --quiet --numprocesses auto --dist loadfile -m "not interpreted" \
		tests/core tests/lightning tests/pulse tests/stateful tests/vectors tests/wire \
		tests/transports/test_gathering.py tests/transports/test_turn_end.py tests/transports/test_waking.py

.venv/.bench: .venv/.installed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group bench
	@touch $@

bench: .venv/.bench $(if $(COMPILED),.venv/.compiled)
	@$(if $(COMPILED),$(AS_COMPILED)) $(BIN)/python -m bench $(if $(COMPILED),--out docs/compiled)

explore: .venv/.installed
	@cd tests && ../$(BIN)/python -m explorer

diagrams: .venv/.installed
	@$(BIN)/python tools/diagrams.py

.venv/.fuzz: .venv/.installed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group fuzz
	@touch $@

SECONDS ?= 60
fuzz: .venv/.fuzz
	@$(BIN)/python -m fuzz.run --seconds $(SECONDS)

.venv/.mutants: .venv/.installed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group mutants
	@touch $@

mutants: .venv/.mutants
	@echo "== all mutants, with a tenth of the examples"
	@$(BIN)/python tests/mutants.py --seconds 5
	@echo "== the survivors, with all examples"
	@$(BIN)/python tests/mutants.py --again .mutants.json --profile survivors

autobahn: .venv/.installed
	@echo "== the WebSocket conformance suite, against both ends of the wire"
	@$(BIN)/python -m tools.autobahn

# The official plugin as a reference: 1.6.0 is equal to the seed, 1.8.9 the newest that was measured. No two fit
# into one environment.
.venv/official-%/.installed: pyproject.toml hatch_build.py
	@echo "== set-up (.venv/official-$*)"
	@$(PYTHON) -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[livekit]' \
		pytest hypothesis livekit-plugins-smallestai==$*
	@touch $@

SCRIPTS ?= 2000
differential: .venv/official-1.6.0/.installed .venv/official-1.8.9/.installed
	@cd tests && ../.venv/official-1.6.0/bin/python -m livekit.differential --against seed --scripts $(SCRIPTS)
	@cd tests && ../.venv/official-1.8.9/bin/python -m livekit.differential --against newer --scripts $(SCRIPTS)
	@cd tests && ../.venv/official-1.8.9/bin/python -m pytest --quiet livekit/differential/check_defects.py
	@cd tests && ../.venv/official-1.8.9/bin/python -m livekit.differential.drop

lint: .venv/.installed
	@echo "== ruff"
	@$(BIN)/ruff check --quiet $(CODE)
	@$(BIN)/ruff format --quiet --check $(CODE)
	@echo "== mypy --strict"
	@$(BIN)/mypy $(TYPED)
	@echo "== import contracts"
	@$(BIN)/lint-imports --no-logo

format: .venv/.installed
	@$(BIN)/ruff check --quiet --fix-only $(CODE)
	@$(BIN)/ruff format $(CODE)

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage .mutants.json dist demo.wav
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
