"""How far an image's features are from a sample's, wherever in the picture they lie: Gram matrices, sliced Wasserstein.

Both are computed in float32 whatever the features' type: a Gram matrix sums a hundred thousand products, of which
bf16 keeps two digits.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Generator, Tensor

from .job import LossName
from .ranking import order_of, sorted_rows
from .terms import SHIFT_WEIGHT, SHIFTS

Loss = Callable[[Sequence[Tensor]], Tensor]  # of the features of images: a scalar

COPIES = {"shifted": 4, "gram": 3, "swd": 6}  # of the layers that are read; of the memory that a loss takes. Measured


def positions(features: Tensor) -> Tensor:
    """(B, C, H, W) as (B, H * W, C) float32; no copy of what is float32 and channels last in memory."""
    return features.float().permute(0, 2, 3, 1).flatten(1, 2)


def gram_matrix(features: Tensor) -> Tensor:
    """Mean over positions of the products of each two channels: (B, C, H, W) to (B, C, C), float32.

    Gatys 2015 has the sum; with the mean, images of different sizes compare.
    """
    with torch.autocast(features.device.type, enabled=False):
        flat = positions(features)
        return flat.mT @ flat / flat.shape[1]


def shifted_gram(features: Tensor, down: int, right: int, torus: bool = False) -> Tensor:
    """Mean over positions of each channel times each channel so many positions further: (B, C, H, W) to (B, C, C).

    On a torus all positions count, else those whose partner lies inside.
    """
    height, width = features.shape[2:]
    here, there = features, features.roll((-down, -right), (2, 3))
    if not torus:
        here, there = (x[:, :, : height - down, : width - right] for x in (here, there))
    with torch.autocast(features.device.type, enabled=False):
        flat = positions(here)
        return flat.mT @ positions(there) / flat.shape[1]


def gatys(gram: Tensor, target: Tensor) -> Tensor:
    """Squared distance over 4 C^2: (B, C, C), (1, C, C) to (B,).

    The paper's 1 / (4 N^2 M^2) of sums over M positions, for means over them: the squares of M cancel.
    """
    return (gram - target).square().sum((1, 2)) / (4 * gram.shape[1] ** 2)


def ulyanov(gram: Tensor, target: Tensor) -> Tensor:
    """Squared distance over C^4: (B, C, C), (1, C, C) to (B,).

    As the published code of Texture Networks has it: Gram matrices over channels times positions, then their mean
    squared error. Deep layers weigh less than with `gatys`.
    """
    return (gram - target).square().mean((1, 2)) / gram.shape[1] ** 2


def relative(gram: Tensor, target: Tensor) -> Tensor:
    """Squared distance over the target's squared norm: (B, C, C), (1, C, C) to (B,). Every layer weighs alike.

    1 is as far as no features at all. This is what judges textures in the benchmark.
    """
    return (gram - target).square().sum((1, 2)) / target.square().sum((1, 2)).clamp_min(1e-12)


DISTANCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"gatys": gatys, "ulyanov": ulyanov, "relative": relative}


class GramLoss:
    """Distance between the Gram matrices of images and a sample's, summed over layers, averaged over images.

    With `shifts` also between the matrices of products of each two channels at places some way apart, to the right and
    below: how a texture goes on, of which a Gram matrix knows only what one feature sees. Images are then tori, while
    of a sample only pairs of places that both lie in it count.

    Args:
        targets: the sample's features, (B, C_l, H_l, W_l) for each layer; several samples' Gram matrices are averaged.
        distance: `gatys`, `ulyanov` or `relative`.
        weights: of the layers; all 1 without.
        shifts: for a layer's number, from 0, the distances in its positions; those as large as the sample are left out.

    Raises:
        ValueError: no such distance, or not one weight for each layer.

    References: Gatys et al. 2015, arXiv:1505.07376; Ulyanov et al. 2016, arXiv:1603.03417; Berger & Memisevic 2017,
        arXiv:1606.01286 (shifts).
    """

    def __init__(
        self,
        targets: Sequence[Tensor],
        distance: str = "gatys",
        weights: Sequence[float] | None = None,
        shifts: Mapping[int, Sequence[int]] | None = None,
    ) -> None:
        if distance not in DISTANCES:
            raise ValueError(f"distance must be one of {', '.join(DISTANCES)}, not {distance!r}")
        self.distance = DISTANCES[distance]
        self.targets = [gram_matrix(layer.detach()).mean(0, keepdim=True) for layer in targets]
        self.weights = layer_weights(weights, len(targets))
        self.shifted: list[tuple[int, int, int, Tensor]] = []  # layer, rows and columns of the shift, target
        for number, distances in (shifts or {}).items():
            layer = targets[number].detach() if number < len(targets) else None
            for way in distances:
                for axis, (down, right) in ((2, (way, 0)), (3, (0, way))):
                    if layer is not None and layer.shape[axis] > way:
                        matrix = shifted_gram(layer, down, right).mean(0, keepdim=True)
                        self.shifted.append((number, down, right, matrix))

    def __call__(self, features: Sequence[Tensor]) -> Tensor:
        """A scalar for the features (B, C_l, H, W) of images of any size."""
        terms = [weight * term for weight, term in zip(self.weights, self.by_layer(features), strict=True)]
        for layer, down, right, target in self.shifted:
            gram = shifted_gram(features[layer], down, right, torus=True)
            terms.append(SHIFT_WEIGHT * self.weights[layer] * self.distance(gram, target).mean())
        return torch.stack(terms).sum()

    def by_layer(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Each layer's distance, not weighted: scalars."""
        return [
            self.distance(gram_matrix(layer), target).mean()
            for layer, target in zip(features, self.targets, strict=True)
        ]


