"""`python -m cli` in a plain checkout, where nothing is installed: for training on a borrowed machine."""

from .main import main

main()
