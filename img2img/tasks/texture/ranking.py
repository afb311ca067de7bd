"""Rows sorted, and the order that sorts them: what optimal transport along one axis comes down to."""

import numpy as np
import torch
from torch import Tensor


def sorted_rows(values: Tensor) -> Tensor:
    """Each row of (..., N) from its least to its greatest, without gradients.

    float32 on a CPU by NumPy: with AVX-512 nine times as fast as PyTorch, without hardly faster.
    """
    if values.device.type != "cpu" or values.dtype != torch.float32:
        return values.sort(dim=-1).values
    return torch.from_numpy(np.sort(values.detach().numpy(), axis=-1))


def order_of(values: Tensor) -> Tensor:
    """Where the numbers of each row, (..., N), are found from the least to the greatest; equal ones as they come.

    float32 on a CPU by NumPy, which sorts integers up to six times as fast as PyTorch finds an order (with AVX-512;
    without it is hardly faster). Each is made of a number's bits, which are in the order of the numbers but for the
    sign, and below them its place. Not for NaN.
    """
    if values.device.type != "cpu" or values.dtype != torch.float32:
        return values.argsort(dim=-1, stable=True)
    order = np.empty(values.shape, np.int64)
    place = np.arange(values.shape[-1], dtype=np.int64)
    rows = (x.reshape(values.shape[:-1].numel(), len(place)) for x in (values.detach().numpy(), order))
    for row, keys in zip(*rows, strict=True):
        bits = (row + np.float32(0)).view(np.int32)  # + 0: there is a -0 as well
        keys[:] = bits ^ ((bits >> 31) & 0x7FFFFFFF)
        keys <<= 32
        keys |= place
        keys.sort()
        keys &= 0xFFFFFFFF
    return torch.from_numpy(order)
