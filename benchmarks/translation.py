"""How near translated pictures come to the true ones: `img2img bench translate`.

Floors stand beside the models: the input itself, and the mean colour of all true pictures (of one whose lightness is
kept, the mean of its colours).

- `PSNR`, `SSIM`: of 8-bit pictures. They favour a blurred mean of everything that could be true.
- `VGG`: mean over relu1_1 to relu5_1 of |F - F_true|^2 / |F_true|^2, features of a VGG-19 that nothing was trained
  against (`--judge`); lower is better. It sees structure more than single pixels.
- `colourful`: Hasler & Suesstrunk's measure, beside that of the true pictures; `colours`: what the histograms of a and
  b of all pictures share with the true ones.
- `pixel`, `class`, `IoU`: the FCN score of facades (benchmarks/facade_labels.py), asked for by `--segmenter`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from img2img.data.folder import find_images
from img2img.data.pairs import PairFile, find_pairs
from img2img.errors import ImageError, Img2ImgError
from img2img.images import FORMATS
from img2img.metrics import psnr8, ssim, to_8bit
from img2img.metrics.features import feature_distance

from .denoise_psnr import photographs
from .report import markdown_table, new_record, write_json
from .sheets import contact_sheet
from .vgg import vgg_features

if TYPE_CHECKING:
    from torch import Tensor

    from img2img.metrics.segmentation import Confusion
    from img2img.tasks.translate import Translator
    from img2img.tasks.translate.coding import Coding

    from .facade_labels import Segmenter

SHOWN, SIDE = 8, 224  # rows of the contact sheet, pixels of each picture in it


@dataclass(frozen=True)
class Settings:
    """What to measure.

    Attributes:
        models: names or files of translators; all must have been trained on pairs of the same kind.
        data: photographs, of which pairs are made, for models trained so, or pairs for the others: of a folder that
            holds `train`, `test` or `val` that of them; scikit-image's own photographs if None.
        limit: only the first so many pictures, by name.
        judge: file of a VGG-19, as for `img2img texture --descriptor vgg19`.
        segmenter: folder of the run of the segmenter of the FCN score; it is trained there first if it is not there
            yet, on `train` of data.
        seed, noise: as for `img2img translate`.
        width: the longer side of photographs is brought to so many pixels first.
        points: further rows of a model that adds colours: with so many hints, true colours at random places.
        device, precision: as for `Translator.from_pretrained`.
        out: folder for `NAME.json` and `NAME.png`; nothing is written if None.
        name: of these files; `translate_` and the first model's if empty.
    """

    models: tuple[str, ...] = ("colorize",)
    data: Path | None = None
    limit: int | None = None
    judge: Path | None = None
    segmenter: Path | None = None
    seed: int = 0
    noise: bool = True
    width: int | None = None
    points: tuple[int, ...] = ()
    device: str = "auto"
    precision: str = "auto"
    out: Path | None = None
    name: str = ""


@dataclass
class Method:
    """A row of the table."""

    name: str
    translate: Callable[[Tensor], Tensor]  # (1, C, H, W) in [0, 1] to (1, C', H, W)
    with_truth: Callable[[Tensor, Tensor], Tensor] | None = None  # instead, if some of the true picture is told
    seconds: float = 0.0
    megapixels: float = 0.0
    scores: list[dict[str, Any]] = field(default_factory=list)
    results: list[Tensor] = field(default_factory=list)  # rounded to 8 bits, (C', H, W)


Pair = tuple[str, "Tensor", "Tensor"]
"""Name, input and true picture, (1, C, H, W) in [0, 1]."""


def run(settings: Settings, echo: Callable[[str], None] = print) -> dict[str, Any]:
    """Measure, print a table through ``echo``, write the files, and return what the JSON file holds.

    Raises:
        ImageError: there are no pictures, or one cannot be read.
        WeightsError: a model or the judge cannot be loaded.
        TrainingError: there is nothing to train the segmenter on.
        Img2ImgError: models of different kinds of pairs, or no data for one whose pairs are not made.
    """
    header, coding = _kind(settings)
    files, pairs = pair_files(settings, header)
    methods = [*floors(coding, pairs), *_models(settings)]
    segmenter = _segmenter(settings)
    for method in methods:
        for pair in pairs:
            _translate(method, pair)
    truth = [_rounded(b)[0] for _, _, b in pairs]
    summary = [_summary(method, truth, segmenter, pairs) for method in methods]
    summary.append(_summary(_true(truth), truth, segmenter, pairs))
    if settings.judge is not None:
        _judge(settings.judge, methods, truth, summary, settings.device)
    record = new_record("translate", settings, files, summary=summary)
    source = "scikit-image's photographs" if settings.data is None else settings.data.name
    echo(f"\n{source}, {len(pairs)} pairs ({header['pairs']})\n\n{table(summary)}")
    if settings.out is not None:
        name = settings.name or f"translate_{Path(settings.models[0]).stem}"
        write_json(settings.out / f"{name}.json", record)
        draw(pairs, methods[2:], settings.out / f"{name}.png")
        echo(f"\n{settings.out / name}.json\n{settings.out / name}.png")
    return record


# ---- pairs and methods


def _kind(settings: Settings) -> tuple[dict[str, Any], Coding]:
    """The header that all models agree with, as far as pairs go, and their coding."""
    from img2img.checkpoints import load_checkpoint
    from img2img.tasks.translate.coding import SPACES

    headers = [load_checkpoint(name).header for name in settings.models]
    kinds = {(header["pairs"], header["direction"], header["space"]) for header in headers}
    if len(kinds) > 1:
        raise Img2ImgError("the models were trained on pairs of different kinds; measure them one after another")
    config, space = headers[0]["config"], headers[0]["space"]
    channels = (1, 2) if space == "lab" else (config.get("in_channels", 3), config.get("out_channels", 3))
    return headers[0], SPACES[space](*channels)


def pair_files(settings: Settings, header: dict[str, Any]) -> tuple[list[Path], list[Pair]]:
    """The pairs to measure on, in memory, and their files.

    Raises:
        ImageError: there are none, or one cannot be read.
        Img2ImgError: no data for a model whose pairs are not made.
    """
    made = header["pairs"] != "files"
    folder = settings.data
    if folder is None and not made:
        raise Img2ImgError(f"{settings.models[0]} was trained on pairs of files: give some by --data")
    if folder is not None:
        folder = next((folder / part for part in ("test", "val") if (folder / part).is_dir()), folder)
    if folder is None:
        found = [PairFile(path) for path in photographs()]
    elif made:
        found = [PairFile(path) for path in find_images(folder, recursive=False, suffixes=FORMATS)]
    else:
        found, problems = find_pairs(folder)
        if problems:
            raise ImageError(problems[0])
    if not found[: settings.limit]:
        raise ImageError(f"{folder}: no pictures in this folder")
    chosen = found[: settings.limit]
    return [pair.a for pair in chosen], [read(pair, header, settings.width) for pair in chosen]


def read(pair: PairFile, header: dict[str, Any], width: int | None = None) -> Pair:
    """One pair as a model with this header was trained to see it.

    Raises:
        ImageError: it cannot be read.
    """
    import torch

    from img2img.data.pairs import make_pair
    from img2img.data.patches import load_rgb, made_smaller
    from img2img.tasks.translate.train import both_sides

    made = header["pairs"] != "files"
    samples = load_rgb(pair.a) if made else both_sides(pair)
    if made and width is not None:
        samples = made_smaller(np.ascontiguousarray(samples), max(samples.shape[:2]) / width)
    x = torch.tensor(samples).permute(2, 0, 1)[None].float() / 255
    lines = header.get("lines", "canny")
    a, b = make_pair(header["pairs"], x, torch.Generator().manual_seed(0), lines) if made else x.chunk(2, 1)
    return (pair.a.name, b, a) if header["direction"] == "BtoA" else (pair.a.name, a, b)


def floors(coding: Coding, pairs: Sequence[Pair]) -> list[Method]:
    """What costs nothing: the input as it is, and the mean colour of all true pictures."""
    import torch

    mean = torch.stack([coding.target(b).mean((0, 2, 3)) for _, _, b in pairs]).mean(0)[None, :, None, None]

    def flat(a: Tensor) -> Tensor:
        source = coding.source(a)
        return coding.image(mean.expand(-1, -1, *source.shape[-2:]), source)

    return [Method("the input itself", lambda a: a), Method("the mean colour", flat)]


def _models(settings: Settings) -> Iterator[Method]:
    from img2img.tasks.translate import Translator

    for name in settings.models:
        translator = Translator.from_pretrained(name, device=settings.device, precision=settings.precision)
        stem = Path(name).stem
        if translator.takes_hints:  # what was done to pictures of every size before, and tells what the sizes are worth
            yield Method(f"{stem}, seen at its own size", lambda a, t=translator: _at_its_size(t, a))  # type: ignore[misc]
        yield Method(stem, lambda a, t=translator: _by(t, a, settings))  # type: ignore[misc]
        for count in settings.points if translator.takes_hints else ():
            hinted = partial(_with_points, translator, count)
            yield Method(f"{stem}, {count} points", lambda a: a, hinted)


def _at_its_size(translator: Translator, image: Tensor) -> Tensor:
    import torch

    return torch.from_numpy(translator.at_its_size(image[0].numpy()))[None]


def _with_points(translator: Translator, count: int, image: Tensor, true: Tensor) -> Tensor:
    """With the true colours at random places, the same for every picture of a size."""
    import torch

    from img2img.tasks.translate.hints import Hints, Point

    height, width = image.shape[-2:]
    places = np.random.default_rng(0).random((count, 2)) * (width, height)
    hints = Hints([Point(x, y, tuple(true[0, :, y, x].tolist())) for x, y in places.astype(int).tolist()])
    return torch.from_numpy(translator(image[0].numpy(), hints=hints))[None]


def _by(translator: Translator, image: Tensor, settings: Settings) -> Tensor:
    import torch

    return torch.from_numpy(translator(image[0].numpy(), settings.seed, settings.noise))[None]


def _segmenter(settings: Settings) -> Segmenter | None:
    if settings.segmenter is None:
        return None
    from .facade_labels import trained_segmenter

    return trained_segmenter(settings.segmenter, settings.data or Path(), settings.device)


def _translate(method: Method, pair: Pair) -> None:
    """One picture by one method: kept, and scored by what needs no other picture."""
    name, a, b = pair
    started = time.perf_counter()
    result = method.translate(a) if method.with_truth is None else method.with_truth(a, b)
    method.seconds += time.perf_counter() - started
    method.megapixels += a.shape[-2] * a.shape[-1] / 1e6
    if result.shape[1] < b.shape[1]:
        result = result.expand_as(b)
    method.results.append(_rounded(result)[0])
    method.scores.append({"image": name, "psnr": psnr8(result[0], b[0]), "ssim": ssim(result[0], b[0])})


def _rounded(image: Tensor) -> Tensor:
    return (255 * image).round().clamp(0, 255) / 255


def _true(truth: list[Tensor]) -> Method:
    return Method("the true pictures", lambda a: a, results=truth)


# ---- scores


def _summary(method: Method, truth: list[Tensor], segmenter: Segmenter | None, pairs: Sequence[Pair]) -> dict[str, Any]:
    """Means over pictures, and what is measured over all of them together."""
    from img2img.metrics.colour import ab_histogram, colourfulness, intersection
    from img2img.tasks.translate.coding import lab_of

    row: dict[str, Any] = {"method": method.name}
    if method.scores:
        best, worst = (choose(method.scores, key=lambda score: score["psnr"]) for choose in (max, min))
        row |= {key: float(np.mean([score[key] for score in method.scores])) for key in ("psnr", "ssim")}
        row |= {"best": best, "worst": worst, "seconds_per_megapixel": method.seconds / method.megapixels}
    if truth[0].shape[0] == 3:
        row["colourfulness"] = float(np.mean([colourfulness(image) for image in method.results]))
        row["ab_intersection"] = intersection(
            *(ab_histogram([lab_of(x[None])[0, 1:] for x in xs]) for xs in (method.results, truth))
        )
    if segmenter is not None:
        row["fcn"] = fcn_score(segmenter, method.results, [a for _, a, _ in pairs]).figures()
    return row


def fcn_score(segmenter: Segmenter, photos: Sequence[Tensor], labels: Sequence[Tensor]) -> Confusion:
    """What a segmenter reads in photographs (3, H, W), against label maps (1, 3, H, W), all in [0, 1]."""
    import torch

    from img2img.metrics.segmentation import Confusion

    from .facade_labels import CLASSES, classes_of

    score = Confusion(len(CLASSES))
    with torch.inference_mode():
        for photo, label in zip(photos, labels, strict=True):
            score.add(segmenter(photo[None]).argmax(1), classes_of(label))
    return score


def _judge(
    judge: Path, methods: Sequence[Method], truth: Sequence[Tensor], summary: list[dict[str, Any]], device: str
) -> None:
    """Add the distance in features of a VGG-19 to the rows."""
    features = vgg_features(judge, device)
    totals = [0.0] * len(methods)
    for index, true in enumerate(truth):
        wanted = features(true)
        for number, method in enumerate(methods):
            totals[number] += feature_distance(features(method.results[index]), wanted) / len(truth)
    for row, total in zip(summary, totals, strict=False):  # the last row is of the true pictures themselves
        row["vgg"] = total


# ---- what is printed and drawn

COLUMNS: tuple[tuple[str, Callable[[dict[str, Any]], float], str], ...] = (
    ("PSNR", lambda row: row["psnr"], ".2f"),
    ("SSIM", lambda row: row["ssim"], ".4f"),
    ("VGG", lambda row: row["vgg"], ".3f"),
    ("colourful", lambda row: row["colourfulness"], ".1f"),
    ("colours", lambda row: row["ab_intersection"], ".3f"),
    ("pixel", lambda row: row["fcn"]["pixel"], ".3f"),
    ("class", lambda row: row["fcn"]["class"], ".3f"),
    ("IoU", lambda row: row["fcn"]["iou"], ".3f"),
    ("s/megapixel", lambda row: row["seconds_per_megapixel"], ".2f"),
)


def table(summary: Sequence[dict[str, Any]]) -> str:
    """A row per method; columns that nobody has are left out."""
    columns = []
    for head, value, form in COLUMNS:
        cells = []
        for row in summary:
            try:
                cells.append(format(value(row), form))
            except KeyError:
                cells.append("")
        if any(cells):
            columns.append((head, cells))
    rows = [[row["method"], *(cells[i] for _, cells in columns)] for i, row in enumerate(summary)]
    return markdown_table(["method", *(head for head, _ in columns)], rows)


def draw(pairs: Sequence[Pair], models: Sequence[Method], path: Path) -> None:
    """Input, what each model made of it, and the true picture, of pictures spread evenly over the set."""
    chosen = np.linspace(0, len(pairs) - 1, min(SHOWN, len(pairs))).round().astype(int)

    def shown(image: Tensor) -> np.ndarray:
        picture: np.ndarray = to_8bit(image)
        return picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0)

    rows = [
        [shown(pairs[i][1][0]), *(shown(model.results[i]) for model in models), shown(pairs[i][2][0])] for i in chosen
    ]
    contact_sheet(rows, ["input", *(model.name for model in models), "true"], path, SIDE)
