"""Latents sought for one picture: fewer bits for a better picture, at the cost of hundreds of steps. Needs PyTorch.

What g_a gives is good for pictures on average. For one picture, y and z are moved by gradients of rate + lambda *
distortion, rounded by chance at first and ever more surely (stochastic Gumbel annealing). Files are decoded as before.

References: Yang et al. 2020, "Improving inference for neural image compression", arXiv:2006.04240, section 3.2.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from torch import Generator, Tensor
from torch.optim import Adam

from ...checkpoints import Checkpoint
from ...runtime import autocast, pick_precision, placed
from .detail import RestorationNetwork
from .loss import CodecWithPrior, Seen
from .networks import RESTORATION_NETWORK, TUNING_NETWORK, codec_of
from .prior import FactorizedPrior

# In quantisation steps. Of 0.004 to 0.05 this came lowest after 200 and after 400 steps on two held-out photographs.
LEARNING_RATE = 0.006
TEMPERATURES = 0.3, 0.07  # first and last
SURE = 1e-4  # a latent nearer than this to a whole number is as good as there


class Annealing(CodecWithPrior):
    """A codec whose latents are rounded up or down by chance, the nearer one the likelier; with a gradient.

    Args:
        codec: with its densities, frozen.
        generator: of the chance.

    Attributes:
        temperature: at 0 the nearer one is sure; between, what comes of it lies between the two.
    """

    def __init__(self, codec: CodecWithPrior, generator: Generator) -> None:
        super().__init__(codec.codec, codec.prior)
        self.generator, self.temperature = generator, TEMPERATURES[0]
        self.eval()

    def rounded(self, bins: Tensor) -> Tensor:
        below = bins.floor()
        share = (bins - below).clamp(SURE, 1 - SURE)
        chances = torch.rand((2, *bins.shape), generator=self.generator, device=bins.device).clamp(1e-9, 1 - 1e-7)
        gumbel = -(-chances.log()).log()
        logits = -torch.atanh(torch.stack((share, 1 - share))) / self.temperature
        return below + ((logits + gumbel) / self.temperature).softmax(0)[1]

    def rounded_hyper(self, bins: Tensor) -> Tensor:
        return self.rounded(bins)


def squared_error(found: Tensor, true: Tensor) -> Tensor:
    """Mean square of the difference of each picture (B,), in grey levels of 255."""
    return 255**2 * (found - true).square().mean((1, 2, 3))


DISTORTIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "psnr": squared_error,
    "ms-ssim": Seen(),
}  # by choices.TUNES


@lru_cache(maxsize=1)
def _frozen(checkpoint: Checkpoint, device: str) -> CodecWithPrior:
    """A weight file's codec and its densities."""
    densities = checkpoint.part("prior")
    prior = FactorizedPrior(torch.ones(densities["scale"].numel()))
    prior.load_state_dict(densities)
    return placed(CodecWithPrior(codec_of(checkpoint), prior), device)


@lru_cache(maxsize=1)
def _restoring(checkpoint: Checkpoint, device: str) -> RestorationNetwork:
    network = RESTORATION_NETWORK.build(checkpoint)
    assert isinstance(network, RestorationNetwork)
    return placed(network.requires_grad_(False), device)


@lru_cache(maxsize=1)
def _tuning(checkpoint: Checkpoint, device: str) -> torch.nn.Module:
    return placed(TUNING_NETWORK.build(checkpoint).requires_grad_(False), device)


def annealed(
    checkpoint: Checkpoint,
    x: np.ndarray,
    shown: tuple[int, int],
    rate: float,
    steps: int,
    tune: str = "psnr",
    restoration: Checkpoint | None = None,
    tuning: Checkpoint | None = None,
    device: str = "cpu",
    report: Callable[[int], None] = lambda step: None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Latents of a picture, and its hyper-latents if the codec has them, close to whole numbers of steps.

    Args:
        checkpoint: a codec's weights.
        x: (3, H, W) in [0, 1], float32, sides multiples of the stride.
        shown: height and width of what of it is seen; the rest, below and to the right, may look as it likes.
        rate: in [0, 1].
        steps: of gradient descent.
        tune: by what the picture is to be as good as it can: `psnr` or `ms-ssim`.
        restoration: weights of what readers restore the picture by, if they do.
        tuning: weights of what moves latents before they are sought, if anything does.
        device: cpu, cuda or mps.
        report: is told how many are done.

    Returns:
        y (M, h, w) and z (N, ceil(h / 4), ceil(w / 4)) or None, float32.
    """
    frozen = _frozen(checkpoint, device)
    model = Annealing(frozen, Generator(device).manual_seed(0))
    where = torch.device(device)
    true, at = torch.from_numpy(x)[None].to(where), torch.tensor([rate], device=where)
    step = frozen.codec.steps(at)[0]
    with torch.no_grad():
        y = frozen.codec.analysis(true).float()
        if tuning is not None:
            y = _tuning(tuning, device)(y, at.view(1, 1, 1, 1)).float()
        z = frozen.hyper(y)
    # Counted in steps, so that one learning rate does for all channels.
    moves = [torch.zeros_like(y).requires_grad_()]
    if z is not None:
        moves.append(torch.zeros_like(z).requires_grad_())
        hyper_step = frozen.codec.hyper_steps(at)  # type: ignore[operator]
    weight = float(frozen.codec.lambda_at(at)) * shown[0] * shown[1]
    restore = None if restoration is None else _restoring(restoration, device)
    optimizer = Adam(moves, LEARNING_RATE)
    first, last = TEMPERATURES

    def moved() -> tuple[Tensor, Tensor | None]:
        return y + moves[0] * step, None if z is None else z + moves[1] * hyper_step

    for number in range(steps):
        done = number / max(1, steps - 1)
        model.temperature = first * (last / first) ** done
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * (1 - number / steps) ** 0.5
        with autocast(where, pick_precision("auto", where)):
            x_hat, bits = model.code(*moved(), at)
            if restore is not None:
                x_hat = x_hat.float().clamp(0, 1)
                x_hat = x_hat + restore(x_hat, at.view(1, 1, 1, 1)).float()
        found, wanted = (t[..., : shown[0], : shown[1]] for t in (x_hat.float(), true))
        optimizer.zero_grad()
        (bits + weight * DISTORTIONS[tune](found, wanted)).sum().backward()
        optimizer.step()
        report(number + 1)
    y_found, z_found = (None if t is None else t.detach().cpu().numpy()[0] for t in moved())
    assert y_found is not None
    return y_found, z_found
