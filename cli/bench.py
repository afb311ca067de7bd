"""`img2img bench`: the code of benchmarks/ as commands."""

from copy import copy
from pathlib import Path
from typing import Any

import click

from img2img.choices import ENGINES, LOOKS, TUNES

from . import options
from .debug import debug
from .texture import texture as texture_command
from .texture_types import Size


class Numbers(click.ParamType):
    """Numbers with commas between them, each of a type, by default 0 to 255."""

    name = "numbers"

    def __init__(self, each: click.ParamType | None = None) -> None:
        self.each = each or click.FloatRange(0, 255)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Show the form in the help text."""
        return "N,N,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        """Read them."""
        return tuple(self.each.convert(part, param, ctx) for part in value.split(","))


def _data_folder(help: str, required: bool = False) -> Any:
    kind = click.Path(exists=True, file_okay=False, path_type=Path)
    return click.option("--data", type=kind, metavar="DIR", required=required, help=help)


def _out_folder(help: str, required: bool = False) -> Any:
    kind = click.Path(file_okay=False, path_type=Path)
    return click.option("--out", type=kind, metavar="DIR", required=required, help=help)


def _models_of(task: str, help: str, default: tuple[str, ...] = ()) -> Any:
    kind = options.WeightsName(task)
    return click.option(
        "--model", "models", type=kind, multiple=True, default=default, show_default=bool(default), help=help
    )


def _rounds(default: int) -> Any:
    return click.option(
        "--rounds",
        type=click.IntRange(1),
        default=default,
        show_default=True,
        help="Repetitions; the median is reported.",
    )


_data = _data_folder("Folder of clean pictures.  [default: photographs that come with scikit-image]")

_case = click.option(
    "--case",
    "cases",
    type=click.Choice(("float", "8bit", "both")),
    default="both",
    show_default=True,
    callback=lambda _ctx, _param, value: ("float", "8bit") if value == "both" else (value,),
    help="Noisy values as they are, or clipped and rounded as in a file.",
)

_limit = click.option("--limit", type=click.IntRange(1), help="Only the first so many pictures, by name.")


_models = _models_of("denoise", "Weights to measure; may be given several times.  [default: all]")

_out = _out_folder("Write the numbers as JSON into this folder.")


@click.group()
@debug
def bench() -> None:
    """Measure a task's results beside what else could be used."""


@bench.command()
@_data
@click.option(
    "--sigma", "sigmas", type=Numbers(), default="15,25,50", show_default=True, help="Noise levels in grey levels."
)
@_models
@_case
@_limit
@click.option("--auto/--no-auto", default=True, show_default=True, help="Also with the noise level estimated.")
@click.option("--tta", is_flag=True, help="Also with --tta of img2img denoise.")
@click.option("--peers/--no-peers", default=True, show_default=True, help="Also measure scikit-image's methods.")
@click.option("--bm3d", is_flag=True, help="Also measure BM3D (slow; pip install 'img2img-suite[bm3d]').")
@_out_folder("Write the numbers as JSON, the curves and a side-by-side picture into this folder.")
@options.device
@options.precision
@debug
def denoise(models: tuple[str, ...], **settings: Any) -> None:
    """PSNR, SSIM and seconds per megapixel of denoising."""
    from img2img.benchmarks import denoise_psnr

    denoise_psnr.run(denoise_psnr.Settings(models=models or None, **settings), echo=click.echo)


@bench.command()
@_models
@click.option("--peers/--no-peers", default=True, show_default=True, help="Also time scikit-image's methods.")
@_rounds(5)
@_out
@options.device
@debug
def speed(models: tuple[str, ...], **settings: Any) -> None:
    """Start-up, one photograph, 24 megapixels and their memory, and seconds per megapixel beside other methods."""
    from img2img.benchmarks import speed

    speed.run(speed.Settings(models=models or None, **settings), echo=click.echo)


@bench.command()
@_data
@click.option(
    "--sigma",
    "sigmas",
    type=Numbers(),
    default="5,10,15,25,50,75",
    show_default=True,
    help="True noise levels in grey levels.",
)
@options.weights("denoise", default="denoise-fast")
@_case
@_limit
@_out
@options.device
@options.precision
@debug
def sigma(**settings: Any) -> None:
    """Estimates of the noise level: how far off, and what that costs in dB of denoising."""
    from img2img.benchmarks import noise_level

    noise_level.run(noise_level.Settings(**settings), echo=click.echo)


