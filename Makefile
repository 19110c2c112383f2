# `make demo` and `make test` set up everything they need in .venv, from requirements/lock.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# a core each, and the tests of a module, which may share a training, in one process
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist loadscope

# the tests start dozens of processes; without bytecode each compiles the Python files of PyTorch
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo demo-scratch test test-all test-matrix lint lock clean

help:
	@echo 'make demo      on sample data: pretrain a classifier, train detectors at 300 and 600 pixels'
	@echo 'make demo-scratch  also train the detectors from random weights, and compare'
	@echo 'make test      lint and the tests'
	@echo 'make test-all  also the tests that take minutes'
	@echo 'make test-matrix  the tests on each supported Python, and on the oldest PyTorch'
	@echo 'make lock      resolve requirements/lock.in anew (needs the network)'
	@echo 'make clean     remove .venv, the sample data and the work folders'

# --no-deps: the lock is complete, and it names opencv-python-headless where mmengine asks for
# opencv-python, which needs libraries that a bare machine lacks. --only-binary: no compiler.
$(READY): requirements/lock.txt setup.cfg setup.py pyproject.toml
	@$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info[:2] < (3, 14); \
	  sys.exit(0 if ok else "error: Python 3.11, 3.12 or 3.13 is needed, $(PYTHON) is " \
	  + sys.version.split()[0] + "; name another: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps --no-compile \
	  --only-binary :all: --require-hashes -r requirements/lock.txt
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY)
	$(BIN)/python tools/demo.py

demo-scratch: $(READY)
	$(BIN)/python tools/demo.py --scratch

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-cache

test: lint
	$(PYTEST)

test-all: lint
	$(PYTEST) -m ''

test-matrix:
	.ci/test-matrix

lock:
	$(PYTHON) -m venv .cache/uv
	.cache/uv/bin/pip install --quiet uv
	.cache/uv/bin/uv pip compile requirements/lock.in --override requirements/override.txt \
	  --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --output-file requirements/lock.txt
	sed -i '/^opencv-python==/,/^[a-z]/{/^opencv-python==/d;/^ /d}' requirements/lock.txt

clean:
	rm -rf $(VENV) .cache data/sample data/sample_classification work_dirs
