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


def from_cmyk(inks: np.ndarray, icc: bytes | None) -> np.ndarray:
    """(H, W, 4) uint8 or uint16 amounts of ink as RGB of that type: by LittleCMS, or plainly without a profile."""
    white = np.iinfo(inks.dtype).max
    if icc:
        import imagecodecs

        try:
            srgb = imagecodecs.cms_profile("srgb")
            colours = imagecodecs.cms_transform(
                np.ascontiguousarray(inks), icc, srgb, colorspace="cmyk", outcolorspace="rgb", outdtype=inks.dtype
            )
            return np.asarray(colours).reshape(*inks.shape[:2], 3)
        except Exception:
            pass  # an unreadable profile is as good as none
    paper = (white - inks).astype(np.uint32)
    return ((paper[..., :3] * paper[..., 3:] + white // 2) // white).astype(inks.dtype)


def from_lab(stored: np.ndarray, offset: bool) -> np.ndarray:
    """(H, W, 3) CIE L*a*b* (white D50) of 8 or 16 bits as sRGB of that type.

    `offset`: a and b are stored from 0 with grey in the middle, as ICC has them; else signed, as TIFF has them.
    """
    white = np.iinfo(stored.dtype).max
    unit = (white + 1) / 256  # of a and b
    signed = stored[..., 1:].astype(np.float32)
    signed = signed - (white + 1) / 2 if offset else np.where(signed > white / 2, signed - (white + 1), signed)
    lightness = stored[..., :1].astype(np.float32) * (100 / white)
    y = (lightness + 16) / 116
    along = np.concatenate([y + signed[..., :1] / unit / 500, y, y - signed[..., 1:] / unit / 200], axis=2)
    xyz = np.where(along > 6 / 29, along**3, (along - 4 / 29) * (108 / 841))
    linear = (xyz * _D50 @ _XYZ_D50_TO_SRGB.T).clip(0, 1)
    encoded = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(encoded * white).astype(stored.dtype)


_D50 = np.array([0.96422, 1.0, 0.82521], np.float32)
# Bradford-adapted, from the primaries of IEC 61966-2-1.
_XYZ_D50_TO_SRGB = np.array(
    [[3.1338561, -1.6168667, -0.4906146], [-0.9787684, 1.9161415, 0.0334540], [0.0719453, -0.2289914, 1.4052427]],
    np.float32,
)
