"""One picture as its file has it: integer samples, alpha, and what the file says of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..errors import ImageError

if TYPE_CHECKING:
    from torch import Tensor


class Text(NamedTuple):
    """An entry of text, as PNG has them: `parameters` of a generator, a title, an author."""

    keyword: str
    value: str
    language: str = ""
    translated: str = ""


class Resolution(NamedTuple):
    """Pixels per unit, across and down; the unit is `inch`, `cm`, `metre`, or `` where only their ratio counts."""

    x: float
    y: float
    unit: str = "inch"

    def per(self, unit: str) -> Resolution:
        """The same in another unit; a ratio remains one."""
        if not self.unit:
            return self
        factor = _METRES[unit] / _METRES[self.unit]
        return Resolution(self.x * factor, self.y * factor, unit)


_METRES = {"inch": 0.0254, "cm": 0.01, "metre": 1.0}


class JpegCoding(NamedTuple):
    """How a JPEG was coded: its quantisation tables and its subsampling (0, 1, 2 for 4:4:4, 4:2:2, 4:2:0)."""

    tables: tuple[tuple[int, ...], ...]
    subsampling: int


@dataclass(frozen=True)
class About:
    """What a file says beside the pixels, EXIF and ICC profile, as it is stored.

    Args:
        xmp: the XMP packet.
        iptc: IPTC-IIM records.
        comments: of JPEG and GIF, and what PNG calls `Comment`.
        text: further entries of text, of PNG.
        resolution: pixels per inch, centimetre or metre.
        cicp: primaries, transfer, matrix and range of H.273 (4 bytes): wide gamut, PQ, HLG; with PNG's mDCV and cLLI
            behind them, as (name, content).
        gamma: PNG's gAMA and cHRM, as (name, content); sRGB's own are not kept, since they are what no word means.
        tiff_tags: tags of TIFF that belong to the pixels' place or order: (code, type, count, value).
        png_chunks: chunks that PNG allows to be copied unread: (name, content).
        gain_map: the JPEG behind a JPEG that says how much brighter a pixel is on an HDR screen.
        film: the MP4 file behind a JPEG.
        duration: seconds that a frame of an animation is shown.
        jpeg: how a JPEG was coded.
        lossless: whether a WebP or a JPEG XL file was.
        lost: what the reader could not take over, in the words of a note.
    """

    xmp: bytes | None = None
    iptc: bytes | None = None
    comments: tuple[str, ...] = ()
    text: tuple[Text, ...] = ()
    resolution: Resolution | None = None
    cicp: tuple[tuple[bytes, bytes], ...] = ()
    gamma: tuple[tuple[bytes, bytes], ...] = ()
    tiff_tags: tuple[tuple[int, int, int, bytes], ...] = ()
    png_chunks: tuple[tuple[bytes, bytes], ...] = ()
    gain_map: bytes | None = None
    film: bytes | None = None
    duration: float = 0.0
    jpeg: JpegCoding | None = None
    lossless: bool = False
    lost: tuple[str, ...] = ()


class Scale(NamedTuple):
    """Which sample values are 0 and 1 for a network; of float, signed and 32-bit samples."""

    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Picture:
    """An image as it is in its file: integers, so that 24 megapixels cost 72 MB until they are computed on.

    Args:
        samples: (H, W, 1) grey or (H, W, 3) RGB, uint8 or uint16, upright; with a scale, any type of number.
        alpha: (H, W), 0 is transparent, or None; colours are not multiplied by it. Of the samples' type; with a scale
            of any.
        exif: EXIF block without JPEG's marker, its orientation 1 if it has one.
        icc: ICC profile.
        format: what the file was: `png`, `jpg`, `webp`, `avif`, `tiff`, ...
        about: what else the file says.
        further: (H, W, N) channels that are neither colours nor alpha (infrared, masks), of any type.
        scale: of samples that are neither uint8 nor uint16.

    Raises:
        ValueError: the arrays are not of these shapes and types.
    """

    samples: np.ndarray
    alpha: np.ndarray | None = None
    exif: bytes | None = None
    icc: bytes | None = None
    format: str = "png"
    about: About = field(default_factory=About, repr=False)
    further: np.ndarray | None = None
    scale: Scale | None = None

    def __post_init__(self) -> None:
        samples, alpha, further = self.samples, self.alpha, self.further
        if samples.ndim != 3 or samples.shape[2] not in (1, 3) or not samples.size:
            raise ValueError(f"samples must be (H, W, 1 or 3), not {samples.shape}")
        if samples.dtype not in (np.uint8, np.uint16) and self.scale is None:
            raise ValueError(f"samples must be uint8 or uint16, not {samples.dtype}")
        wrong = alpha is not None and alpha.dtype != samples.dtype and self.scale is None
        if alpha is not None and (wrong or alpha.shape != samples.shape[:2]):
            raise ValueError(f"alpha must be {samples.dtype} {samples.shape[:2]}, not {alpha.dtype} {alpha.shape}")
        if further is not None and (further.ndim != 3 or further.shape[:2] != samples.shape[:2]):
            raise ValueError(f"further channels must be {samples.shape[:2]} + (N,), not {further.shape}")

    @property
    def bits(self) -> int:
        """Bits per sample: 8 or 16, with a scale 16 to 64."""
        return int(self.samples.dtype.itemsize) * 8

    @property
    def width(self) -> int:
        """Pixels from left to right."""
        return int(self.samples.shape[1])

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return int(self.samples.shape[0])

    @property
    def channels(self) -> int:
        """1 for grey, 3 for RGB; alpha is not counted."""
        return int(self.samples.shape[2])

    @property
    def nbytes(self) -> int:
        """Bytes that its arrays take."""
        return sum(plane.nbytes for plane in (self.samples, self.alpha, self.further) if plane is not None)

    @property
    def range(self) -> Scale:
        """The sample values that are 0 and 1 for a network."""
        return self.scale or Scale(0, 2**self.bits - 1)

    def and_lost(self, what: Iterable[str]) -> Picture:
        """The same picture, of which a note says that these are lost as well."""
        return replace(self, about=replace(self.about, lost=tuple(dict.fromkeys((*self.about.lost, *what)))))

    def as_sample(self) -> Picture:
        """The colours alone, for a picture that is made after it: without alpha, metadata and further channels."""
        about = About(cicp=self.about.cicp, gamma=self.about.gamma, resolution=self.about.resolution)
        return replace(self, alpha=None, exif=None, further=None, about=replace(about, lost=self.about.lost))

    def further_pictures(self) -> list[Picture]:
        """The further channels as pictures: in threes where they go into threes, else each by itself."""
        if self.further is None:
            return []
        step = 3 if self.further.shape[2] % 3 == 0 else 1
        parts = [self.further[..., i : i + step] for i in range(0, self.further.shape[2], step)]
        return [Picture(np.ascontiguousarray(part), scale=scale_of(part)) for part in parts]

    def with_further(self, parts: Sequence[Picture]) -> Picture:
        """The same picture with these further channels."""
        return replace(self, further=np.concatenate([part.samples for part in parts], axis=2))

    def to_array(self) -> np.ndarray:
        """The samples as float32 (C, H, W) in [0, 1]; NaN and infinity are 0."""
        scaled = np.empty((self.channels, self.height, self.width), np.float32)
        for channel, plane in enumerate(scaled):
            plane[:] = self._scaled(channel)
        return scaled

    def _scaled(self, channel: int) -> np.ndarray:
        """One channel as float32 in [0, 1]."""
        low, high = self.range
        samples = self.samples[..., channel]
        if self.scale is None:
            return np.divide(samples, high, dtype=np.float32)
        finite = np.nan_to_num(samples.astype(np.float64), nan=low, posinf=high, neginf=low)
        return ((finite - low) / (high - low)).astype(np.float32)

    def with_array(self, image: np.ndarray) -> Picture:
        """The same picture with new pixels, clipped to [0, 1] and rounded to this picture's bits.

        Alpha and further channels are dropped if the size differs, the ICC profile if grey became colour or the
        reverse; `about.lost` then says so. With a scale and the same size and channels the change is added to the
        samples, so that what is not changed comes out as it went in, to the last bit, and NaN remains NaN.

        Args:
            image: (C, H, W), C 1 or 3, floating point.

        Raises:
            ValueError: the image has another shape.
            ImageError: the image holds values that are not numbers.
        """
        if image.ndim != 3 or image.shape[0] not in (1, 3):
            raise ValueError(f"image must be (1 or 3, H, W), not {image.shape}")
        channels, height, width = image.shape
        samples = np.empty((height, width, channels), self.samples.dtype)
        for channel, plane in enumerate(image):  # one plane at a time: floats take four times the room
            if np.isnan(plane).any():
                raise ImageError("the result holds values that are not numbers (NaN)")
            if self.scale is None:
                values = np.clip(plane, 0, 1, dtype=np.float32)
                values *= 2**self.bits - 1
                samples[..., channel] = np.rint(values, out=values)
            else:
                samples[..., channel] = self._unscaled(plane.astype(np.float32, copy=False), channel, samples.shape)
        same_size = samples.shape[:2] == self.samples.shape[:2]
        gone = {
            "alpha (of another size)": not same_size and self.alpha is not None,
            "further channels (of another size)": not same_size and self.further is not None,
            "ICC profile (of other colours)": channels != self.channels and self.icc is not None,
        }
        lost = self.about.lost + tuple(name for name, there in gone.items() if there)
        return replace(
            self,
            samples=samples,
            alpha=self.alpha if same_size else None,
            further=self.further if same_size else None,
            icc=self.icc if channels == self.channels else None,
            about=replace(self.about, lost=lost),
        )

    def to_tensor(self) -> Tensor:
        """`to_array` as a tensor."""
        import torch

        return torch.from_numpy(self.to_array())

    def with_tensor(self, image: Tensor) -> Picture:
        """`with_array` of a tensor on any device."""
        return self.with_array(image.detach().cpu().float().numpy())

    def _unscaled(self, values: np.ndarray, channel: int, shape: tuple[int, ...]) -> np.ndarray:
        """One channel (H, W) in [0, 1] in the samples' own units and type."""
        low, high = self.range
        if shape == self.samples.shape:
            before = self.samples[..., channel]
            change = (values.astype(np.float64) - self._scaled(channel)) * (high - low)
            new = np.where(np.isfinite(before), before + change, before)
            unchanged = change == 0  # whole numbers of 64 bits are more exact than floats of 64
        else:
            before, unchanged = np.zeros_like(values), np.zeros(values.shape, bool)
            new = low + values.astype(np.float64) * (high - low)
        if np.issubdtype(self.samples.dtype, np.integer):
            info = np.iinfo(self.samples.dtype)
            new = np.clip(
                np.rint(new), float(info.min), np.nextafter(float(info.max), 0) if self.bits == 64 else info.max
            )
        result = new.astype(self.samples.dtype)
        return np.where(unchanged, before.astype(self.samples.dtype), result) if unchanged.any() else result


