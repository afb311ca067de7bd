"""What `img2img texture` makes of a sample's own pixels, without PyTorch: textures by patches, filled holes, maps."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, get_args

import click

from img2img.stores import exists, is_address, opened, whole_output

from .batch import BatchOptions
from .pipeline import Task
from .plan import STREAM, Job
from .report import describe

if TYPE_CHECKING:
    from img2img.images import Picture
    from img2img.tasks.texture.sheet import Indices

Mode = Literal["texture", "seamless", "filled", "extended"]
MODES: tuple[Mode, ...] = get_args(Mode)
MAP_FORMATS = {"png": ".png", "tiff": ".tiff"}  # what holds every value as it is


@dataclass(frozen=True)
class Made:
    """A picture, and the further maps that go with it, with the files that they are for."""

    picture: "Picture"
    maps: "dict[str, Picture]" = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Bytes of all of them."""
        return sum(picture.nbytes for picture in (self.picture, *self.maps.values()))


@dataclass(frozen=True)
class Patchwork:
    """Makes pictures of their own pixels.

    Args:
        mode: what is made.
        size: of a texture, height and width.
        seed: of the first copy.
        axes: along which a picture is made seamless.
        margins: by which it is extended: left, top, right, bottom.
        rotate, mirror: how a sample may be looked at.
        mask: file; where a sample may be used, or the holes that are filled.
        maps: further maps of the sample, files by name.
        overwrite: replace files of maps that exist.
        max_pixels: larger maps are refused.
    """

    mode: Mode
    size: tuple[int, int]
    seed: int
    axes: Any = "both"
    margins: tuple[int, ...] = (0, 0, 0, 0)
    rotate: bool = False
    mirror: bool = False
    mask: str | None = None
    maps: tuple[tuple[str, str], ...] = ()
    overwrite: bool = False
    max_pixels: int = 0

    def __call__(self, sample: "Picture", job: Job) -> tuple[Made, dict[str, Any]]:
        """What is made of a sample, and what `--json` says of it."""
        from img2img.tasks.texture.by_patches import looked_up

        targets = self._targets(job)
        pixels = self._pixels(sample, self.seed + job.copy)
        maps = {targets[name]: looked_up(self._map(name, sample), pixels) for name, _ in self.maps}
        of = sample.as_sample() if self.mode == "texture" else sample
        made = Made(looked_up(of, pixels), maps)
        facts: dict[str, Any] = {"width": made.picture.width, "height": made.picture.height}
        return made, facts | {"seed": self.seed + job.copy} | ({"maps": targets} if targets else {})

    def _pixels(self, sample: "Picture", seed: int) -> "Indices":
        from img2img.errors import ImageError
        from img2img.tasks.texture import by_patches

        if self.mode == "seamless":
            return by_patches.seamless(sample, self.axes, seed)
        if self.mode == "filled":
            assert self.mask_picture is not None
            return by_patches.filled(sample, by_patches.white(self.mask_picture, sample), seed)
        if self.mode == "extended":
            margins = by_patches.Margins(*self.margins)
            pixels = (sample.width + margins.left + margins.right) * (sample.height + margins.top + margins.bottom)
            if pixels > self.max_pixels:
                raise ImageError(f"extended it has {pixels} pixels, more than --max-pixels {self.max_pixels}")
            return by_patches.extended(sample, margins, seed)
        ways = by_patches.Ways(self.rotate, self.mirror)
        return by_patches.grown(sample, self.size, seed, mask=self.mask_picture, ways=ways)

    @cached_property
    def mask_picture(self) -> "Picture | None":
        """What is in the mask's file, if there is one."""
        return None if self.mask is None else read_named(self.mask, self.max_pixels)

    @cached_property
    def _maps(self) -> "dict[str, Picture]":
        return {name: read_named(file, self.max_pixels) for name, file in self.maps}

    def _map(self, name: str, sample: "Picture") -> "Picture":
        from img2img.errors import ImageError

        found = self._maps[name]
        if (found.width, found.height) != (sample.width, sample.height):
            raise ImageError(
                f"the map {name} has {found.width}x{found.height} pixels, the sample {sample.width}x{sample.height}"
            )
        return found

    def _targets(self, job: Job) -> dict[str, str]:
        """The files that the maps are for, beside the texture: pebbles_texture_normal.png."""
        from img2img.errors import ImageError

        stem = os.path.splitext(job.target)[0]
        targets = {name: f"{stem}_{name}{MAP_FORMATS.get(job.format, '.png')}" for name, _ in self.maps}
        for target in targets.values():
            if exists(target) and not self.overwrite:
                raise ImageError(f"{target} exists already; use --overwrite")
            if is_address(target):
                continue
            if any(os.path.exists(target) and os.path.samefile(target, file) for _, file in self.maps):
                raise ImageError(f"{target} is a map that is read")
        return targets

    def task(self, read: Any, write: Callable[..., Sequence[str] | None]) -> "Task[Any, Any]":
        """The batch task of it; `read` and `write` are those of the picture."""
        return Task(
            read=read,
            apply=self,
            write=lambda made, file, format: self.write(made, file, format, write),
            size=lambda picture: picture.nbytes,
            with_job=True,
        )

    def write(
        self, made: Made, file: BinaryIO, format: str, write: Callable[..., Sequence[str] | None]
    ) -> Sequence[str] | None:
        """Write a picture into its file, and its maps into theirs."""
        lost = write(made.picture, file, format)
        for target, picture in made.maps.items():
            kind = next(name for name, end in MAP_FORMATS.items() if target.endswith(end))
            with whole_output(target, self.overwrite) as beside:
                write(picture, beside, kind)
        return lost


