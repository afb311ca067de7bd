"""One suite that turns an image into a better or another image with trained networks."""

__version__ = "0.1.0"
