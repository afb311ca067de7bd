"""What becomes of a texture's colours: kept as grown, matched with the sample's, or taken from its luminance."""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from .transport import transported

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

    Along ROUNDS triples of axes of colour, red, green and blue last (`transported`). Grey is matched exactly.

    Args:
        image: (C, H, W).
        sample: (C, h, w).
        seed: of the axes.

    Returns:
        (C, H, W), values in the sample's range.
    """
    moved = transported(image.flatten(1), sample.flatten(1), ROUNDS, Generator().manual_seed(seed))
    return moved.reshape(image.shape)


def palette(samples: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    """Pixels of all samples, as many of each as its share, at least one, as an image of one row (C, 1, N).

    Where there are more than wanted they are chosen by chance: every third one of stripes could be of one colour.
    """
    total = max(image[0].numel() for image in samples)
    chance = Generator().manual_seed(0)
    parts = []
    for image, share in zip(samples, shares, strict=True):
        pixels = image.flatten(1)
        there, count = pixels.shape[1], max(1, round(share * total)) if share else 0
        places = (
            torch.randperm(there, generator=chance)[:count] if count < there else torch.arange(count) * there // count
        )
        parts.append(pixels[:, places.to(pixels.device)])
    return torch.cat(parts, 1)[:, None]