def read_named(name: str, max_pixels: int) -> "Picture":
    """A picture beside the samples; what is wrong with it is said with its name."""
    from img2img.errors import ImageError, Img2ImgError
    from img2img.images import read_picture

    try:
        with opened(name) as file:
            return read_picture(file, max_pixels)
    except (OSError, Img2ImgError) as error:
        raise ImageError(f"{name}: {describe(error)}") from error


class Map(click.ParamType):
    """A name and a file: normal=pebbles_normal.png."""

    name = "map"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Show the form."""
        return "NAME=FILE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """The name and the file, which has to be there."""
        name, _, file = value.partition("=")
        if not name or not file or set(name) & set("/\\"):
            self.fail(f"{value!r} is no map such as normal=pebbles_normal.png", param, ctx)
        if not os.path.isfile(file):
            self.fail(f"{file}: no such file", param, ctx)
        return name, file


class Sides(click.ParamType):
    """Pixels on all sides, or on the left, at the top, on the right, at the bottom."""

    name = "sides"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Show the form."""
        return "N[,N,N,N]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Four whole numbers, not all 0."""
        words = value.split(",")
        if len(words) not in (1, 4) or not all(word.isdecimal() and len(word) < 7 for word in words):
            self.fail(f"{value!r} is neither a number of pixels nor four, left, top, right, bottom", param, ctx)
        sides = tuple(int(word) for word in (words if len(words) == 4 else 4 * words))
        if not any(sides):
            self.fail("nothing is to be added", param, ctx)
        return sides


def check_maps(maps: Sequence[tuple[str, str]], batch: BatchOptions) -> None:
    """Refuse maps that belong to no one sample, or whose textures have no name.

    Raises:
        click.UsageError: it is one of these.
    """
    if not maps:
        return
    if len(batch.inputs) != 1 or os.path.isdir(batch.inputs[0]):
        raise click.UsageError("--map belongs to one sample: give one INPUT")
    if batch.output == STREAM or (batch.inputs[0] == STREAM and batch.output is None):
        raise click.UsageError("--map needs a name for the texture: use -o FILE")
    names = [name for name, _ in maps]
    if len({*names}) < len(names):
        raise click.UsageError("two maps have the same name")
