"""What a picture is described by: the features of a frozen network, VGG-19's shape or one layer of random filters."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from .padding import framed
from .vgg_shape import MEAN, STD

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
# Feature maps of each convolution, block by block; the blocks are divided by poolings. Each block's first convolution
# gives one of LAYERS, so the last block has no more than that.
VGG19 = ((64, 64), (128, 128), (256, 256, 256, 256), (512, 512, 512, 512), (512,))
# A twelfth of its cost. The layers that are read are wide, for only they are compared; what lies between is narrow.
SLIM = ((32, 16), (48, 32), (96, 64, 64), (192, 128, 128, 128), (384,))
LEAST_MEAN = 0.03  # of a layer's mean: channels that hardly ever fire are not blown up beyond this


class Descriptor(nn.Module):
    """Features of images, frozen: gradients flow to the image, never to parameters.

    Args:
        layers: names of what forward returns.
        smallest: least height and width of an image.
        circular: see images as tori: what leaves at one side comes in at the other (for textures that tile).

    Attributes:
        trust: weights of the layers in losses of textures.

    Shape:
        image: (B, 3, H, W), sRGB in [0, 1]; H, W >= smallest.
        depth: how many of the layers are wanted; the rest is not computed. All of them without.
        returns: (B, C_l, H_l, W_l) for each layer, float32 or autocast's type.
    """

    def __init__(self, layers: tuple[str, ...], smallest: int, circular: bool = False) -> None:
        super().__init__()
        self.layers, self.smallest, self.circular = layers, smallest, circular
        self.trust = (1.0,) * len(layers)

    def forward(self, image: Tensor, depth: int | None = None) -> list[Tensor]:
        raise NotImplementedError

    def check(self, image: Tensor) -> None:
        """Raise ValueError if an image has the wrong shape."""
        if image.ndim != 4 or image.shape[1] != 3 or min(image.shape[2:]) < self.smallest:
            raise ValueError(
                f"a descriptor takes (B, 3, H, W) with sides of at least {self.smallest}, not {tuple(image.shape)}"
            )


class VGG(Descriptor):
    """Convolutions 3x3 with ReLU in blocks, with average pooling between the blocks.

    Departs from VGG-19 in the pooling, which Gatys 2015 found to give better textures than the maximum. On a torus an
    odd side is pooled together with its first row again, so that no pixel goes unseen.

    Args:
        widths: feature maps of each convolution, block by block.
        circular: see images as tori.
        mean: R, G, B, subtracted from images, which are then divided by STD.

    Shape:
        as Descriptor; layer l has 2^l times shorter sides, the first one the image's.

    Example:
        >>> [tuple(f.shape[1:]) for f in VGG()(torch.rand(1, 3, 32, 48))]
        [(32, 32, 48), (48, 16, 24), (96, 8, 12), (192, 4, 6), (384, 2, 3)]

    References: Simonyan & Zisserman 2014, arXiv:1409.1556; Gatys et al. 2015, arXiv:1505.07376.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, widths: Sequence[Sequence[int]] = SLIM, circular: bool = False, mean: Sequence[float] = MEAN
    ) -> None:
        super().__init__(LAYERS[: len(widths)], 2 ** (len(widths) - 1), circular)
        parts: list[nn.Module] = []
        self.taps: list[int] = []  # where in `features` the layers come out
        before = 3
        for block in widths:
            if parts:
                parts.append(nn.AvgPool2d(2))
            self.taps.append(len(parts) + 1)
            for width in block:
                parts += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU(inplace=True)]
                before = width
        self.features = nn.Sequential(*parts)
        for conv in self.convolutions():
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False)

    def convolutions(self) -> list[nn.Conv2d]:
        return [part for part in self.features if isinstance(part, nn.Conv2d)]

    @property
    def channels(self) -> list[int]:
        """Of each layer."""
        return [len(self.features[tap - 1].weight) for tap in self.taps]  # type: ignore[arg-type]

    def forward(self, image: Tensor, depth: int | None = None) -> list[Tensor]:
        self.check(image)
        taps = self.taps[:depth]
        x = ((image - self.mean) / self.std).to(self.convolutions()[0].weight.dtype)
        found = []
        for i, part in enumerate(self.features[: taps[-1] + 1]):
            x = self._on_torus(part, x) if self.circular else part(x)
            if i in taps:
                found.append(x)
        return found

    def _on_torus(self, part: nn.Module, x: Tensor) -> Tensor:
        if isinstance(part, nn.Conv2d):
            return F.conv2d(framed(x), part.weight, part.bias)
        if isinstance(part, nn.AvgPool2d) and (x.shape[-1] % 2 or x.shape[-2] % 2):
            return part(F.pad(x, (0, x.shape[-1] % 2, 0, x.shape[-2] % 2), mode="circular"))
        return part(x)


