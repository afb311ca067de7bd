"""How like their samples textures are, and what they cost: `img2img bench texture`.

Every sample's middle square is made `size` pixels wide, as in Gatys 2015, and textures of that size are made of it,
each by `img2img texture` in a process of its own: `s` and `MB` are of the whole command, as a user meets it. Beside
them stand image quilting (texture_quilting.py), what a user would take instead, and floors: the sample mirrored left to
right, which is as good as another piece of it, and its pixels shuffled, noise of the same colours.

- `judge`: mean over relu1_1 to relu5_1 of |G - G_sample|^2 / |G_sample|^2, Gram matrices of a VGG-19 (`--judge`) that
  vgg-slim and random are not optimised against. Average pooling, zeros around the image, features as the network's
  authors have them: the mean activations by which Gatys scales channels depend on the photographs they are taken of,
  and channels that are rare there would outweigh all others. The optimiser's code for Gram matrices is not used.
- `x Gatys`: the judge's distance over that of Gatys' own method with the same VGG-19 (`--gatys`), median over samples.
- `NAME`: the same distance at layers of a descriptor that no loss saw (img2img/tasks/texture/judge.py).
- `again`: of a texture with four times the side, a megapixel by default, by a network that was kept; the whole command.
- `copied`: share of patches that are in the sample too. `seam z`: see metrics/texture.py. `varied`: the diversity of
  `count` textures, 1 for unrelated ones.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from img2img.checkpoints import index, names, weights_file
from img2img.data.folder import find_images
from img2img.errors import ImageError, Img2ImgError
from img2img.images import FORMATS, read_picture, write_picture
from img2img.metrics import to_8bit

from .report import environment, markdown_table, new_record, write_json
from .sheets import contact_sheet
from .speed import Cost, cost_of, installed_command

if TYPE_CHECKING:
    from torch import Tensor

    from img2img.tasks.texture import Descriptor

SAMPLES = ("brick.png", "grass.png", "gravel.png")
"""scikit-image's textures that come inside its package, read as files."""

SIDE = 224  # pixels of each picture in the contact sheet
WORST = 3  # samples that the table names
GATYS = "Gatys, VGG-19"


@dataclass(frozen=True)
class Method:
    """What makes a texture: `img2img texture`, or a script of a peer.

    Attributes:
        arguments: of the command; None for a peer.
        settings: those of the benchmark's settings that it has options for, of the same names.
        descriptors, losses: that it can be combined with; any if None; it has no such option if there are none.
        kept: whether it trains something that `--save` keeps and `--net` uses again, which is measured, too.
        peer: module that makes a texture of a file instead; it takes the sample, the target, the side and a seed.
    """

    arguments: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    descriptors: tuple[str, ...] | None = None
    losses: tuple[str, ...] | None = None
    kept: bool = False
    peer: str = ""


METHODS = {
    "quilting": Method(peer="img2img.benchmarks.texture_quilting", descriptors=(), losses=()),
    "patches": Method(("--method", "patches"), descriptors=(), losses=()),
    "optimize": Method(("--method", "optimize"), ("steps",)),
    "noise": Method(("--method", "optimize", "--start", "noise"), ("steps",)),
    "network": Method(("--method", "network"), ("train_steps",), losses=("gram", "swd"), kept=True),
}
"""By name. A new one is a line here, and a field of Settings and an option of `bench texture` for each of its own."""

LOSSES = ("shifted", "gram", "swd")
AGAIN = 4  # times as large a side has the texture that what is kept makes: a megapixel by default