def scale_of(samples: np.ndarray) -> Scale | None:
    """The scale of samples by their type: none for uint8 and uint16, else from their least to their greatest value.

    Floats within [0, 1] have the scale 0 to 1, so that what is a photograph already remains one.
    """
    if samples.dtype in (np.uint8, np.uint16):
        return None
    floating = np.issubdtype(samples.dtype, np.floating)
    finite = samples[np.isfinite(samples)] if floating else samples
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if floating and low >= 0 and high <= 1:
        return Scale(0.0, 1.0)
    return Scale(low, high) if high > low else Scale(low, low + 1)


def in_sixteen_bits(picture: Picture) -> Picture:
    """A picture of float, signed or 32-bit samples with unsigned ones of 16 bits, from its scale's low to its high."""
    if picture.scale is None:
        return picture
    planes = [np.rint(picture._scaled(c).clip(0, 1) * 65535).astype(np.uint16) for c in range(picture.channels)]
    alpha = picture.alpha
    if alpha is not None:
        top = 1.0 if np.issubdtype(alpha.dtype, np.floating) else float(np.iinfo(alpha.dtype).max)
        alpha = np.rint(np.nan_to_num(alpha / top).clip(0, 1) * 65535).astype(np.uint16)
    return replace(picture, samples=np.stack(planes, axis=2), alpha=alpha, scale=None)
