"""What the denoiser lowers."""

from torch import Tensor, nn

from .model import DenoisingUNet


class DenoisingObjective(nn.Module):
    """Mean absolute error between the clean and the denoised image.

    L1 rather than MSE: it weighs strong noise less against weak noise (its gradient does not grow with the error).

    Shape:
        batch: clean and noisy (B, C, H, W), sigma (B, 1, H, W); returns scalars by name.
    """

    def __init__(self, model: DenoisingUNet) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: tuple[Tensor, Tensor, Tensor]) -> dict[str, Tensor]:
        clean, noisy, sigma = batch
        return {"loss": (self.model(noisy, sigma).float() - clean).abs().mean()}


class EstimatorObjective(nn.Module):
    """Mean absolute error of the logarithm of the noise level, so that 10 % too much weighs the same at every level.

    Levels below `floor` count as `floor`: nobody sees a quarter of a grey level.

    Shape:
        as DenoisingObjective.
    """

    floor = 0.25 / 255

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: tuple[Tensor, Tensor, Tensor]) -> dict[str, Tensor]:
        _, noisy, sigma = batch
        predicted = self.model(noisy).float()
        wanted = nn.functional.adaptive_avg_pool2d(sigma, predicted.shape[-2:]).clamp_min(self.floor).log()
        return {"loss": (predicted - wanted).abs().mean()}