@dataclass(frozen=True)
class Settings:
    """What to measure.

    Attributes:
        data: folder of samples (not searched recursively); scikit-image's brick, grass and gravel if None.
        methods: names in METHODS.
        descriptors: as for `img2img texture --descriptor`, where vgg19 takes its weights from the judge if there is
            one; those that need no file and no download if None.
        losses: as for `--loss`.
        judge: file of a VGG-19, as for `--descriptor-weights`.
        gatys: iterations of Gatys' own method with the judge's network (the paper's figures: 500); None for none.
        limit: only the first so many samples, by name.
        size: side of samples and textures.
        steps, train_steps, tileable, count, seed, engine, device, precision: as for `img2img texture`.
        resume: take textures that `out` holds from an earlier run, if command and files were the same; with them
            their seconds and memory.
        out: folder for `texture.json`, `texture.png`, samples and textures; none are kept if None.
    """

    data: Path | None = None
    methods: tuple[str, ...] = tuple(METHODS)
    descriptors: tuple[str, ...] | None = None
    losses: tuple[str, ...] = LOSSES
    judge: Path | None = None
    gatys: int | None = None
    limit: int | None = None
    size: int = 256
    steps: int | None = None
    train_steps: int = 1500
    tileable: bool = False
    count: int = 1
    seed: int = 0
    engine: str = "auto"
    device: str = "auto"
    precision: str = "auto"
    resume: bool = False
    out: Path | None = None


@dataclass(frozen=True)
class Sample:
    """A sample as all methods get it.

    Attributes:
        name: of its file, without the extension.
        file: PNG.
        image: what is in it, (C, size, size) in [0, 1], C 1 or 3.
    """

    name: str
    file: Path
    image: Tensor


@dataclass(frozen=True)
class Made:
    """Textures of a sample.

    Attributes:
        textures: (C, size, size) in [0, 1], as they are in their files.
        cost: of all of them together; None if that does not count.
        commit: of the code that made them.
        again: seconds and memory of a texture with AGAIN times the side by what the method has kept; that side; and
            the bytes of the file that was kept.
    """

    textures: list[Tensor]
    cost: Cost | None = None
    commit: str | None = None
    again: dict[str, float] | None = None


@dataclass(frozen=True)
class Row:
    """One of the table.

    Attributes:
        name: of the method.
        make: its textures of a sample.
        floor: costs nothing, and is not shown in the contact sheet.
    """

    name: str
    make: Callable[[Sample], Made]
    floor: bool = False


def run(settings: Settings, echo: Callable[[str], None] = print) -> dict[str, Any]:
    """Measure, print a table through ``echo``, write the files, and return what the JSON file holds.

    Raises:
        ImageError: there are no samples, or one cannot be read.
        WeightsError: a descriptor or the judge cannot be loaded.
        Img2ImgError: settings that contradict each other, or a command failed.
    """
    from tqdm import tqdm

    _check(settings)
    files = sample_files(settings.data, settings.limit)
    descriptors = settings.descriptors or _available(echo)
    judges = Judges(descriptors, settings.judge, settings.device)
    scores: list[dict[str, Any]] = []
    pictures: list[list[Any]] = []
    with _folder(settings.out) as folder:
        rows = [*floors(settings.seed), *_gatys(settings, folder), *_ours(settings, descriptors, folder)]
        samples = [prepared(file, settings.size, folder / "samples") for file in files]
        with tqdm(total=len(samples) * len(rows), desc="textures", disable=None) as bar:
            for sample in samples:
                pictures.append([_shown(sample.image)])
                for row in rows:
                    bar.set_postfix_str(f"{sample.name}: {row.name}")
                    made = row.make(sample)
                    scores.append({"method": row.name, "sample": sample.name} | judges.score(made, sample))
                    if not row.floor:
                        pictures[-1].append(_shown(made.textures[0]))
                    bar.update()
    _compare(scores)
    summary = [summarise([s for s in scores if s["method"] == row.name]) for row in rows]
    record = new_record("texture", settings, files, descriptors=descriptors, summary=summary, scores=scores)
    source = "scikit-image's textures" if settings.data is None else settings.data.name
    what = f"{len(samples)} samples of {settings.size}x{settings.size}, {'tileable, ' * settings.tileable}"
    echo(f"\n{source}: {what}{settings.count} of each\n\n{table(summary, settings.tileable)}")
    if settings.out is not None:
        write_json(settings.out / "texture.json", record)
        heads = ["sample", *(row.name for row in rows if not row.floor)]
        contact_sheet(pictures, heads, settings.out / "texture.png", SIDE)
        echo(f"\n{settings.out / 'texture.json'}\n{settings.out / 'texture.png'}")
    return record


