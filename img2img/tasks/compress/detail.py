"""What a decoded picture lost: as far as it can be known, or made up, so that it looks like a photograph again."""

import torch
from torch import Tensor, nn

from ...core.blocks import Upsample
from ...core.encoder_decoder import EncoderDecoder, Layout
from .shape import FADES, SCALE


class DetailNetwork(nn.Module):
    """A small U-Net that sees what a codec decoded and tells what plausible detail is to be added.

    It sees pixels alone, not latents, so one network serves the files of every codec. Noise may be there to be made
    texture of: of a lawn that was decoded as a green plane no blade is known. It begins as nothing.

    Args:
        widths: feature maps at 1/4 and at 1/8 of the size.
        fades: rates between which the detail fades to nothing, for there files have their own; None: it never does.
        noisy: sees the noise; without, the same picture gets the same detail wherever it lies.

    Shape:
        x_hat: (B, 3, H, W), what was decoded, in [0, 1], H and W multiples of 8.
        rate: (B, 1, 1, 1), as Codec has it, in [0, 1].
        noise: (B, 1, H, W), of variance 1; what sees none may be given None.
        returns: (B, 3, H, W), to be added to x_hat.

    Example:
        >>> net = DetailNetwork(widths=(8, 12))
        >>> net(torch.rand(1, 3, 32, 48), torch.zeros(1, 1, 1, 1), torch.randn(1, 1, 32, 48)).shape
        torch.Size([1, 3, 32, 48])

    References: Mentzer et al. 2020, arXiv:2006.09965 (synthesis that makes detail up); Balle et al. 2024,
        arXiv:2412.00505 (a small synthesis that is given noise).
    """

    def __init__(
        self, widths: tuple[int, int] = (48, 72), fades: tuple[float, float] | None = FADES, noisy: bool = True
    ) -> None:
        super().__init__()
        self.fades, self.noisy = None if fades is None else tuple(fades), noisy
        layout = Layout(
            widths=tuple(widths),
            blocks=2,
            factors=(4, 2),
            activation="leaky_relu",
            down=("unshuffle", "conv"),
            up="shuffle",
            kernels=(3, 2),
            up_kernels=(3, 1),
            skip="add",
        )
        self.net = EncoderDecoder(3 + noisy + 1, 3, layout)
        last = self.net.decoder.up[-1]
        assert isinstance(last, Upsample)
        for parameter in last.parameters():
            parameter.data.zero_()

    def strength(self, rate: Tensor) -> Tensor:
        """How much of the detail is left at a rate: 1 below the first of `fades`, 0 above the second."""
        if self.fades is None:
            return torch.ones_like(rate)
        full, none = self.fades
        return ((none - rate) / (none - full)).clamp(0, 1)

    def forward(self, x_hat: Tensor, rate: Tensor, noise: Tensor | None) -> Tensor:
        plane = (rate - 0.5).expand(-1, -1, x_hat.shape[-2], x_hat.shape[-1])
        seen = [(x_hat - 0.5) * SCALE, plane]
        if self.noisy:
            assert noise is not None
            seen.insert(1, noise)
        return self.net(torch.cat(seen, 1)) / SCALE * self.strength(rate)


class RestorationNetwork(DetailNetwork):
    """The same network, learnt by squared error: it makes nothing up, and helps at every rate.

    What a shallow synthesis cannot say of its latents is mostly known: edges go on, flat places are flat.

    Args:
        widths: feature maps at 1/4 and at 1/8 of the size.

    Shape:
        x_hat: (B, 3, H, W), what was decoded, in [0, 1], H and W multiples of 8.
        rate: (B, 1, 1, 1), as Codec has it, in [0, 1].
        returns: (B, 3, H, W), to be added to x_hat.

    Example:
        >>> RestorationNetwork((8, 12))(torch.rand(1, 3, 32, 48), torch.zeros(1, 1, 1, 1)).shape
        torch.Size([1, 3, 32, 48])

    References: Dong et al. 2015, arXiv:1504.06993 (a network that takes away what compression has added).
    """

    def __init__(self, widths: tuple[int, int] = (48, 72)) -> None:
        super().__init__(widths, fades=None, noisy=False)

    def forward(self, x_hat: Tensor, rate: Tensor, noise: Tensor | None = None) -> Tensor:
        return super().forward(x_hat, rate, None)
