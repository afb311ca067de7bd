"""What a descriptor sees of a sample."""

import torch
from torch import Tensor

from ...core.descriptor import Descriptor
from .pyramid import with_mirrors, without_mirrors


@torch.no_grad()
def sample_features(descriptor: Descriptor, sample: Tensor, depth: int | None = None) -> list[Tensor]:
    """Features of a sample without those that see its borders (see `with_mirrors`).

    Args:
        descriptor: on a torus.
        sample: (1, C, H, W), C 1 or 3, any size.
        depth: how many of the layers; all without.

    Returns:
        (1, C_l, H_l, W_l) for each layer, at least one feature each.
    """
    size = sample.shape[-2], sample.shape[-1]
    rows, columns = (torch.from_numpy(with_mirrors(side)).to(sample.device) for side in size)
    x = sample[:, :, rows][..., columns].expand(-1, 3, -1, -1)
    layers = descriptor(x.contiguous(memory_format=torch.channels_last), depth)
    return [without_mirrors(layer, size) for layer in layers]