_judge = click.option(
    "--judge",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Weights of a VGG-19 for the distance in its features; see --descriptor-weights of img2img texture.",
)

_peers_blind = click.option(
    "--peers/--no-peers", default=True, show_default=True, help="Measure scikit-image and OpenCV as well."
)
_bm3d_blind = click.option("--bm3d", is_flag=True, help="Measure BM3D as well: tens of seconds a picture.")


@bench.command()
@_data
@click.option("--held-out", is_flag=True, help="Of a folder of training pictures only those that no training sees.")
@click.option(
    "--kind",
    "kinds",
    type=click.Choice(("clean", "camera", "worked over")),
    multiple=True,
    help="The kind of noisy picture made of each clean one; may be given several times.  [default: all]",
)
@_models_of("denoise", "Weights to measure; may be given several times.", default=("denoise-photo", "denoise-fast"))
@click.option("--told", is_flag=True, help="Also denoise-fast at each picture's best level, found by the truth.")
@_limit
@_peers_blind
@_bm3d_blind
@_judge
@_out
@options.device
@options.precision
@debug
def photo(kinds: tuple[str, ...], **settings: Any) -> None:
    """Pictures as users have them, the level unknown: clean ones, camera noise, worked over by other programs."""
    from img2img.benchmarks import photographs

    photographs.run(photographs.Settings(kinds=kinds or photographs.KINDS, **settings), echo=click.echo)


@bench.command()
@_data_folder("Folder of pairs NAME_real.* and NAME_mean.*, the mean of many shots.", required=True)
@_models_of("denoise", "Weights to measure; several times.", default=("denoise-photo", "denoise-fast"))
@_limit
@_peers_blind
@_bm3d_blind
@_out
@options.device
@options.precision
@debug
def real(**settings: Any) -> None:
    """Photographs by real cameras, beside the mean of many shots of the same scene."""
    from img2img.benchmarks import real_noise

    real_noise.run(real_noise.Settings(**settings), echo=click.echo)


@bench.command()
@_data_folder("Folder of noisy pictures.", required=True)
@_models_of("denoise", "Weights to measure; may be given several times.", default=("denoise-photo",))
@click.option(
    "--strength",
    "strengths",
    type=Numbers(click.FloatRange(0, 2)),
    default="0.5,1,2",
    show_default=True,
    help="Strengths of our denoisers.",
)
@_limit
@_peers_blind
@_bm3d_blind
@_out
@options.device
@options.precision
@debug
def unknown(**settings: Any) -> None:
    """Noisy pictures without a truth: noise left in flat places, sharpness kept at edges, and a sheet to look at."""
    from img2img.benchmarks import unknown_noise

    unknown_noise.run(unknown_noise.Settings(**settings), echo=click.echo)


_codecs = _models_of("compress", "Weights to measure; may be given several times.  [default: all]")


_only = click.option(
    "--peer",
    "only",
    multiple=True,
    metavar="NAME",
    help="Only this one of the other codecs; may be given several times.",
)


_tunes = click.option(
    "--tune",
    "tunes",
    type=click.Choice(TUNES),
    multiple=True,
    default=TUNES[:1],
    show_default=True,
    help="What ours are coded for, as for img2img compress; may be given several times.",
)
_looks = click.option(
    "--look",
    "looks",
    type=click.Choice(list(LOOKS)),
    multiple=True,
    default=("faithful", "vivid"),
    show_default=True,
    help="What ours are decoded with; may be given several times.",
)


@bench.command()
@_data
@_codecs
@click.option(
    "--quality",
    "qualities",
    type=Numbers(click.IntRange(1, 100)),
    default="1,12,23,34,45,56,67,78,89,100",
    show_default=True,
    help="Qualities of our codecs, 1 to 100.",
)
@click.option(
    "--effort",
    "efforts",
    type=Numbers(click.IntRange(0, 2)),
    default="1",
    show_default=True,
    help="As for img2img compress; several, with commas between them.",
)
@_tunes
@click.option("--plain", is_flag=True, help="Also by the synthesis alone, which nothing restores.")
@_limit
@click.option("--peers/--no-peers", default=True, show_default=True, help="Also measure JPEG, WebP, AVIF and others.")
@click.option("--slow-peers", is_flag=True, help="Also AVIF at its best for PSNR (seconds per picture).")
@_only
@_out_folder("Write the points as JSON and the curves as a picture into this folder.")
@options.device
@options.precision
@debug
def codec(models: tuple[str, ...], **settings: Any) -> None:
    """Rate and distortion of real files beside other codecs, BD-rates, seconds and memory. Also called rd."""
    from img2img.benchmarks import codec_rate_distortion

    codec_rate_distortion.run(codec_rate_distortion.Settings(models=models or None, **settings), echo=click.echo)


