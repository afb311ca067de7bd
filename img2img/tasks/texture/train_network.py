"""Training of a texture network for a sample, by the one training loop."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from ... import __version__
from ...core.descriptor import Descriptor
from ...data.folder import find_images
from ...data.patches import load_rgb
from ...descriptors.by_name import load_descriptor
from ...errors import TrainingError
from ...images import FORMATS
from ...metrics.texture import LEAST_UNRELATED, unrelated
from ...runtime import autocast, exactly, pick_precision
from ...training.loop import Training
from ...training.provenance import provenance
from ...training.recipe import Recipe, read_recipe
from ...training.run import launched
from .colour import luminance, palette
from .generator import TextureGenerator, folded, measure_statistics, random_noises
from .job import TextureJob
from .loss import Loss, make_loss
from .material import alike, normalised
from .methods.by_torch import Mixed
from .methods.network import TextureNetwork, for_tiles
from .methods.optimize import Progress, Watch
from .pyramid import COARSEST, STRIDE
from .sample_features import sample_features

RECIPE = "texture-network"
HELD_OUT, CHECKS = 4, 30  # pictures that the best network is chosen by; how often one looks
HELD_OUT_SEED = 2**32 - 1  # beyond all that a user can ask for
MEASURED = 8  # pictures that the norms' statistics are taken from
LEAST_LOSS = 1e-4  # below it there is nothing to gain
PALETTE = 4096  # pixels of the sample that go into the file, for its colours


@dataclass(frozen=True)
class Sight:
    """What says whether textures are alike, and where it is computed.

    Args:
        descriptor: on a torus, on the device.
        device: of everything.
        dtype: of the convolutions.
    """

    descriptor: Descriptor
    device: torch.device
    dtype: torch.dtype


LossMaker = Callable[[list[Tensor], bool], Loss]  # of a sample's features; whether to draw anew at every call


def build(recipe: Recipe, data: Path, device: torch.device) -> NetworkTask:
    """The task of a recipe, for the pictures of a folder, which have equal shares in the texture.

    `[model]` is for TextureGenerator, `[objective]` for Growing, `teacher` is the descriptor.

    Raises:
        TrainingError: there is no picture, one cannot be read, or arguments do not fit.
        WeightsError: the descriptor cannot be loaded.
    """
    recipe.refuse("init", "repeat", "validation", "data")
    found = find_images(data, recursive=True, suffixes=FORMATS)
    if not found:
        raise TrainingError(f"{data} holds no picture of a texture")
    samples = alike([torch.from_numpy(load_rgb(path).copy()).permute(2, 0, 1).float() / 255 for path in found])
    descriptor = load_descriptor(recipe.teacher or "vgg-slim", device=device, circular=True)
    try:
        job = TextureJob(method="network", loss=recipe.loss or "gram", seed=recipe.seed)  # type: ignore[arg-type]
    except ValueError as error:
        raise TrainingError(f"recipe {recipe.name}: {error}") from error
    return NetworkTask(Sight(descriptor, device, pick_precision(recipe.precision, device)), samples, job, recipe)


def train(
    sight: Sight,
    samples: Sequence[Tensor],
    job: TextureJob,
    recipe: Path | None,
    about: dict[str, Any],
    icc: bytes | None = None,
    watch: Watch | None = None,
    improved: Callable[[TextureNetwork], None] | None = None,
) -> TextureNetwork:
    """The best network for samples, by a run whose folder is thrown away.

    Args:
        sight: what says what is alike.
        samples: each (C, h, w).
        job: mix, colour, loss, seed and number of steps.
        recipe: of the training, instead of ours.
        about: further facts for the file.
        icc: the samples' colour profile.
        watch: is told the loss of every step.
        improved: is given each network that is better than those before: what is kept of it is not lost if the
            training is broken off.

    Raises:
        TrainingError: the recipe does not fit.
    """
    plan = read_recipe(recipe or Path(str(files(__package__))) / "recipes" / f"{RECIPE}.toml")
    precision = "fp32" if sight.dtype == torch.float32 else "bf16"
    every = max(1, job.train_steps // CHECKS)
    plan = replace(plan, steps=job.train_steps, every=every, seed=job.seed, precision=precision)
    task = NetworkTask(sight, samples, job, plan, about, icc, watch, improved)
    with tempfile.TemporaryDirectory() as folder, torch.random.fork_rng(devices=[]):
        fabric = launched(sight.device.type, precision)
        with exactly(sight.device):
            Training(task, plan, Path(folder), fabric, quiet=True).run()
    assert task.best is not None  # or the loop would have raised
    return task.best


@dataclass(frozen=True)
class Sample:
    """What a network is trained for.

    Attributes:
        images: the samples, each (1, C, h, w) in [0, 1], C 1 or 3.
        shares: of each in the statistics; they sum to 1.
        palette: pixels of all, (C', 1, N); C' may be 3 where C is 1, for luminance.
    """

    images: Sequence[Tensor]
    shares: Sequence[float]
    palette: Tensor

    @property
    def unrelated(self) -> float:
        """Mean squared difference of two pixels at random, of the samples: twice their variance."""
        return unrelated(torch.cat([image.flatten(2)[0] for image in self.images], 1))


class Statistics:
    """How far the statistics of pictures' features are from those of the samples', at full and at half the size.

    A descriptor sees 70 pixels far; at half the size it sees what is twice as large, as in the pyramid of `optimize`.

    Args:
        descriptor: on a torus.
        sample: what to be like.
        make_loss: from features to a loss.
        redraw: whether that draws anew at every call, if it draws.
        dtype: of the convolutions.
        side: of the pictures.
    """

    def __init__(
        self, descriptor: Descriptor, sample: Sample, make_loss: LossMaker, redraw: bool, dtype: torch.dtype, side: int
    ) -> None:
        self.descriptor, self.dtype = descriptor, dtype
        least = min(min(image.shape[2:]) for image in sample.images)
        self.losses: dict[int, Loss] = {}
        for factor in (1, 2):
            if factor > 1 and (least < factor * COARSEST or factor * descriptor.smallest > side):
                continue
            scaled = [F.avg_pool2d(image, factor) if factor > 1 else image for image in sample.images]
            self.losses[factor] = Mixed(
                [make_loss(sample_features(descriptor, image), redraw) for image in scaled], sample.shares
            )

    def __call__(self, images: Tensor, together: bool = False) -> Tensor:
        """A scalar for tori (B, C, H, W), C 1 or 3: the mean over the sizes.

        Each picture is compared with the samples; or all `together`, as if they were one.
        """
        terms = []
        for factor, loss in self.losses.items():
            x = F.avg_pool2d(images, factor) if factor > 1 else images
            with autocast(x.device, self.dtype):
                features = self.descriptor(x.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last))
            terms.append(loss([as_one(layer) for layer in features] if together else features))
        return torch.stack(terms).mean()


def as_one(features: Tensor) -> Tensor:
    """The features of a batch as those of one tall picture: (B, C, H, W) to (1, C, B * H, W)."""
    return features.transpose(0, 1).flatten(1, 2)[None]


def diversity(images: Tensor, unrelated: float) -> Tensor:
    """How different the pictures of a batch are: the mean logarithm of each one's distance to the nearest other.

    The follow-up's estimate of a generator's entropy (Kozachenko & Leonenko), per pixel, but for one thing: pictures
    that differ as much as unrelated ones of the sample do count as no more different, so that a flat sample is not
    paid for noise.

    Args:
        images: (B, C, H, W), B >= 2.
        unrelated: mean squared difference of two unrelated pixels.

    Returns:
        A scalar, at most 0.

    References: Ulyanov et al. 2017, arXiv:1701.02096, section 3.
    """
    flat = images.flatten(1)
    apart = (flat[:, None] - flat[None]).square().mean(2) / unrelated
    apart = apart + torch.diag(torch.full((len(flat),), torch.inf, device=flat.device))
    return 0.5 * torch.log(apart.amin(1).clamp_max(1) + 1e-4).mean().clamp_max(0)


class Growing(nn.Module):
    """How far a generator's pictures are from the sample, and from each other.

    The norms use each picture's own statistics at first. After a share of the steps these are fixed
    (`measure_statistics`) and the rest is trained as the network is used; the pictures of a batch are then compared
    with the sample together, for one alone is no larger than a part of it, and differs from the whole as parts do.

    Args:
        net: what is trained.
        loss: of its pictures.
        unrelated: mean squared difference of two unrelated pixels of the sample.
        steps: of the training.
        side: of the pictures by which statistics are measured.
        freeze: share of the steps that are made with each picture's own statistics.
        diversity: weight of the logarithm of a picture's distance to the nearest other, beside the loss' logarithm.
        watch: is told the loss of every step.

    Shape:
        batch: noise for each scale, and rows and columns by which the pictures are turned; returns scalars by name.
    """

    done: Tensor
    moments: Tensor

    def __init__(
        self,
        net: TextureGenerator,
        loss: Statistics,
        unrelated: float,
        steps: int,
        side: int,
        freeze: float = 0.6,
        diversity: float = 0.1,
        watch: Watch | None = None,
    ) -> None:
        super().__init__()
        self.net, self.loss, self.unrelated, self.steps, self.side = net, loss, unrelated, steps, side
        self.freeze, self.diversity, self.watch = max(1, int(freeze * steps)), diversity, watch
        # Part of the state, so that a run that is gone on with has the same statistics from the same step on.
        self.register_buffer("done", torch.zeros((), dtype=torch.int64))
        self.register_buffer("moments", torch.zeros(2, sum(len(norm.weight) for norm in net.norms())))

    def forward(self, batch: tuple[list[Tensor], list[int]]) -> dict[str, Tensor]:
        noises, turn = batch
        step = int(self.done) + 1
        if step > self.freeze:
            self._fix(step)
        images = self.net(noises).roll(turn, (2, 3))
        value = self.loss(images, together=step > self.freeze)
        # The loss falls ten-thousandfold; its logarithm's gradient stays as large as it is.
        total = torch.log(value + LEAST_LOSS) - self.diversity * diversity(images, self.unrelated)
        self.done += 1
        if self.watch:
            self.watch(Progress(1, 1, step, self.steps, value.item(), (self.side, self.side)))
        return {"loss": total, "statistics": value}

    def _fix(self, step: int) -> None:
        """Use the statistics that were measured when the first of these steps began."""
        norms = self.net.norms()
        if step == self.freeze + 1:
            self.measure()
            moments = [torch.cat([norm.statistics[i] for norm in norms if norm.statistics]) for i in (0, 1)]
            self.moments.copy_(torch.stack(moments))
        for norm, (mean, variance) in zip(norms, self.moments.split([len(n.weight) for n in norms], 1), strict=True):
            norm.statistics = mean, variance

    def measure(self) -> None:
        """Fix the norms' statistics to those of pictures of the network as it is."""
        noises = random_noises(self.net, MEASURED, (self.side, self.side), Generator().manual_seed(HELD_OUT_SEED - 1))
        measure_statistics(self.net, [_last(noise.to(self.moments.device)) for noise in noises])


class NetworkTask:
    """What the training loop asks of a task (training.loop.Task), for a texture network.

    What is judged, and kept, is always the network as it is used: its norms folded, its weights rounded as in the file.

    Args:
        sight: what says what is alike.
        samples: each (C, h, w).
        job: mix, colour, loss and seed.
        recipe: of the training.
        about: further facts for the file.
        icc: the samples' colour profile.
        watch: is told the loss of every step.
        improved: is given each network that is better than those before.

    Raises:
        TrainingError: the recipe's arguments do not fit.
    """

    def __init__(
        self,
        sight: Sight,
        samples: Sequence[Tensor],
        job: TextureJob,
        recipe: Recipe,
        about: dict[str, Any] | None = None,
        icc: bytes | None = None,
        watch: Watch | None = None,
        improved: Callable[[TextureNetwork], None] | None = None,
    ) -> None:
        self.recipe, self.sight, self.icc, self.improved = recipe, sight, icc, improved
        self.about = {"loss": job.chosen_loss} | (about or {})
        shares = normalised(list(samples), job.mix)
        grown = [luminance(image) for image in samples] if job.colour == "luminance" else samples
        images = [image[None].to(sight.device) for image in grown]
        self.sample = Sample(images, shares, _some(palette(samples, shares)))
        self.side = max(phase.patch for phase in recipe.phases)
        loss = partial(make_loss, job.chosen_loss, job.seed, sight.descriptor.trust)
        dtype, device = sight.dtype, sight.device
        trained_by, self.held_out = (
            Statistics(sight.descriptor, self.sample, loss, redraw, dtype, self.side) for redraw in (True, False)
        )
        try:
            self.net = start_network(self.sample, recipe.seed, **recipe.model).to(device)
            self.growing = Growing(
                self.net, trained_by, self.sample.unrelated, recipe.steps, self.side, watch=watch, **recipe.objective
            )
        except (TypeError, ValueError) as error:
            raise TrainingError(f"recipe {recipe.name}: {error}") from error
        if any(phase.patch % self.net.stride or phase.batch < 2 for phase in recipe.phases):
            raise TrainingError(
                f"recipe {recipe.name}: pictures must be multiples of {self.net.stride}, and two of them at least"
            )
        self.model: nn.Module = self.net
        self.objectives: dict[str, nn.Module] = {"main": self.growing}
        self.used: TextureGenerator | None = None
        self.best: TextureNetwork | None = None

    def batch(self, patch: int, n: int, generator: Generator) -> tuple[list[Tensor], list[int]]:
        """Noise for n tori, each turned by chance: the descriptor's poolings never fall on the generator's grid."""
        chance = Generator().manual_seed(generator.initial_seed())  # on the CPU: the same on every device
        noises = random_noises(self.net, n, (patch, patch), chance)
        turn = torch.randint(STRIDE, (2,), generator=chance).tolist()
        return [_last(noise.to(self.sight.device)) for noise in noises], turn

    def validate(self, model: nn.Module) -> dict[str, float]:
        """The loss of the network as it is used, on noise that it is not trained on; score: minus it."""
        fixed = all(norm.statistics is not None for norm in self.net.norms())
        if not fixed:
            self.growing.measure()
        self.used = folded(self.net, "circular")
        if not fixed:
            for norm in self.net.norms():
                norm.statistics = None
        held_out = Generator().manual_seed(HELD_OUT_SEED)
        noises, turn = self.batch(self.side, HELD_OUT, held_out)
        images = self.used(noises).roll(turn, (2, 3))
        self.shown = images[0].expand(3, -1, -1)
        self.value = self.held_out(images, together=True).item()
        return {"score": -self.value}

    def picture(self, model: nn.Module) -> Tensor:
        """One of the pictures that were judged: (3, H, W)."""
        return self.shown

    def ship(self, tensors: dict[str, Tensor], path: Path, facts: dict[str, Any]) -> None:
        """Write the network that was just judged."""
        assert self.used is not None
        net = for_tiles(**self.used.config)
        net.load_state_dict(self.used.state_dict())
        course = {
            "steps": self.recipe.steps,
            "step": facts["steps"],
            "minutes": facts["minutes"],
            "held_out_loss": self.value,
            "seed": self.recipe.seed,
            "device": self.sight.device.type,
        }
        about = provenance(self.recipe, course) | self.about | {"version": __version__}
        self.best = TextureNetwork(net, self.sample.palette, self.sight.device, self.sight.dtype, about, self.icc)
        self.best.save(path)
        if self.improved:
            self.improved(self.best)


def start_network(sample: Sample, seed: int, **model: Any) -> TextureGenerator:
    """A generator whose textures have about the sample's mean and covariance of colours before the first step."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = TextureGenerator(channels=sample.images[0].shape[1], **model)
    pixels = torch.cat([image.flatten(2)[0] for image in sample.images], 1).cpu().double()
    mean = pixels.mean(1).clamp(0.02, 0.98)
    values, axes = torch.linalg.eigh(torch.cov(pixels, correction=0).reshape(len(mean), len(mean)))
    root = (axes * values.clamp_min(LEAST_UNRELATED).sqrt()) @ axes.T
    slope = mean * (1 - mean)  # of the sigmoid
    assert net.image.bias is not None
    with torch.no_grad():
        net.image.bias.copy_(torch.logit(mean))
        weight = net.image.weight.flatten(1).double()
        net.image.weight.copy_(((root / slope[:, None]).clamp(-2, 2) @ weight)[..., None, None])
    return net


def _last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _some(colours: Tensor) -> Tensor:
    """PALETTE pixels of a palette, chosen by chance; all if it has no more."""
    count = colours.shape[-1]
    if count <= PALETTE:
        return colours
    return colours[..., torch.randperm(count, generator=Generator().manual_seed(0))[:PALETTE]]
