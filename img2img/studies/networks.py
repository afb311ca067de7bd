"""The networks that the studies train: configurations of the suite's core, and two of the first ones ever built."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ..core.blocks import activation_layer, conv
from ..core.encoder_decoder import Encoder, Layout


class LeNet(nn.Sequential):
    """LeNet-5 with what is usual now: ReLU for tanh, maximum for trained averages, softmax for radial basis functions.

    Shape:
        x: (B, 1, 28, 28) in [0, 1]; padded to the 32x32 of the paper.
        returns: (B, 10), the logits.

    References: LeCun et al. 1998, "Gradient-based learning applied to document recognition", Fig. 2.
    """

    def __init__(self) -> None:
        super().__init__(
            conv(1, 6, 5),
            *activation_layer("relu"),
            nn.MaxPool2d(2),
            conv(6, 16, 5, padding_mode="valid"),
            *activation_layer("relu"),
            nn.MaxPool2d(2),
            conv(16, 120, 5, padding_mode="valid"),
            *activation_layer("relu"),
            nn.Flatten(),
            nn.Linear(120, 84),
            *activation_layer("relu"),
            nn.Linear(84, 10),
        )


class Neocognitron(nn.Sequential):
    """Three pairs of S-cells (5x5 patterns) and C-cells (a 5x5 blur), as in the Neocognitron, for 16x16 pictures.

    Departs from the paper: C-layers halve the size, rectification has no inhibition by the mean, and the ten outputs
    are read out by a linear layer. What is the same: planes of one pattern everywhere, tolerance built up by blurring.

    Shape:
        x: (B, 1, 16, 16); returns (B, 10).

    References: Fukushima 1980, "Neocognitron", Biological Cybernetics 36.
    """

    def __init__(self, planes: int = 24) -> None:
        layers: list[nn.Module] = []
        for before in (1, planes, planes):
            layers += [conv(before, planes, 5), *activation_layer("relu"), nn.AvgPool2d(5, 2, 2)]
        super().__init__(*layers, nn.Flatten(), nn.Linear(planes * 4, 10))


class Classifier(nn.Module):
    """A network of 6 n + 2 layers for pictures of 32x32, plain or residual: an encoder of the core, a mean, a read-out.

    Both have the same convolutions, each with a batch norm. Of the residual one every two are bridged by a sum. The
    two convolutions that halve the size are bridged in neither and not counted, as He 2016 counts no projections.

    Args:
        blocks: n, pairs of convolutions at each of three scales.
        residual: whether pairs are bridged.
        width: feature maps at the finest scale; twice and four times as many at the others.
        classes: how many.

    Shape:
        x: (B, 1, H, W); returns (B, classes), the logits.

    Example:
        >>> import torch
        >>> Classifier(1, residual=True, width=4)(torch.rand(2, 1, 32, 32)).shape
        torch.Size([2, 10])

    References: He et al. 2016, arXiv:1512.03385, section 4.2.
    """

    def __init__(self, blocks: int, residual: bool, width: int = 16, classes: int = 10) -> None:
        super().__init__()
        pairs = (blocks,) * 3
        layout = Layout(
            widths=(width, 2 * width, 4 * width),
            blocks=pairs if residual else (2 * blocks + 1, 2 * blocks, 2 * blocks),
            block="residual" if residual else "plain",
            norm="batch",
            bias=False,
        )
        self.encoder = Encoder(1, layout)
        self.readout = nn.Linear(4 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        features, _ = self.encoder((x - 0.5) * 4)
        return self.readout(F.relu(features[-1]).mean((2, 3)))