_rd = copy(codec)
_rd.hidden = True  # one line in the list of commands is enough
bench.add_command(_rd, "rd")


@bench.command()
@click.option(
    "--size",
    "sizes",
    type=Size(),
    multiple=True,
    help="Size of the pictures; may be given several times.  [default: three sizes]",
)
@_rounds(3)
@_out
@debug
def engines(sizes: tuple[tuple[int, int], ...], **settings: Any) -> None:
    """Whole commands by each engine: seconds, memory, and whether their results agree."""
    from img2img.benchmarks import engines

    chosen = {"sizes": sizes} if sizes else {}
    engines.run(engines.Settings(**chosen, **settings), echo=click.echo)


@bench.command("codec-speed")
@_codecs
@click.option("--quality", type=click.IntRange(1, 100), default=50, show_default=True, help="Quality of our codecs.")
@_rounds(5)
@click.option("--large", is_flag=True, help="Also a picture of 100 megapixels, once: seconds and memory.")
@_out
@options.device
@options.precision
@debug
def codec_speed(models: tuple[str, ...], **settings: Any) -> None:
    """Encoding and decoding one photograph, end to end and part by part, beside CompressAI's networks."""
    from img2img.benchmarks import codec_speed

    codec_speed.run(codec_speed.Settings(models=models or None, **settings), echo=click.echo)


@bench.command("codec-seen")
@_data
@_codecs
@click.option(
    "--detail",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Weights of `img2img train detail`, for the vivid look.",
)
@_tunes
@_looks
@click.option(
    "--rate",
    "rates",
    type=Numbers(options.Positive()),
    default="0.08,0.15,0.25",
    show_default=True,
    help="Bits per pixel that each file may have.",
)
@_limit
@_judge
@click.option("--slow-peers", is_flag=True, help="Also AVIF at speed 2, as it is and tuned for SSIM.")
@_only
@_out_folder("Write the scores as JSON and a sheet of pictures for each rate into this folder.")
@options.device
@options.precision
@debug
def codec_seen(models: tuple[str, ...], **settings: Any) -> None:
    """Codecs at equal bytes: PSNR, MS-SSIM, SSIMULACRA2, distance in VGG-19's features, and sheets to look at."""
    from img2img.benchmarks import codec_equal_bytes

    codec_equal_bytes.run(codec_equal_bytes.Settings(models=models or None, **settings), echo=click.echo)


