"""Descriptors by name or file, for whoever compares pictures by a frozen network's features."""
