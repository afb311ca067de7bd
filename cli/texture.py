"""`img2img texture`."""

import json
import math
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import img2img

from . import options
from .batch import BatchOptions, run
from .pictures import picture_naming
from .pipeline import Task, whole_file
from .plan import Job
from .report import describe, say_error

if TYPE_CHECKING:
    from torch import Tensor

    from img2img.data.io import Picture
    from img2img.tasks.texture.optimize import Watch
    from img2img.tasks.texture.report import Diversity

DESCRIPTORS = ("random", "vgg19")
STEPS = 100
LAST_SEED = 2**31 - 1


class Size(click.ParamType):
    """A width and a height, such as 640x480; one number is both."""

    name = "size"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Show the order."""
        return "WxH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Width and height, both at least 1."""
        found = re.fullmatch(r"(\d{1,9})(?:[xX](\d{1,9}))?", value)
        width, height = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
        if not (width and height):
            self.fail(f"{value!r} is no size such as 640x480", param, ctx)
        return width, height


class Shares(click.ParamType):
    """Numbers of at least 0, not all 0, between commas."""

    name = "shares"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Show the form."""
        return "W[,W...]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        """The numbers as they are given."""
        try:
            shares = tuple(float(word) for word in value.split(","))
        except ValueError:
            shares = (math.nan,)
        if not all(0 <= share < math.inf for share in shares):
            self.fail(f"{value!r} is no number of 0 or more, nor several between commas", param, ctx)
        return shares


class DescriptorName(click.ParamType):
    """A descriptor by name, or a file that training wrote."""

    name = "name or file"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Show both in the help text."""
        return "NAME|FILE"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse what is neither, and list the names."""
        if value not in DESCRIPTORS and not Path(value).is_file():
            self.fail(
                f"no descriptor is called {value!r}; there are {', '.join(DESCRIPTORS)}, or name a file", param, ctx
            )
        return value


@click.command()
@click.option(
    "--size", type=Size(), default="512x512", show_default=True, help="Of the texture: width and height, or one number."
)
@click.option(
    "--method", type=click.Choice(("optimize",)), default="optimize", show_default=True, help="How it is made."
)
@click.option(
    "--descriptor",
    type=DescriptorName(),
    default="random",
    show_default=True,
    help="What describes it: random filters, which need no weights; vgg19, which is downloaded; or a file of img2img "
    "train descriptor.",
)
@click.option(
    "--descriptor-weights",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="Weights for vgg19 (safetensors), instead of the download.",
)
@click.option(
    "--loss",
    type=click.Choice(("gram", "swd")),
    default="gram",
    show_default=True,
    help="What has to agree: Gram matrices, or whole distributions (sliced Wasserstein; slower).",
)
@click.option(
    "--steps",
    type=click.IntRange(1, 100_000),
    metavar="N",
    default=STEPS,
    show_default=True,
    help="Evaluations of the loss on each level, coarse to fine.",
)
@click.option("--tileable", is_flag=True, help="The texture fits itself at its borders.")
@click.option(
    "--colour",
    type=click.Choice(("keep", "match", "luminance")),
    default="keep",
    show_default=True,
    help="keep: as it comes out; match: the distribution of the sample's colours; luminance: only that is grown, and "
    "coloured as the sample is on average.",
)
@click.option(
    "--mix",
    type=Shares(),
    help="Make one texture of all INPUTs, which have these shares in it; of two, one number is the second's, 0 to 1.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, LAST_SEED),
    metavar="N",
    default=0,
    show_default=True,
    help="The same seed gives the same texture, another one another.",
)
@click.option(
    "--count",
    type=click.IntRange(1, 9999),
    metavar="N",
    default=1,
    show_default=True,
    help="Textures of each sample, with the seeds from --seed on; their names are numbered.",
)
@click.option(
    "--report",
    type=click.Path(dir_okay=False),
    metavar="FILE.json",
    help="Measure the textures: likeness, copied patches, variety, seam.",
)
@click.option(
    "--max-seam",
    type=options.Positive(),
    help="Fail, though the texture is written, if the step across its border exceeds those inside by more standard "
    "deviations.",
)
@options.pictures
@options.device
@options.precision
@options.batch
def texture(
    batch: BatchOptions,
    size: tuple[int, int],
    method: str,
    descriptor: str,
    descriptor_weights: str | None,
    loss: Any,
    steps: int,
    tileable: bool,
    colour: Any,
    mix: tuple[float, ...] | None,
    seed: int,
    count: int,
    report: str | None,
    max_seam: float | None,
    format: str | None,
    quality: int | None,
    max_pixels: int,
    device: str,
    precision: str,
) -> None:
    """Make more of a texture, as much as wanted, from a sample.

    INPUT is a sample, several, a folder, or - for standard input. pebbles.jpg gives pebbles_texture.png, a folder
    samples/ gives samples_texture/ with the same names in it. With --mix all samples together give one texture, called
    after the first.

    A grey sample gives a grey texture, one of 16 bits one of 16 bits; alpha and EXIF belong to the sample and are left
    out.
    """
    width, height = size
    if width * height > max_pixels:
        raise click.UsageError(f"--size {width}x{height}: that is more than --max-pixels {max_pixels}")
    if descriptor_weights and descriptor != "vgg19":
        raise click.UsageError(f"--descriptor-weights is for --descriptor vgg19, not {descriptor}")
    if seed + count - 1 > LAST_SEED:
        raise click.UsageError(f"--seed {seed} and --count {count}: there is no seed beyond {LAST_SEED}")
    shares = None if mix is None else _shares(mix, batch.inputs)
    journal = Journal(report, max_seam)

    def prepare() -> "Task[Picture, Picture]":
        from img2img.data.io import read_picture, write_picture
        from img2img.tasks.texture import Texture
        from img2img.tasks.texture.report import seam_scores

        texture = Texture.from_pretrained(descriptor, descriptor_weights, device, precision)
        settings = {"method": method, "descriptor": descriptor, "loss": loss, "steps": steps}
        settings |= {"tileable": tileable, "colour": colour} | ({} if shares is None else {"mix": shares})

        def make(first: "Picture", job: Job) -> "tuple[Picture, dict[str, Any]]":
            pictures = [first, *(_read(name, max_pixels) for name in job.more)]
            samples = [picture.to_tensor() for picture in pictures]
            with _progress() as watch:
                image = texture(
                    samples,
                    (height, width),
                    tileable=tileable,
                    seed=seed + job.copy,
                    mix=shares,
                    colour=colour,
                    loss=loss,
                    steps=steps,
                    watch=watch,
                )
            result = _as_the_sample(max(pictures, key=lambda picture: picture.bits), image)
            facts: dict[str, Any] = {"width": width, "height": height, "seed": seed + job.copy}
            if report or max_seam:
                seen = result.to_tensor()  # what is written: clipped and rounded
                facts |= texture.measure(seen, samples, shares) if report else {"seam": seam_scores(seen)}
                journal.add(job, settings | facts, seen, samples)
            return result, facts

        return Task(
            read=partial(read_picture, max_pixels=max_pixels),
            apply=make,
            write=lambda picture, file, format: write_picture(picture, file, format, quality),
            size=lambda picture: picture.samples.nbytes,
            with_job=True,
        )

    naming = replace(picture_naming("_texture", format), copies=count, joined=shares is not None)
    try:
        run(batch, naming, prepare)
    finally:
        journal.close()
    if journal.seams:
        raise click.exceptions.Exit(1)


def _shares(mix: tuple[float, ...], inputs: Sequence[str]) -> tuple[float, ...]:
    """The share of each sample.

    Raises:
        click.UsageError: they do not fit the samples.
    """
    if len(inputs) < 2:
        raise click.UsageError("--mix needs two samples or more")
    if len(inputs) == 2 and len(mix) == 1:
        if mix[0] > 1:
            raise click.UsageError(f"--mix {mix[0]:g}: the second sample's share is between 0 and 1")
        return 1 - mix[0], mix[0]
    if len(mix) != len(inputs):
        raise click.UsageError(f"--mix has {len(mix)} shares for {len(inputs)} samples")
    if not any(mix):
        raise click.UsageError("--mix: not all shares can be 0")
    return mix


def _read(name: str, max_pixels: int) -> "Picture":
    """A further sample; what is wrong with it is said with its name."""
    from img2img.data.io import read_picture
    from img2img.errors import ImageError

    try:
        return read_picture(Path(name), max_pixels)
    except (OSError, ImageError) as error:
        raise ImageError(f"{name}: {describe(error)}") from error


def _as_the_sample(sample: "Picture", image: "Tensor") -> "Picture":
    """A texture with the sample's bits and colour profile."""
    return replace(sample, alpha=None, exif=None).with_tensor(image)