def _check(settings: Settings) -> None:
    if settings.gatys is not None and settings.judge is None:
        raise Img2ImgError("Gatys' own method needs a VGG-19: name its file by --judge")
    if settings.resume and settings.out is None:
        raise Img2ImgError("there is nothing to resume without --out")


def _available(echo: Callable[[str], None]) -> tuple[str, ...]:
    """The descriptors that need no download: the default one, if it is installed, and random."""
    if "vgg-slim" in names():
        return "vgg-slim", "random"
    echo("vgg-slim is left out: this installation has no weights of that name")
    return ("random",)


@contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        yield out
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


# ---- samples


def sample_files(data: Path | None, limit: int | None) -> list[Path]:
    """The samples in a folder by name, or scikit-image's.

    Raises:
        ImageError: there are none.
    """
    import skimage

    inside = Path(skimage.__file__).parent / "data"
    files = [inside / name for name in SAMPLES] if data is None else find_images(data, False, FORMATS)
    if not files:
        raise ImageError(f"{data}: no pictures in this folder")
    doubled = sorted({file.stem for file in files if sum(file.stem == other.stem for other in files) > 1})
    if doubled:
        raise ImageError(f"{data}: two samples are called {doubled[0]}")
    return files[:limit]


def prepared(file: Path, size: int, folder: Path) -> Sample:
    """A picture's middle square at the benchmark's size, as a PNG in a folder.

    Raises:
        ImageError: it cannot be read.
    """
    from img2img.images import Picture
    from img2img.tasks.texture.pyramid import resample

    picture = read_picture(file)
    side = min(picture.height, picture.width)
    top, left = (picture.height - side) // 2, (picture.width - side) // 2
    square = Picture(picture.samples[top : top + side, left : left + side].copy())
    scaled = square.with_tensor(resample(square.to_tensor()[None], (size, size), circular=False)[0])
    folder.mkdir(exist_ok=True)
    write_picture(scaled, folder / f"{file.stem}.png", "png")
    return Sample(file.stem, folder / f"{file.stem}.png", scaled.to_tensor())


# ---- rows


def floors(seed: int = 0) -> list[Row]:
    """What needs no synthesis: another piece of the same texture, all but; and noise of its colours."""
    return [
        Row("the sample mirrored", lambda sample: Made([sample.image.flip(2)]), floor=True),
        Row("its pixels shuffled", lambda sample: Made([shuffled(sample.image, seed)]), floor=True),
    ]


def shuffled(image: Tensor, seed: int) -> Tensor:
    """An image's pixels in another order."""
    import torch

    order = torch.randperm(image[0].numel(), generator=torch.Generator().manual_seed(seed))
    return image.flatten(1)[:, order].view_as(image)


def _gatys(settings: Settings, folder: Path) -> Iterator[Row]:
    """The published method; one texture of each sample, however many are asked for."""
    if settings.gatys is None:
        return
    judge = settings.judge
    assert judge is not None  # _check has seen to it

    def make(sample: Sample) -> Made:
        target = folder / "textures" / "gatys" / f"{sample.name}.png"
        numbers = [str(settings.gatys), str(settings.seed), settings.device]
        script = [sys.executable, "-m", "img2img.benchmarks.texture_gatys", str(sample.file), str(target), str(judge)]
        return Run([*script, *numbers], (sample.file, judge), [target]).made(settings.resume)

    yield Row(f"{GATYS}, {settings.gatys} iterations", make)


def _ours(settings: Settings, descriptors: Sequence[str], folder: Path) -> Iterator[Row]:
    """Every method with every descriptor and loss that it can be combined with."""
    taken = set()
    for name in settings.methods:
        method, rows = METHODS[name], []
        losses = settings.losses if method.losses is None else [x for x in settings.losses if x in method.losses]
        for descriptor in descriptors if method.descriptors != () else [""]:
            if descriptor and descriptor not in (method.descriptors or descriptors):
                continue
            for loss in losses if method.losses != () else [""]:
                title = ", ".join(part for part in (name, Path(descriptor).stem, loss) if part)
                if title in taken:
                    raise Img2ImgError(f"two descriptors are called {Path(descriptor).stem}: rename one's file")
                taken.add(title)
                into = folder / "textures" / title.replace(", ", "-")
                rows.append(Row(title, partial(_command_of, settings, name, descriptor, loss, into)))
        if not rows and settings.methods != tuple(METHODS):
            raise Img2ImgError(f"--method {name} goes with none of the descriptors and losses that are asked for")
        yield from rows


