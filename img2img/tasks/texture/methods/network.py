"""Texture Networks: a generator trained for one sample, kept in a file, and used as often and as large as wanted."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, get_args

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from .... import __version__
from ....checkpoints import Checkpoint, build, load_checkpoint, save_checkpoint
from ....errors import ImageError, WeightsError
from ....metrics.texture import LEAST_UNRELATED, unrelated
from ....runtime import available_memory, keep_big_buffers, pick_device, pick_precision
from ..colour import Colour, coloured, luminance, match_colours
from ..descriptor import Descriptor
from ..generator import TextureGenerator, folded, grow, measure_statistics, random_noises
from ..pyramid import COARSEST, STRIDE, Size, resample
from .optimize import Loss, Mixed, Progress, Watch, exactly, precision, sample_features

NETWORK = "texture-net"  # what the file of one says that it holds
TRAIN_STEPS = 1500
SIDE, BATCH = 128, 4  # pixels of the tori that a step makes, and how many
HELD_OUT, CHECKS = 4, 30  # pictures that the best network is chosen by; how often one looks
HELD_OUT_SEED = 2**32 - 1  # beyond all that a user can ask for
MEASURED = 8  # pictures that the norms' statistics are taken from
FREEZE = 0.6  # of the steps are made with each picture's own statistics, the others with fixed ones, as in use
RATE = 0.01  # of learning, at first; it falls along a cosine to LAST of that
LAST = 0.02
BETAS = (0.9, 0.99)  # Adam's; with 0.999 the first, wild gradients would hold it back for a thousand steps
NOTHING = 1e-4  # of loss: below it there is nothing to gain
DIVERSITY = 0.1  # weight of the logarithm of a picture's distance to the nearest other, beside the loss' logarithm
PALETTE = 4096  # pixels of the sample that go into the file, for its colours
TILE = {"cpu": 256, "mps": 512, "cuda": 1024}  # multiples of every network's stride

LossMaker = Callable[[list[Tensor], bool], Loss]  # of a sample's features; whether to draw anew at every call


class TextureNetwork:
    """A trained generator with what belongs to its texture: makes pictures of any size, in tiles.

    Args:
        generator: without norms and with `valid` padding (`folded`).
        palette: pixels of the sample, (C, 1, N); of three channels for a grey generator whose textures get colours.
        device: where to compute.
        dtype: of the convolutions.
        facts: what its file says beside: descriptor, loss, score and so on.
        icc: the sample's colour profile.

    Example:
        >>> from img2img.tasks.texture.generator import TextureGenerator
        >>> net = TextureGenerator(widths=(8, 8), norm="none", padding_mode="valid").eval()
        >>> TextureNetwork(net, torch.rand(3, 1, 9), torch.device("cpu"))((33, 50)).shape
        torch.Size([3, 33, 50])
    """

    def __init__(
        self,
        generator: TextureGenerator,
        palette: Tensor,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        facts: dict[str, Any] | None = None,
        icc: bytes | None = None,
    ) -> None:
        keep_big_buffers()
        self.generator = generator.eval().to(device, dtype).to(memory_format=torch.channels_last)
        self.generator.image.float()
        self.palette = palette.half().float()  # as in the file
        self.device, self.dtype, self.facts, self.icc = device, dtype, facts or {}, icc

    @classmethod
    def load(cls, file: str | Path, device: str = "auto", precision: str = "auto") -> Self:
        """A network that `save` has written.

        Raises:
            WeightsError: the file is missing, damaged or holds something else.
            Img2ImgError: the device is not there.
        """
        where = pick_device(device)
        checkpoint = load_checkpoint(file)
        generator = build(checkpoint, NETWORK, _for_tiles)
        palette, icc = _colours(checkpoint, generator, file)
        return cls(generator, palette, where, pick_precision(precision, where), _facts(checkpoint), icc)

    def save(self, file: str | Path) -> None:
        """Write it, whole or not at all; about half a megabyte.

        Raises:
            WeightsError: the file cannot be written.
        """
        tensors = {f"{NETWORK}.{name}": tensor for name, tensor in self.generator.state_dict().items()}
        tensors["palette"] = self.palette
        if self.icc:
            tensors["icc"] = torch.frombuffer(bytearray(self.icc), dtype=torch.uint8)
        header = {"task": "texture", "network": NETWORK, "config": self.generator.config, "range": [0, 1]}
        try:
            save_checkpoint(Path(file), tensors, {**self.facts, **header})
        except OSError as error:
            raise WeightsError(f"the network cannot be written to {file}: {error.strerror or error}") from error

    def __call__(self, size: Size, *, tileable: bool = False, seed: int = 0, colour: Colour = "keep") -> Tensor:
        """Make one texture.

        Args:
            size: height and width, any.
            tileable: whether it has to fit itself at its borders. A torus' sides are multiples of the generator's
                stride; to another size it is resampled, while a texture that need not tile is cut out.
            seed: the same gives the same texture, another one another.
            colour: as for `Texture`. Textures of a network that was trained on luminance are coloured in any case.

        Returns:
            (C, *size) float32 on the CPU.

        Raises:
            ValueError: no such size or colour.
            ImageError: there is not enough memory for a texture of that size.
        """
        if min(size) < 1:
            raise ValueError(f"a texture has at least 1x1 pixels, not {size[1]}x{size[0]}")
        if colour not in get_args(Colour):
            raise ValueError(f"colour is one of {', '.join(get_args(Colour))}, not {colour!r}")
        stride = self.generator.stride
        torus = (-(-size[0] // stride) * stride, -(-size[1] // stride) * stride)
        resampled = tileable and torus != tuple(size)
        self._check_memory(size, torus, 1 + resampled, colour)
        with exactly(self.device):
            canvas = grow(self.generator, torus, seed, TILE[self.device.type], self.device, self.dtype)
        texture = (resample(canvas, size, circular=True) if resampled else canvas[..., : size[0], : size[1]])[0]
        if colour == "luminance" or len(texture) < len(self.palette):
            texture = coloured(luminance(texture), self.palette)
        return match_colours(texture, self.palette) if colour == "match" else texture

    def _check_memory(self, size: Size, torus: Size, copies: int, colour: Colour) -> None:
        # float32, three channels at most; matching colours sorts them.
        needed = 12 * torus[0] * torus[1] * (copies + (6 if colour == "match" else 1))
        there = available_memory(torch.device("cpu"))
        if there is not None and needed > there:
            raise ImageError(
                f"a texture of {size[1]}x{size[0]} pixels takes about {needed / 1e9:.1f} GB of memory,"
                f" {there / 1e9:.1f} GB are free: ask for a smaller one"
            )


def _for_tiles(**config: Any) -> TextureGenerator:
    if config.get("norm") != "none":
        raise ValueError("a network in use has no norms")
    return TextureGenerator(**config, padding_mode="valid")


def _colours(checkpoint: Checkpoint, generator: TextureGenerator, file: str | Path) -> tuple[Tensor, bytes | None]:
    """The palette and the colour profile that a file holds."""
    palette, icc = checkpoint.tensors.get("palette"), checkpoint.tensors.get("icc")
    fits = palette is not None and palette.ndim == 3 and len(palette) in (generator.channels, 3) and palette.numel()
    if palette is None or not fits or (icc is not None and icc.dtype != torch.uint8):
        raise WeightsError(f"weights {file} do not fit the model that their header describes")
    return palette, None if icc is None else icc.numpy().tobytes()


def _facts(checkpoint: Checkpoint) -> dict[str, Any]:
    built = ("task", "network", "config", "range")
    return {key: value for key, value in checkpoint.header.items() if key not in built}


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
    """

    def __init__(
        self, descriptor: Descriptor, sample: Sample, make_loss: LossMaker, redraw: bool, dtype: torch.dtype
    ) -> None:
        self.descriptor, self.dtype = descriptor, dtype
        least = min(min(image.shape[2:]) for image in sample.images)
        self.losses: dict[int, Loss] = {}
        for factor in (1, 2):
            if factor > 1 and (least < factor * COARSEST or factor * descriptor.smallest > SIDE):
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
            with precision(x.device, self.dtype):
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


