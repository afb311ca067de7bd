"""Command line of img2img, installed as img2img.cli."""
