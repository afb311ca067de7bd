"""Who compares textures with samples: PyTorch, or onnxruntime where that suffices."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ...checkpoints import load_checkpoint
from ...engines.choose import has_gpu, has_torch, torch_engine
from ...engines.onnx_engine import find_graph
from ...errors import Img2ImgError
from ...extras import need

if TYPE_CHECKING:
    from .methods.optimize import Eye

TORCH_ONLY = ("random", "vgg19")  # descriptors without graphs


def pick_eye(
    descriptor: str | Path = "vgg-slim",
    weights: str | Path | None = None,
    engine: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    needs_torch: str = "",
) -> Eye:
    """The eye of these names.

    Args:
        descriptor: vgg-slim, random, vgg19, or a file that training wrote.
        weights: a file of VGG-19's weights, instead of a download.
        engine: auto, torch or onnx. auto is onnxruntime where it can do it and no GPU is there.
        device: auto, cpu, cuda or mps; onnx knows only the CPU.
        precision: auto, fp32 or bf16; onnx knows only fp32.
        needs_torch: what onnx cannot do, in words, if it is wanted.

    Raises:
        WeightsError: the weights are missing, damaged or for something else, or have no graphs for onnxruntime.
        Img2ImgError: PyTorch is needed and not there, or not wanted; or the device is not there.
    """
    if not needs_torch and descriptor in TORCH_ONLY:
        needs_torch = f"the descriptor {descriptor}"
    if not needs_torch and (device.partition(":")[0] in ("cuda", "mps") or precision == "bf16"):
        needs_torch = precision if precision == "bf16" else f"the device {device}"
    if engine == "onnx" and needs_torch:
        raise Img2ImgError(f"{needs_torch} is not for the engine onnx, but for torch")
    if engine == "onnx" or (engine == "auto" and not needs_torch and _suffices(descriptor, device)):
        from .methods.by_graph import GraphEye

        return GraphEye.load(descriptor)
    need(needs_torch or "the engine torch", "torch")
    return _by_torch(descriptor, weights, device, precision)


def _suffices(descriptor: str | Path, device: str) -> bool:
    """Whether onnxruntime is there, has the graphs, and no GPU would be quicker; or PyTorch is not there at all."""
    if not has_torch():
        return True
    if find_spec("onnxruntime") is None or (device == "auto" and has_gpu()):
        return False
    return find_graph(load_checkpoint(descriptor), "gradient") is not None


def _by_torch(descriptor: str | Path, weights: str | Path | None, device: str, precision: str) -> Eye:
    torch_engine(device, precision)  # or it says what is missing
    from ...descriptors.by_name import load_descriptor
    from ...runtime import pick_device, pick_precision
    from .methods.by_torch import TorchEye

    where = pick_device(device)
    loaded = load_descriptor(descriptor, None if weights is None else Path(weights), where, circular=True)
    return TorchEye(loaded, where, pick_precision(precision, where))
