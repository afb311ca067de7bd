"""Rows sorted, and the order that sorts them: what optimal transport along one axis comes down to."""

import numpy as np
import torch
from torch import Tensor


def sorted_rows(values: Tensor) -> Tensor:
    """Each row of (..., N) from its least to its greatest, without gradients.

    float32 on a CPU by NumPy, whose sorting is vectorised: ten times as fast as PyTorch's.
    """
    if values.device.type != "cpu" or values.dtype != torch.float32:
        return values.sort(dim=-1).values
    return torch.from_numpy(np.sort(values.detach().numpy(), axis=-1))


def order_of(values: Tensor) -> Tensor:
    """Where the numbers of each row, (..., N), are found from the least to the greatest; equal ones as they come.

    float32 on a CPU by NumPy, which sorts integers six times as fast as PyTorch finds an order. Each is made of a
    number's bits, which are in the order of the numbers but for the sign, and below them its place.
    """
    if values.device.type != "cpu" or values.dtype != torch.float32:
        return values.argsort(dim=-1, stable=True)
    bits = (values.detach() + 0.0).numpy().view(np.int32).astype(np.int64)  # + 0.0: there is a -0.0 as well
    bits ^= (bits >> 63) & 0x7FFFFFFF
    keys = (bits << 32) | np.arange(bits.shape[-1], dtype=np.int64)
    keys.sort(axis=-1)
    return torch.from_numpy(keys & 0xFFFFFFFF)
