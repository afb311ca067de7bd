"""Gatys' texture synthesis as published, with a whole VGG-19: a script for a process of its own.

    python -m img2img.benchmarks.texture_gatys SAMPLE TARGET WEIGHTS ITERATIONS SEED DEVICE

What ours is compared with, so none of our losses, pyramids and optimisers is used: from white noise, at one size, by
SciPy's L-BFGS-B within black and white, all five layers weighing alike. Only the network's own code is shared.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from img2img.tasks.texture import Descriptor

PAIRS = 20  # changes that L-BFGS remembers


def gatys(descriptor: Descriptor, sample: Tensor, iterations: int, seed: int = 0) -> Tensor:
    """A texture of the sample's size.

    Args:
        descriptor: with zeros around images, its channels scaled to mean activations of 1.
        sample: (C, H, W) in [0, 1], C 1 or 3.
        iterations: of L-BFGS-B, at most; mostly as many evaluations of the loss, and a few more.
        seed: of the noise.

    Returns:
        (C, H, W) in [0, 1], on the CPU.

    References: Gatys et al. 2015, arXiv:1505.07376.
    """
    import numpy as np
    import torch
    from scipy.optimize import minimize  # type: ignore[import-untyped]

    where = next(descriptor.parameters()).device
    wanted = [_gram(layer) for layer in descriptor(_rgb(sample.to(where)))]

    def objective(values: Any) -> tuple[float, Any]:
        x = torch.from_numpy(values).to(where, torch.float32).view_as(sample).requires_grad_()
        loss = torch.stack([_error(_gram(f), g) for f, g in zip(descriptor(_rgb(x)), wanted, strict=True)]).sum()
        loss.backward()
        assert x.grad is not None
        return loss.item(), x.grad.flatten().double().cpu().numpy()

    start = np.random.default_rng(seed).random(sample.numel())
    # No tolerance: it stops after so many iterations, as the paper's does, or when nothing gets better.
    options = {"maxiter": iterations, "maxfun": 4 * iterations, "maxcor": PAIRS, "ftol": 0.0, "gtol": 0.0}
    found = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=[(0, 1)] * len(start), options=options)
    return torch.from_numpy(found.x).float().view_as(sample)


def _rgb(image: Tensor) -> Tensor:
    return image.expand(3, -1, -1)[None]


def _gram(features: Tensor) -> Tensor:
    rows = features[0].flatten(1)
    return rows @ rows.T / rows.shape[1]


def _error(gram: Tensor, wanted: Tensor) -> Tensor:
    """The paper's E_l, for Gram matrices that are means over positions."""
    return (gram - wanted).square().sum() / (4 * len(gram) ** 2)


def main(sample: str, target: str, weights: str, iterations: str, seed: str, device: str) -> None:
    """Make a texture of a file."""
    from img2img.images import read_picture, write_picture
    from img2img.runtime import keep_big_buffers, pick_device
    from img2img.tasks.texture import load_descriptor

    keep_big_buffers()
    descriptor = load_descriptor("vgg19", Path(weights), pick_device(device))
    picture = read_picture(Path(sample))
    texture = gatys(descriptor, picture.to_tensor(), int(iterations), int(seed))
    write_picture(picture.with_tensor(texture), Path(target), "png")


if __name__ == "__main__":
    main(*sys.argv[1:])
