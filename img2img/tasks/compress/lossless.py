"""Pictures and alpha without loss: PNG, or WebP where that can hold them and is smaller.

A learned codec spends its bits on photographs. A drawn screenshot of 1280x800 took 155 kB at quality 50 and looked poor
(29.6 dB); as WebP it is exact in 22 kB.
"""

from __future__ import annotations

from io import BytesIO

import numpy as np

from ...errors import BitstreamError, ImageError
from ...images import read_picture

WEBP_SIDE = 16383  # the longest that WebP holds
SAMPLED = 2**20  # pixels that `looks_drawn` reads at most
DRAWN = 0.4  # share of pixels that equal the one to their left, from which on a picture is taken for drawn
_PNG, _WEBP = b"\x89PNG\r\n\x1a\n", b"RIFF"


def looks_drawn(samples: np.ndarray) -> bool:
    """Whether a picture (H, W, C) could be smaller losslessly: screenshots, diagrams, scanned masks; no photographs.

    Of scikit-image's pictures photographs have 1 to 28 % of pixels equal to their left neighbour, drawings 89 to 99 %;
    what lies between (a logo, a micrograph) is tried and found to be larger.
    """
    rows = samples[:: max(1, samples.shape[0] * samples.shape[1] // SAMPLED)]
    return bool((rows[:, 1:] == rows[:, :-1]).all(2).mean() >= DRAWN) if samples.shape[1] > 1 else True


def encode_png(samples: np.ndarray) -> bytes:
    """A PNG of (H, W) or (H, W, C), 8 or 16 bits, as small as zlib can; write_picture is in haste."""
    import imagecodecs

    samples = samples[..., 0] if samples.shape[2:] == (1,) else samples
    # By way of one dimension, because the encoder wants exact strides even along an axis of length 1; into a buffer of
    # our size, because its own is too small for noise in narrow pictures.
    room = 2 * samples.nbytes + 2 * len(samples) + 2**16
    return bytes(imagecodecs.png_encode(np.ravel(samples).reshape(samples.shape), level=9, out=room))


def encode(samples: np.ndarray) -> bytes:
    """The smaller of what can hold samples (H, W, C): WebP of 8 bits, else PNG."""
    if samples.dtype != np.uint8 or max(samples.shape[:2]) > WEBP_SIDE:
        return encode_png(samples)
    from PIL import Image, WebPImagePlugin  # noqa: F401 - registers the encoder

    stream = BytesIO()
    pixels = samples.repeat(3, 2) if samples.shape[2] == 1 else samples
    Image.fromarray(pixels).save(stream, "WEBP", lossless=True, method=4)
    webp = stream.getvalue()
    # Only where PNG has a chance, for it takes long: WebP's headers are larger.
    return min(webp, encode_png(samples), key=len) if len(webp) < 1024 else webp


def decode(content: bytes, width: int, height: int, channels: int, bits: int, what: str) -> np.ndarray:
    """Samples (height, width, channels) of what `encode` or `encode_png` made.

    Args:
        content: of a PNG, or of a WebP of 8 bits; nothing else is read.
        width: which it must have.
        height: likewise.
        channels: likewise.
        bits: of a sample, likewise.
        what: named in errors.

    Raises:
        BitstreamError: it has not, or is damaged; said before pixels are decoded if its header says so.
    """
    png = content.startswith(_PNG)
    if not png and (bits != 8 or not content.startswith(_WEBP)):
        raise BitstreamError(f"damaged .i2i file: {what} is no picture of {bits} bits")
    try:
        picture = read_picture(BytesIO(content), max_pixels=width * height)
    except ImageError as error:
        raise BitstreamError(f"damaged .i2i file: {what} is no whole picture: {error}") from error
    samples = picture.samples
    if not png and channels == 1:
        samples = samples[..., :1]
    if picture.alpha is not None or picture.bits != bits or samples.shape != (height, width, channels):
        raise BitstreamError(f"damaged .i2i file: {what} is of another size or kind than the header says")
    return np.ascontiguousarray(samples)
