"""Which engine: the one asked for, or the one that gives the result soonest, its start counted."""

from __future__ import annotations

import os
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ..checkpoints import Checkpoint
from ..choices import DEVICES, ENGINES, PRECISIONS
from ..errors import Img2ImgError, OptionError
from ..runtime import threads
from .network import Engine, Network, Runner
from .onnx_engine import OnnxEngine, find_graph

# Measured on two cores of a Xeon with AMX: PyTorch takes 1.6 s more to start than onnxruntime, an fp32 network 12.5 us
# of one core per million multiplications in onnxruntime, and bf16 in PyTorch 0.65 times that.
START = 1.6
SECONDS_PER_GMAC = 0.0125
SAVED_BY_BF16, SAVED_BY_GPU = 0.35, 0.95


def pick_engine(
    engine: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    *,
    kmac_per_pixel: float = 0.0,
    pictures: int = 1,
) -> Engine:
    """The engine of these names.

    Args:
        engine: auto, torch or onnx.
        device: auto, cpu, cuda or mps; onnx knows only the CPU.
        precision: auto (bf16 where PyTorch runs and the processor is fast at it), fp32 or bf16; onnx knows only fp32.
        kmac_per_pixel: roughly what a pixel costs, in thousands of multiplications; auto decides by it.
        pictures: how many are to come, as large as the first one.

    Raises:
        Img2ImgError: PyTorch is asked for and missing, the device is not there, or the three contradict each other.
    """
    for value, known in ((engine, ENGINES), (device, DEVICES), (precision, PRECISIONS)):
        if str(value).partition(":")[0] not in known:
            raise OptionError(f"{value!r} is none of {', '.join(known)}")
    needs_torch = [word for word in (device, precision) if word in ("cuda", "mps", "bf16") or word.startswith("cuda:")]
    if engine == "onnx":
        if needs_torch:
            raise OptionError(f"the engine onnx computes on the CPU and in fp32; {needs_torch[0]} needs torch")
        return OnnxEngine()
    if engine == "torch" or needs_torch:
        return torch_engine(device, precision)
    if find_spec("onnxruntime") is None:
        return torch_engine(device, precision)
    if not has_torch():
        return OnnxEngine()
    return AutoEngine(device, precision, kmac_per_pixel, pictures)


def has_torch() -> bool:
    """Whether PyTorch is installed; finding out does not import it."""
    return find_spec("torch") is not None


def torch_engine(device: str, precision: str) -> Engine:
    """The engine that needs PyTorch.

    Raises:
        Img2ImgError: it is not installed, or the device is not there.
    """
    if not has_torch():
        word = next((w for w in (device, precision) if w not in ("auto", "cpu", "fp32")), "the engine torch")
        raise Img2ImgError(f"{word} needs PyTorch: pip install 'img2img-suite[torch]'")
    from .torch_engine import TorchEngine

    return TorchEngine(device, precision)


class AutoEngine:
    """Becomes one of the others when it hears of the first picture: PyTorch if that saves more than its start costs.

    From then on it stays the same, so that all pictures of a batch are computed alike; and the choice follows from the
    machine and the work alone, not from what happens to be imported.

    Args:
        device, precision, kmac_per_pixel, pictures: as for `pick_engine`.
    """

    def __init__(self, device: str, precision: str, kmac_per_pixel: float, pictures: int) -> None:
        self.arguments = device, precision
        self.kmac_per_pixel, self.pictures = kmac_per_pixel, pictures
        self.has_graphs = True
        self._chosen: Engine | None = None

    @property
    def chosen(self) -> Engine:
        """The engine that runs; before any picture was heard of the one with the shorter start."""
        if self._chosen is None:
            self.expect(0)
        assert self._chosen is not None
        return self._chosen

    @property
    def name(self) -> str:
        return self.chosen.name

    @property
    def device(self) -> str:
        return self.chosen.device

    def expect(self, pixels: int) -> None:
        if self._chosen is None:
            worth = self.saved(pixels) > START or not self.has_graphs
            self._chosen = torch_engine(*self.arguments) if worth else OnnxEngine()

    def saved(self, pixels: int) -> float:
        """Seconds that PyTorch would save, its start not counted."""
        device, precision = self.arguments
        faster = SAVED_BY_GPU if device == "auto" and has_gpu() else 0.0
        if not faster and precision == "auto" and has_bf16():
            faster = SAVED_BY_BF16
        gmac = self.kmac_per_pixel * pixels * self.pictures / 1e6
        return faster * gmac * SECONDS_PER_GMAC / threads()

    def load(self, checkpoint: Checkpoint, network: Network) -> Runner:
        if find_graph(checkpoint, network.name) is None:
            self.has_graphs = False  # somebody's own weights: PyTorch needs none
            by_torch = self.chosen if self.chosen.name == "torch" else torch_engine(*self.arguments)
            return by_torch.load(checkpoint, network)
        ready: Runner | None = None

        def run(*inputs: np.ndarray) -> Any:
            nonlocal ready
            if ready is None:
                ready = self.chosen.load(checkpoint, network)
            return ready(*inputs)

        return run


@cache
def has_bf16() -> bool:
    """Whether this processor is fast at bf16, by what Linux says of it; elsewhere it is taken not to be."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    flags = next((line.split() for line in text.splitlines() if line.startswith("flags")), [])
    return "avx512_bf16" in flags or "amx_bf16" in flags


@cache
def has_gpu() -> bool:
    """Whether there seems to be a GPU that PyTorch could use, without asking it."""
    if sys.platform == "darwin":
        import platform

        return platform.machine() == "arm64"
    if sys.platform == "win32":
        return Path(os.environ.get("SYSTEMROOT", r"C:\Windows"), "System32", "nvcuda.dll").exists()
    return Path("/dev/nvidia0").exists() or Path("/dev/kfd").exists() or Path("/dev/dxg").exists()
