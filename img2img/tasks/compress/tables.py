"""From densities to integer tables: done once, when weights are written. Whoever decodes only reads them.

A table computed where it is used would differ in its last digit from machine to machine, and with it all that follows.
"""

import numpy as np
import torch
from torch import Tensor

from .coder import TOTAL
from .exact import FRACTION
from .hyperprior import HyperpriorCodec
from .latents import GRID, LOG2_SIGMAS
from .loss import CodecWithPrior
from .model import interpolate
from .prior import FactorizedPrior

NARROW, WIDE = 32, 4096  # symbols each side of a channel's median that are tried
TAIL = 2.0**-16  # probability of what a table leaves to the escape at either end


@torch.no_grad()
def make_tables(model: CodecWithPrior) -> dict[str, Tensor]:
    """All integers that coding needs, by name, for the weight file: tables, medians, steps.

    Factorised rows: channel * GRID + place of the rate on the grid. Behind them a hyperprior's Gaussian rows.
    """
    codec, prior = model.codec, model.prior
    log_steps = codec.log_hyper_step if isinstance(codec, HyperpriorCodec) else codec.log_step
    rows = _factorized_rows(
        prior,
        torch.stack([interpolate(log_steps, rate.view(1)).flatten() for rate in torch.linspace(0, 1, GRID)]).exp(),
    )
    tensors = {"medians": _fixed(prior.medians().flatten())}
    if isinstance(codec, HyperpriorCodec):
        rows += [_gaussian_row(2 ** (eighth / 8)) for eighth in range(LOG2_SIGMAS[0], LOG2_SIGMAS[1] + 1)]
        tensors |= {
            "hyper_step": _fixed(codec.log_hyper_step.exp()),
            "step": _fixed(codec.log_step.exp()),
            "log2_step": _fixed(codec.log_step / np.log(2)),
            "log2_unit": codec.unit.flatten().log2().round().int(),
        }
    return tensors | {
        "frequencies": torch.from_numpy(np.concatenate([row for _, row in rows]).astype(np.uint16)),
        "lengths": torch.tensor([len(row) for _, row in rows], dtype=torch.int32),
        "firsts": torch.tensor([first for first, _ in rows], dtype=torch.int32),
    }


def _fixed(values: Tensor) -> Tensor:
    return (values.double() * 2**FRACTION).round().int().cpu()


def _factorized_rows(prior: FactorizedPrior, steps: Tensor) -> list[tuple[int, np.ndarray]]:
    """First symbol and frequencies of each channel at each of the steps (GRID, M), channel after channel."""
    by_channel: list[list[tuple[int, np.ndarray]]] = [[] for _ in range(steps.shape[1])]
    for step in steps:
        masses, reach = _masses(prior, step, NARROW), NARROW
        wide = [c for c, mass in enumerate(masses) if mass.sum() < 1 - TAIL]
        widely = dict(zip(wide, _masses(_channels(prior, wide), step[wide], WIDE), strict=True)) if wide else {}
        for c, mass in enumerate(masses):
            reach = WIDE if c in widely else NARROW
            by_channel[c].append(quantise(widely.get(c, mass), -reach))
    return [row for rows in by_channel for row in rows]


def _masses(prior: FactorizedPrior, step: Tensor, reach: int) -> np.ndarray:
    """Probabilities of the symbols -reach ... reach of each channel: (M, 2 * reach + 1)."""
    symbols = torch.arange(-reach, reach + 1, device=step.device)
    y = prior.medians() + symbols * step.view(1, -1, 1, 1)
    return prior.probability(y, step.view(1, -1, 1, 1))[0, :, 0].double().cpu().numpy()


def _channels(prior: FactorizedPrior, chosen: list[int]) -> FactorizedPrior:
    """A prior of these channels only."""
    part = FactorizedPrior(prior.scale[0, chosen, 0, 0])
    for name, parameter in prior.named_parameters():
        part.get_parameter(name).copy_(parameter[chosen])
    return part.to(prior.scale.device)


def _gaussian_row(sigma: float) -> tuple[int, np.ndarray]:
    edges = torch.arange(-WIDE, WIDE + 2, dtype=torch.float64) - 0.5
    # By symmetry from the lower half, where differences of the distribution function keep their digits.
    lower = torch.special.ndtr(edges[: WIDE + 1] / sigma)
    half = (lower[1:] - lower[:-1]).numpy()
    return quantise(np.concatenate((half, [1 - 2 * half.sum()], half[::-1])), -WIDE)


def quantise(mass: np.ndarray, first: int) -> tuple[int, np.ndarray]:
    """Frequencies that sum to TOTAL from probabilities of the symbols first, first + 1, ...; the last is the escape.

    Returns:
        the first symbol that the row keeps, and its frequencies.
    """
    kept = np.flatnonzero((np.cumsum(mass) > TAIL) & (np.cumsum(mass[::-1])[::-1] > TAIL))
    low, high = (int(kept[0]), int(kept[-1])) if len(kept) else (int(mass.argmax()),) * 2
    inside = mass[low : high + 1]
    frequencies = np.maximum(np.rint(np.append(inside, 1 - inside.sum()) * TOTAL), 1).astype(np.int64)
    # Rounding and the least frequency of 1 are paid for by the most frequent, which notice it least.
    while excess := int(frequencies.sum()) - TOTAL:
        largest = int(frequencies.argmax())
        frequencies[largest] -= min(excess, int(frequencies[largest]) // 2) if excess > 0 else excess
    return first + low, frequencies
