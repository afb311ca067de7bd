"""`img2img texture`."""

import math
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from img2img.checkpoints import names
from img2img.tasks.texture.job import CHOICES, DESCRIPTOR, SIZE, TRAIN_STEPS, TextureJob

from . import options
from .batch import BatchOptions, run
from .journal import Journal
from .patchwork import MODES, Made, Map, Mode, Patchwork, Sides, check_maps, read_named
from .pictures import picture_naming
from .pipeline import Task
from .plan import Job
from .report import say_note

if TYPE_CHECKING:
    from img2img.images import Picture
    from img2img.tasks.texture import TextureNetwork
    from img2img.tasks.texture.methods.optimize import Watch

DESCRIPTORS = (*names("descriptor"), "random", "vgg19")
METHOD_OF = {"start": "optimize", "steps": "optimize", "train_steps": "network", "recipe": "network", "save": "network"}
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
    "--size",
    type=Size(),
    default=f"{SIZE[1]}x{SIZE[0]}",
    show_default=True,
    help="Of the texture: width and height, or one number.",
)
@click.option(
    "--scale",
    type=options.AutoOr(options.Positive(), "a number above 0"),
    default="auto",
    show_default=True,
    help="Of the sample. auto: a large one is made smaller until its structures fit the texture, and a line says so.",
)
@click.option(
    "--method",
    type=click.Choice(CHOICES["method"]),
    default="optimize",
    show_default=True,
    help="patches: it is put together of pieces of the sample, in a second and without a network; half of it is copied "
    "then; optimize: then its pixels are changed until a network sees the sample's statistics; network: a small "
    "network is trained for the sample, which takes minutes, and then makes textures of any size at once.",
)
@click.option(
    "--start",
    type=click.Choice(CHOICES["start"]),
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
    "--recipe",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Of the network's training, instead of ours.",
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
    default=DESCRIPTOR,
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
    type=click.Choice(CHOICES["loss"]),
    help="What has to agree: gram: Gram matrices; shifted: also those of the texture with itself some way further, so "
    "that rows and bricks go on; swd: whole distributions (sliced Wasserstein; slower).  [default: shifted; gram for "
    "network]",
)
@click.option(
    "--steps",
    type=click.IntRange(1, 100_000),
    metavar="N",
    help="Of optimize: evaluations of the loss; from noise as many on each level, coarse to fine.  [default: 30; 100 "
    "from noise]",
)
@click.option(
    "--tileable",
    is_flag=True,
    help="The texture fits itself at its borders, as those by patches always do.",
)
@click.option(
    "--tile-axis",
    type=click.Choice(("x", "y", "both")),
    help="It fits itself from left to right (x), top to bottom (y), or both, which is --tileable. With --seamless: "
    "what the picture is changed for.",
)
@click.option(
    "--mask",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="A picture of the sample's size: white where it may be used. What is transparent never is.",
)
@click.option(
    "--rotate",
    is_flag=True,
    help="Pieces of the sample may be turned by quarters: fewer repeats. Not for normal maps, nor where light comes "
    "from one side.",
)
@click.option("--mirror", is_flag=True, help="Pieces of the sample may be mirrored left to right; as --rotate.")
@click.option(
    "--map",
    "maps",
    type=Map(),
    multiple=True,
    help="A further map of the sample (normals, roughness, height): it is put together of the same pieces, value for "
    "value. May be given several times; a.png with --map normal=n.png gives a_texture_normal.png, too.",
)
@click.option(
    "--seamless",
    is_flag=True,
    help="No new texture: the picture itself is made to fit itself, changed near its border only.",
)
@click.option(
    "--fill",
    type=click.Path(exists=True, dir_okay=False),
    metavar="MASK",
    help="No new texture: what is white in MASK is filled with what lies around it, the rest stays.",
)
@click.option(
    "--extend",
    type=Sides(),
    help="No new texture: more of the picture around it, so many pixels on each side, or left, top, right, bottom.",
)
@click.option(
    "--colour",
    type=click.Choice(CHOICES["colour"]),
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
    scale: float | None,
    method: Any,
    start: Any,
    train_steps: int,
    recipe: Path | None,
    save: str | None,
    net: str | None,
    descriptor: str,
    descriptor_weights: str | None,
    loss: Any,
    steps: int | None,
    tileable: bool,
    tile_axis: str | None,
    mask: str | None,
    rotate: bool,
    mirror: bool,
    maps: tuple[tuple[str, str], ...],
    seamless: bool,
    fill: str | None,
    extend: tuple[int, ...] | None,
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
    out. What needs the sample's own pixels (--rotate, --mirror, --map, --seamless, --fill, --extend) is done by
    patches.

    The same seed gives the same bytes: by patches for any number of threads; by the other methods on the same machine
    with as many threads as before.
    """
    width, height = size
    if width * height > max_pixels:
        raise click.UsageError(f"--size {width}x{height}: that is more than --max-pixels {max_pixels}")
    if descriptor_weights and descriptor != "vgg19":
        raise click.UsageError(f"--descriptor-weights is for --descriptor vgg19, not {descriptor}")
    if seed + count - 1 > LAST_SEED:
        raise click.UsageError(f"--seed {seed} and --count {count}: there is no seed beyond {LAST_SEED}")
    mode = _mode(seamless, fill, extend)
    if mode != "texture" or rotate or mirror or maps:
        _check_by_patches(mode, method)
        method = "patches"
    _check_method(method, net, batch.inputs, report, loss)
    check_maps(maps, batch)
    if maps or mask or mix is not None or mode != "texture":  # pixels have to fit others, or several samples each other
        if scale not in (None, 1):
            raise click.UsageError("--scale has no part where pixels are to stay, with --map, --mask, or with --mix")
        scale = 1
    if tileable and tile_axis in ("x", "y"):
        raise click.UsageError(f"--tileable and --tile-axis {tile_axis} contradict each other")
    wraps: Any = tile_axis if tile_axis in ("x", "y") else tileable or tile_axis == "both"
    if wraps in ("x", "y") and method == "network":
        raise click.UsageError(f"--tile-axis {wraps} is not for --method network")
    if start == "patches" and mix is not None:
        raise click.UsageError("--start patches is for one sample; --mix starts from noise")
    if mask and mix is not None:
        raise click.UsageError("--mask belongs to one sample, --mix to several")
    patchwork = Patchwork(
        mode,
        (height, width),
        seed,
        tile_axis or "both",
        extend or (0, 0, 0, 0),
        rotate,
        mirror,
        fill or mask,
        maps,
        batch.overwrite,
        max_pixels,
    )
    if save:
        _check_save(save, batch, joined=mix is not None)
    shares = None if mix is None else _shares(mix, batch.inputs)
    journal = Journal(report, max_seam)
    wanted = TextureJob((height, width), method, wraps, seed, shares, colour, loss, start, steps, train_steps)

    def write(picture: "Picture", file: BinaryIO, format: str) -> list[str]:
        from img2img.images import write_picture

        return write_picture(picture, file, format, quality, metadata=keeping.metadata, strict=keeping.strict)

    def read(file: BinaryIO) -> "Picture":
        from img2img.images import read_picture

        picture = read_picture(file, max_pixels, frame=keeping.frame, strict=keeping.strict)
        return picture if scale == 1 else _scaled(picture, scale, (height, width), max_pixels)

    def prepare(_inputs: int) -> "Task[Any, Any]":
        if method == "patches" and not (report or max_seam):
            return patchwork.task(read, write)
        from img2img.tasks.texture.by_patches import opaque
        from img2img.tasks.texture.maker import Means, TextureMaker

        means = Means(descriptor, descriptor_weights, net, recipe, device, precision)
        maker = TextureMaker(wanted, means, _keep(save), Path(save).stem if save else None)
        maker.load(measuring=bool(report and batch.inputs))

        def make(first: "Picture | None", job: Job) -> "tuple[Made, dict[str, Any]]":
            pictures = [] if first is None else [first, *(read_named(name, max_pixels) for name in job.more)]
            sources = job.sources if pictures else ()
            facts: dict[str, Any]
            if method == "patches":
                made, facts = patchwork(pictures[0], job)
            else:
                usable = [opaque(picture, patchwork.mask_picture, seed) for picture in pictures]
                with _progress() as watch, _saying_what_is_kept(save):
                    made = Made(maker(usable, sources, seed + job.copy, watch))
                facts = {"width": width, "height": height, "seed": seed + job.copy}
            if report or max_seam:
                facts |= maker.measured(made.picture, pictures, likeness=report is not None)
                said = maker.settings(len(pictures)) | facts
                journal.add(job.target, sources, said, made.picture.to_array(), maker.colours_of(pictures))
            return made, facts

        return Task(
            read=lambda file: read(file) if batch.inputs else None,
            apply=make,
            write=lambda made, file, format: patchwork.write(made, file, format, write),
            size=lambda picture: picture.nbytes if picture else 0,
            with_job=True,
        )

    naming = replace(picture_naming(f"_{mode}", format), copies=count, joined=shares is not None)
    try:
        run(batch if batch.inputs else replace(batch, inputs=(net or "",)), naming, prepare, journal.begin)
    finally:
        journal.close()
    if journal.seams:
        raise click.exceptions.Exit(1)


def _scaled(sample: "Picture", scale: float | None, size: tuple[int, int], max_pixels: int) -> "Picture":
    """A sample as large as asked for, or as fits the texture; the latter is said."""
    from img2img.errors import ImageError
    from img2img.tasks.texture.scale import fitting_scale, scaled

    chosen = fitting_scale(sample, size) if scale is None else scale
    if sample.width * chosen * sample.height * chosen > max_pixels:
        raise ImageError(f"--scale {chosen:g}: it would have more than --max-pixels {max_pixels}")
    found = scaled(sample, chosen)
    if scale is None and chosen != 1:
        was, now = (f"{picture.width}x{picture.height}" for picture in (sample, found))
        say_note(f"a sample of {was} is made {now}, so that its structures fit the texture (--scale {chosen:.3g})")
    return found


def _mode(seamless: bool, fill: str | None, extend: tuple[int, ...] | None) -> Mode:
    """What is to be made.

    Raises:
        click.UsageError: several things.
    """
    asked = {"seamless": seamless, "filled": fill, "extended": extend}
    modes = [mode for mode in MODES if asked.get(mode)]
    if len(modes) > 1:
        raise click.UsageError("--seamless, --fill and --extend are three different things")
    return modes[0] if modes else "texture"


def _check_by_patches(mode: Mode, method: str) -> None:
    """Refuse what has no part in pictures of a sample's own pixels.

    Raises:
        click.UsageError: it is one of these.
    """
    asked = [name for name in ("rotate", "mirror", "maps", "seamless", "fill", "extend") if options.given(name)]
    if method != "patches" and options.given("method"):
        raise click.UsageError(
            f"--{'map' if asked[0] == 'maps' else asked[0]} is done by patches, not by --method {method}"
        )
    if mode == "texture":
        return
    idle = ("size", "rotate", "mirror", "mask", "report", *([] if mode == "seamless" else ["max_seam", "tile_axis"]))
    for name in (*idle, "tileable"):
        if options.given(name):
            raise click.UsageError(f"--{name.replace('_', '-')} has no part in a picture that is {mode}")


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
        idle = ["start", "steps", "train_steps", "recipe", "save", "mix", "loss"]
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
        click.UsageError: it is one of these.
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


def _keep(save: str | None) -> "Callable[[TextureNetwork], None] | None":
    return None if save is None else lambda network: network.save(save)


@contextmanager
def _saying_what_is_kept(save: str | None) -> Iterator[None]:
    """Say at Ctrl-C that the best network so far is there."""
    try:
        yield
    except KeyboardInterrupt:
        if save and Path(save).exists():
            say_note(f"{save} holds the best network so far")
        raise


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
