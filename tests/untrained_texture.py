"""A real texture, noise, and a small descriptor that has learnt nothing: what tests of textures have in common."""

from pathlib import Path

import torch
from skimage import data as photographs
from torch import Generator, Tensor

from img2img.checkpoints import save_checkpoint
from img2img.core.descriptor import VGG

CPU = torch.device("cpu")
WIDTHS = ((8, 8), (12, 12), (16, 16, 16, 16), (24, 24, 24, 24), (32,))
JUDGED = {"relu1_2", "relu2_2", "relu3_4", "relu4_4"}  # what judges textures that are made by it
# Of a network: small tori of a small generator.
RECIPE = """
name = "tiny-network"
task = "texture"
steps = 6
lr = 0.01
warmup = 0
weight_decay = 0.0
betas = [0.9, 0.99]
clip = inf
ema = 0.0
every = 2
precision = "fp32"
phases = [{ until = 1.0, patch = 32, batch = 2 }]

[model]
widths = [8, 12, 16]
excited = 4
"""


def untrained(circular: bool = True) -> VGG:
    """A descriptor of VGG-19's blocks with few channels."""
    torch.manual_seed(0)
    return VGG(WIDTHS, circular=circular).eval()


def write_descriptor(folder: Path) -> Path:
    """Write that descriptor as a file of weights."""
    path = folder / "untrained.safetensors"
    tensors = {f"vgg.{name}": tensor for name, tensor in untrained().state_dict().items()}
    save_checkpoint(path, tensors, {"task": "descriptor", "network": "vgg", "config": {"widths": WIDTHS}})
    return path


def write_recipe(folder: Path) -> Path:
    """Write that recipe."""
    path = folder / "tiny.toml"
    path.write_text(RECIPE)
    return path


def gravel(side: int = 48) -> Tensor:
    """A colour picture of a real texture: scikit-image's gravel, tinted by its brightness."""
    grey = torch.from_numpy(photographs.gravel()[:side, :side].copy()).float() / 255
    return torch.stack([grey, 0.8 * grey + 0.1, grey.square()])


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Uniform in [0, 1]."""
    return torch.rand(*shape, generator=Generator().manual_seed(seed))
