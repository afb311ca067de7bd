"""The ways to make a texture of a sample, one module each."""
