"""Measurements of the suite against what a user would pick instead; run by `img2img bench`."""
