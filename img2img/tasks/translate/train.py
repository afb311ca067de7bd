"""Training data, validation and shipping of the translator."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from inspect import signature
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from ...checkpoints import load_checkpoint, save_checkpoint
from ...core.blocks import check_choice
from ...core.patch_gan import PatchDiscriminator
from ...data.folder import find_images
from ...data.pairs import Kind, Lines, PairFile, find_pairs, make_pair, read_pair
from ...data.patches import PatchSource, load_rgb
from ...errors import ImageError, TrainingError
from ...images import FORMATS
from ...metrics import psnr8
from ...metrics.colour import ab_histogram, intersection
from ...training.photographs import center, tell_left_out
from ...training.provenance import provenance
from ...training.recipe import Recipe
from .classifier import ColourClassifier
from .coding import AB, SPACES, with_channels
from .generator import GeneratorNorm, UNetGenerator, start_small
from .loss import ColourObjective, DiscriminatorObjective, GeneratorObjective, shares_of

Model = UNetGenerator | ColourClassifier
NAMES: dict[type, str] = {UNetGenerator: "generator", ColourClassifier: "classifier"}  # in headers of weight files
CLASSES = "classes"  # the loss that a classifier of colours is trained with
SHARE_BATCHES = 64  # of eight crops, by which colours are counted
HELD_OUT = 24  # pairs at most that are judged
# Kinds of pairs that draw nothing: made once, of whole pictures as in use; a crop's own edges differ at its border.
MADE_ONCE = ("gray", "edges")


@dataclass(frozen=True)
class PairData:
    """`[data]` of a recipe: what the pairs are.

    Args:
        make: the folder holds photographs, of which pairs are made (data.pairs.make_pair); empty: it holds pairs.
        lines: for `edges`: `canny`, `dog` or `xdog`.
        direction: `AtoB`, or `BtoA` to turn the right halves into the left ones.
        load: pictures are first resized so that their shorter side has so many pixels, 0 leaves them as they are. The
            paper's jitter is 286 here and crops of 256.
        space: `rgb`, or `lab`: from the lightness to the colours.
        flip: whether crops are mirrored at random; false for pictures with writing, maps, faces turned one way.
        zoom: crops are up to so many times as large as a phase's, and made smaller: things at several sizes.

    Raises:
        ValueError: a word that is no choice, or a zoom below 1.
    """

    make: Literal["", Kind] = ""
    lines: Lines = "canny"
    direction: Literal["AtoB", "BtoA"] = "AtoB"
    load: int = 0
    space: Literal["rgb", "lab"] = "rgb"
    flip: bool = True
    zoom: float = 1.0

    def __post_init__(self) -> None:
        if self.zoom < 1:
            raise ValueError(f"zoom must be at least 1, not {self.zoom}")
        if self.make:
            check_choice("make", self.make, Kind)
        check_choice("lines", self.lines, Lines)
        check_choice("direction", self.direction, Literal["AtoB", "BtoA"])
        check_choice("space", self.space, Literal["rgb", "lab"])


@dataclass(frozen=True)
class Adversary:
    """`[objective]` of a recipe.

    Args:
        l1: weight of the mean absolute error.
        gan: weight of the GAN; 0 trains without a discriminator.
        patch: of the discriminator: 1, 16, 70 or 286 pixels.
        width: of the discriminator.
        norm: of the discriminator.
    """

    l1: float = 100.0
    gan: float = 1.0
    patch: int = 70
    width: int = 64
    norm: GeneratorNorm = "instance"


def build(recipe: Recipe, data: Path, device: torch.device) -> "TranslateTask":
    """The task of a recipe: `[model]` are arguments of UNetGenerator, `[data]` of PairData, `[objective]` of Adversary.

    With `loss = "classes"` the model is a ColourClassifier, and there is no objective to choose.

    Raises:
        TrainingError: arguments that do not fit, no usable pairs to train on or to hold out, or weights to start from
            that are of another shape.
    """
    recipe.refuse("teacher", "repeat")
    try:
        pairs = PairData(**recipe.data)
        model = ColourClassifier(**recipe.model) if recipe.loss == CLASSES else UNetGenerator(**recipe.model)
        if isinstance(model, UNetGenerator):
            start_small(model)
        if recipe.init:
            start_from(model, recipe.init)
        task = TranslateTask(model, recipe, pairs, data, device)
        task.try_out(device)
    except (TypeError, ValueError, RuntimeError, ImageError) as error:
        raise TrainingError(f"recipe {recipe.name}: {' '.join(str(error).split())}") from error
    return task


def start_from(model: Model, weights: str) -> None:
    """Begin with the numbers of other weights.

    Raises:
        ValueError: they are of another shape.
        WeightsError: they cannot be read.
    """
    try:
        model.load_state_dict(load_checkpoint(weights).part(NAMES[type(model)]))
    except RuntimeError as error:
        raise ValueError(f"the weights {weights} are of another shape than [model]") from error


def load_pairs(
    recipe: Recipe, pairs: PairData, data: Path, device: torch.device
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Pictures to train on, and at most HELD_OUT others to judge by, uint8.

    (H, W, 6), A and B; or photographs (H, W, 3), of which A is made anew whenever they are drawn.

    A folder that holds `train` and `val` is taken as divided; of any other the files that the recipe names are held
    out, or every 32nd. What cannot be used is named on stderr.

    Raises:
        TrainingError: there are too few.
    """
    find = _photographs if pairs.make else find_pairs
    if (data / "train").is_dir() and (data / "val").is_dir():
        training, problems = find(data / "train")
        held_out, more = find(data / "val")
        problems += more
    else:
        found, problems = find(data)
        held_out = [pair for pair in found if pair.a.relative_to(data).as_posix() in recipe.validation] or found[::32]
        excluded = set(held_out)
        training = [pair for pair in found if pair not in excluded]
    held_out = held_out[:: -(-len(held_out) // HELD_OUT)] if held_out else []
    smallest = round(pairs.zoom * max(phase.patch for phase in recipe.phases))
    loaded = [_load(files, pairs, problems, least, device) for files, least in ((training, smallest), (held_out, 1))]
    tell_left_out(problems)
    for images, purpose in zip(loaded, ("train on", "hold out"), strict=True):
        if not images:
            what = "photographs" if pairs.make else "pairs"
            raise TrainingError(f"{data} holds no {what} to {purpose}; training needs at least one, and one held out")
    return loaded[0], loaded[1]


def _photographs(folder: Path) -> tuple[list[PairFile], list[str]]:
    return [PairFile(path) for path in find_images(folder, recursive=True, suffixes=FORMATS)], []


def _load(
    files: Sequence[PairFile], pairs: PairData, problems: list[str], smallest: int, device: torch.device
) -> list[np.ndarray]:
    """The pictures that can be read and are large enough; adds a line for each other."""
    images = []
    for pair in files:
        try:
            image = load_rgb(pair.a) if pairs.make else both_sides(pair)
        except ImageError as error:
            problems.append(str(error))
            continue
        image = resized(image, pairs.load) if pairs.load else image
        if min(image.shape[:2]) < smallest:
            problems.append(f"{pair.a}: {image.shape[1]}x{image.shape[0]} is smaller than a crop of {smallest}")
        else:
            images.append(with_made(image, pairs, device) if pairs.make in MADE_ONCE else image)
    return images


def both_sides(pair: PairFile) -> np.ndarray:
    """A and B as one picture of six channels, (H, W, 6) uint8; grey is three equal ones."""
    return np.concatenate([np.broadcast_to(side, (*side.shape[:2], 3)) for side in read_pair(pair)], 2)


def with_made(photo: np.ndarray, pairs: PairData, device: torch.device) -> np.ndarray:
    """A photograph with what is made of it before it, (H, W, 3) to (H, W, 6) uint8."""
    assert pairs.make
    x = torch.tensor(photo).permute(2, 0, 1)[None].to(device).float() / 255
    a, b = make_pair(pairs.make, x, Generator(device), pairs.lines)
    both = torch.cat((a.expand_as(b), b), 1)[0].permute(1, 2, 0)
    return (255 * both).round().byte().cpu().numpy()


def resized(image: np.ndarray, shorter: int) -> np.ndarray:
    """(H, W, C) uint8 with a shorter side of so many pixels; bicubic, antialiased."""
    scale = shorter / min(image.shape[:2])
    size = [max(shorter, round(side * scale)) for side in image.shape[:2]]
    x = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float()
    y = F.interpolate(x, size, mode="bicubic", antialias=True)
    return y.round().clamp(0, 255).byte()[0].permute(1, 2, 0).numpy()


class TranslateTask:
    """What the training loop asks of a task (training.loop.Task), for the translator."""

    def __init__(self, model: Model, recipe: Recipe, pairs: PairData, data: Path, device: torch.device) -> None:
        self.model: nn.Module = model
        self.recipe, self.pairs, self.network = recipe, pairs, NAMES[type(model)]
        self.coding = SPACES[pairs.space](model.in_channels, model.out_channels)
        stride = 2 * model.net.layout.stride if isinstance(model, ColourClassifier) else model.net.layout.stride
        if any(phase.patch % stride for phase in recipe.phases):
            raise ValueError(f"crops must be multiples of {stride} pixels")
        images, held_out = load_pairs(recipe, pairs, data, device)
        self.source = PatchSource(images, device, upright=True, mirrored=pairs.flip)
        self.held_out = [
            self.split(center(image, device), Generator(device).manual_seed(i)) for i, image in enumerate(held_out)
        ]
        self.objective: dict[str, Any] = {}
        if isinstance(model, ColourClassifier):
            if recipe.objective:
                raise ValueError("classes have no [objective]")
            self.objectives: dict[str, nn.Module] = {"classifier": ColourObjective(model, self.shares(model))}
        else:
            self.objectives = self.adversaries(model)

    def adversaries(self, generator: UNetGenerator) -> dict[str, nn.Module]:
        """The objectives of a generator and, with a GAN, of its discriminator."""
        adversary, gan = Adversary(**self.recipe.objective), self.recipe.loss or "vanilla"
        self.objective = asdict(adversary)
        if not adversary.gan:
            return {"generator": GeneratorObjective(generator, None, gan, adversary.l1, adversary.gan)}
        channels = generator.in_channels + generator.out_channels
        discriminator = PatchDiscriminator(channels, adversary.patch, adversary.width, adversary.norm)
        start_small(discriminator)
        first = GeneratorObjective(generator, discriminator, gan, adversary.l1, adversary.gan)
        return {"generator": first, "discriminator": DiscriminatorObjective(discriminator, first, gan)}

    def shares(self, classifier: ColourClassifier) -> Tensor:
        """How often each class of colours occurs in crops of the training pictures."""
        patch, device = self.recipe.phases[-1].patch, self.source.pixels.device
        crops = (self.batch(patch, 8, Generator(device).manual_seed(i))[1] for i in range(SHARE_BATCHES))
        return shares_of(classifier.to(device), (F.avg_pool2d(ab, 4) for ab in crops))

    def try_out(self, device: torch.device) -> None:
        """One batch of the smallest crops through everything, so that what does not fit is said at once."""
        patch = min(phase.patch for phase in self.recipe.phases)
        x, y = (side.cpu() for side in self.batch(patch, 1, Generator(device).manual_seed(0)))
        for objective in self.objectives.values():
            objective.eval()
            try:
                with torch.no_grad():
                    objective((x, y))
            except (ValueError, RuntimeError) as error:
                raise ValueError(f"crops of {patch} pixels are too small for the networks: {error}") from error
            objective.train()

    def split(self, image: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """What is turned into what, in [0, 1], of pairs (B, 6, H, W), or of photographs, for which A is made."""
        if self.pairs.make and image.shape[1] == 3:
            a, b = make_pair(self.pairs.make, image, generator, self.pairs.lines)
        else:
            a, b = image.chunk(2, 1)
        return (a, b) if self.pairs.direction == "AtoB" else (b, a)

    def batch(self, patch: int, n: int, generator: Generator) -> tuple[Tensor, Tensor]:
        a, b = self.split(self.crops(n, patch, generator), generator)
        return self.coding.source(a), self.coding.target(b)

    def crops(self, n: int, patch: int, generator: Generator) -> Tensor:
        """Crops of the training pictures, with `zoom` larger ones made smaller."""
        larger = 1.0
        if self.pairs.zoom > 1:
            drawn = torch.rand(1, generator=generator, device=generator.device).item()
            larger = self.pairs.zoom**drawn
        crops = self.source.sample(n, round(patch * larger), generator)
        if crops.shape[-1] == patch:
            return crops
        return F.interpolate(crops, (patch, patch), mode="bilinear", antialias=True)

    def translated(self, model: nn.Module, a: Tensor) -> Tensor:
        """What a model makes of images, in [0, 1], without noise."""
        x = self.coding.source(a)
        return self.coding.image(model(x).float(), x)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """PSNR and mean absolute error (grey levels) over the held-out pairs; score: the PSNR.

        In Lab also the share of the colours' histogram that both have in common.
        """
        decibels, errors, colours = [], [], []
        for a, b in self.held_out:
            result = self.translated(model, a)
            wanted = with_channels(b, result.shape[1])
            decibels.append(psnr8(result, wanted))
            errors.append(255 * (result - wanted).abs().mean().item())
            if self.pairs.space == "lab":
                colours.append((AB * self.coding.target(result)[0].cpu(), AB * self.coding.target(wanted)[0].cpu()))
        score = sum(decibels) / len(decibels)
        figures = {"score": score, "psnr": score, "l1": sum(errors) / len(errors)}
        if colours:
            made, true = (ab_histogram(side) for side in zip(*colours, strict=True))
            figures["histogram"] = intersection(made, true)
        return figures

    def picture(self, model: nn.Module) -> Tensor:
        """Input, result and what was wanted, of a held-out pair: (3, H, 3 W)."""
        a, b = self.held_out[0]
        shown = (a, self.translated(model, a), b)
        return torch.cat([with_channels(x, 1).expand(-1, 3, -1, -1) if x.shape[1] == 1 else x for x in shown], 3)[0]

    def ship(self, tensors: dict[str, Tensor], path: Path, facts: dict[str, Any]) -> None:
        header = {
            "task": "translate",
            "network": self.network,
            "config": {name: p.default for name, p in signature(type(self.model)).parameters.items()}
            | self.recipe.model,
            "space": self.pairs.space,
            "direction": self.pairs.direction,
            "pairs": self.pairs.make or "files",
            "lines": self.pairs.lines,
            "loss": self.recipe.loss or "vanilla",
            "objective": self.objective,
            "range": "images in [0, 1]; the network's numbers in [-1, 1]",
        } | provenance(self.recipe, facts)
        save_checkpoint(path, {f"{self.network}.{k}": v for k, v in tensors.items()}, header)
