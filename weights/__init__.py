"""Trained weights, found by name through index.toml; installed as img2img.weights."""
