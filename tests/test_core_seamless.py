"""Networks with instance norms in tiles: what they make equals the whole."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from test_translate_model import TINY, tiny

from img2img.core import parts
from img2img.core.blocks import Dropout, InstanceNorm
from img2img.core.encoder_decoder import EncoderDecoder, Layout
from img2img.core.padding import pad_to_multiple
from img2img.core.seamless import in_tiles, moments, reflected, tiles
from img2img.tasks.translate.shape import Shape


class TorchParts:
    """A network's parts as core.seamless asks for them, in whatever precision it has."""

    def __init__(self, net: EncoderDecoder) -> None:
        self.net, self.coarse, self.stride = net, parts.coarse_scale(net), net.layout.stride
        self.down_norms = self._normed(net.encoder.stages, range(self.coarse))
        self.up_norms = self._normed([*reversed(net.decoder.after)], range(self.coarse - 1, -1, -1))

    @staticmethod
    def _normed(layers: Any, scales: range) -> tuple[int, ...]:
        return tuple(s for s in scales if any(isinstance(m, InstanceNorm) for m in layers[s]))

    def part(self, name: str) -> Callable[..., np.ndarray]:
        kind = {"whole": parts.Whole, "middle": parts.Middle, "out": parts.Out, "down": parts.Down, "up": parts.Up}
        scale = [int(name[-1])] if name[-1].isdigit() else []
        module = kind[name.rstrip("0123456789")](self.net, *scale)

        @torch.no_grad()
        def run(*inputs: np.ndarray) -> np.ndarray:
            return module(*(torch.from_numpy(x) for x in inputs)).numpy()

        return run


@pytest.mark.parametrize(
    "arguments",
    [
        {"depth": 6},
        {"depth": 6, "up": "resize", "dropout": 0.0},
        {"depth": 5, "up": "shuffle", "norm": "batch"},
        {"depth": 6, "skip": "none"},
        {"depth": 2},
    ],
)
def test_tiles_equal_the_whole(arguments: dict) -> None:
    """To 1e-6 of outputs between -1 and 1, in float64: no seam, not even one that could be measured in a file."""
    net = tiny(**arguments).double()
    net(torch.rand(2, 3, 64, 64).double())  # gives batch norms statistics
    net.eval()
    image = np.random.default_rng(0).random((1, 3, 250, 333))
    masks = Shape(**TINY | arguments).masks(250, 333, np.random.default_rng(5))
    whole, tiled = (in_tiles(TorchParts(net.net), image, tile, masks) for tile in (333, 64))
    assert whole.std() > 0.05
    np.testing.assert_allclose(tiled, whole, atol=1e-6, rtol=0)
    assert all(m.statistics is None for m in net.modules() if isinstance(m, InstanceNorm))
    assert all(m.mask is None for m in net.modules() if isinstance(m, Dropout))


def test_a_tile_alone_would_not_equal_the_whole() -> None:
    """What the test above would not see if its network looked no further than a tile."""
    net, image = tiny(depth=6).eval(), torch.rand(1, 3, 256, 256)
    with torch.no_grad():
        assert (net(image)[..., :64, :64] - net(image[..., :64, :64])).abs().max() > 0.02


def test_statistics_are_undone_after_a_failure() -> None:
    net = tiny(depth=6).eval()
    net.net.decoder.up[-1].register_forward_hook(lambda *_: (_ for _ in ()).throw(MemoryError()))
    masks = Shape(**TINY | {"depth": 6}).masks(128, 128, None)
    with pytest.raises(MemoryError):
        in_tiles(TorchParts(net.net), np.random.default_rng(0).random((1, 3, 128, 128), dtype=np.float32), 32, masks)
    assert all(m.statistics is None for m in net.modules() if isinstance(m, InstanceNorm))


def test_tiles_cover_every_pixel_once_and_see_around_themselves() -> None:
    seen = np.zeros((100, 70))
    for tile in tiles(100, 70, 32, 8):
        top, bottom, left, right = tile.kept
        seen[top:bottom, left:right] += 1
        assert (tile.top, tile.bottom) == (max(0, top - 8), min(100, top + 40))
        assert tile.trim(tile.of(seen, 1), 1).shape == (bottom - top, right - left)
    assert (seen == 1).all()


def test_moments_of_parts_are_those_of_the_whole() -> None:
    x = (100 + np.random.default_rng(0).random((1, 3, 20, 30))).astype(np.float32)
    mean, variance = moments(x[..., i : i + 7] for i in range(0, 30, 7))
    np.testing.assert_allclose(mean, x.mean((0, 2, 3), dtype=np.float64))
    np.testing.assert_allclose(variance, x.var((0, 2, 3), dtype=np.float64), atol=1e-8, rtol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 3), (16, 33), (40, 16)])
def test_an_image_in_tiles_is_padded_as_in_the_network(size: tuple[int, int]) -> None:
    x = np.random.default_rng(0).random((1, 2, *size), dtype=np.float32)
    assert np.array_equal(reflected(x, 16), pad_to_multiple(torch.from_numpy(x), 16).numpy())


def test_networks_that_cannot_be_tiled_so_are_refused() -> None:
    for layout in (Layout((4, 8), 1), Layout((4, 8), 0, factors=(4, 2), kernels=(5, 5))):
        with pytest.raises(ValueError, match="without blocks"):
            parts.Whole(EncoderDecoder(3, 3, layout))
