"""A real texture, noise, and a small descriptor that has learnt nothing: what tests of textures have in common."""

import torch
from skimage import data as photographs
from torch import Generator, Tensor

from img2img.tasks.texture.descriptor import VGG

CPU = torch.device("cpu")


def untrained(circular: bool = True) -> VGG:
    """A descriptor of VGG-19's blocks with few channels."""
    torch.manual_seed(0)
    return VGG(((8, 8), (12, 12), (16, 16, 16, 16), (24, 24, 24, 24), (32,)), circular=circular).eval()


def gravel(side: int = 48) -> Tensor:
    """A colour picture of a real texture: scikit-image's gravel, tinted by its brightness."""
    grey = torch.from_numpy(photographs.gravel()[:side, :side].copy()).float() / 255
    return torch.stack([grey, 0.8 * grey + 0.1, grey.square()])


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Uniform in [0, 1]."""
    return torch.rand(*shape, generator=Generator().manual_seed(seed))
