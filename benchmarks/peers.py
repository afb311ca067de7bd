"""The denoisers a user would pick instead, each at the settings that suit it best.

Strengths were chosen for PSNR on crops of BSDS500's training photographs (noise of 15, 25 and 50 grey levels),
not on the pictures of any benchmark.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from img2img.errors import Img2ImgError

Image: TypeAlias = NDArray[np.float64]
Denoise: TypeAlias = Callable[[Image, float], Image]
"""Takes (H, W, 3) or (H, W) in grey levels 0 to 255, and sigma in grey levels; returns the same shape, not clipped."""


def scikit_image() -> dict[str, Denoise]:
    """Non-local means, total variation and wavelets of scikit-image, by the name a table prints."""
    from skimage.restoration import denoise_nl_means, denoise_tv_chambolle, denoise_wavelet

    def nl_means(noisy: Image, sigma: float) -> Any:
        return denoise_nl_means(
            noisy, patch_size=5, patch_distance=6, h=0.6 * sigma, sigma=sigma, fast_mode=True, channel_axis=_axis(noisy)
        )

    def total_variation(noisy: Image, sigma: float) -> Any:
        # More noise wants more smoothing than in proportion.
        return denoise_tv_chambolle(noisy, weight=(0.65 + 1.4 * sigma) * sigma, channel_axis=_axis(noisy))

    def wavelet(noisy: Image, sigma: float) -> Any:
        return denoise_wavelet(
            noisy,
            sigma=sigma,
            method="BayesShrink",
            mode="soft",
            rescale_sigma=True,
            convert2ycbcr=noisy.ndim == 3,
            channel_axis=_axis(noisy),
        )

    functions = {"NL-means": nl_means, "TV (Chambolle)": total_variation, "wavelet (BayesShrink)": wavelet}
    return {name: _on_unit_range(function) for name, function in functions.items()}


def bm3d() -> dict[str, Denoise]:
    """BM3D (CBM3D for colour) of the optional package `bm3d`: the classical best, single-threaded and slow.

    Raises:
        Img2ImgError: the package is not installed.
    """
    try:
        from bm3d import bm3d as grey
        from bm3d import bm3d_rgb as colour
    except ImportError as error:
        raise Img2ImgError("BM3D needs the package bm3d: pip install bm3d") from error

    def run(noisy: Image, sigma: float) -> Any:
        return (colour if noisy.ndim == 3 else grey)(noisy, sigma).reshape(noisy.shape)

    return {"BM3D": _on_unit_range(run)}


def _axis(image: Image) -> int | None:
    return -1 if image.ndim == 3 else None


def _on_unit_range(function: Callable[[Image, float], Any]) -> Denoise:
    """The libraries' functions expect values in [0, 1], and divide by sigma: without noise there is nothing to do."""

    def scaled(noisy: Image, sigma: float) -> Image:
        result: Image = 255.0 * function(noisy / 255.0, sigma / 255.0) if sigma else noisy
        return result

    return scaled
