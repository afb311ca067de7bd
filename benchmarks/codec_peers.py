"""The image codecs a user would pick instead, as functions of 8-bit pixels, and published curves of learned ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from img2img.errors import Img2ImgError

Pixels: TypeAlias = NDArray[np.uint8]
"""(H, W, 1) grey or (H, W, 3) RGB."""


@dataclass(frozen=True)
class PictureCodec:
    """A codec of whole files.

    Attributes:
        name: what tables call it.
        settings: values of the codec's own knob, enough of them to span 0.1 to 1.6 bits per pixel of photographs.
        encode: pixels and a setting to all bytes of a file.
        decode: those bytes to pixels; a format without grey returns RGB.
    """

    name: str
    settings: Sequence[float]
    encode: Callable[[Pixels, float], bytes]
    decode: Callable[[bytes], Pixels]


REFERENCE = "JPEG 4:2:0"
"""The codec that BD-rates compare with: Pillow's JPEG at its defaults."""

# BD-rates depend on the range: JPEG's reaches beyond every other's PSNR, theirs end where learned codecs' do.
_JPEG = (1, 5, 8, 12, 18, 25, 35, 50, 65, 80, 88, 92, 95)
_WEBP = (0, 1, 3, 8, 15, 30, 50, 65, 78, 86, 90)
_AVIF = (8, 15, 25, 35, 45, 55, 65, 73, 79)


def peers(slow: bool = False) -> list[PictureCodec]:
    """Every codec of Pillow and imagecodecs that this machine has, the reference first.

    Args:
        slow: also AVIF at its best for PSNR, tens of times slower than its default.
    """
    from PIL import features

    found = [
        _pillow(REFERENCE, "JPEG", _JPEG),
        _pillow("JPEG 4:2:0, optimised, progressive", "JPEG", _JPEG, optimize=True, progressive=True),
        _pillow("JPEG 4:4:4", "JPEG", _JPEG, subsampling="4:4:4"),
    ]
    if features.check("webp"):
        found.append(_pillow("WebP", "WEBP", _WEBP, method=4))
    if features.check("jpg_2000"):
        found.append(_jpeg_2000())
    found += _jpeg_xl()
    if features.check("avif"):
        found.append(_pillow("AVIF", "AVIF", _AVIF))
        if slow:
            found.append(_pillow("AVIF, speed 2, tune=psnr", "AVIF", _AVIF, speed=2, advanced={"tune": "psnr"}))
    return found


T = TypeVar("T")


def chosen_of(codecs: Mapping[str, T], only: Sequence[str]) -> dict[str, T]:
    """Codecs by name, of which some are wanted; all if nothing is said.

    Raises:
        Img2ImgError: one of those wanted is not there.
    """
    if strange := [name for name in only if name not in codecs]:
        raise Img2ImgError(f"no codec {strange[0]!r} here: there are {', '.join(codecs)}")
    return {name: codec for name, codec in codecs.items() if not only or name in only}


Fitting: TypeAlias = Callable[[Pixels], Callable[[int], "tuple[int, Pixels] | None"]]
"""Of a picture the best file of at most so many bytes: how many it has, what it decodes to; None if there is none."""


def fitting(slow: bool = False) -> dict[str, Fitting]:
    """Codecs that make the best file of so many bytes, by their own knob; those that this machine has.

    Args:
        slow: also AVIF at speed 2, as it is and tuned for SSIM.
    """
    from PIL import features

    # From the smallest files to the largest. AVIF's lowest qualities differ little, but they differ.
    percent = [float(quality) for quality in range(101)]
    found: dict[str, Fitting] = {}
    if features.check("avif"):
        found["AVIF"] = _fitting(_pillow("AVIF", "AVIF", percent))
        tunes = ({}, {"tune": "ssim"}) if slow else ()
        for advanced in tunes:
            name = ", ".join(["AVIF, speed 2", *(f"tune={tune}" for tune in advanced.values())])
            found[name] = _fitting(_pillow(name, "AVIF", percent, speed=2, advanced=advanced))
    for codec in _jpeg_xl():
        distances = [25 * 0.95**i for i in range(110)]  # down to 0.09
        found[codec.name] = _fitting(PictureCodec(codec.name, distances, codec.encode, codec.decode))
    if features.check("webp"):
        found["WebP"] = _fitting(_pillow("WebP", "WEBP", percent, method=6))
    return found


