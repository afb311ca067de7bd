"""onnxruntime sees what PyTorch sees: loss and gradient of canvases, of one sample or several, in tiles or at once."""

from functools import cache

import numpy as np
import pytest
import torch
from untrained_texture import CPU, gravel, noise

from img2img.descriptors.by_name import load_descriptor
from img2img.engines import onnx_engine
from img2img.tasks.texture.job import LossName
from img2img.tasks.texture.methods import lbfgs
from img2img.tasks.texture.methods.by_graph import GraphEye, GraphLoss
from img2img.tasks.texture.methods.by_torch import TorchEye
from img2img.tasks.texture.methods.lbfgs import dot, minimise
from img2img.tasks.texture.methods.optimize import WHOLE


@cache
def eyes() -> tuple[GraphEye, TorchEye]:
    return GraphEye.load("vgg-slim"), TorchEye(load_descriptor("vgg-slim", circular=True), CPU)


def relative(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.sqrt(np.square(found - wanted).mean() / np.square(wanted).mean()))


@pytest.mark.parametrize("loss", ["shifted", "gram"])
@pytest.mark.parametrize(
    ("channels", "sides", "shares"), [(3, (48,), (1.0,)), (1, (50,), (1.0,)), (3, (40, 14, 33), (0.5, 0.3, 0.2))]
)
def test_the_loss_to_samples_and_its_gradient(
    loss: LossName, channels: int, sides: tuple[int, ...], shares: tuple[float, ...]
) -> None:
    samples = [gravel(side)[None, :channels].numpy() for side in sides]
    canvas = noise(1, channels, 48, 64).numpy()
    graph, by_torch = (eye.objective(samples, shares, loss, 0) for eye in eyes())
    graph.shift = by_torch.shift = (5, 11)
    value, gradient = graph(canvas)
    expected, slopes = by_torch(torch.from_numpy(canvas))
    assert value == pytest.approx(expected, rel=1e-4)
    assert gradient.shape == canvas.shape
    assert relative(gradient, slopes.numpy()) < 1e-3


def test_tiles_give_the_same_loss_and_gradient() -> None:
    eye = eyes()[0]
    whole = eye.objective([gravel()[None].numpy()], [1.0], "shifted", 0)
    assert isinstance(whole, GraphLoss)
    tiled = GraphLoss(eye, whole.goal, whole=0, tile=96)
    canvas = noise(1, 3, 208, 64).numpy()  # a tile's surroundings go around it more than once
    (loss, gradient), (same, slopes) = whole(canvas), tiled(canvas)
    assert same == pytest.approx(loss, rel=1e-5)
    assert relative(slopes, gradient) < 1e-3


@pytest.mark.parametrize("whole", [WHOLE, 0])
def test_loss_and_gradient_have_the_same_bytes_for_any_number_of_threads(
    whole: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample, canvas = gravel(61)[None].numpy(), noise(1, 3, 160, 160).numpy()
    found = set()
    for threads in (1, 2, 3, 8, 40):
        monkeypatch.setattr(onnx_engine, "threads", lambda count=threads: count)
        eye = GraphEye.load("vgg-slim")
        loss, gradient = GraphLoss(eye, eye.objective([sample], [1.0], "shifted", 0).goal, whole, tile=96)(canvas)
        found.add((loss, gradient.tobytes()))
    assert len(found) == 1


def test_what_judges_is_the_same() -> None:
    ours, theirs = (eye.judged(gravel(40)[None].numpy()) for eye in eyes())
    assert list(ours) == list(theirs)
    for layer, features in ours.items():
        assert relative(features, theirs[layer]) < 1e-4


def test_a_dot_product_is_exact_for_whole_numbers_and_the_same_for_both_kinds() -> None:
    a, b = (np.random.default_rng(seed).integers(-50, 50, (3, 1001, 7)).astype(np.float32) for seed in (0, 1))
    exact = int((a.astype(np.int64) * b.astype(np.int64)).sum())
    assert dot(a, b) == dot(torch.from_numpy(a), torch.from_numpy(b)) == exact


def test_one_optimiser_takes_the_same_way_with_arrays_and_tensors() -> None:
    lowest = (3 * noise(2, 60, seed=1).double() - 1).numpy()

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        return float((10 * np.asarray(x - lowest) ** 2).sum()), 20 * (x - lowest)

    def of_tensors(x: torch.Tensor) -> tuple[float, torch.Tensor]:
        loss, gradient = objective(x.numpy())
        return loss, torch.from_numpy(gradient)

    start = np.full(lowest.shape, 0.5)
    found, same = minimise(objective, start, 15), minimise(of_tensors, torch.from_numpy(start), 15)
    np.testing.assert_allclose(found, same.numpy(), atol=1e-12)
    np.testing.assert_allclose(found, lowest.clip(0, 1), atol=1e-3)
    assert not {"numpy", "torch", "np"} & vars(lbfgs).keys()
