"""Pictures of a sample's own pixels: textures by patches, holes filled, edges that fit, with their maps. No torch."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ...errors import ImageError, TooLargeError
from ...images import MAX_PIXELS, Picture
from . import by_patches
from .job import TextureJob
from .sheet import Indices

MAP_FORMATS = {"png": ".png", "tiff": ".tiff"}  # what holds every value as it is


@dataclass(frozen=True)
class Made:
    """A picture, and the further maps that go with it, by name."""

    picture: Picture
    maps: Mapping[str, Picture] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Bytes of all of them."""
        return sum(picture.nbytes for picture in (self.picture, *self.maps.values()))


@dataclass(frozen=True)
class Patchwork:
    """Makes pictures of their own pixels.

    Args:
        job: what is wanted.
        mask: white where a sample may be used; or where holes are filled.
        maps: further maps of the sample, by name: put together of the same pixels, value for value.
        max_pixels: larger results are refused.
    """

    job: TextureJob
    mask: Picture | None = None
    maps: Mapping[str, Picture] = field(default_factory=dict)
    max_pixels: int = MAX_PIXELS

    def __call__(self, sample: Picture, seed: int) -> Made:
        """What is made of a sample.

        Raises:
            ImageError: too little of it may be used, a map or the mask has another size, or memory does not suffice.
        """
        for name, each in self.maps.items():
            if (each.width, each.height) != (sample.width, sample.height):
                raise ImageError(
                    f"the map {name} has {each.width}x{each.height} pixels, the sample {sample.width}x{sample.height}"
                )
        pixels = self._pixels(sample, seed)
        of = sample.as_sample() if self.job.mode == "texture" else sample
        return Made(
            by_patches.looked_up(of, pixels),
            {name: by_patches.looked_up(each, pixels) for name, each in self.maps.items()},
        )

    def _pixels(self, sample: Picture, seed: int) -> Indices:
        job = self.job
        if job.mode == "seamless":
            return by_patches.seamless(sample, job.axes, seed)
        if job.mode == "filled":
            if self.mask is None:
                raise ValueError("what is to be filled is white in a mask, and there is none")
            return by_patches.filled(sample, by_patches.white(self.mask, sample), seed)
        if job.mode == "extended":
            margins = by_patches.Margins(*job.margins)
            pixels = (sample.width + margins.left + margins.right) * (sample.height + margins.top + margins.bottom)
            if pixels > self.max_pixels:
                raise TooLargeError(
                    f"extended it has {pixels} pixels, more than {self.max_pixels}; raise {{0}}", "max_pixels"
                )
            return by_patches.extended(sample, margins, seed)
        ways = by_patches.Ways(job.rotate, job.mirror)
        return by_patches.grown(sample, job.size, seed, mask=self.mask, ways=ways)


def map_format(format: str) -> str:
    """The format of maps beside a picture of some format: one that holds every value as it is."""
    return format if format in MAP_FORMATS else "png"


def map_files(target: str, format: str, names: Iterable[str]) -> dict[str, str]:
    """The files of maps, beside the texture: pebbles_texture_normal.png."""
    stem = os.path.splitext(target)[0]  # noqa: PTH122 - "out/" + ... as the command line has it, not normalised
    return {name: f"{stem}_{name}{MAP_FORMATS[map_format(format)]}" for name in names}
