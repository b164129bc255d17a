# `make demo` shows it, `make test` tests it, `make help` lists the rest. Each target builds the environment that it
# needs, from a lock file with hashes; Python 3.11 to 3.13 and its pip are all that has to be there.

PYTHON ?= python3
PYTHON_OLDEST ?= $(PYTHON)
PYTHON_PEER ?= $(PYTHON)

# TensorFlow's notes about the processor bury the output; its errors still show.
export TF_CPP_MIN_LOG_LEVEL ?= 2
export PIP_DISABLE_PIP_VERSION_CHECK = 1

RUN = .venv/bin/python

.PHONY: help demo test test-bare test-peer test-matrix torture fuzz lint format types bench capabilities ops lock clean
.DEFAULT_GOAL := help

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' Makefile | expand -t 14

demo: .venv/.ready ## publish, load and fine-tune a module that reads handwritten digits
	@$(RUN) examples/digits.py
# No other setting silences what TensorFlow 2.21 prints four times about oneDNN, and the demo does without it.
demo: export TF_ENABLE_ONEDNN_OPTS = 0

test: .venv/.ready ## run the tests on the newest TensorFlow
	@$(RUN) -m pytest

test-bare: .venv-bare/.ready ## run the tests that need no TensorFlow where there is none
	@.venv-bare/bin/python -m pytest tests/format tests/inspection tests/lint tests/scan tests/export/text \
	    tests/bare

fuzz: .venv/.ready ## feed damaged and random bytes to the readers for some minutes (EXAMPLES=20000)
	@MODHUB_FUZZ_EXAMPLES=$(EXAMPLES) $(RUN) -m pytest $$(grep -rl --include='test_*.py' MODHUB_FUZZ_EXAMPLES tests)
EXAMPLES ?= 20000

torture: .venv/.ready ## kill downloads and flip bits in the cache, KILLS and FLIPS times (1000)
	@$(RUN) -m tests.cache.torture --kills $(KILLS) --flips $(FLIPS)
KILLS ?= 1000
FLIPS ?= 1000

test-peer: .venv/.ready .venv-peer/.ready ## compare with tensorflow_hub, run beside it (Python 3.11)
	@MODHUB_PEER_PYTHON="$(CURDIR)/.venv-peer/bin/python" $(RUN) -m pytest tests/peer tests/columns/test_peer.py

test-matrix: .venv-oldest/.ready .venv/.ready ## run the tests on the oldest and on the newest TensorFlow
	@set -e; for venv in .venv-oldest .venv; do \
	    $$venv/bin/python -c 'import sys; from importlib.metadata import distributions as d; \
	        have = {x.name.lower().replace("_", "-"): x.version for x in d()}; \
	        names = ("tensorflow", "tensorflow-cpu", "keras", "tf-keras", "numpy", "protobuf", "crc32c"); \
	        print("==", sys.argv[1], "python", sys.version.split()[0], *(f"{n} {have[n]}" for n in names if n in have))' \
	        $$venv; \
	    $$venv/bin/python -m pytest; \
	done

lint: .venv/.ready ## check the style, the spelling and which way imports go
	@$(RUN) -m ruff check --quiet .
	@$(RUN) -m ruff format --check --quiet .
	@.venv/bin/lint-imports --no-cache --no-logo
	@.venv/bin/codespell

format: .venv/.ready ## lay out the code as `make lint` wants it
	@$(RUN) -m ruff check --quiet --fix .
	@$(RUN) -m ruff format .

types: .venv/.ready ## check the types
	@.venv/bin/mypy

bench: .venv-bench/.ready .venv-hub/.ready .venv-bare/.ready ## time modhub, and tensorflow_hub beside it
	@.venv-bench/bin/python benchmarks/import_time.py
	@.venv-bench/bin/python benchmarks/run.py
	@.venv-bench/bin/python benchmarks/tf2.py --python .venv-hub/bin/python
	@.venv-bare/bin/python benchmarks/inspection.py
	@.venv-bench/bin/python benchmarks/download.py
	@.venv-bench/bin/python benchmarks/text_embeddings.py

capabilities: .venv/.ready .venv-hub/.ready ## test what modhub and tensorflow_hub can do, and write docs/capabilities.md
	@$(RUN) -m tests.capabilities.table --peer .venv-hub/bin/python