def _command_of(settings: Settings, method: str, descriptor: str, loss: str, folder: Path, sample: Sample) -> Made:
    """Textures of one sample by `img2img texture`."""
    count = settings.count
    if count > 1:  # numbered names could be another sample's
        folder = folder / sample.name
    if METHODS[method].peer:
        return _peer(settings, METHODS[method].peer, folder, sample)
    command = [installed_command(), "texture", str(sample.file), "-o", f"{folder}/", "--overwrite"]
    command += METHODS[method].arguments
    command += [*(["--descriptor", descriptor] if descriptor else []), *(["--loss", loss] if loss else [])]
    command += ["--size", str(settings.size)]
    command += ["--seed", str(settings.seed), "--count", str(count), "--device", settings.device]
    command += ["--precision", settings.precision, *(["--tileable"] if settings.tileable else [])]
    command += ["--engine", settings.engine]
    given = {name: getattr(settings, name) for name in METHODS[method].settings}
    for name, value in given.items():
        command += [] if value is None else [f"--{name.replace('_', '-')}", str(value)]
    inputs = [sample.file]
    if descriptor == "vgg19" and settings.judge is not None:
        command += ["--descriptor-weights", str(settings.judge)]
        inputs.append(settings.judge)
    if descriptor and Path(descriptor).is_file():
        inputs.append(Path(descriptor))
    inputs += [weights_file(descriptor)] if descriptor in index() else []
    net = folder / f"{sample.name}.safetensors"
    if METHODS[method].kept:
        command += ["--save", str(net)]
        folder.mkdir(parents=True, exist_ok=True)
    numbers = [f"_{i:0{len(str(count))}}" for i in range(1, count + 1)] if count > 1 else [""]
    targets = [folder / f"{sample.name}{number}.png" for number in numbers]
    made = Run(command, tuple(inputs), targets).made(settings.resume)
    return replace(made, again=_again(settings, net)) if METHODS[method].kept else made


def _peer(settings: Settings, module: str, folder: Path, sample: Sample) -> Made:
    """Textures of one sample by another program, one run for all."""
    targets = [folder / f"{sample.name}_{seed}.png" for seed in range(settings.seed, settings.seed + settings.count)]
    command = [sys.executable, "-m", module, str(sample.file), str(settings.size), str(settings.seed)]
    return Run([*command, *map(str, targets)], (sample.file,), targets).made(settings.resume)


def _again(settings: Settings, net: Path) -> dict[str, float]:
    """A larger texture by a network that was kept: what the whole command takes."""
    target = net.with_name(f"{net.stem}_again.png")
    side = AGAIN * settings.size
    command = [installed_command(), "texture", "--net", str(net), "-o", str(target), "--overwrite", "--size", str(side)]
    command += ["--device", settings.device, "--precision", settings.precision, "--engine", settings.engine]
    cost = Run(command, (net,), [target]).made(settings.resume).cost
    assert cost is not None
    return {"side": side, **asdict(cost), "bytes": net.stat().st_size}