@bench.command("codec-blind")
@_data
@click.option(
    "--model",
    "models",
    type=options.WeightsName("compress"),
    multiple=True,
    default=("codec-best",),
    show_default=True,
    help="Our codecs; may be given several times.",
)
@_tunes
@_looks
@click.option(
    "--peer", "only", multiple=True, metavar="NAME", default=("AVIF",), show_default=True, help="And these codecs."
)
@click.option("--rate", type=options.Positive(), default=0.25, show_default=True, help="Bits per pixel of each file.")
@click.option(
    "--limit", type=click.IntRange(1), default=10, show_default=True, help="Only the first pictures, by name."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the order, and of A and B.")
@click.option(
    "--answers",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="Count these answers, a line each: the sheet's number, and A, B or =. May be given several times.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder of the sheets, of their key, and of what was counted.",
)
@debug
def codec_blind(models: tuple[str, ...], **settings: Any) -> None:
    """Pictures by two codecs at equal bytes, without names: which is better? First sheets, then answers counted."""
    from img2img.benchmarks import codec_blind

    codec_blind.run(codec_blind.Settings(models=models, **settings), echo=click.echo)


@bench.command("codec-rounds")
@_data
@_codecs
@click.option(
    "--quality",
    "qualities",
    type=Numbers(click.IntRange(1, 100)),
    default="50,80",
    show_default=True,
    help="Qualities of our codecs.",
)
@click.option(
    "--rounds",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    help="How often a picture is coded and decoded in a row.",
)
@click.option("--side", type=click.IntRange(1), help="Only the middle of each picture, so many pixels wide and high.")
@_limit
@click.option("--peers/--no-peers", default=True, show_default=True, help="Also measure JPEG, WebP, AVIF and others.")
@_only
@_out
@options.device
@options.precision
@debug
def codec_rounds(models: tuple[str, ...], **settings: Any) -> None:
    """What is lost when a picture is coded, decoded, and coded again, ten times and more."""
    from img2img.benchmarks import codec_rounds

    codec_rounds.run(codec_rounds.Settings(models=models or None, **settings), echo=click.echo)


@bench.command("codec-views")
@_codecs
@click.option(
    "--size",
    "sizes",
    type=Size(),
    multiple=True,
    help="Size of the pictures; may be given several times.  [default: two sizes]",
)
@_rounds(1)
@_out
@debug
def codec_views(models: tuple[str, ...], sizes: tuple[tuple[int, int], ...], **settings: Any) -> None:
    """Seconds and memory of coding, of decoding all of a file, a preview, a region, half of it."""
    from img2img.benchmarks import codec_views

    chosen = {"sizes": sizes} if sizes else {}
    codec_views.run(codec_views.Settings(models=models or None, **chosen, **settings), echo=click.echo)


@bench.command("codec-hostile")
@_codecs
@_rounds(3)
@click.option("--engine", type=click.Choice(("auto", "onnx", "torch")), default="auto", show_default=True)
@_out
@options.device
@options.precision
@debug
def codec_hostile(models: tuple[str, ...], **settings: Any) -> None:
    """How long valid files made to be slow take to decode at worst: odd tiles, strips, absurd numbers."""
    from img2img.benchmarks import codec_hostile

    codec_hostile.run(codec_hostile.Settings(models=models or None, **settings), echo=click.echo)


_segmenter = click.option(
    "--segmenter",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Run of the facade segmenter for the FCN score; trained there on DATA/train if it holds none.",
)


@bench.command()
@_models_of(
    "translate",
    "Weights to measure; may be given several times, if all are for pairs of one kind.",
    default=("colorize",),
)
@_data_folder("Photographs, or pairs for weights trained on pairs.  [default: photographs that come with scikit-image]")
@_limit
@_judge
@_segmenter
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="As for img2img translate.")
@click.option("--noise/--no-noise", default=True, show_default=True, help="As for img2img translate.")
@click.option("--width", type=click.IntRange(16), metavar="N", help="Bring photographs to a longer side of N pixels.")
@click.option(
    "--points",
    type=click.IntRange(1),
    multiple=True,
    metavar="N",
    help="For colorize: also with N hints, true colours at random places; may be given several times.",
)
@_out_folder("Write the numbers as JSON and a contact sheet into this folder.")
@options.device
@options.precision
@debug
def translate(**settings: Any) -> None:
    """PSNR, SSIM, VGG distance, colourfulness and FCN score of translated pictures beside floors."""
    from img2img.benchmarks import translation

    translation.run(translation.Settings(**settings), echo=click.echo)


@bench.command("translate-ablation")
@_data_folder("Folder of train, val and perhaps test, pairs with the photograph on the left.", required=True)
@_out_folder(
    "Folder of the runs, which are gone on with, of the numbers as JSON and of the contact sheet.", required=True
)
@click.option("--steps", type=click.IntRange(1), default=4000, show_default=True, help="Length of each training.")
@click.option(
    "--width",
    type=click.IntRange(1),
    default=16,
    show_default=True,
    help="Channels of the networks' first layer (paper: 64).",
)
@click.option("--only", multiple=True, metavar="NAME", help="Only this variant; may be given several times.")
@_limit
@_judge
@_segmenter
@options.device
@options.precision
@debug
def translate_ablation(**settings: Any) -> None:
    """Train and measure the paper's ablations: L1, cGAN, both; U-Net or not; PatchGANs of 1 to 286 pixels."""
    from img2img.benchmarks import translation_ablation

    translation_ablation.run(translation_ablation.Settings(**settings), echo=click.echo)


