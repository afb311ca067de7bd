"""`img2img texture`."""

import json
import math
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

import img2img
from img2img.checkpoints import names

from . import options
from .batch import BatchOptions, run
from .pictures import picture_naming
from .pipeline import Task, whole_file
from .plan import Job
from .report import describe, say_error, say_note

if TYPE_CHECKING:
    from torch import Tensor

    from img2img.images import Picture
    from img2img.metrics.texture import Diversity
    from img2img.tasks.texture import Texture, TextureNetwork
    from img2img.tasks.texture.methods.optimize import Watch

DESCRIPTORS = (*names("descriptor"), "random", "vgg19")
STEPS = {"patches": 20, "noise": 100}  # the library's; importing it takes a second
TRAIN_STEPS = 1500
METHOD_OF = {"start": "optimize", "steps": "optimize", "train_steps": "network", "save": "network"}
NET = ".safetensors"
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
    "--method",
    type=click.Choice(("optimize", "patches", "network")),
    default="optimize",
    show_default=True,
    help="patches: it is put together of pieces of the sample, in a second and without a network; half of it is copied "
    "then; optimize: then its pixels are changed until a network sees the sample's statistics; network: a small "
    "network is trained for the sample, which takes minutes, and then makes textures of any size at once.",
)
@click.option(
    "--start",
    type=click.Choice(("patches", "noise")),
    help="What optimize begins with: what patches makes; or noise, of which nothing is copied, in four times the time "
    "and less alike.  [default: patches; noise with --mix]",
)
@click.option(
    "--train-steps",
    type=click.IntRange(1, 1_000_000),
    metavar="N",
    default=TRAIN_STEPS,
    show_default=True,
    help="Of the network.",
)
@click.option(
    "--save",
    metavar="FILE",
    help="Keep the network, for --net. The file is written anew whenever the network has got better, so that Ctrl-C "
    "loses nothing.",
)
@click.option(
    "--net",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="Use a network that --save has kept; then INPUT may be left out.",
)
@click.option(
    "--descriptor",
    type=DescriptorName(),
    default=DESCRIPTORS[0],
    show_default=True,
    help="What describes it: vgg-slim, a small network; random filters, which need no weights; vgg19, which is "
    "downloaded; or a file of img2img train descriptor.",
)
@click.option(
    "--descriptor-weights",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="Weights for vgg19 (safetensors), instead of the download.",
)
@click.option(
    "--loss",
    type=click.Choice(("shifted", "gram", "swd")),
    help="What has to agree: gram: Gram matrices; shifted: also those of the texture with itself some way further, so "
    "that rows and bricks go on; swd: whole distributions (sliced Wasserstein; slower).  [default: shifted; gram for "
    "network]",
)
@click.option(
    "--steps",
    type=click.IntRange(1, 100_000),
    metavar="N",
    help="Of optimize: evaluations of the loss; from noise as many on each level, coarse to fine.  [default: 20; 100 "
    "from noise]",
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
@options.batch_of_any
def texture(
    batch: BatchOptions,
    size: tuple[int, int],
    method: str,
    start: Any,
    train_steps: int,
    save: str | None,
    net: str | None,
    descriptor: str,
    descriptor_weights: str | None,
    loss: Any,
    steps: int | None,
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
    keeping: options.Keeping,
    device: str,
    precision: str,
) -> None:
    """Make more of a texture, as much as wanted, from a sample.

    INPUT is a sample, several, a folder, or - for standard input. pebbles.jpg gives pebbles_texture.png, a folder
    samples/ gives samples_texture/ with the same names in it. With --mix all samples together give one texture, called
    after the first. With --net pebbles.safetensors and no INPUT the network gives its name.

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
    _check_method(method, net, batch.inputs, report, loss)
    if start == "patches" and mix is not None:
        raise click.UsageError("--start patches is for one sample; --mix starts from noise")
    start = start or ("patches" if mix is None else "noise")
    steps = steps or STEPS[start]
    if save:
        _check_save(save, batch, joined=mix is not None)
    loss = loss or ("gram" if method == "network" else "shifted")
    shares = None if mix is None else _shares(mix, batch.inputs)
    journal = Journal(report, max_seam)
    numbers = {"start": start, "steps": steps, "train_steps": train_steps}
    settings = _settings(method, net, descriptor, loss, numbers)
    settings |= {"tileable": tileable, "colour": colour} | ({} if shares is None else {"mix": shares})

    def write(picture: "Picture", file: BinaryIO, format: str) -> list[str]:
        from img2img.images import write_picture

        return write_picture(picture, file, format, quality, metadata=keeping.metadata, strict=keeping.strict)

    def read(file: BinaryIO) -> "Picture":
        from img2img.images import read_picture

        return read_picture(file, max_pixels, frame=keeping.frame, strict=keeping.strict)

    def prepare(_inputs: int) -> "Task[Picture | None, Picture]":
        if method == "patches" and not (report or max_seam):
            return _by_patches((height, width), seed, read, write)
        from img2img.metrics.texture import seam_scores
        from img2img.tasks.texture import Texture, TextureNetwork

        def synthesiser() -> "Texture":
            return Texture.from_pretrained(descriptor, descriptor_weights, device, precision)

        network = TextureNetwork.load(net, device, precision) if net else None
        texture = None if network and not (report and batch.inputs) else synthesiser()
        networks = Networks(texture, shares, colour, loss, train_steps, seed, save, settings)

        def grow(pictures: "Sequence[Picture]", samples: "Sequence[Tensor]", job: Job) -> "Tensor":
            own = seed + job.copy
            if method == "network" or network:
                trained = network or networks.trained(job, pictures, samples)
                return trained((height, width), tileable=tileable, seed=own, colour=colour)
            assert texture is not None
            asked: dict[str, Any] = {"tileable": tileable, "seed": own, "mix": shares, "colour": colour, "loss": loss}
            with _progress() as watch:
                return texture(samples, (height, width), start=start, steps=steps, watch=watch, **asked)

        def make(first: "Picture | None", job: Job) -> "tuple[Picture, dict[str, Any]]":
            pictures = [] if first is None else [first, *(_read(name, max_pixels) for name in job.more)]
            samples = [picture.to_tensor() for picture in pictures]
            if method == "patches":
                result = _patchwork(pictures[0], (height, width), seed + job.copy)
            else:
                result = _as_the_sample(_model(pictures, network), grow(pictures, samples, job))
            facts: dict[str, Any] = {"width": width, "height": height, "seed": seed + job.copy}
            if report or max_seam:
                seen = result.to_tensor()  # what is written: clipped and rounded
                facts |= texture.measure(seen, samples, shares) if texture and report else {"seam": seam_scores(seen)}
                sources = job.sources if pictures else ()
                journal.add(job.target, sources, settings | facts, seen, samples or _colours(network))
            return result, facts

        return Task(
            read=lambda file: read(file) if batch.inputs else None,
            apply=make,
            write=write,
            size=lambda picture: picture.samples.nbytes if picture else 0,
            with_job=True,
        )

    naming = replace(picture_naming("_texture", format), copies=count, joined=shares is not None)
    try:
        run(batch if batch.inputs else replace(batch, inputs=(net or "",)), naming, prepare)
    finally:
        journal.close()
    if journal.seams:
        raise click.exceptions.Exit(1)


def _by_patches(size: tuple[int, int], seed: int, read: Any, write: Any) -> "Task[Picture | None, Picture]":
    """What needs no PyTorch, and is done before that would be there."""

    def make(sample: "Picture | None", job: Job) -> "tuple[Picture, dict[str, Any]]":
        assert sample is not None
        own = seed + job.copy
        return _patchwork(sample, size, own), {"width": size[1], "height": size[0], "seed": own}

    return Task(
        read=read,
        apply=make,
        write=write,
        size=lambda picture: picture.samples.nbytes if picture else 0,
        with_job=True,
    )


def _patchwork(sample: "Picture", size: tuple[int, int], seed: int) -> "Picture":
    from img2img.tasks.texture.by_patches import grown, looked_up

    return looked_up(sample, grown(sample, size, seed)).as_sample()


def _check_method(method: str, net: str | None, inputs: Sequence[str], report: str | None, loss: str | None) -> None:
    """Refuse options that have no part in what is done.

    Raises:
        click.UsageError: there is one, or no INPUT where one is needed.
    """
    if net is None and not inputs:
        raise click.UsageError("Missing argument 'INPUT...'.")
    if net:
        if method != "network" and options.given("method"):
            raise click.UsageError("--net is for --method network")
        idle = ["start", "steps", "train_steps", "save", "mix", "loss"]
        idle += [] if report and inputs else ["descriptor", "descriptor_weights"]
        why = "has no part in what a trained network (--net) makes"
    else:
        idle, why = [name for name, of in METHOD_OF.items() if of != method], ""
        if method == "patches":
            own = [] if report else ["descriptor", "descriptor_weights"]
            for name in ("loss", "mix", "colour", *own):
                if options.given(name):
                    raise click.UsageError(f"--{name.replace('_', '-')} has no part in --method patches")
        if method == "network" and loss == "shifted":
            raise click.UsageError("--loss shifted is not for --method network")
    for name in idle:
        if options.given(name):
            raise click.UsageError(f"--{name.replace('_', '-')} {why or f'is for --method {METHOD_OF[name]}'}")


def _check_save(save: str, batch: BatchOptions, joined: bool) -> None:
    """Refuse to keep a network where it cannot be kept, or would replace something else.

    Raises:
        click.UsageError: so.
    """
    file = Path(save)
    if not joined and (len(batch.inputs) != 1 or Path(batch.inputs[0]).is_dir()):
        raise click.UsageError(f"--save {save}: that is the network of one sample, or of several with --mix")
    if file.suffix.lower() != NET:
        raise click.UsageError(f"--save {save}: the name of a network ends with {NET}")
    if not os.access(file.parent, os.W_OK):
        raise click.UsageError(f"--save {save}: nothing can be written to {file.parent}")
    if not file.exists():
        return
    if not batch.overwrite:
        raise click.UsageError(f"--save {save} exists already; use --overwrite")
    if not _is_network(file):
        raise click.UsageError(f"--save {save}: this is no texture's network and will not be replaced")


def _is_network(file: Path) -> bool:
    from img2img.checkpoints import read_header
    from img2img.errors import WeightsError

    try:
        return file.is_file() and read_header(file).get("network") == "texture-net"
    except WeightsError:
        return False


def _settings(method: str, net: str | None, descriptor: str, loss: str, numbers: dict[str, Any]) -> dict[str, Any]:
    """What a report says of how a texture was made; of the numbers those that belong to the method."""
    if net:
        return {"method": "network", "net": net}
    if method == "patches":
        return {"method": method}
    own = {name: number for name, number in numbers.items() if METHOD_OF[name] == method}
    return {"method": method, "descriptor": descriptor, "loss": loss} | own


@dataclass
class Networks:
    """Trains a network for the samples of a job; the copies of one job have the same network.

    Args:
        texture: what trains.
        shares: of the samples in a mixture.
        colour: keep, match or luminance.
        loss: gram or swd.
        steps: of training.
        seed: of training.
        save: where to keep it.
        settings: for the file.
    """

    texture: "Texture | None"
    shares: tuple[float, ...] | None
    colour: Any
    loss: Any
    steps: int
    seed: int
    save: str | None
    settings: dict[str, Any]
    sources: tuple[str, ...] = ()
    latest: "TextureNetwork | None" = None

    def trained(self, job: Job, pictures: "Sequence[Picture]", samples: "Sequence[Tensor]") -> "TextureNetwork":
        """The network of a job."""
        assert self.texture is not None
        if self.latest is None or self.sources != job.sources:
            about = {**self.settings, "name": Path(self.save or job.source).stem}
            about |= {"samples": [Path(name).name for name in job.sources]}
            about |= {"bits": max(picture.bits for picture in pictures)}
            try:
                with _progress() as watch:
                    self.latest = self.texture.train(
                        samples,
                        mix=self.shares,
                        colour=self.colour,
                        loss=self.loss,
                        steps=self.steps,
                        seed=self.seed,
                        about=about,
                        icc=max(pictures, key=lambda picture: picture.bits).icc,
                        watch=watch,
                        improved=self._keep,
                    )
            except KeyboardInterrupt:
                if self.save and Path(self.save).exists():
                    say_note(f"{self.save} holds the best network so far")
                raise
            self.sources = job.sources
        return self.latest

    def _keep(self, network: "TextureNetwork") -> None:
        if self.save:
            network.save(self.save)


def _colours(network: "TextureNetwork | None") -> "list[Tensor]":
    """The pixels that a network has of its samples."""
    return [] if network is None else [network.palette]


def _model(pictures: "Sequence[Picture]", network: "TextureNetwork | None") -> "Picture":
    """A picture whose bits and colour profile a texture takes: of the samples, or of those the network was made for."""
    if pictures:
        return max(pictures, key=lambda picture: picture.bits)
    import numpy as np

    from img2img.images import Picture

    assert network is not None
    dtype = np.uint16 if network.facts.get("bits") == 16 else np.uint8
    return Picture(np.zeros((1, 1, len(network.palette)), dtype), icc=network.icc)


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
    from img2img.errors import ImageError
    from img2img.images import read_picture

    try:
        return read_picture(Path(name), max_pixels)
    except (OSError, ImageError) as error:
        raise ImageError(f"{name}: {describe(error)}") from error


def _as_the_sample(sample: "Picture", image: "Tensor") -> "Picture":
    """A texture with the sample's bits and colour profile."""
    return sample.as_sample().with_tensor(image)


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

    def add(
        self,
        target: str,
        sources: tuple[str, ...],
        facts: dict[str, Any],
        texture: "Tensor",
        samples: "Sequence[Tensor]",
    ) -> None:
        """Take down one texture (C, H, W), made of samples from these sources, if there are any."""
        from img2img.metrics.texture import Diversity

        group = self.groups.setdefault(sources, Diversity(samples[0]))
        group.add(texture)
        self.entries.append({"output": target, "samples": list(sources), **facts})
        for direction, score in facts["seam"].items():
            if self.max_seam is not None and score > self.max_seam:
                self.seams.append(f"{target}: its {direction} seam score {score:.1f} is above {self.max_seam:g}")

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
