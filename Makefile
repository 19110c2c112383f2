# `make demo` and `make test` set up everything they need in .venv, from requirements/lock.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# a core each, and the tests of a module, which may share a training, in one process
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist loadscope

# the tests start dozens of processes; without bytecode each compiles the Python files of PyTorch
unexport PYTHONDONTWRITEBYTECODE

# the same code on the fork of MMDetection by OneDL, in an environment of its own
ONEDL := .venv-onedl
ONEDL_READY := $(ONEDL)/.ready
# published as sources alone; pip makes wheels of them, without a compiler
ONEDL_SOURCES := --no-binary onedl-mmcv,onedl-mmdetection,onedl-mmpretrain
ONEDL_TESTS := tests/compat tests/swap tests/engine tests/weights tests/configs tests/tools \
  tests/models/test_equals_mmpretrain.py tests/evaluation tests/data/test_augmentation.py

.PHONY: help demo demo-scratch test test-all test-onedl test-matrix lint lock clean

help:
	@echo 'make demo      on sample data: pretrain a classifier, train detectors at 300 and 600 pixels'
	@echo 'make demo-scratch  also train the detectors from random weights, and compare'
	@echo 'make test      lint and the tests'
	@echo 'make test-all  also the tests that take minutes'
	@echo 'make test-matrix  the tests on each supported Python, and on the oldest PyTorch'
	@echo 'make test-onedl  tests on the fork of MMDetection by OneDL, in .venv-onedl'
	@echo 'make lock      resolve requirements/lock.in and lock-onedl.in anew (needs the network)'
	@echo 'make clean     remove .venv, .venv-onedl, the sample data and the work folders'

# --no-deps: the lock is complete, and it names opencv-python-headless where mmengine asks for
# opencv-python, which needs libraries that a bare machine lacks. --only-binary: no compiler.
$(READY): requirements/lock.txt setup.cfg setup.py pyproject.toml
	$(call environment,$(VENV),requirements/lock.txt)
	@touch $@

$(ONEDL_READY): requirements/lock-onedl.txt setup.cfg setup.py pyproject.toml
	$(call environment,$(ONEDL),requirements/lock-onedl.txt,$(ONEDL_SOURCES))
	@touch $@

define environment
	@$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info[:2] < (3, 14); \
	  sys.exit(0 if ok else "error: Python 3.11, 3.12 or 3.13 is needed, $(PYTHON) is " \
	  + sys.version.split()[0] + "; name another: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv --clear $(1)
	$(1)/bin/python -m pip install --disable-pip-version-check --no-deps --no-compile \
	  --only-binary :all: $(3) --require-hashes -r $(2)
	$(1)/bin/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation -e .
endef

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

test-onedl: $(ONEDL_READY)
	$(ONEDL)/bin/python -m pytest --numprocesses auto --maxprocesses 8 --dist loadscope $(ONEDL_TESTS)

lock:
	$(PYTHON) -m venv .cache/uv
	.cache/uv/bin/pip install --quiet uv
	$(call resolve,lock)
	$(call resolve,lock-onedl)

define resolve
	.cache/uv/bin/uv pip compile requirements/$(1).in --override requirements/override.txt \
	  --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --output-file requirements/$(1).txt
	sed -i '/^opencv-python==/,/^[a-z]/{/^opencv-python==/d;/^ /d}' requirements/$(1).txt
endef

clean:
	rm -rf $(VENV) $(ONEDL) .cache data/sample data/sample_classification work_dirs
