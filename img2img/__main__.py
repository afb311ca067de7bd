"""`python -m img2img`: the command; in a plain checkout, where nothing is installed, too."""

from importlib import import_module
from importlib.util import find_spec

import_module("img2img.cli.main" if find_spec("img2img.cli") else "cli.main").main()