ops: .venv-peer/.ready .venv-oldest/.ready .venv/.ready ## add the ops of new TensorFlows to the scan's table, for a person to judge
	@$(RUN) -m tests.scan.op_registry .venv-peer/bin/python .venv-oldest/bin/python .venv/bin/python

# Needs uv, which only whoever changes a dependency runs. A file ending in .override says why it is there.
LOCK = uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-annotate \
    --no-emit-index-url --custom-compile-command 'make lock'
lock: ## write requirements/*.txt anew, with today's versions
	$(LOCK) --override requirements/tf-2.21.0.override pyproject.toml --extra dev --extra demo \
	    requirements/dev.in -o requirements/dev.txt
	$(LOCK) --override requirements/tf-2.18.0.override pyproject.toml --extra test --extra tf1 \
	    requirements/oldest.in -o requirements/oldest.txt
	$(LOCK) --override requirements/tf-2.21.0.override pyproject.toml requirements/bench.in -o requirements/bench.txt
	$(LOCK) --override requirements/tf-2.21.0.override pyproject.toml requirements/hub.in -o requirements/hub.txt
	$(LOCK) pyproject.toml requirements/bare.in -o requirements/bare.txt
	$(LOCK) requirements/peer.in -o requirements/peer.txt

clean: ## remove the environments and everything else that can be made again
	rm -rf .venv .venv-bare .venv-oldest .venv-peer .venv-bench .venv-hub .mypy_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# $(call need,PYTHON,VARIABLE,FIRST,LAST): stop with one line unless it is Python 3.FIRST to 3.LAST.
wanted = Python 3.$(3)$(if $(filter $(3),$(4)),, to 3.$(4))
define need
	@command -v $(1) >/dev/null || \
	    { echo "modhub: there is no '$(1)'; name a $(wanted): make $(2)=/path/to/python" >&2; exit 1; }
	@$(1) -c 'import sys; sys.exit(not (3, $(3)) <= sys.version_info[:2] <= (3, $(4)))' || \
	    { echo "modhub: $(@D) needs $(wanted), and '$(1)' is $$($(1) --version 2>&1);" \
	        "name another: make $(2)=/path/to/python" >&2; exit 1; }
endef

# $(call build,PYTHON,LOCK): an environment with what the lock file names, from nothing. The stamp comes last, so that
# one interrupted is begun again. --no-deps, because the lock is complete: see requirements/*.override.
define build
	@echo "modhub: building $(@D) from $(2): some hundred MB, some minutes"
	@rm -rf $(@D)
	@$(1) -m venv $(@D)
	@$(@D)/bin/python -m pip install -qq --no-deps --require-hashes -r $(2)
	@touch $@
endef

.venv/.locked: requirements/dev.txt
	$(call need,$(PYTHON),PYTHON,11,13)
	$(call build,$(PYTHON),$<)

# TensorFlow 2.18 has no wheels for Python 3.13.
.venv-oldest/.locked: requirements/oldest.txt
	$(call need,$(PYTHON_OLDEST),PYTHON_OLDEST,11,12)
	$(call build,$(PYTHON_OLDEST),$<)

# TensorFlow 2.15 has none for Python 3.12.
.venv-peer/.locked: requirements/peer.txt
	$(call need,$(PYTHON_PEER),PYTHON_PEER,11,11)
	$(call build,$(PYTHON_PEER),$<)

.venv-bench/.locked: requirements/bench.txt
	$(call need,$(PYTHON),PYTHON,11,13)
	$(call build,$(PYTHON),$<)

.venv-bare/.locked: requirements/bare.txt
	$(call need,$(PYTHON),PYTHON,11,13)
	$(call build,$(PYTHON),$<)

.venv-hub/.locked: requirements/hub.txt
	$(call need,$(PYTHON),PYTHON,11,13)
	$(call build,$(PYTHON),$<)

# modhub itself goes in apart from the rest, so that an edit of pyproject.toml costs seconds.
.venv/.ready .venv-bare/.ready .venv-oldest/.ready .venv-bench/.ready .venv-hub/.ready: %/.ready: %/.locked pyproject.toml
	@$*/bin/python -m pip install -qq --no-deps --no-build-isolation -e .
	@touch $@

.venv-peer/.ready: .venv-peer/.locked
	@touch $@