@contextmanager
def _progress() -> "Iterator[Watch]":
    """A bar of one texture's steps, with the loss; nothing where standard error is no terminal."""
    from tqdm import tqdm

    with tqdm(unit="step", file=sys.stderr, leave=False, dynamic_ncols=True, disable=not sys.stderr.isatty()) as bar:

        def watch(progress: Any) -> None:
            bar.total = progress.levels * progress.steps
            bar.set_postfix_str(f"level {progress.level}/{progress.levels}, loss {progress.loss:.3g}", refresh=False)
            bar.update((progress.level - 1) * progress.steps + progress.step - bar.n)

        yield watch


@dataclass
class Journal:
    """What is measured of the textures: the file of --report, and which of them break --max-seam.

    Args:
        path: of the file; None for none.
        max_seam: None allows any.

    Raises:
        click.UsageError: the file could not be written, or is something else that it would replace.
    """

    path: str | None
    max_seam: float | None
    seams: list[str] = field(default_factory=list)
    entries: list[dict[str, Any]] = field(default_factory=list)
    groups: "dict[tuple[str, ...], Diversity]" = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path is None:
            return
        file = Path(self.path)
        if not os.access(file.parent, os.W_OK):
            raise click.UsageError(f"--report {self.path}: nothing can be written to {file.parent}")
        if file.exists():
            with file.open("rb") as before:
                if before.read(1) not in (b"", b"{"):
                    raise click.UsageError(f"--report {self.path}: this is no report and will not be replaced")

    def add(self, job: Job, facts: dict[str, Any], texture: "Tensor", samples: "Sequence[Tensor]") -> None:
        """Take down one texture (C, H, W)."""
        from img2img.tasks.texture.report import Diversity

        group = self.groups.setdefault(job.sources, Diversity(samples[0]))
        group.add(texture)
        self.entries.append({"output": job.target, "samples": list(job.sources), **facts})
        for direction, score in facts["seam"].items():
            if self.max_seam is not None and score > self.max_seam:
                self.seams.append(f"{job.target}: its {direction} seam score {score:.1f} is above {self.max_seam:g}")

    def close(self) -> None:
        """Write the report, and say which seams are too strong."""
        for seam in self.seams:
            say_error(seam)
        if self.path is None:
            return
        for entry in self.entries:
            entry["diversity"] = self.groups[tuple(entry["samples"])].value()
        report = {"img2img": img2img.__version__, "textures": self.entries}
        with whole_file(self.path, overwrite=True) as file:
            file.write(json.dumps(report, indent=1).encode() + b"\n")
