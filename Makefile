# make demo: a noisy photograph comes out clean, by the light installation.  make test: lint, types, every test.
# Both set up .venv first, nothing else is needed.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
INSTALL := $(RUN)/python -m pip install --disable-pip-version-check

.PHONY: demo test tests lint types docs fuzz bench wheels test-compressai clean

demo: $(VENV)/.light
	$(RUN)/python examples/demo.py

test: lint types tests

lint: $(VENV)/.installed
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .

types: $(VENV)/.installed
	$(RUN)/mypy

tests: $(VENV)/.installed
	$(RUN)/python -m pytest

# The pages as a site, without network: site/index.html.
docs: $(VENV)/.installed
	$(RUN)/python -m mkdocs build --strict

fuzz: $(VENV)/.installed
	cd tests && OMP_NUM_THREADS=1 ../$(RUN)/python fuzz_i2i.py --cases 20000

bench: $(VENV)/.installed-bench
	$(RUN)/img2img bench denoise

# Which systems have wheels of all that the light installation needs; asks the package index, renews a page.
wheels: $(VENV)/.light
	$(INSTALL) uv
	$(RUN)/python docs/check_wheels.py

# Our densities and GDN beside compressai's, which needs numpy below 2 and a C++ compiler: in an environment of its own.
test-compressai: $(VENV)-compressai/.installed
	$(VENV)-compressai/bin/python -m pytest tests/test_compress_model.py tests/test_core_encoder_decoder.py

# The stamps are written last: an installation that broke off is done again.
$(VENV)/.light: setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo 'img2img needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) -e . -c constraints.txt
	touch $@

$(VENV)/.installed: $(VENV)/.light
	$(INSTALL) -e '.[dev]' -c constraints.txt
	touch $@

$(VENV)/.installed-bench: $(VENV)/.installed
	$(INSTALL) -e '.[bm3d]' -c constraints.txt
	touch $@

$(VENV)-compressai/.installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)-compressai
	$(VENV)-compressai/bin/python -m pip install -e '.[compressai]' hypothesis pytest
	touch $@

clean:
	rm -rf $(VENV) $(VENV)-compressai build dist site *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