@bench.command("serve")
@click.option(
    "--clients",
    type=click.IntRange(1),
    default=8,
    show_default=True,
    help="Clients that send requests at the same time.",
)
@click.option("--seconds", type=options.Positive(), default=60, show_default=True, help="How long the clients send.")
@click.option(
    "--side", type=click.IntRange(1), default=64, show_default=True, help="Side of the picture they send, in pixels."
)
@_rounds(3)
@click.option("--engine", type=click.Choice(ENGINES), default="onnx", show_default=True)
@_out
@debug
def serve(**settings: Any) -> None:
    """Requests a second of the service, its memory, and the same picture by the service and by the command."""
    from img2img.benchmarks import serve_load

    serve_load.run(serve_load.Settings(**settings), echo=click.echo)


@bench.command("translate-speed")
@_models_of("translate", "Weights to measure; may be given several times.  [default: all]")
@_rounds(3)
@_out
@options.device
@debug
def translate_speed(models: tuple[str, ...], **settings: Any) -> None:
    """Translating one photograph and 24 megapixels, and whether tiles of a large picture can be seen."""
    from img2img.benchmarks import translate_speed

    translate_speed.run(translate_speed.Settings(models=models or None, **settings), echo=click.echo)


_texture = {option.name: option for option in texture_command.params}
"""What `img2img texture` takes, by name."""


@bench.command()
@_data_folder("Folder of samples.  [default: scikit-image's brick, grass and gravel]")
@click.option(
    "--method",
    "methods",
    type=click.Choice(("quilting", "patches", "optimize", "noise", "network")),
    multiple=True,
    help="Method to measure; may be given several times. optimize begins with patches, noise is optimize from noise, "
    "quilting the method of 2001.  [default: all]",
)
@click.option(
    "--descriptor",
    "descriptors",
    type=_texture["descriptor"].type,
    multiple=True,
    help="Descriptor to measure; may be given several times. vgg19 takes the judge's weights.  [default: those that "
    "need neither a file nor a download]",
)
@click.option(
    "--loss",
    "losses",
    type=_texture["loss"].type,
    multiple=True,
    help="Loss to measure; may be given several times.  [default: all]",
)
@click.option(
    "--judge",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Weights of a VGG-19 that judges all textures; see --descriptor-weights of img2img texture.",
)
@click.option(
    "--gatys",
    type=click.IntRange(1),
    metavar="N",
    help="Also measure Gatys' own method, N iterations with the judge's VGG-19: minutes a sample.",
)
@_limit
@click.option("--size", type=click.IntRange(32), default=256, show_default=True, help="Side of samples and textures.")
@click.option(
    "--steps",
    type=_texture["steps"].type,
    help="As for img2img texture.",
)
@click.option(
    "--train-steps",
    type=_texture["train_steps"].type,
    default=_texture["train_steps"].default,
    show_default=True,
    help="As for img2img texture.",
)
@click.option("--tileable", is_flag=True, help="As for img2img texture; shows the seam scores.")
@click.option(
    "--count",
    type=click.IntRange(1, 9999),
    default=1,
    show_default=True,
    help="Textures of each sample; shows how varied they are.",
)
@click.option("--seed", type=_texture["seed"].type, default=0, show_default=True, help="As for img2img texture.")
@click.option("--resume", is_flag=True, help="Take textures that an earlier run, of the same commands, left in --out.")
@_out_folder("Write the textures, the numbers as JSON and a contact sheet into this folder.")
@options.engine
@options.device
@options.precision
@debug
def texture(**settings: Any) -> None:
    """Likeness, copies, seams, seconds and memory of textures, beside floors and Gatys' own method."""
    from img2img.benchmarks import texture

    given = {name: value for name, value in settings.items() if value != ()}
    texture.run(texture.Settings(**given), echo=click.echo)


@bench.command("texture-sizes")
@click.option(
    "--sample",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="What textures are made of.  [default: scikit-image's wall of bricks]",
)
@click.option(
    "--method",
    "methods",
    type=click.Choice(("quilting", "patches", "optimize", "noise")),
    multiple=True,
    help="As for img2img bench texture.  [default: all]",
)
@click.option(
    "--size",
    "sizes",
    type=click.IntRange(32),
    multiple=True,
    metavar="N",
    help="Side of the textures; may be given several times.  [default: 256, 512, 1024, 2048, 4096]",
)
@click.option(
    "--rounds",
    type=click.IntRange(1),
    default=2,
    show_default=True,
    help="Repetitions, of which the quickest counts; beyond 1024 pixels there is one.",
)
@_out
@debug
def texture_sizes(**settings: Any) -> None:
    """Seconds and memory of textures of several sizes, by each method."""
    from img2img.benchmarks import texture_sizes

    given = {name: value for name, value in settings.items() if value != ()}
    texture_sizes.run(texture_sizes.Settings(**given), echo=click.echo)


