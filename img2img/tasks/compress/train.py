"""Training data, validation and shipping of the codec."""

import math
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn

from ...checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from ...data.patches import PatchSource
from ...errors import TrainingError
from ...metrics import psnr8
from ...training.photographs import load_photographs
from ...training.provenance import provenance
from ...training.recipe import Recipe
from .hyperprior import KINDS, HyperpriorCodec
from .loss import CodecWithPrior, Medians, RateDistortion
from .model import Codec, start_as_klt
from .prior import FORMER, FactorizedPrior
from .tables import make_tables

RATES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # at which held-out crops are judged


def build(recipe: Recipe, data: Path, device: torch.device) -> "CodecTask":
    """The task of a recipe: `[model] network` is `factorized` or `hyperprior`, the rest are arguments of that codec.

    Raises:
        TrainingError: no usable pictures to train on or to hold out, a network that does not exist, or weights to
            start from that do not fit.
    """
    recipe.refuse("loss", "teacher", "data", "objective")
    arguments = dict(recipe.model)
    network = arguments.pop("network", "factorized")
    if network not in KINDS:
        raise TrainingError(f"network must be one of {', '.join(KINDS)}, not {network!r}")
    source, crops = load_photographs(recipe, data, device)
    codec = KINDS[network](**arguments)
    recipe.require_multiples(codec.stride)
    sample = source.sample(256, min(128, recipe.phases[0].patch), Generator(device).manual_seed(recipe.seed)).cpu()
    before = load_checkpoint(recipe.init) if recipe.init else None
    if before is not None:
        start_from(codec, before.part("codec"))
    else:
        start_as_klt(codec, sample)
    model = CodecWithPrior(codec, fitted_prior(codec, sample))
    if before is not None and not go_on_from(model, before):
        print("only the transforms are taken over: the entropy model is another", file=sys.stderr)
    return CodecTask(model, network, recipe, source, crops)


def start_from(codec: Codec, tensors: dict[str, Tensor]) -> None:
    """Take over the transforms and steps of another codec, of whatever kind.

    Raises:
        TrainingError: it has none, or they are not of the same shape.
    """
    own = {k: v for k, v in codec.state_dict().items() if k.startswith(("g_a.", "g_s.", "log_step", "log_ratio"))}
    misfits = [k for k, v in own.items() if k not in tensors or tensors[k].shape != v.shape]
    if misfits:
        raise TrainingError(f"the weights to start from do not fit this codec: {misfits[0]}")
    codec.load_state_dict({k: tensors[k] for k in own}, strict=False)


def go_on_from(model: CodecWithPrior, checkpoint: Checkpoint) -> bool:
    """Take over all of another codec, its entropy model, too, if it is of the same shape; `context` may be new.

    Returns:
        whether it was; if not, nothing has changed.
    """
    own, theirs = model.state_dict(), checkpoint.tensors
    theirs = {k: v for k, v in theirs.items() if not k.startswith("tables.") and not k.endswith(FORMER)}
    lacking = [k for k in own.keys() - theirs.keys() if not k.startswith("codec.context.")]
    if lacking or any(k not in own or own[k].shape != v.shape for k, v in theirs.items()):
        return False
    model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in theirs.items()}, strict=False)
    return True


@torch.no_grad()
def fitted_prior(codec: Codec, sample: Tensor) -> FactorizedPrior:
    """A prior of y, or of z where there is one, as wide as these are on images; sets the units of a hyperprior."""
    y = codec.analysis(sample)
    if not isinstance(codec, HyperpriorCodec):
        return FactorizedPrior(y.std((0, 2, 3)))
    codec.unit.copy_(units(y))
    return FactorizedPrior(codec.hyper_analysis(y).std((0, 2, 3)))


def units(y: Tensor) -> Tensor:
    """Powers of two near the standard deviation of each channel of (B, M, h, w): (1, M, 1, 1)."""
    return y.std((0, 2, 3), keepdim=True).clamp_min(2**-14).log2().round().exp2()


def rates(n: int, generator: Generator) -> Tensor:
    """(n,), by chance in [0, 1], one from each nth of the range, so that no step sees only high or low ones."""
    order = torch.randperm(n, generator=generator, device=generator.device)
    return (order + torch.rand(n, generator=generator, device=generator.device)) / n


class CodecTask:
    """What the training loop asks of a task (training.loop.Task), for the codec."""

    def __init__(
        self, model: CodecWithPrior, network: str, recipe: Recipe, source: PatchSource, crops: list[Tensor]
    ) -> None:
        self.model: CodecWithPrior = model
        self.network, self.recipe, self.source = network, recipe, source
        self.objectives: dict[str, nn.Module] = {"main": RateDistortion(model), "medians": Medians(model.prior)}
        self.held_out = [whole_blocks(crop, model.codec.stride) for crop in crops]

    def batch(self, patch: int, n: int, generator: Generator) -> tuple[Tensor, Tensor]:
        """Crops, and a rate for each."""
        x = self.source.sample(n, patch, generator)
        return x, rates(n, generator)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Bits per pixel and PSNR at each of RATES; score: minus the mean of log2(bpp + lambda * MSE) over all."""
        assert isinstance(model, CodecWithPrior)
        scores: dict[str, float] = {}
        logs = []
        for rate in RATES:
            at = torch.full((1,), rate, device=self.held_out[0].device)
            weight = model.codec.lambda_at(at).item()
            bits, decibels = [], []
            for x in self.held_out:
                x_hat, bpp = model(x, at)
                bits.append(bpp.item())
                decibels.append(psnr8(x_hat.float(), x))
                logs.append(math.log2(bits[-1] + weight * 255**2 * 10 ** (-decibels[-1] / 10)))
            scores |= {f"bpp{rate}": sum(bits) / len(bits), f"psnr{rate}": sum(decibels) / len(decibels)}
        return {"score": -sum(logs) / len(logs)} | scores

    def picture(self, model: nn.Module) -> Tensor:
        """A held-out crop and what is left of it at the lowest and at a middle rate: (3, H, 3 W)."""
        assert isinstance(model, CodecWithPrior)
        x = self.held_out[-1]
        coded = [model(x, torch.full((1,), rate, device=x.device))[0].float() for rate in (0.0, 0.4)]
        return torch.cat((x, *coded), 3)[0].clamp(0, 1)

    def ship(self, tensors: dict[str, Tensor], path: Path, facts: dict[str, Any]) -> None:
        header = {
            "task": "compress",
            "network": self.network,
            "config": {k: v for k, v in self.recipe.model.items() if k != "network"},
            "range": "sRGB in [0, 1]",
        } | provenance(self.recipe, facts)
        before = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.model.load_state_dict(tensors)
        tables = {f"tables.{k}": v for k, v in make_tables(self.model).items()}
        self.model.load_state_dict(before)
        save_checkpoint(path, tensors | tables, header)


def whole_blocks(x: Tensor, stride: int) -> Tensor:
    """The part of (B, C, H, W) whose sides are multiples of the stride."""
    return x[..., : x.shape[-2] // stride * stride, : x.shape[-1] // stride * stride]