@torch.no_grad()
def mean_activations(vgg: VGG, images: Tensor) -> list[Tensor]:
    """Each layer's mean of each channel over images and positions: (C_l,), float32."""
    return [features.float().mean((0, 2, 3)) for features in vgg(images)]


@torch.no_grad()
def normalise(vgg: VGG, means: Sequence[Tensor]) -> None:
    """Rescale the weights so that channels of these mean activations get means of 1 (Gatys 2015).

    A convolution with ReLU takes a positive factor of its weights and biases to its output, so the next convolution
    takes it away again from its input, and nothing but the layers that are read changes. Channels below LEAST_MEAN of
    their layer's mean are scaled as if they had that: else the noise of a channel that all but never fires would
    outweigh all others.

    Args:
        vgg: changed in place.
        means: for each layer (C_l,), such as `mean_activations` of natural images.
    """
    parts = vgg.features
    convs = vgg.convolutions()
    for tap, mean in zip(vgg.taps, means, strict=True):
        conv = parts[tap - 1]
        assert isinstance(conv, nn.Conv2d)
        assert conv.bias is not None
        mean = mean.to(conv.weight).clamp_min(LEAST_MEAN * mean.mean().item()).clamp_min(1e-12)
        conv.weight /= mean.view(-1, 1, 1, 1)
        conv.bias /= mean
        following = convs[convs.index(conv) + 1 :][:1]
        for after in following:
            after.weight *= mean.view(1, -1, 1, 1)


class RandomFilters(Descriptor):
    """One layer of random filters of many sizes, then ReLU: no weights, nothing learned.

    Departs from the paper in having fewer filters of each size, for a CPU's sake, and in the filters' scale: each
    size's responses vary alike on images whose neighbouring pixels are alike.

    Args:
        filters: of each size (the paper has 128).
        kernels: their sizes.
        seed: of the filters.
        circular: see images as tori.

    Shape:
        as Descriptor; one layer of filters * len(kernels) maps, of the image's size.

    References: Ustyuzhaninov et al. 2016, arXiv:1606.00021.
    """

    mean: Tensor

    def __init__(
        self,
        filters: int = 16,
        kernels: Sequence[int] = (3, 5, 7, 11, 15, 23, 37, 55),
        seed: int = 0,
        circular: bool = False,
    ) -> None:
        super().__init__(("random",), max(kernels) // 2 + 1 if circular else 1, circular)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.convolutions = nn.ModuleList()
        generator = Generator().manual_seed(seed)
        for kernel in kernels:
            conv = nn.Conv2d(3, filters, kernel, padding=kernel // 2, bias=False)
            conv.weight.data = torch.randn(conv.weight.shape, generator=generator) / (3**0.5 * kernel)
            self.convolutions.append(conv)
        self.requires_grad_(False)

    def forward(self, image: Tensor, depth: int | None = None) -> list[Tensor]:
        self.check(image)
        x = image - self.mean
        return [F.relu(torch.cat([self._filtered(x, conv) for conv in self.convolutions], 1))]

    def _filtered(self, x: Tensor, conv: nn.Module) -> Tensor:
        assert isinstance(conv, nn.Conv2d)
        if not self.circular:
            return conv(x)
        side = conv.kernel_size[0] // 2
        return F.conv2d(F.pad(x, (side,) * 4, mode="circular"), conv.weight)
