"""Who runs a network: PyTorch, or onnxruntime from a graph that was made when the weights were shipped.

A pipeline asks an engine for a network (`engine.load(checkpoint, NETWORK)`) and calls what it gets with NumPy arrays.
Nothing here imports PyTorch or onnxruntime before one of them is to be used.
"""

from .choose import AutoEngine, pick_engine
from .network import Engine, Network, Runner

__all__ = ["AutoEngine", "Engine", "Network", "Runner", "pick_engine"]
