"""Methods that nobody tells how strong the noise is, each as a user would call it.

Ours find it themselves; the others take scikit-image's usual estimate, by wavelets (Donoho & Johnstone 1994).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from img2img.metrics import psnr8

from . import peers
from .denoise_psnr import denoise_with
from .peers import Image

LEVELS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 18, 22)  # tried for the best single level

Method = Callable[[Image], Image]
"""Takes (H, W, 3) or (H, W) in grey levels 0 to 255, returns the same, not clipped."""


def load(model: str, device: str, precision: str) -> Any:
    """A denoiser by name or file.

    Raises:
        WeightsError: it cannot be loaded.
    """
    from img2img.tasks.denoise import Denoiser

    return Denoiser.from_pretrained(model, device=device, precision=precision)


def methods(models: Sequence[str], device: str, precision: str, others: bool, bm3d: bool) -> dict[str, Method]:
    """By the name a table prints: the picture as it is, scikit-image's and OpenCV's, BM3D, and ours.

    Args:
        models: names or files of our denoisers.
        device: auto, cpu, cuda or mps.
        precision: auto, fp32 or bf16.
        others: with scikit-image's NL-means and wavelets, and with OpenCV's NL-means if it is installed.
        bm3d: with BM3D (tens of seconds a picture).

    Raises:
        WeightsError: a model cannot be loaded.
        Img2ImgError: BM3D is not installed.
    """
    found: dict[str, Method] = {"as it is": lambda noisy: noisy}
    if others:
        known = peers.scikit_image()
        found |= {name: _estimating(known[name]) for name in ("NL-means", "wavelet (BayesShrink)")}
        found |= _open_cv()
    if bm3d:
        found |= {name: _estimating(denoise) for name, denoise in peers.bm3d().items()}
    return found | {model: finding(load(model, device, precision)) for model in models}


def told_best(denoise: peers.Denoise, noisy: Image, truth: Image) -> Image:
    """What a denoiser makes of a picture at the level out of LEVELS that brings it nearest to its truth."""
    tried = (denoise(noisy, float(level)) for level in LEVELS)
    return max(tried, key=lambda result: psnr8(truth, result, data_range=255))


def finding(denoiser: Any, **how: Any) -> Method:
    """A denoiser of ours that finds the level itself; `how` is what else it takes, such as `strength`."""
    denoise = denoise_with(denoiser, "auto", **how)
    return lambda noisy: denoise(noisy, 0.0)


def _estimating(denoise: peers.Denoise) -> Method:
    """A method that is told the level which scikit-image's wavelets estimate."""
    from skimage.restoration import estimate_sigma

    def run(noisy: Image) -> Image:
        axis = -1 if noisy.ndim == 3 else None
        return denoise(noisy, float(estimate_sigma(noisy, average_sigmas=True, channel_axis=axis)))

    return run


def _open_cv() -> dict[str, Method]:
    """OpenCV's coloured NL-means; its filter strength is the estimated level, as its manual proposes for both parts."""
    try:
        from cv2 import fastNlMeansDenoisingColored
    except ImportError:
        return {}

    def denoise(noisy: Image, sigma: float) -> Image:
        colour = np.ascontiguousarray(np.broadcast_to(np.atleast_3d(noisy), (*noisy.shape[:2], 3)).astype(np.uint8))
        result = fastNlMeansDenoisingColored(colour, None, sigma, sigma).astype(np.float64)
        return result if noisy.ndim == 3 else result.mean(2)

    return {"OpenCV NL-means, coloured": _estimating(denoise)}
