"""Networks run by PyTorch: on GPUs, in bf16, of any weight file."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..checkpoints import Checkpoint
from ..runtime import autocast, keep_big_buffers, pick_device, pick_precision, placed, survive_forks
from .network import Network, Runner


class TorchEngine:
    """Builds modules and calls them without gradients.

    Args:
        device: auto (CUDA, else Apple's MPS, else the CPU), cpu, cuda or mps.
        precision: auto (bf16 where the processor is fast at it), fp32 or bf16, of convolutions.

    Raises:
        Img2ImgError: the device is not there.
    """

    name = "torch"

    def __init__(self, device: str = "auto", precision: str = "auto") -> None:
        keep_big_buffers()
        survive_forks()
        self.where = pick_device(device)
        self.dtype = pick_precision(precision, self.where)

    @property
    def device(self) -> str:
        return self.where.type

    def expect(self, pixels: int) -> None:
        """Nothing depends on it."""

    def load(self, checkpoint: Checkpoint, network: Network) -> Runner:
        return self.runner(network.build(checkpoint))

    def runner(self, module: nn.Module) -> Runner:
        """A module, put on the device, as a function of arrays."""
        module = placed(module, self.where)

        @torch.inference_mode()
        def run(*inputs: np.ndarray) -> Any:
            given = [_on(self.where, array) for array in inputs]
            with autocast(self.where, self.dtype):
                result = module(*given)
            return _array(result) if isinstance(result, Tensor) else tuple(_array(part) for part in result)

        return run


def _on(device: torch.device, array: np.ndarray) -> Tensor:
    # Copied where the strides are negative or the memory may not be written to, which tensors cannot have.
    plain = np.ascontiguousarray(array) if any(s < 0 for s in array.strides) or not array.flags.writeable else array
    tensor = torch.from_numpy(plain).to(device)
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor


def _array(tensor: Tensor) -> np.ndarray:
    array: np.ndarray = tensor.float().cpu().numpy()
    return array