@dataclass(frozen=True)
class Run:
    """A command that makes textures; a note beside them says which it was and what it took.

    Attributes:
        command: its first word is a path.
        inputs: files that the result depends on.
        targets: the textures.
    """

    command: list[str]
    inputs: tuple[Path, ...]
    targets: list[Path]

    def made(self, resume: bool) -> Made:
        """The textures: those that are there, if `resume` and they are of this command, else new ones.

        Raises:
            Img2ImgError: the command failed.
        """
        file = self.targets[0].with_suffix(".json")
        note = self._kept(file) if resume else None
        if note is None:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.unlink(missing_ok=True)
            cost = cost_of(self.command)
            note = {"run": self._identity, "cost": asdict(cost), "commit": environment()["commit"]}
            write_json(file, note)
        textures = [read_picture(target).to_tensor() for target in self.targets]
        return Made(textures, Cost(**note["cost"]), note["commit"])

    @cached_property
    def _identity(self) -> dict[str, Any]:
        digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in self.inputs]
        return {"command": self.command[1:], "inputs": digests}

    def _kept(self, file: Path) -> dict[str, Any] | None:
        if not all(path.is_file() for path in (file, *self.targets)):
            return None
        try:
            note: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        except ValueError:  # half a file
            return None
        return note if note.get("run") == self._identity else None


# ---- scores


