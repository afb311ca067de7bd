"""Bits per pixel, and Bjontegaard's rate by closed forms."""

import pytest

from img2img.metrics.bitrate import bd_rate, bits_per_pixel


def test_bits_per_pixel_are_of_the_whole_file() -> None:
    assert bits_per_pixel(1000, 40, 25) == 8


def test_bd_rate_of_a_curve_that_needs_a_fixed_share() -> None:
    pytest.importorskip("bjontegaard")
    reference = [(0.1 * 2**i, 24 + 3.0 * i) for i in range(5)]
    assert bd_rate(reference, [(0.7 * bpp, psnr) for bpp, psnr in reference]) == pytest.approx(-30)
    # Only part of the range, and another number of points.
    assert bd_rate(reference, [(1.5 * bpp, psnr) for bpp, psnr in reference[1:4]]) == pytest.approx(50)
    assert bd_rate(reference, [(bpp, psnr + 20) for bpp, psnr in reference]) is None
    assert bd_rate(reference, reference[:1]) is None
