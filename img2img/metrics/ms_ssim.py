"""Structural similarity over five scales, as codecs are compared by."""

from __future__ import annotations

from img2img.metrics.psnr import Image, to_8bit

SMALLEST = 161
"""Pixels of the shorter side below which the coarsest of the five scales is smaller than the window."""


def ms_ssim(x: Image, y: Image, data_range: float = 1.0) -> float:
    """Multi-scale structural similarity of the two 8-bit pictures, averaged over channels.

    With the paper's window (Gaussian of sigma 1.5, 11x11) and weights, as the learned codecs' papers report it.

    Args:
        x: image (C, H, W) or (H, W), array or tensor, H and W at least `SMALLEST`; rounded and clipped to 8 bits here.
        y: the other image, of the same shape.
        data_range: the value of white, 1 by default, 255 for grey levels.

    Returns:
        At most 1, which equal pictures have. Papers draw it as -10 log10(1 - MS-SSIM), in dB.

    Raises:
        ValueError: the shapes differ, are not those of one image, or a side is too short.

    References: Wang, Simoncelli, Bovik 2003, "Multiscale structural similarity for image quality assessment".
    """
    import torch
    from pytorch_msssim import ms_ssim as multiscale

    a, b = to_8bit(x, data_range), to_8bit(y, data_range)
    if a.shape != b.shape or a.ndim not in (2, 3):
        raise ValueError(f"MS-SSIM needs two images of one shape (C, H, W) or (H, W), not {a.shape} and {b.shape}")
    height, width = a.shape[-2:]
    if min(height, width) < SMALLEST:
        raise ValueError(f"MS-SSIM needs {SMALLEST} pixels a side at least, not {width}x{height}")
    pair = (torch.from_numpy(image).float().view(1, -1, height, width) for image in (a, b))
    return float(multiscale(*pair, data_range=255))
