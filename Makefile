# CoLoRA Studio. `make` alone lists the targets.
# Every step also works by hand, without make: see README.md.

PYTHON ?= python3
PORT   ?= 8501
TORCH  ?= default

PY        := .venv/bin/python
INSTALLED := .venv/.installed
ZOO       := .venv/.zoo-installed
ORACLES   := .venv-oracles/.installed

# uv installs several times faster than pip; the PATH puts the one in .venv first.
UV_INSTALL = PATH="$(CURDIR)/.venv/bin:$$PATH" uv pip install --python $(PY)

.PHONY: help app test test-browser test-slurm test-real test-kill test-fuzz test-zoo test-coverage test-oracles lint clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile
	@echo
	@echo "  make app PORT=8600           another port than 8501"
	@echo "  make app TORCH=cpu           PyTorch without GPU support, a far smaller download (on a new .venv)"
	@echo "  make app PYTHON=python3.12   another Python, 3.11 or newer (on a new .venv)"

app: $(INSTALLED) ## serve the app on http://localhost:8501
	@$(PY) -m pages.components.doors && exec $(PY) -m streamlit run app.py --server.port=$(PORT)

test: $(INSTALLED) ## run the tests
	@$(PY) -m pytest -q --durations=10 -n logical --dist loadfile

test-browser: $(INSTALLED) ## run the stories in a browser
	@$(PY) -m pytest -q -m 'story and not real and not kill' --durations=10 -n logical --dist loadfile

test-kill: $(INSTALLED) ## kill and stop runs at random moments, many times
	@$(PY) -m pytest -q -m kill --durations=10 --timeout=3600

test-fuzz: $(INSTALLED) ## thousands of damaged folders, hostile files and arguments
	@$(PY) -m pytest -q -m fuzz -s --durations=10 --timeout=900

test-zoo: $(ZOO) ## adapt, merge and strip a hundred and more networks of other libraries
	@$(PY) -m pytest -q -m zoo --durations=10

test-coverage: $(INSTALLED) ## how often intervals hold the truth, on thousands of simulated test sets
	@$(PY) -m pytest -q -m coverage -s --durations=10

test-oracles: $(INSTALLED) $(ORACLES) ## figures and intervals against other libraries
	@$(PY) -m pytest -q -m oracle -k torchmetrics tests/metrics/test_oracles.py
	@.venv-oracles/bin/python -m pytest -q -m oracle -k 'not torchmetrics' --confcutdir=tests/metrics tests/metrics/test_oracles.py

test-real: $(INSTALLED) ## train, distil and train again on real scans, where they lie beside the project
	@$(PY) -m pytest -q -m real --durations=10

test-slurm: $(INSTALLED) ## run the slower tests on a SLURM of one node (needs root, slurm-wlm, munge)
	@$(PY) -m pytest -q -m slurm --durations=10

lint: $(INSTALLED) ## check the code with ruff, and which package uses which
	@$(PY) -m ruff check .
	@.venv/bin/lint-imports --no-logo

clean: ## remove .venv, .venv-oracles and the caches, never runs/
	rm -rf .venv .venv-oracles build dist *.egg-info .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -not -path './runs/*' -prune -exec rm -rf {} +

# Made last, so an interrupted set-up is taken up again. Only a missing or broken .venv is made anew.
$(INSTALLED): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "CoLoRA Studio needs Python 3.11 or newer: install it, or name it with make PYTHON=/path/to/python3."; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "$(PYTHON) lacks the venv module: install it with apt-get install python3-venv (Debian, Ubuntu)."; exit 1; }
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@uv --version >/dev/null 2>&1 || $(PY) -m pip install --quiet uv || true
	@$(MAKE) --no-print-directory install-$(TORCH)
	@touch $@

.PHONY: install-default install-cpu
install-default:
	@$(UV_INSTALL) -e ".[test]" || \
	  { echo "uv did not succeed: installing with pip, which takes longer."; $(PY) -m pip install -e ".[test]"; }

# The dry run asks PyTorch's own index once, so that an index out of reach costs seconds.
install-cpu:
	@{ UV_HTTP_RETRIES=0 UV_HTTP_TIMEOUT=10 $(UV_INSTALL) --quiet --dry-run --no-deps --torch-backend=cpu torch \
	   && $(UV_INSTALL) --torch-backend=cpu -e ".[test]"; } || \
	  { echo "PyTorch's CPU builds need uv and PyTorch's own index, which could not be reached: going on with the default builds."; \
	    $(MAKE) --no-print-directory install-default; }

# Other people's networks, beside what the tests need: no other target waits for them.
$(ZOO): $(INSTALLED)
	@$(UV_INSTALL) -e ".[test,zoo]" || \
	  { echo "uv did not succeed: installing with pip, which takes longer."; $(PY) -m pip install -e ".[test,zoo]"; }
	@touch $@

# Libraries that would take the place of packages in .venv: beside them only what colora.metrics needs, from the extra
# itself, since to install the project would bring torch.
$(ORACLES): pyproject.toml
	@$(PYTHON) -m venv --clear .venv-oracles
	@$(PYTHON) -c 'import tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
	  print(*project["optional-dependencies"]["oracles"], sep="\n")' > .venv-oracles/requirements.txt
	@.venv-oracles/bin/python -m pip install --quiet -r .venv-oracles/requirements.txt
	@touch $@
