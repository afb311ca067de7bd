"""The parts that a U-Net is computed in by core.seamless, as modules: what is measured or kept elsewhere comes in.

A part is given pixels or features of a tile, and the statistics by which the norms before it normalise: of each a mean
and a variance (C,), those of the encoder from fine to coarse, then those of the decoder from coarse to fine.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor, nn

from .blocks import Dropout, InstanceNorm
from .encoder_decoder import EncoderDecoder
from .seamless import COARSE


def coarse_scale(net: EncoderDecoder) -> int:
    """The scale at which the whole image is put together: COARSE, or a finer one if there is dropout above it.

    A dropout's noise is drawn for a whole map; so no map with noise may lie in tiles.

    Raises:
        ValueError: a network with blocks, pooling indices, shortcuts or other factors than 2, or of one scale.
    """
    layout, depth = net.layout, len(net.layout.widths)
    kinds = {layout.down_at(i) for i in range(depth)} | {layout.padding_mode}
    strange = any(layout.blocks_at(i) or layout.factor(i) != 2 for i in range(depth)) or layout.shortcut
    if strange or kinds & {"max", "circular", "valid"} or depth < 2:
        raise ValueError("only a U-Net of strided scales without blocks can be computed in such tiles")
    noisy = [i for i in range(depth - 1) if layout.dropout and layout.dropout[i]]
    return min([COARSE, depth - 2, *noisy])


class Part(nn.Module):
    """What all parts share: the network, and its norms under given statistics."""

    def __init__(self, net: EncoderDecoder) -> None:
        super().__init__()
        self.net, self.coarse = net, coarse_scale(net)

    @contextmanager
    def normalising(self, statistics: Sequence[Tensor]) -> Iterator[None]:
        """Within it the first norms, as many as there are statistics, normalise by them."""
        fine = [*self.net.encoder.stages[: self.coarse], *self.net.decoder.after[-self.coarse :][: self.coarse]]
        norms = [layer for stage in fine for layer in stage.children() if isinstance(layer, InstanceNorm)]
        pairs = list(zip(statistics[::2], statistics[1::2], strict=True))
        try:
            for norm, pair in zip(norms, pairs, strict=False):
                norm.statistics = pair
            yield
        finally:
            for norm in norms:
                norm.statistics = None

    @contextmanager
    def noisy(self, masks: Sequence[Tensor]) -> Iterator[None]:
        """Within it the dropouts, from the innermost on, multiply by these masks."""
        layers = [layer for layer in self.net.decoder.after.modules() if isinstance(layer, Dropout)]
        try:
            for layer, mask in zip(layers, masks, strict=True):
                layer.mask = mask
            yield
        finally:
            for layer in layers:
                layer.mask = None

    def down(self, image: Tensor, scale: int) -> list[Tensor]:
        """The encoder's features of an image at the scales before this one."""
        features = []
        for finer in range(scale):
            image, _ = self.net.encoder.step(finer, image)
            features.append(image)
        return features

    def up(self, whole: Tensor, image: Tensor, scale: int) -> Tensor:
        """The decoder's features at a scale, joined, from those at the coarse scale and the image."""
        features = [] if self.net.decoder.skip == "none" else self.down(image, self.coarse)
        for finer in reversed(range(scale, self.coarse)):
            whole = self.net.decoder.step(finer, whole, features[finer] if features else None)
        return whole


class Whole(Part):
    """The network at once: an image (B, C, H, W) and the masks of its dropouts to (B, C', H, W)."""

    def forward(self, image: Tensor, *masks: Tensor) -> Tensor:
        with self.noisy(masks):
            return self.net(image)


class Down(Part):
    """What the encoder's norm at a scale is given: of an image or a tile of it, and statistics before."""

    def __init__(self, net: EncoderDecoder, scale: int) -> None:
        super().__init__(net)
        self.scale = scale

    def forward(self, image: Tensor, *statistics: Tensor) -> Tensor:
        with self.normalising(statistics):
            features = self.down(image, self.scale)
            result, _ = self.net.encoder.down[self.scale](features[-1] if features else image)
            return result


class Middle(Part):
    """Through the coarse scales, from what their first norm is given to the decoder's features there, joined."""

    def forward(self, x: Tensor, *masks: Tensor) -> Tensor:
        encoder, decoder = self.net.encoder, self.net.decoder
        with self.noisy(masks):
            features = [encoder.stages[self.coarse](x)]
            for scale in range(self.coarse + 1, len(encoder.stages)):
                x, _ = encoder.step(scale, features[-1])
                features.append(x)
            x = features[-1]
            for scale in reversed(range(self.coarse, len(encoder.stages) - 1)):
                x = decoder.step(scale, x, None if decoder.skip == "none" else features[scale - self.coarse])
            return x


class Up(Part):
    """What the decoder's norm at a scale is given: of the coarse features and of an image, and statistics before."""

    def __init__(self, net: EncoderDecoder, scale: int) -> None:
        super().__init__(net)
        self.scale = scale

    def forward(self, whole: Tensor, image: Tensor, *statistics: Tensor) -> Tensor:
        with self.normalising(statistics):
            x = self.up(whole, image, self.scale + 1)
            result: Tensor = self.net.decoder.up[len(self.net.decoder.after) - 1 - self.scale](x)
            return result


class Out(Part):
    """From the coarse features and the image to the network's output, with all statistics."""

    def forward(self, whole: Tensor, image: Tensor, *statistics: Tensor) -> Tensor:
        with self.normalising(statistics):
            return self.net.decoder.finish(self.up(whole, image, 0))