class SlicedWassersteinLoss:
    """Distance between the distributions of features: all their statistics, not only the products of each two.

    Features are projected on random directions; along one, the nearest pairing of two sets of numbers is that of their
    ranks. The square of the distance is averaged over directions, positions and images, and summed over layers.

    Departs from the paper where sizes differ: the sample's sorted numbers are interpolated linearly, not repeated.

    Args:
        targets: the sample's features, (1, C_l, H_l, W_l) for each layer.
        generator: of the directions, on the CPU, so that they do not depend on the device; drawn anew at each call.
        directions: how many in each layer; as many as it has channels without, as in the paper.
        redraw: False takes the first directions at every call, for line searches, which compare calls.
        weights: of the layers; all 1 without.

    Raises:
        ValueError: several samples, or not one weight for each layer.

    References: Heitz et al. 2021, arXiv:2006.07229.
    """

    def __init__(
        self,
        targets: Sequence[Tensor],
        generator: Generator | None = None,
        directions: int | None = None,
        redraw: bool = True,
        weights: Sequence[float] | None = None,
    ) -> None:
        if any(len(layer) != 1 for layer in targets):
            raise ValueError("a sliced Wasserstein loss takes the features of one sample")
        self.targets = [positions(layer.detach())[0] for layer in targets]
        self.generator = generator or Generator().manual_seed(0)
        self.first = None if redraw else self.generator.get_state()
        self.directions = directions
        self.weights = layer_weights(weights, len(targets))

    def __call__(self, features: Sequence[Tensor]) -> Tensor:
        """A scalar for the features (B, C_l, H, W) of images of any size."""
        if self.first is not None:
            self.generator.set_state(self.first)
        terms = [
            weight * self._distance(layer, target)
            for weight, layer, target in zip(self.weights, features, self.targets, strict=True)
        ]
        return torch.stack(terms).sum()

    def _distance(self, layer: Tensor, target: Tensor) -> Tensor:
        with torch.autocast(layer.device.type, enabled=False):
            axes = unit_vectors(layer.shape[1], self.directions or layer.shape[1], self.generator).to(target)
            # Positions last: sorting is along memory.
            projected = axes @ positions(layer).mT
            ranked = projected.gather(-1, order_of(projected))
            wanted = sorted_rows(axes @ target.mT)
            return (ranked - at_quantiles(wanted, ranked.shape[-1])).square().mean()


def unit_vectors(channels: int, n: int, generator: Generator) -> Tensor:
    """n directions in the space of the channels, all equally likely: (n, channels)."""
    return torch.nn.functional.normalize(torch.randn(n, channels, generator=generator), dim=1)


def at_quantiles(ranked: Tensor, n: int) -> Tensor:
    """Sorted numbers (..., M) as n of the same distribution: (..., n).

    The i-th of n numbers stands for the quantile (i + 1/2) / n; between the numbers that there are, linearly.
    """
    have = ranked.shape[-1]
    if have == n:
        return ranked
    # In float64, for float32 counts to 16 million only; MPS has none.
    where = "cpu" if ranked.device.type == "mps" else ranked.device
    at = ((torch.arange(n, dtype=torch.float64, device=where) + 0.5) * (have / n) - 0.5).clamp(0, have - 1)
    below = at.long()
    above = (below + 1).clamp_max(have - 1)
    share = (at - below).to(ranked)
    return torch.lerp(ranked[..., below.to(ranked.device)], ranked[..., above.to(ranked.device)], share)


def layer_weights(weights: Sequence[float] | None, layers: int) -> list[float]:
    """The weights, or 1 for each layer; ValueError if there is not one for each."""
    chosen = [1.0] * layers if weights is None else list(weights)
    if len(chosen) != layers:
        raise ValueError(f"{len(chosen)} weights for {layers} layers")
    return chosen


def make_loss(
    name: LossName, seed: int, trust: Sequence[float], features: list[Tensor], redraw: bool = False
) -> "GramLoss | SlicedWassersteinLoss":
    """The loss of that name to a sample's features.

    Args:
        name: shifted, gram or swd.
        seed: of the directions of swd.
        trust: weights of the layers.
        features: the sample's, (1, C_l, H_l, W_l) for each layer.
        redraw: whether swd draws other directions at every call. Not where one value is compared with the next: by
            L-BFGS, and to keep the best.
    """
    if name != "swd":
        return GramLoss(features, "relative", trust, SHIFTS if name == "shifted" else None)
    return SlicedWassersteinLoss(features, Generator().manual_seed(seed), redraw=redraw, weights=trust)