@bench.command("many-files")
@click.option("--count", type=click.IntRange(4), default=10_000, show_default=True, help="How many pictures.")
@click.option("--side", type=click.IntRange(1), default=16, show_default=True, help="Side of each picture, in pixels.")
@_out
@debug
def many_files(**settings: Any) -> None:
    """What a folder of very many very small pictures takes: seconds and memory."""
    from img2img.benchmarks import many_files

    many_files.run(many_files.Settings(**settings), echo=click.echo)


@bench.command()
@click.option("--count", type=click.IntRange(1), default=100_000, show_default=True, help="How many pictures.")
@click.option(
    "--kills", type=click.IntRange(0), default=50, show_default=True, help="How many kills, of all kinds together."
)
@click.option("--ray", is_flag=True, help="Workers are Ray's actors.")
@click.option(
    "--store",
    type=click.Choice(("folder", "s3", "memory")),
    default="folder",
    show_default=True,
    help="Where pictures lie.",
)
@click.option("--side", type=click.IntRange(1), default=16, show_default=True, help="Side of a picture, in pixels.")
@click.option(
    "--outage", type=options.Positive(), default=20.0, show_default=True, help="Seconds the storage is away, at most."
)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Seed of the moments at which something is killed."
)
@_out
@debug
def kills(**settings: Any) -> None:
    """A run whose driver, workers and storage die again and again: what is there in the end."""
    from img2img.benchmarks import kills

    if kills.run(kills.Settings(**settings), echo=click.echo)["wrong"]:
        raise click.exceptions.Exit(1)


@bench.command()
@click.option("--count", type=click.IntRange(2), default=8, show_default=True, help="How many large pictures.")
@click.option(
    "--side", type=click.IntRange(16), default=1000, show_default=True, help="Side of a large picture, in pixels."
)
@click.option(
    "--small", type=click.IntRange(1), default=256, show_default=True, help="How many small pictures, for batches."
)
@_rounds(2)
@_out
@debug
def workers(**settings: Any) -> None:
    """What --workers and --ray cost beside a plain loop over the library, and whether batches of one shape pay."""
    from img2img.benchmarks import workers

    workers.run(workers.Settings(**settings), echo=click.echo)


@bench.command("long-lists")
@click.option("--count", type=click.IntRange(100), default=1_000_000, show_default=True, help="How many pictures.")
@_out
@debug
def long_lists(**settings: Any) -> None:
    """Lists, folders and manifests of a million pictures: seconds to the first result, and memory."""
    from img2img.benchmarks import long_lists

    long_lists.run(long_lists.Settings(**settings), echo=click.echo)


@bench.command("late-store")
@click.option("--count", type=click.IntRange(1), default=64, show_default=True, help="How many pictures.")
@click.option("--side", type=click.IntRange(1), default=64, show_default=True, help="Side of each picture, in pixels.")
@click.option("--late", type=click.FloatRange(0), default=0.05, show_default=True, help="Seconds each answer waits.")
@_out
@debug
def late_store(**settings: Any) -> None:
    """A store that answers late: what is left of that when reading, computing and writing overlap."""
    from img2img.benchmarks import late_store

    late_store.run(late_store.Settings(**settings), echo=click.echo)


@bench.command()
@click.option("--task", "tasks", multiple=True, metavar="NAME", help="As the table names it; several.  [default: all]")
@click.option("--large", type=Size(), default="4000x3000", show_default=True, help="The picture to measure pixels by.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="Of which the least counts.")
@_out
@debug
def costs(tasks: tuple[str, ...], **settings: Any) -> None:
    """A model of what pictures cost by task, checked, and by it the price of a hundred million of them."""
    from img2img.benchmarks import costs

    if unknown := [task for task in tasks if task not in costs.TASKS]:
        raise click.UsageError(f"no task {unknown[0]!r}; there are {', '.join(costs.TASKS)}")
    costs.run(costs.Settings(tasks=tasks or tuple(costs.TASKS), **settings), echo=click.echo)
