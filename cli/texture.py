"""`img2img texture`."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import click

from img2img.stores import exists, is_address, opened, whole_output
from img2img.tasks.texture.job import CHOICES, DESCRIPTOR, LAST_SEED, METHOD, SIZE, TRAIN_STEPS

from . import options
from .batch import BatchCommand, BatchOptions
from .journal import Journal
from .pictures import picture_naming
from .pipeline import Task
from .plan import STREAM, Job
from .report import describe, say_note
from .texture_types import DescriptorName, Map, Shares, Sides, Size
from .work import Work

if TYPE_CHECKING:
    from img2img.images import Picture
    from img2img.tasks.texture.methods.optimize import Watch
    from img2img.tasks.texture.patchwork import Made


@click.command(cls=BatchCommand)
@click.option(
    "--size",
    type=Size(),
    default=f"{SIZE[1]}x{SIZE[0]}",
    show_default=True,
    help="Size of the texture: width and height, or one number for both.",
)
@click.option(
    "--scale",
    type=options.AutoOr(options.Positive(), "a number above 0"),
    default="auto",
    show_default=True,
    help="By what to resize the sample first. auto: a large one is made smaller until its structures fit the texture, "
    "and a note says so.",
)
@click.option(
    "--method",
    type=click.Choice(CHOICES["method"]),
    default=METHOD,
    show_default=True,
    help="patches: put together from pieces of the sample, in a second and without a network; half of it is copied. "
    "optimize: begins with that and changes the pixels until a network sees the sample's statistics. network: trains a "
    "small network for the sample, which takes minutes and then makes textures of any size at once.",
)
@click.option(
    "--start",
    type=click.Choice(CHOICES["start"]),
    help="What optimize begins with: the result of patches; or noise, of which nothing is copied, but which takes four "
    "times as long and comes out less alike.  [default: patches; noise with --mix]",
)
@click.option(
    "--train-steps",
    type=click.IntRange(1, 1_000_000),
    metavar="N",
    default=TRAIN_STEPS,
    show_default=True,
    help="Training steps of --method network.",
)
@click.option(
    "--recipe",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Recipe (TOML) of the network's training, instead of the one that is shipped.",
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
    help="Use a network that --save wrote; then INPUT may be left out.",
)
@click.option(
    "--descriptor",
    type=DescriptorName(),
    default=DESCRIPTOR,
    show_default=True,
    help="Network whose features describe the texture: vgg-slim, a small one; random filters, which need no weights; "
    "vgg19, which is downloaded; or a file of img2img train descriptor.",
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
    help="Statistics of the features that have to agree. gram: Gram matrices; shifted: also those between the features "
    "and the same shifted, so that rows of bricks go on; swd: whole distributions (sliced Wasserstein; slower).  "
    "[default: shifted; gram for network]",
)
@click.option(
    "--steps",
    type=click.IntRange(1, 100_000),
    metavar="N",
    help="Steps of optimize (evaluations of the loss); from noise as many on each level, coarse to fine.  [default: "
    "30, or 15 where a texture is larger than 384x384; 100 from noise]",
)
@click.option(
    "--tileable",
    is_flag=True,
    help="The texture can be tiled: it fits itself at its borders. Textures by patches always do.",
)
@click.option(
    "--tile-axis",
    type=click.Choice(("x", "y", "both")),
    help="Make it fit itself from left to right (x), from top to bottom (y), or both, which is --tileable. With "
    "--seamless: along which axis the picture is changed.",
)
@click.option(
    "--mask",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="A picture of the sample's size, white where the sample may be used. What is transparent is never used.",
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
    help="A further map of the sample (normals, roughness, height), put together from the same pieces, value for "
    "value. May be given several times; a.png with --map normal=n.png gives a_texture_normal.png, too.",
)
@click.option(
    "--seamless",
    is_flag=True,
    help="No new texture: the picture itself is made tileable, changed near its border only.",
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
    help="keep: as it comes out; match: changed to the distribution of the sample's colours; luminance: only luminance "
    "is grown, and gets the colours that the sample has on average at the same luminance.",
)
@click.option(
    "--mix",
    type=Shares(),
    help="Make one texture of all INPUTs, mixed in these shares; for two of them one number from 0 to 1, the second's.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, LAST_SEED),
    metavar="N",
    default=0,
    show_default=True,
    help="The same seed gives the same texture, another seed another one.",
)
@click.option(
    "--count",
    type=click.IntRange(1, 9999),
    metavar="N",
    default=1,
    show_default=True,
    help="How many textures of each sample, with the seeds from --seed on; their names are numbered.",
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
    help="Exit with 1, though the texture is written, if the step across its border exceeds those inside by more "
    "than X standard deviations.",
)
@options.pictures
@options.computing
@options.batch_of_any
def texture(
    batch: BatchOptions,
    report: str | None,
    max_seam: float | None,
    format: str | None,
    quality: int | None,
    max_pixels: int,
    keeping: options.Keeping,
    computing: dict[str, Any],
    **values: Any,
) -> Work:
    """Make more of a texture, as much as wanted, from a sample.

    INPUT is a sample, several, a folder, or - for standard input. pebbles.jpg gives pebbles_texture.png, a folder
    samples/ gives samples_texture/ with the same names in it. With --mix all samples together give one texture, called
    after the first. With --net pebbles.safetensors and no INPUT the network gives its name.

    A grey sample gives a grey texture, one of 16 bits one of 16 bits; alpha and EXIF belong to the sample and are left
    out. What needs the sample's own pixels (--rotate, --mirror, --map, --seamless, --fill, --extend) is done by
    patches.

    The same seed gives the same bytes: by patches, and by optimize with --engine onnx, for any number of threads (the
    latter with the same onnxruntime on the same kind of processor); else on the same machine with as many threads.
    """
    from img2img.front import Texture
    from img2img.tasks.texture.files import TextureFiles

    asked: dict[str, Any] = {name: value for name, value in values.items() if options.given(name)}
    asked |= {"size": asked["size"][::-1]} if "size" in asked else {}
    _check_inputs(batch, asked)
    maker = Texture.from_pretrained(**computing).maker(
        asked, len(batch.inputs), max_pixels=max_pixels, overwrite=batch.overwrite, measured=report is not None
    )
    _check_measures(maker.job.mode, report, max_seam)
    journal = Journal(report, max_seam)

    def prepare(_inputs: int) -> "Task[Any, Any]":
        from img2img.tasks.texture.patchwork import map_files, map_format

        maker.load(measuring=bool(report and batch.inputs))

        def make(sample: "Picture | None", job: Job) -> "tuple[Made, dict[str, Any]]":
            pictures = [] if sample is None else [sample, *(_read(name, max_pixels) for name in job.more)]
            sources = job.sources if pictures else ()
            with _progress() as watch, _saying_what_is_kept(asked.get("save")):
                made, facts = maker(pictures, sources, maker.job.seed + job.copy, watch)
            if report or max_seam:
                facts |= maker.measured(made.picture, pictures, likeness=report is not None)
                said = maker.settings(len(pictures)) | {name: facts[name] for name in facts if name != "note"}
                journal.add(job.target, sources, said, made.picture.to_array(), maker.colours_of(pictures))
            return made, facts

        files = TextureFiles(quality, max_pixels, keeping)

        def apply(sample: "Picture | None", job: Job) -> "tuple[Textures, dict[str, Any]]":
            targets = map_files(job.target, job.format, maker.maps)
            _check_targets(targets.values(), values["maps"], batch.overwrite)
            made, facts = make(sample, job)
            return Textures(made, targets), facts | ({"maps": targets} if targets else {})

        def write(textures: Textures, file: BinaryIO, format: str) -> Sequence[str]:
            lost = files.write(textures.made, file, format)
            for name, of_map in files.beside(textures.made).items():
                with whole_output(textures.targets[name], batch.overwrite) as beside:
                    files.write(of_map, beside, map_format(format))
            return lost

        return Task(
            read=lambda file: files.read(file) if batch.inputs else None,
            apply=apply,
            write=write,
            size=lambda picture: picture.nbytes if picture else 0,
            with_job=True,
        )

    copies, joined = asked.get("count", 1), "mix" in asked
    naming = replace(picture_naming(f"_{maker.job.mode}", format), copies=copies, joined=joined)
    inputs = batch if batch.inputs else replace(batch, inputs=(asked["net"],))
    return Work(inputs, naming, prepare, journal.begin, journal)


class Textures(NamedTuple):
    """A texture with its maps, and the files that these are for, by name."""

    made: "Made"
    targets: Mapping[str, str]


def _check_inputs(batch: BatchOptions, asked: Mapping[str, Any]) -> None:
    """Refuse options that do not fit how many INPUTs there are.

    Raises:
        click.UsageError: one does not.
    """
    alone = len(batch.inputs) == 1 and not Path(batch.inputs[0]).is_dir()
    if not batch.inputs and "net" not in asked:
        raise click.UsageError("Missing argument 'INPUT...'.")
    if "save" in asked and "net" not in asked and not ("mix" in asked or alone):
        raise click.UsageError(f"--save {asked['save']}: that is the network of one sample, or of several with --mix")
    if "maps" not in asked:
        return
    if not alone:
        raise click.UsageError("--map belongs to one sample: give one INPUT")
    if batch.output == STREAM or (batch.inputs[0] == STREAM and batch.output is None):
        raise click.UsageError("--map needs a name for the texture: use -o FILE")
    if len(dict(asked["maps"])) < len(asked["maps"]):
        raise click.UsageError("two maps have the same name")


def _check_measures(mode: str, report: str | None, max_seam: float | None) -> None:
    """Refuse measures of what is no texture.

    Raises:
        click.UsageError: one is asked for.
    """
    if mode != "texture" and report is not None:
        raise click.UsageError(f"--report has no part in a picture that is {mode}")
    if mode not in ("texture", "seamless") and max_seam is not None:
        raise click.UsageError(f"--max-seam has no part in a picture that is {mode}")


def _check_targets(targets: Iterable[str], maps: Sequence[tuple[str, str]], overwrite: bool) -> None:
    """Refuse to write maps over files that exist, and over those that are read in any case.

    Raises:
        ImageError: one would be.
    """
    from img2img.errors import ImageError

    for target in targets:
        if exists(target) and not overwrite:
            raise ImageError(f"{target} exists already; use --overwrite")
        if is_address(target):
            continue
        if any(Path(target).exists() and Path(target).samefile(file) for _, file in maps):
            raise ImageError(f"{target} is a map that is read")


def _read(name: str, max_pixels: int) -> "Picture":
    """A further sample; what is wrong with it is said with its name."""
    from img2img.errors import ImageError, Img2ImgError
    from img2img.images import read_picture

    try:
        with opened(name) as file:
            return read_picture(file, max_pixels)
    except (OSError, Img2ImgError) as error:
        raise ImageError(f"{name}: {describe(error)}") from error


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
