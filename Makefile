# make demo: a noisy photograph comes out clean.  make test: lint, types, tests.  Both set up .venv first, nothing else is needed.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin

.PHONY: demo test tests lint types fuzz bench clean

demo: $(VENV)/.installed
	$(RUN)/python examples/demo.py

test: lint types tests

lint: $(VENV)/.installed
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .

types: $(VENV)/.installed
	$(RUN)/mypy

tests: $(VENV)/.installed
	$(RUN)/python -m pytest

fuzz: $(VENV)/.installed
	cd tests && OMP_NUM_THREADS=1 ../$(RUN)/python fuzz_i2i.py --cases 20000

bench: $(VENV)/.installed-bench
	$(RUN)/img2img bench denoise

# The stamps are written last: an installation that broke off is done again.
$(VENV)/.installed: setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo 'img2img needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install -e '.[dev]' -c constraints.txt
	touch $@

$(VENV)/.installed-bench: $(VENV)/.installed
	$(RUN)/python -m pip install -e '.[bench]' -c constraints.txt
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
