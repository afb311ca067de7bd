"""What becomes of a texture's colours: kept as grown, matched with the sample's, or taken from its luminance."""

from typing import Literal

import torch
from torch import Tensor

Colour = Literal["keep", "match", "luminance"]

LUMINANCE = (0.299, 0.587, 0.114)  # of sRGB values, Rec. 601: the Y of YIQ, in which Gatys 2016 works
ROUNDS = 8


def luminance(image: Tensor) -> Tensor:
    """The luminance (1, H, W) of an image (C, H, W); a grey one is its own."""
    if image.shape[0] == 1:
        return image
    return torch.einsum("c,chw->hw", image.new_tensor(LUMINANCE), image)[None]


def coloured(grey: Tensor, sample: Tensor) -> Tensor:
    """A grey texture in the sample's colours: what its pixels of that luminance have on average.

    Colour is predicted from luminance by least squares over the sample's pixels, a straight line through its mean
    colour. The luminance of the result is exactly the texture's.

    Gatys 2016 keeps the colours of a content image. A texture has none: this is the line that its sample suggests.

    Args:
        grey: (1, H, W).
        sample: (C, h, w); a grey sample leaves the texture grey.

    Returns:
        (C, H, W).

    References: Gatys et al. 2016, arXiv:1606.05897 (luminance-only transfer).
    """
    if sample.shape[0] == 1:
        return grey
    y, colours = luminance(sample).flatten().double(), sample.flatten(1).double()
    mean_y, mean = y.mean(), colours.mean(1)
    spread = (y - mean_y).square().mean()
    covariance = ((colours - mean[:, None]) * (y - mean_y)).mean(1)
    # One luminance says nothing of colours; a slope of 1 for each channel keeps the texture's luminance all the same.
    slope = covariance / spread if spread > 1e-10 else torch.ones_like(mean)
    return mean.float()[:, None, None] + slope.float()[:, None, None] * (grey - mean_y.float())


def match_colours(image: Tensor, sample: Tensor, seed: int = 0) -> Tensor:
    """An image whose colours are distributed as the sample's are.

    Along each of three axes of colour at right angles the values are replaced by the sample's of the same rank, for
    several such triples of axes, red, green and blue last. Grey is matched exactly by one round.

    Args:
        image: (C, H, W).
        sample: (C, h, w).
        seed: of the axes.

    Returns:
        (C, H, W), values in the sample's range.

    References: Pitié et al. 2007, doi:10.1016/j.cviu.2006.11.011 (iterative distribution transfer).
    """
    x, wanted = image.flatten(1).clone(), sample.flatten(1)
    generator = torch.Generator().manual_seed(seed)
    for left in range(0 if len(x) == 1 else ROUNDS, -1, -1):
        axes = torch.linalg.qr(torch.randn(3, 3, generator=generator)).Q.to(x) if left else torch.eye(len(x)).to(x)
        turned, targets = axes @ x, axes @ wanted
        x = axes.T @ torch.stack([_ranked(*pair) for pair in zip(turned, targets, strict=True)])
    return x.reshape(image.shape)


def _ranked(values: Tensor, wanted: Tensor) -> Tensor:
    """The values replaced by the wanted ones of the same rank, interpolated where their numbers differ."""
    order = values.argsort(stable=True)
    quantiles = wanted.sort().values
    place = (torch.arange(len(values), dtype=torch.float64) + 0.5) * (len(wanted) / len(values)) - 0.5
    place = place.clamp(0, len(wanted) - 1)
    low = place.floor().long()
    share = (place - low).to(values)
    matched = torch.lerp(quantiles[low], quantiles[(low + 1).clamp(max=len(wanted) - 1)], share)
    return torch.empty_like(values).scatter_(0, order, matched)
