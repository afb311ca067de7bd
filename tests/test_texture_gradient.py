"""The graphs of a descriptor: what they are made of is the network that PyTorch builds, and they give its gradient."""

import numpy as np
import pytest
import torch
from torch import nn

from img2img.checkpoints import load_checkpoint
from img2img.core.descriptor import SLIM, VGG, VGG19
from img2img.core.vgg_shape import Shape
from img2img.descriptors.by_name import load_descriptor
from img2img.engines.onnx_engine import OnnxEngine
from img2img.register import networks_of
from img2img.tasks.texture.judge import unseen
from img2img.tasks.texture.loss import GramLoss
from img2img.tasks.texture.sample_features import sample_features
from img2img.tasks.texture.terms import SHIFT_WEIGHT, SHIFTS, terms_of


@pytest.mark.parametrize("widths", [SLIM, VGG19, ((4,), (6, 2))])
def test_a_shape_is_that_of_the_network(widths: tuple[tuple[int, ...], ...]) -> None:
    shape, vgg = Shape(widths), VGG(widths)
    convolutions = {name: part for name, part in vgg.named_modules() if isinstance(part, nn.Conv2d)}
    assert shape.names == [f"vgg.{name}" for name in convolutions]
    assert shape.kernels == [tuple(conv.weight.shape[:2]) for conv in convolutions.values()]
    assert (shape.channels, shape.smallest) == (vgg.channels, vgg.smallest)
    order = list(convolutions)
    assert [order[tap] for tap in shape.taps] == [f"features.{tap - 1}" for tap in vgg.taps]
    judge = unseen(vgg)
    assert shape.unseen_names == list(judge.names)
    assert [order[tap] for tap in shape.unseen] == [f"features.{tap - 1}" for tap in judge.descriptor.taps]  # type: ignore[attr-defined]


@pytest.mark.parametrize(("height", "width"), [(16, 16), (33, 50)])
def test_the_graph_gives_the_loss_and_the_gradient_that_autograd_gives(height: int, width: int) -> None:
    random = np.random.default_rng(0)
    image, sample = (random.random((1, 3, *size), dtype=np.float32) for size in ((height, width), (48, 48)))
    descriptor = load_descriptor("vgg-slim", circular=True)
    loss = GramLoss(sample_features(descriptor, torch.from_numpy(sample)), "gatys", descriptor.trust, SHIFTS)
    x = torch.from_numpy(image.copy()).requires_grad_()
    by_autograd = loss(descriptor(x))
    (slopes,) = torch.autograd.grad(by_autograd, x)

    checkpoint = load_checkpoint("vgg-slim")
    run = OnnxEngine().load(checkpoint, {network.name: network for network in networks_of(checkpoint)}["gradient"])
    targets = [target[0].numpy() for target in (*loss.targets, *(shifted[3] for shifted in loss.shifted))]
    share = [SHIFT_WEIGHT if term.down or term.right else 1.0 for term in terms_of(5)]
    trust = [descriptor.trust[term.layer] for term in terms_of(5)]
    weights = [s * t / (4 * len(g) ** 2) for s, t, g in zip(share, trust, targets, strict=True)]
    distances, gradient = run(image, np.array(weights, np.float32), *targets)
    assert distances @ weights == pytest.approx(by_autograd.item(), rel=1e-4)
    errors = gradient - slopes.numpy()
    assert np.sqrt(np.square(errors).mean()) < 1e-4 * np.sqrt(slopes.square().mean().item())
