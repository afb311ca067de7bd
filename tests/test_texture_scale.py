"""The scale at which a sample is seen: structures are measured against ones of known size."""

import numpy as np
import pytest
from PIL import Image

from img2img.images import Picture
from img2img.tasks.texture.scale import correlation_length, fitting_scale, scaled


def blobs(height: int, width: int, each: int) -> Picture:
    """Squares of chance brightness with soft borders, `each` pixels wide."""
    small = np.random.default_rng(0).integers(0, 256, (height // each, width // each), np.uint8)
    return Picture(np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))[..., None])


def test_correlation_grows_with_structures() -> None:
    lengths = [correlation_length(blobs(400, 480, each)) for each in (4, 8, 16, 40)]
    assert lengths == sorted(lengths)
    assert lengths[3] / lengths[1] == pytest.approx(5, rel=0.3)
    assert 0.4 < lengths[2] / 16 < 1.2
    assert correlation_length(blobs(1600, 1920, 64)) == pytest.approx(
        4 * lengths[2], rel=0.2
    )  # measured on a smaller one
    assert correlation_length(Picture(np.full((20, 30, 3), 7, np.uint8))) >= 1


def test_large_things_are_made_to_fit_and_fine_ones_stay() -> None:
    assert fitting_scale(blobs(800, 960, 4), (256, 256)) == 1
    assert fitting_scale(blobs(400, 480, 80), (256, 256)) == 1  # hardly larger than the texture
    assert 0.32 <= fitting_scale(blobs(800, 960, 80), (256, 300)) < 0.5
    assert fitting_scale(blobs(800, 960, 400), (200, 300)) == 0.25  # all of the sample, and no smaller


def test_a_scaled_picture_keeps_its_bits_and_what_is_transparent_does_not_bleed() -> None:
    alpha = np.zeros((40, 60), np.uint16)
    alpha[:, 20:] = 65535
    samples = np.where(alpha[..., None] > 0, 50000, 0).astype(np.uint16).repeat(3, 2)
    small = scaled(Picture(samples, alpha=alpha), 0.5)
    assert (small.samples.shape, small.samples.dtype) == ((20, 30, 3), np.uint16)
    assert small.alpha is not None
    assert abs(small.samples[small.alpha > 32768].astype(int) - 50000).max() <= 1
    assert small.alpha[0, [0, -1]].tolist() == [0, 65535]
    picture = Picture(samples)
    assert scaled(picture, 1) is picture