def _fitting(codec: PictureCodec) -> Fitting:
    """By halving the list of settings: files grow with it, nearly always; the one returned is never too large."""

    def fit(pixels: Pixels) -> Callable[[int], tuple[int, Pixels] | None]:
        @cache  # several sizes ask for the same settings
        def encoded(setting: float) -> bytes:
            return codec.encode(pixels, setting)

        def best(most: int) -> tuple[int, Pixels] | None:
            low, high, found = 0, len(codec.settings) - 1, None
            while low <= high:
                middle = (low + high) // 2
                data = encoded(codec.settings[middle])
                if len(data) <= most:
                    found, low = data, middle + 1
                else:
                    high = middle - 1
            return None if found is None else (len(found), codec.decode(found))

        return best

    return fit


def _pillow(name: str, format: str, settings: Sequence[float], **options: Any) -> PictureCodec:
    def encode(pixels: Pixels, setting: float) -> bytes:
        return _save(pixels, format, quality=round(setting), **options)

    return PictureCodec(name, settings, encode, _open)


def _jpeg_2000() -> PictureCodec:
    """With the 9/7 wavelet and YCbCr. The knob is bits per pixel, as the format aims at a file's size."""

    def encode(pixels: Pixels, setting: float) -> bytes:
        ratio, colour = 8 * pixels.shape[2] / setting, pixels.shape[2] == 3
        return _save(pixels, "JPEG2000", quality_mode="rates", quality_layers=[ratio], irreversible=True, mct=colour)

    return PictureCodec("JPEG 2000", (0.1, 0.15, 0.25, 0.4, 0.6, 0.9, 1.25, 1.6), encode, _open)


def _jpeg_xl() -> list[PictureCodec]:
    """At effort 7, its default. The knob is the Butteraugli distance. Empty where imagecodecs was built without it."""
    import imagecodecs

    if not imagecodecs.JPEGXL.available:
        return []

    def encode(pixels: Pixels, setting: float) -> bytes:
        squeezed = pixels[..., 0] if pixels.shape[2] == 1 else pixels
        return bytes(imagecodecs.jpegxl_encode(squeezed, distance=setting, effort=7))

    def decode(data: bytes) -> Pixels:
        return _layered(imagecodecs.jpegxl_decode(data))

    return [PictureCodec("JPEG XL, effort 7", (25, 18, 12, 8, 5.5, 4, 2.8, 2, 1.4, 1), encode, decode)]


def _save(pixels: Pixels, format: str, **options: Any) -> bytes:
    stream = BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(stream, format, **options)
    return stream.getvalue()


def _open(data: bytes) -> Pixels:
    with Image.open(BytesIO(data)) as image:
        return _layered(np.asarray(image))


def _layered(pixels: Pixels) -> Pixels:
    return pixels[..., None] if pixels.ndim == 2 else pixels


PUBLISHED: dict[str, list[tuple[float, float, float]]] = {
    "bmshj2018-factorized": [
        (0.12262, 26.906, 0.90990),
        (0.18853, 28.214, 0.93596),
        (0.28781, 29.611, 0.95539),
        (0.44038, 31.268, 0.97027),
        (0.64814, 32.944, 0.98055),
        (0.96698, 35.360, 0.98779),
        (1.35117, 37.365, 0.99212),
        (1.83327, 39.569, 0.99502),
    ],
    "bmshj2018-hyperprior": [
        (0.13129, 27.578, 0.91728),
        (0.20889, 29.192, 0.94198),
        (0.31986, 30.964, 0.96097),
        (0.47836, 32.827, 0.97479),
        (0.66869, 34.509, 0.98348),
        (0.93883, 36.716, 0.98917),
        (1.25917, 38.543, 0.99278),
        (1.66022, 40.493, 0.99541),
    ],
    "mbt2018-mean": [
        (0.12392, 27.696, 0.91776),
        (0.19798, 29.354, 0.94298),
        (0.30724, 31.121, 0.96141),
        (0.46061, 32.939, 0.97512),
        (0.66166, 34.950, 0.98349),
        (0.91440, 36.883, 0.98916),
        (1.23421, 38.794, 0.99296),
        (1.61909, 40.569, 0.99527),
    ],
}
"""Bits per pixel, PSNR in dB and MS-SSIM of CompressAI's pretrained models on Kodak's 24 images, not measured here.

Of real bytes and 8-bit pictures, as ours: its repository's results/image/8bit-decoded/kodak, commit 128f003.
"""
