# make demo    set up everything, then train, deploy and run a model on a built-in data set (CPU, no Docker)
# make demo-curves    the same without a mesh: a phone's 52 weights and a head that nods
# make demo-conversation    two people who talk: a listener nods, smiles and looks because of what the partner says
# make test    set up everything, then run the tests
PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check
READY := $(VENV)/.ready
# The tests of a file run one after the other, files on as many cores as there are, with a thread each.
TEST := OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n $$(getconf _NPROCESSORS_ONLN) --dist loadfile

.PHONY: help setup demo demo-curves demo-conversation test test-all lint clean

help:
	@echo "make setup     virtual environment with pinned packages in $(VENV)"
	@echo "make demo      train on the built-in demo data set and write a video (demo/)"
	@echo "make demo-curves  the same for curves without a mesh: a phone's 52 weights and a head that nods"
	@echo "make demo-conversation  the same of two people who talk to each other, and a film of both"
	@echo "make test      fast tests          make test-all  with the slow ones"
	@echo "make lint      ruff, mypy, shellcheck"
	@echo "make clean     remove the environment, the demo's files and caches"

setup: $(READY)

# torch first and pinned, so that no other package picks it; CPU-only users point pip at CPU wheels before this.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install -q -c constraints.txt torch
	$(PIP) install -q -c constraints.txt -e '.[test,lint]'
	touch $@

demo: $(READY)
	$(VENV)/bin/python tools/run_demo.py

demo-curves: $(READY)
	$(VENV)/bin/python tools/run_demo.py --config demo-curves

demo-conversation: $(READY)
	$(VENV)/bin/python tools/run_demo.py --config demo-conversation

test: $(READY)
	$(TEST)

test-all: $(READY)
	$(VENV)/bin/python -m pytest -m 'slow or not slow'

lint: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/shellcheck -x docker/*.sh tools/*.sh .ci/run .ci/engine

clean:
	rm -rf $(VENV) demo .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