@dataclass
class Judges:
    """Everything that textures are scored by.

    Args:
        descriptors: names or files.
        judge: file of a VGG-19.
        device: as for `img2img texture`.

    Raises:
        WeightsError: one of them cannot be loaded.
    """

    descriptors: Sequence[str]
    judge: Path | None
    device: str
    _known: dict[str, list[Tensor]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        from img2img.descriptors.by_name import load_descriptor
        from img2img.runtime import pick_device
        from img2img.tasks.texture.judge import unseen

        self._where = pick_device(self.device)
        self._vgg19 = None
        if self.judge is not None:
            self._vgg19 = load_descriptor("vgg19", self.judge, self._where, normalised=False)
        self._unseen = {}
        for name in self.descriptors:
            weights = self.judge if name == "vgg19" else None
            self._unseen[Path(name).stem] = unseen(load_descriptor(name, weights, self._where, circular=True))

    def score(self, made: Made, sample: Sample) -> dict[str, Any]:
        """All measures of a sample's textures: means over them, but each one's judge's distance and seam as well."""
        from img2img.metrics.texture import Diversity, copy_distances, copy_rate, seam_scores

        score: dict[str, Any] = {}
        textures = made.textures
        if self._vgg19 is not None:
            layers = [self._layers(texture, sample) for texture in textures]
            score["judge"] = float(np.mean(layers))
            score["judge_layers"] = dict(zip(self._vgg19.layers, np.mean(layers, 0).tolist(), strict=True))
            score["judge_each"] = np.mean(layers, 1).tolist()
        score["gram"] = {}
        for name, unseen in self._unseen.items():
            found = [
                unseen.distance(texture.to(self._where), [sample.image.to(self._where)], [1.0]) for texture in textures
            ]
            score["gram"][name] = float(np.mean([list(each.values()) for each in found]))
        distances = [copy_distances(texture, [sample.image]) for texture in textures]
        score["copy_rate"] = float(np.mean([copy_rate(each) for each in distances]))
        score["copy_distance"] = float(np.mean([float(np.median(each)) if len(each) else 1.0 for each in distances]))
        score["seam"] = [seam_scores(texture) for texture in textures]
        diversity = Diversity(sample.image)
        for texture in textures:
            diversity.add(texture)
        score["diversity"] = diversity.value()
        if made.cost is not None:
            score |= asdict(made.cost) | {"commit": made.commit}
        if made.again is not None:
            score["again"] = made.again
        return score

    def _layers(self, texture: Tensor, sample: Sample) -> list[float]:
        assert self._vgg19 is not None
        if sample.name not in self._known:
            self._known = {sample.name: grams(self._vgg19, sample.image.to(self._where))}
        return relative_distances(grams(self._vgg19, texture.to(self._where)), self._known[sample.name])


def grams(judge: Descriptor, image: Tensor) -> list[Tensor]:
    """The Gram matrix of each layer for an image (C, H, W), C 1 or 3: (C_l, C_l), the mean over positions, float64."""
    import torch

    with torch.inference_mode():
        layers = judge(image.expand(3, -1, -1)[None])
        rows = [layer[0].flatten(1).double() for layer in layers]
        return [torch.einsum("ip,jp->ij", row, row) / row.shape[1] for row in rows]


def relative_distances(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> list[float]:
    """|G - G_sample|^2 / |G_sample|^2 of each layer; the judge's distance is their mean."""
    return [float((g - w).square().sum() / w.square().sum()) for g, w in zip(found, wanted, strict=True)]


def _compare(scores: list[dict[str, Any]]) -> None:
    """Add what each judge's distance is in those of Gatys' method on the same sample."""
    reference = {s["sample"]: s["judge"] for s in scores if s["method"].startswith(GATYS)}
    for score in scores:
        if score["sample"] in reference:
            score["to_gatys"] = score["judge"] / reference[score["sample"]]


def summarise(scores: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A method's row from its scores of all samples.

    Means over samples, of the judge's distance and of what it is in Gatys' the median too; the largest memory; the
    largest seam score of a texture's two. `worst` are the samples of the largest distances, the first the worst: the
    judge's, or where there is none those at the first descriptor's unseen layers.
    """
    row: dict[str, Any] = {"method": scores[0]["method"]}
    for key in ("judge", "to_gatys"):
        if key in scores[0]:
            values = [score[key] for score in scores]
            row[key], row[f"{key}_median"] = float(np.mean(values)), float(np.median(values))
    row["gram"] = {name: float(np.mean([score["gram"][name] for score in scores])) for name in scores[0]["gram"]}
    row["copy_rate"] = float(np.mean([score["copy_rate"] for score in scores]))
    seams = [max(seam.values()) for score in scores for seam in score["seam"]]
    row["seam"], row["seam_largest"] = float(np.mean(seams)), max(seams)
    if scores[0]["diversity"] is not None:
        row["diversity"] = float(np.mean([score["diversity"] for score in scores]))
    if "seconds" in scores[0]:
        row["seconds"] = float(np.mean([score["seconds"] / len(score["seam"]) for score in scores]))
        row["peak_mb"] = max(score["peak_mb"] for score in scores)
    if "again" in scores[0]:
        row["again"] = {key: float(np.mean([score["again"][key] for score in scores])) for key in scores[0]["again"]}
    ranked = sorted(scores, key=_distance, reverse=True)
    row["worst"] = [{"sample": score["sample"], "distance": _distance(score)} for score in ranked[:WORST]]
    return row


def _distance(score: dict[str, Any]) -> float:
    return float(score["judge"] if "judge" in score else next(iter(score["gram"].values())))


# ---- what is printed and drawn


def table(summary: Sequence[dict[str, Any]], tileable: bool = False) -> str:
    """A row per method; columns that nobody has are left out."""
    columns: list[tuple[str, Callable[[dict[str, Any]], str]]] = [
        ("judge", lambda row: f"{row['judge']:.3f}"),
        ("median", lambda row: f"{row['judge_median']:.3f}"),
        ("x Gatys", lambda row: f"{row['to_gatys_median']:.2f}"),
        *((name, partial(_gram_cell, name)) for name in summary[0]["gram"]),
        ("copied", lambda row: f"{100 * row['copy_rate']:.0f} %"),
        ("varied", lambda row: f"{row['diversity']:.2f}"),
        ("s", lambda row: f"{row['seconds']:.1f}"),
        ("MB", lambda row: f"{row['peak_mb']:.0f}"),
        ("again, s", lambda row: f"{row['again']['seconds']:.1f}"),
        ("worst", lambda row: ", ".join(f"{each['sample']} {each['distance']:.3f}" for each in row["worst"])),
    ]
    if tileable:
        columns.insert(-4, ("seam z (largest)", lambda row: f"{row['seam']:.1f} ({row['seam_largest']:.1f})"))
    filled = []
    for head, cell in columns:
        cells = []
        for row in summary:
            try:
                cells.append(cell(row))
            except KeyError:
                cells.append("")
        if any(cells):
            filled.append((head, cells))
    rows = [[row["method"], *(cells[i] for _, cells in filled)] for i, row in enumerate(summary)]
    return markdown_table(["method", *(head for head, _ in filled)], rows)


def _gram_cell(name: str, row: dict[str, Any]) -> str:
    return f"{row['gram'][name]:.3f}"


def _shown(image: Tensor) -> Any:
    picture = to_8bit(image)
    return picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0)