@dataclass
class Trainer:
    """Trains a generator for a sample; keeps the best by its loss on noise that it is not trained on.

    The norms use each picture's own statistics at first. After FREEZE of the steps these are fixed
    (`measure_statistics`) and the rest is trained as the network is used; the pictures of a batch are then compared
    with the sample together, for one alone is no larger than a part of it, and differs from the whole as parts do.
    What is judged, and kept, is always the network as it is used: its norms folded, its weights rounded as in the file.

    Args:
        descriptor: on a torus, on the device.
        sample: what to be like, on the device.
        make_loss: from features to a loss.
        steps: of Adam.
        seed: of weights and noise.
        dtype: of the convolutions.
        net: what is trained, instead of a new generator.
    """

    descriptor: Descriptor
    sample: Sample
    make_loss: LossMaker
    steps: int
    seed: int
    dtype: torch.dtype
    net: TextureGenerator | None = None
    best: TextureGenerator | None = None
    best_loss: float = float("inf")
    best_step: int = 0
    start: float = field(default_factory=time.monotonic)

    def run(self, watch: Watch | None = None, improved: Callable[[Trainer], None] | None = None) -> TextureGenerator:
        """Train.

        Args:
            watch: is told the loss of each step.
            improved: is called whenever there is a new best.

        Returns:
            The best network, folded, for tiles.
        """
        device = self.sample.images[0].device
        net = (self.net or start_network(self.sample, self.seed)).to(device)
        net = net.to(memory_format=torch.channels_last)
        chance = Generator().manual_seed(self.seed)
        loss = Statistics(self.descriptor, self.sample, self.make_loss, True, self.dtype)
        held_out = Statistics(self.descriptor, self.sample, self.make_loss, False, self.dtype)
        optimiser = torch.optim.Adam(net.parameters(), lr=RATE, betas=BETAS)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, self.steps, LAST * RATE)
        freeze = max(1, int(FREEZE * self.steps))  # a network of fixed statistics has to have measured them
        for step in range(1, self.steps + 1):
            images = self._images(net, BATCH, chance)
            value = loss(images, together=step > freeze)
            # The loss falls ten-thousandfold; its logarithm's gradient stays as large as it is.
            total = torch.log(value + NOTHING) - DIVERSITY * diversity(images, self.sample.unrelated)
            optimiser.zero_grad(set_to_none=True)
            total.backward()
            optimiser.step()
            schedule.step()
            if watch:
                watch(Progress(1, 1, step, self.steps, value.item(), (SIDE, SIDE)))
            if step == freeze:
                self._measure(net)
            if step % max(1, self.steps // CHECKS) == 0 or step == self.steps:
                self._judge(net, step, step >= freeze, held_out, improved)
        assert self.best is not None  # the last step is judged
        return self.best

    def _images(self, net: TextureGenerator, count: int, chance: Generator) -> Tensor:
        """Tori, each turned by chance, so that the descriptor's poolings never fall on the grid of the generator's."""
        noises = random_noises(net, count, (SIDE, SIDE), chance)
        turn = torch.randint(STRIDE, (2,), generator=chance).tolist()
        weight = net.image.weight
        with precision(weight.device, self.dtype):
            return net([_last(z.to(weight.device)) for z in noises]).roll(turn, (2, 3))

    def _measure(self, net: TextureGenerator) -> None:
        noises = random_noises(net, MEASURED, (SIDE, SIDE), Generator().manual_seed(HELD_OUT_SEED - 1))
        with precision(net.image.weight.device, self.dtype):
            measure_statistics(net, [_last(z.to(net.image.weight.device)) for z in noises])

    @torch.no_grad()
    def _judge(
        self,
        net: TextureGenerator,
        step: int,
        frozen: bool,
        held_out: Statistics,
        improved: Callable[[Trainer], None] | None,
    ) -> None:
        if not frozen:
            self._measure(net)
        used = folded(net, "circular")
        if not frozen:
            for norm in net.norms():
                norm.statistics = None
        value = held_out(self._images(used, HELD_OUT, Generator().manual_seed(HELD_OUT_SEED)), together=True).item()
        if value < self.best_loss:
            self.best = _for_tiles(**used.config).eval().requires_grad_(False)
            self.best.load_state_dict(used.state_dict())
            self.best_loss, self.best_step = value, step
            if improved:
                improved(self)

    def facts(self) -> dict[str, Any]:
        """The course of the training, for the file's header."""
        return {
            "steps": self.steps,
            "step": self.best_step,
            "minutes": round((time.monotonic() - self.start) / 60, 2),
            "held_out_loss": self.best_loss,
            "seed": self.seed,
            "device": self.sample.images[0].device.type,
        }


def _last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def start_network(sample: Sample, seed: int) -> TextureGenerator:
    """A generator whose textures have about the sample's mean and covariance of colours before the first step."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = TextureGenerator(channels=sample.images[0].shape[1])
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


def train(
    descriptor: Descriptor,
    sample: Sample,
    make_loss: LossMaker,
    steps: int,
    seed: int,
    dtype: torch.dtype,
    about: dict[str, Any],
    icc: bytes | None = None,
    watch: Watch | None = None,
    improved: Callable[[TextureNetwork], None] | None = None,
) -> TextureNetwork:
    """A network for a sample.

    Args:
        descriptor: on a torus, on the device.
        sample: on the device.
        make_loss: from features to a loss.
        steps: of training.
        seed: of the training.
        dtype: of the convolutions.
        about: further facts for the file.
        icc: the sample's colour profile.
        watch: is told the loss of every step.
        improved: is given each network that is better than those before: what is kept of it is not lost if the
            training is broken off.
    """
    device = sample.images[0].device

    def network(trainer: Trainer) -> TextureNetwork:
        assert trainer.best is not None
        facts = {**about, "version": __version__, "training": trainer.facts()}
        return TextureNetwork(copy.deepcopy(trainer.best), sample.palette, device, dtype, facts, icc)

    trainer = Trainer(descriptor, sample, make_loss, steps, seed, dtype)
    with exactly(device):
        trainer.run(watch, None if improved is None else lambda so_far: improved(network(so_far)))
    return network(trainer)
