"""Arrays of samples, (H, W, channels): what several formats do to them."""

import numpy as np

_TO_8_BITS = np.rint(np.arange(65536) / 257).astype(np.uint8)


def with_alpha(samples: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    """The samples with alpha (H, W), if there is one, as the last channel."""
    return samples if alpha is None else np.concatenate([samples, alpha[..., None]], axis=2)


def in_8_bits(pixels: np.ndarray) -> np.ndarray:
    """uint8 or uint16 samples as uint8, rounded."""
    return pixels if pixels.dtype == np.uint8 else _TO_8_BITS[pixels]


def in_whole_bytes(pixels: np.ndarray, bits: int) -> np.ndarray:
    """Samples of 1 to 16 bits stretched to 8 or 16: 4-bit white, 15, becomes 255."""
    kind = np.uint8 if bits <= 8 else np.uint16
    if bits in (8, 16):
        return pixels.astype(kind, copy=False)
    stretch = np.rint(np.arange(2**bits) * (np.iinfo(kind).max / (2**bits - 1))).astype(kind)
    stretched: np.ndarray = stretch[pixels.astype(np.uint16)]
    return stretched


def on_white(samples: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Samples of which alpha (H, W) is opaque, the rest white; rounded."""
    white = np.iinfo(samples.dtype).max
    opacity = alpha[..., None].astype(np.uint32)
    # Exact: the sum is at most white * (white + 1/2), which 32 bits hold for 16-bit samples too.
    laid = (samples * opacity + (white - opacity) * white + white // 2) // white
    return laid.astype(samples.dtype)


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """The upright view of (H, W, N) pixels stored in one of EXIF's eight orientations."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels
