"""Structural similarity, exactly as scikit-image computes it on 8-bit pictures."""

from __future__ import annotations

from img2img.metrics.psnr import Image, to_8bit


def ssim(x: Image, y: Image, data_range: float = 1.0) -> float:
    """Mean structural similarity of the two 8-bit pictures, averaged over channels.

    Settings are scikit-image's defaults: uniform 7x7 window, sample covariance, K1 = 0.01, K2 = 0.03. They are not
    those of the paper (Gaussian window of sigma 1.5), so compare only with numbers made by the same function.

    Args:
        x: image (C, H, W) or (H, W), array or tensor, H and W at least 7; rounded and clipped to 8 bits here.
        y: the other image, of the same shape.
        data_range: the value of white, 1 by default, 255 for grey levels.

    Returns:
        At most 1, which equal pictures have.

    Raises:
        ValueError: the shapes differ, are not those of one image, or a side is shorter than the window.
    """
    # scikit-image takes 0.3 s to import; whoever only wants a PSNR does not wait for it.
    from skimage.metrics import structural_similarity

    a, b = to_8bit(x, data_range), to_8bit(y, data_range)
    if a.ndim not in (2, 3):
        raise ValueError(f"SSIM needs an image (C, H, W) or (H, W), not {a.shape}")
    return float(structural_similarity(a, b, data_range=255, channel_axis=0 if a.ndim == 3 else None))
