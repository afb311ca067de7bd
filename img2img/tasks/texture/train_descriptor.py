"""Distillation of the texture descriptor: a small network of VGG-19's shape learns to tell what VGG-19 would say.

On a torus throughout, as textures are made: no border that a small network would have to learn like the rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor, nn

from ...checkpoints import load_checkpoint, save_checkpoint
from ...core.descriptor import LAYERS, VGG, mean_activations, normalise
from ...core.padding import center_crop
from ...data.patches import PatchSource
from ...descriptors.vgg19 import load_vgg19
from ...errors import TrainingError
from ...runtime import autocast, pick_precision, placed
from ...training.photographs import load_photographs
from ...training.provenance import provenance
from ...training.recipe import Recipe
from .loss import gram_matrix, layer_weights, positions, relative

MEASURED = 32  # crops over which mean activations are measured
HELD_OUT = 128  # side of the middles of the held-out pictures


@dataclass(frozen=True)
class DistillationData:
    """What crops are turned into: textures are made from noise, so the network must know noisy pictures too.

    Args:
        noisy: share of the crops that get white Gaussian noise.
        sigma: its largest standard deviation; any down to 0 is equally likely.
        halved: share of the batches whose crops are twice as large at first: textures are made at all scales.
        kept: so many batches are made, each with the teacher's answers, and used again and again; 0 makes each anew.
            The teacher costs four times as much as a step of the student. In memory a pixel takes 128 bytes.
    """

    noisy: float = 0.25
    sigma: float = 0.3
    halved: float = 0.0
    kept: int = 0

    def __call__(self, source: PatchSource, n: int, side: int, generator: Generator) -> Tensor:
        """n crops (n, 3, side, side) in [0, 1], some of them noisy, clipped."""
        if self.halved and torch.rand((), generator=generator, device=generator.device) < self.halved:
            clean = nn.functional.avg_pool2d(source.sample(n, 2 * side, generator), 2)
        else:
            clean = source.sample(n, side, generator)
        device = clean.device
        chosen = torch.rand(n, 1, 1, 1, generator=generator, device=device) < self.noisy
        sigma = self.sigma * torch.rand(n, 1, 1, 1, generator=generator, device=device) * chosen
        noise = torch.empty_like(clean).normal_(generator=generator)
        return torch.addcmul(clean, sigma, noise).clamp_(0, 1)


def build(recipe: Recipe, data: Path, device: torch.device) -> "DescriptorTask":
    """The task of a recipe: `[model]` is for VGG, `[data]` for DistillationData, `[objective]` for Distillation.

    Raises:
        TrainingError: no teacher is named, arguments do not fit, or there are no usable pictures.
        WeightsError: the teacher's file cannot be read or holds no VGG.
    """
    recipe.refuse("loss")
    if not recipe.teacher:
        raise TrainingError("a descriptor learns from VGG-19: name its weights, a safetensors file, by {0}", "teacher")
    teacher = load_vgg19(Path(recipe.teacher), normalised=False)
    student = VGG(**recipe.model)
    if student.layers != teacher.layers:
        raise TrainingError(f"recipe {recipe.name}: the widths must be of {len(LAYERS)} blocks")
    if recipe.init:
        start_from(student, load_checkpoint(recipe.init).part("vgg"))
    try:
        halved = DistillationData(**recipe.data).halved
        Distillation(Student(student, teacher.channels), **recipe.objective)
    except (TypeError, ValueError) as error:
        raise TrainingError(f"recipe {recipe.name}: {error}") from error
    side = max(phase.patch for phase in recipe.phases)
    largest = 2 * side if halved else side
    source, crops = load_crops(recipe, data, device, student.smallest, largest)
    return DescriptorTask(student, teacher, recipe, source, crops)


def start_from(student: VGG, tensors: dict[str, Tensor]) -> None:
    """Begin with another descriptor's weights, the channels of its layers scaled from means of 1 to what trains evenly.

    Raises:
        TrainingError: they do not fit.
    """
    try:
        student.load_state_dict(tensors)
    except RuntimeError as error:
        raise TrainingError("the weights to start from do not fit this network") from error
    for number, tap in enumerate(student.taps):
        scales = [torch.ones(channels) for channels in student.channels]
        # Kernels get the size that they are initialised with: sums of squares of 2.
        scales[number] = student.get_parameter(f"features.{tap - 1}.weight").square().sum((1, 2, 3)).div(2).sqrt()
        normalise(student, scales)


def load_crops(
    recipe: Recipe, data: Path, device: torch.device, smallest: int, largest: int | None = None
) -> tuple[PatchSource, list[Tensor]]:
    """Pictures to train on, and the middles of those held out that are not too small.

    Args:
        recipe: of the training.
        data: folder.
        device: where crops are made.
        smallest: side of a picture that is held out.
        largest: side of a crop; by default the recipe's largest.

    Raises:
        TrainingError: there are none.
    """
    source, crops = load_photographs(recipe, data, device, largest)
    crops = [middle(crop, HELD_OUT) for crop in crops if min(crop.shape[-2:]) >= smallest]
    if not crops:
        raise TrainingError(f"no picture held out for validation has {smallest} pixels each way")
    return source, crops


class Lesson(NamedTuple):
    """What the teacher says of images.

    Attributes:
        features: (B, C_l, H_l, W_l) for each layer.
        grams: their Gram matrices, (B, C_l, C_l) float32.
        spreads: of each layer and image the mean square of what its features differ by from 1, the mean over all
            images: (B,). Each image by its own: features of noise are many times those of a photograph.
    """

    features: list[Tensor]
    grams: list[Tensor]
    spreads: list[Tensor]


class Student(nn.Module):
    """A descriptor and, for its training only, a 1x1 map from each of its layers to the teacher's.

    Where the maps predict the teacher's features from the student's, they predict its Gram matrices from the student's,
    for these are quadratic in features. So a texture whose Gram matrices the student finds right, the teacher does too.

    Shape:
        as Descriptor, with the teacher's channels.
    """

    def __init__(self, descriptor: VGG, channels: Sequence[int]) -> None:
        super().__init__()
        self.descriptor = descriptor.requires_grad_(True)
        pairs = zip(descriptor.channels, channels, strict=True)
        self.maps = nn.ModuleList(nn.Conv2d(own, wanted, 1) for own, wanted in pairs)

    def forward(self, image: Tensor) -> list[Tensor]:
        return [to_teacher(layer) for to_teacher, layer in zip(self.maps, self.descriptor(image), strict=True)]


@torch.no_grad()
def fit(to_teacher: nn.Module, own: Tensor, wanted: Tensor) -> None:
    """Set a map to the linear regression of the teacher's features on the student's: (B, C, H, W) each.

    With a ridge of a hundredth of the mean variance, for where positions are hardly more than channels. A training that
    starts so spends no steps on finding the maps.
    """
    assert isinstance(to_teacher, nn.Conv2d)
    assert to_teacher.bias is not None
    s, t = (positions(layer).flatten(0, 1) for layer in (own, wanted))
    mean_s, mean_t = s.mean(0), t.mean(0)
    s, t = s - mean_s, t - mean_t
    covariance = s.T @ s / len(s)
    ridge = 0.01 * covariance.diagonal().mean() + 1e-12
    weight = torch.linalg.solve(covariance + ridge * torch.eye(len(mean_s)).to(s), s.T @ t / len(s)).T
    to_teacher.weight.copy_(weight[:, :, None, None])
    to_teacher.bias.copy_(mean_t - weight @ mean_s)


def mapped_and_compared(
    layer: Tensor, to_teacher: nn.Module, wanted: Tensor, wanted_gram: Tensor
) -> tuple[Tensor, Tensor]:
    """How far a layer is from the teacher's once it is mapped, s -> W s + b, a 1x1 convolution; by the shorter way.

    Both follow from means of products over positions alone, which are far smaller than what they are means of. With G
    the mean of s s^T and m that of s, the Gram matrix of the mapped is W G W^T + W m b^T + b (W m)^T + b b^T; and the
    squared error is its trace, less twice that of the products with the teacher's features, plus that of the teacher's
    own. But where positions are few, the products with W cost more.

    Args:
        layer: (B, c, H, W).
        to_teacher: from c to C channels.
        wanted: the teacher's features, (B, C, H, W).
        wanted_gram: and their Gram matrices, (B, C, C).

    Returns:
        The mean squared error of each image's features, (B,), and their Gram matrices, (B, C, C); float32.
    """
    assert isinstance(to_teacher, nn.Conv2d)
    weight, bias = to_teacher.weight.flatten(1), to_teacher.bias
    assert bias is not None
    channels, own = weight.shape
    area = layer.shape[2] * layer.shape[3]
    if area * (channels**2 - own**2) < channels * own * (channels + own):
        mapped = to_teacher(layer)
        return (mapped - wanted).square().mean((1, 2, 3), dtype=torch.float32), gram_matrix(mapped)
    with torch.autocast(layer.device.type, enabled=False):
        flat, theirs = positions(layer), positions(wanted)
        mixed = flat.mean(1) @ weight.T
        shifted = mixed[:, :, None] * bias
        gram = weight @ (flat.mT @ flat / area) @ weight.T + shifted + shifted.mT + torch.outer(bias, bias)
        agreement = (weight.T * (flat.mT @ theirs / area)).sum((1, 2)) + theirs.mean(1) @ bias
        squares = [each.diagonal(dim1=1, dim2=2).sum(1) for each in (gram, wanted_gram)]
        return (squares[0] - 2 * agreement + squares[1]) / channels, gram


class Distillation(nn.Module):
    """Squared error of the teacher's features plus that of their Gram matrices, both relative, averaged over layers.

    The one is 1 for a student that always says the mean, the other for one that says nothing, at every layer, so that
    no layer needs a weight.

    Args:
        student: what is trained.
        gram: weight of the Gram matrices.
        layers: weights of the layers; all 1 without.

    Shape:
        batch: images (B, 3, H, W), and the teacher's lesson on them; returns scalars by name.
    """

    def __init__(self, student: Student, gram: float = 1.0, layers: Sequence[float] | None = None) -> None:
        super().__init__()
        self.student, self.gram = student, gram
        weights = torch.tensor(layer_weights(layers, len(student.maps)))
        if weights.min() < 0 or not weights.sum() > 0:
            raise ValueError(f"weights of layers are 0 or more, and not all 0, unlike {layers}")
        self.shares: Tensor
        self.register_buffer("shares", weights / weights.sum(), persistent=False)

    def forward(self, batch: tuple[Tensor, Lesson]) -> dict[str, Tensor]:
        images, lesson = batch
        features, grams = [], []
        layers = self.student.descriptor(images)
        for layer, to_teacher, *wanted in zip(layers, self.student.maps, *lesson, strict=True):
            error, gram = mapped_and_compared(layer, to_teacher, *wanted[:2])
            features.append((error / wanted[2]).mean())
            grams.append(bounded(gram, wanted[1]).mean())
        # No products of matrices, which autocast would take in bf16.
        parts = {name: (torch.stack(x) * self.shares).sum() for name, x in (("features", features), ("gram", grams))}
        return {"loss": parts["features"] + self.gram * parts["gram"]} | parts


def bounded(gram: Tensor, target: Tensor) -> Tensor:
    """`relative`, but a target smaller than the Gram matrix of features that are 1 counts as that: (B,).

    Else the loss of a black picture would be a thousand times that of any other.
    """
    least = gram.shape[1] ** 2
    return (gram - target).square().sum((1, 2)) / target.square().sum((1, 2)).clamp_min(least)


class DescriptorTask:
    """What the training loop asks of a task (training.loop.Task), for the descriptor."""

    def __init__(self, descriptor: VGG, teacher: VGG, recipe: Recipe, source: PatchSource, crops: list[Tensor]) -> None:
        self.recipe, self.source = recipe, source
        self.augmented = DistillationData(**recipe.data)
        self.answers: dict[tuple[int, int, int], tuple[Tensor, list[Tensor]]] = {}
        self.teacher = self._frozen(teacher)
        descriptor.circular = True
        # Not scaled to means of 1 before the end: the convolution behind each layer would get weights so small that a
        # step of Adam is a tenth of them.
        images = self._measured()
        descriptor.to(images.device)
        student = Student(descriptor, teacher.channels).to(images.device)
        with torch.no_grad():
            for each in zip(student.maps, descriptor(images), self._seen(images), strict=True):
                fit(*each)
        self.model: nn.Module = student
        self.objectives: dict[str, nn.Module] = {"main": Distillation(student, **recipe.objective)}
        self.held_out = [(crop, self._seen(crop)) for crop in crops]

    def _frozen(self, teacher: VGG) -> VGG:
        """The teacher on its device in the quickest type, its channels of mean 1 over the training data itself."""
        device = self.source.pixels.device
        teacher.circular = True
        placed(teacher, device)
        dtype = pick_precision(self.recipe.precision, device)
        with autocast(device, dtype):
            means = mean_activations(teacher, self._measured())
        normalise(teacher, means)
        return teacher.to(dtype)

    def _measured(self) -> Tensor:
        generator = Generator(self.source.pixels.device).manual_seed(self.recipe.seed)
        return self.source.sample(MEASURED, self.recipe.phases[0].patch, generator)

    @torch.no_grad()
    def _seen(self, images: Tensor) -> list[Tensor]:
        return self.teacher(images)

    @torch.no_grad()
    def batch(self, patch: int, n: int, generator: Generator) -> tuple[Tensor, Lesson]:
        kept = self.augmented.kept
        if not kept:
            images = self.augmented(self.source, n, patch, generator)
            return images, teach(self._seen(images))
        number = int(torch.randint(kept, (), generator=generator, device=generator.device))
        images, deeper = self._kept_answers(patch, n, number)
        first = self.teacher(images, depth=1)
        return images, teach([*first, *(layer.to(first[0].dtype) for layer in deeper)])

    def _kept_answers(self, patch: int, n: int, number: int) -> tuple[Tensor, list[Tensor]]:
        """The batch of a number, and in fp16 the teacher's layers beyond relu1_1, which is large and quickly made."""
        key = patch, n, number
        if key not in self.answers:
            generator = Generator(self.source.pixels.device).manual_seed((self.recipe.seed + 1) * 1_000_003 + number)
            images = self.augmented(self.source, n, patch, generator)
            self.answers[key] = images, [layer.half() for layer in self._seen(images)[1:]]
        return self.answers[key]

    def validate(self, model: nn.Module) -> dict[str, float]:
        """R^2 and relative error of the Gram matrices at each layer; score: mean R^2.

        Over the middles of the held-out pictures, R^2 of all their pixels together, the error averaged over them.
        """
        found = [model(crop) for crop, _ in self.held_out]
        scores: dict[str, float] = {}
        for i, layer in enumerate(LAYERS):
            mine = [features[i].float() for features in found]
            wanted = [features[i].float() for _, features in self.held_out]
            flat = [torch.cat([each.flatten(2)[0] for each in side], 1) for side in (mine, wanted)]
            scores[f"r2_{layer}"] = 1 - unexplained(*flat).item()
            errors = [relative(gram_matrix(a), gram_matrix(b)).item() for a, b in zip(mine, wanted, strict=True)]
            scores[f"gram_{layer}"] = sum(errors) / len(errors)
        means = {kind: sum(scores[f"{kind}_{layer}"] for layer in LAYERS) / len(LAYERS) for kind in ("r2", "gram")}
        return {"score": means["r2"], "gram": means["gram"]} | scores

    def picture(self, model: nn.Module) -> Tensor:
        """A held-out crop, and the sum of relu3_1's channels by the student and by the teacher: (3, H, 3 W)."""
        crop, wanted = self.held_out[-1]
        maps = [layers[2].float().mean(1, keepdim=True) for layers in (model(crop), wanted)]
        grey = [nn.functional.interpolate(each / maps[1].amax(), size=crop.shape[-2:]) for each in maps]
        return torch.cat((crop, *(each.expand_as(crop) for each in grey)), 3)[0].clamp(0, 1)

    def ship(self, tensors: dict[str, Tensor], path: Path, facts: dict[str, Any]) -> None:
        """Write the descriptor alone, its channels of mean 1 over the training data."""
        start = "descriptor."
        descriptor = VGG(**self.recipe.model, circular=True)
        descriptor.load_state_dict({k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)})
        descriptor.to(self.source.pixels.device)
        normalise(descriptor, mean_activations(descriptor, self._measured()))
        header = {
            "task": "descriptor",
            "network": "vgg",
            "config": dict(self.recipe.model),
            "range": "sRGB in [0, 1]; mean activations of 1",
        } | provenance(self.recipe, facts)
        save_checkpoint(path, {f"vgg.{k}": v for k, v in descriptor.state_dict().items()}, header)


def teach(features: list[Tensor]) -> Lesson:
    """A teacher's features and what the loss needs of them, computed in their own type: in bf16 it is exact enough."""
    grams, spreads = [], []
    for layer in features:
        flat = layer.permute(0, 2, 3, 1).flatten(1, 2)
        grams.append((flat.mT @ flat).float() / flat.shape[1])
        squares = grams[-1].diagonal(dim1=1, dim2=2).mean(1)
        spreads.append((squares - 2 * layer.mean((1, 2, 3), dtype=torch.float32) + 1).clamp_min(1e-6))
    return Lesson(features, grams, spreads)


def unexplained(found: Tensor, wanted: Tensor) -> Tensor:
    """Squared error over the variance about each channel's mean, both summed over channels: 1 - R^2, a scalar.

    Shape:
        found, wanted: (C, n) float32.
    """
    return (found - wanted).square().sum() / (wanted - wanted.mean(1, keepdim=True)).square().sum()


def middle(crop: Tensor, side: int) -> Tensor:
    """The middle of (B, C, H, W), at most side x side, with sides that pool evenly: multiples of 16; H, W >= 16."""
    height, width = (min(side, s // 16 * 16) for s in crop.shape[-2:])
    return center_crop(crop, height, width)
