"""A picture of one kind in, a picture of another out: the translator in one call. NumPy; an engine runs the network."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np

from ...checkpoints import Checkpoint, load_checkpoint
from ...core.seamless import in_tiles
from ...engines import Engine, Runner, pick_engine
from ...errors import InputError, WeightsError
from .coding import SPACES, Lab
from .colours import coloured
from .hints import NO_HINTS, Hints
from .networks import CLASSIFIER, parts_of, shape_of
from .shape import Shape

TILE = {"cpu": 1024, "mps": 1024, "cuda": 2048}
KMAC_PER_PIXEL = 25.0  # of the shipped ones, roughly
COLOURED_PIXELS = 2**18  # that the network sees of a picture that gets colours, roughly


class Translator:
    """Turns images of any size into those that its weights were trained to make of them.

    Large images are computed in tiles that cannot be told from the whole (core.seamless); of those that get colours the
    network sees them at the size of things that it knows alone (colours.py), so that they need no tiles.

    Args:
        checkpoint: a translator's weights.
        engine: runs the network.
        tile: side in pixels of the tiles that larger images are computed in; None chooses by the device.

    Raises:
        WeightsError: the weights are not a translator's.

    Example:
        >>> translator = Translator.from_pretrained("edges", device="cpu")
        >>> translator(np.zeros((1, 40, 50), np.float32)).shape
        (3, 40, 50)
    """

    def __init__(self, checkpoint: Checkpoint, engine: Engine, tile: int | None = None) -> None:
        # Made ready now: if the weights are damaged, that is no fault of a picture.
        names_colours = checkpoint.header.get("network") == "classifier"
        self.network = _Classifier(checkpoint, engine) if names_colours else _Generator(checkpoint, engine, tile)
        try:
            self.coding = SPACES[checkpoint.header["space"]](self.network.in_channels, self.network.out_channels)
        except (KeyError, ValueError) as error:
            raise WeightsError(
                f"weights {checkpoint.called} do not fit the model that their header describes"
            ) from error
        self.engine = engine
        self.takes_drawings = checkpoint.header.get("pairs") == "edges"

    @classmethod
    def from_pretrained(
        cls,
        name_or_file: str | Path,
        device: str = "auto",
        precision: str = "auto",
        tile: int | None = None,
        engine: str = "auto",
        pictures: int = 1,
    ) -> Self:
        """The translator of a weight file, or of shipped weights by name.

        Args:
            name_or_file: a file that training wrote, or a name of `img2img weights list`.
            device: auto, cpu, cuda or mps.
            precision: auto (bf16 where PyTorch runs and the processor is fast at it), fp32 or bf16.
            tile: side in pixels of the tiles that larger images are computed in; None chooses by the device.
            engine: auto (what gives the result soonest), torch or onnx.
            pictures: how many are to come, for engine auto.

        Raises:
            WeightsError: the weights are missing, damaged or not a translator's.
            Img2ImgError: the device or PyTorch is not there.
        """
        runs = pick_engine(engine, device, precision, kmac_per_pixel=KMAC_PER_PIXEL, pictures=pictures)
        return cls(load_checkpoint(name_or_file), runs, tile)

    def __call__(self, image: np.ndarray, seed: int = 0, noise: bool = True, hints: Hints = NO_HINTS) -> np.ndarray:
        """Translate one image.

        Args:
            image: (C, H, W), float values in [0, 1]; any H, W >= 1. RGB becomes grey for a model of one channel.
            seed: of the dropout that is pix2pix's only source of variety; the same seed gives the same result.
            noise: whether there is any.
            hints: colours that are known, for a model that adds colours to a lightness.

        Returns:
            (C', H, W) float32.

        Raises:
            ValueError: no image.
            ImageError: one with other channels than the model takes, or hints that lie beyond it.
            InputError: hints for a model that takes none.
        """
        if image.ndim != 3:
            raise ValueError(f"an image is (C, H, W), not {image.shape}")
        if hints and not self.takes_hints:
            raise InputError("hints of colours are for models that colour a grey picture, such as colorize")
        height, width = image.shape[1:]
        hints.check(height, width)
        x = np.ascontiguousarray(self.coding.source(image[None].astype(np.float32, copy=False)))
        random = np.random.default_rng(seed) if noise else None
        if self.takes_hints:
            self.engine.expect(COLOURED_PIXELS)
            return coloured(lambda small: self.network(small, random), x, hints)
        self.engine.expect(height * width)
        result: np.ndarray = self.coding.image(self.network(x, random), x)[0]
        return result

    @property
    def takes_hints(self) -> bool:
        """Whether the model gives colours to a lightness."""
        return isinstance(self.coding, Lab)

    def at_its_size(self, image: np.ndarray) -> np.ndarray:
        """What the network makes of an image at the image's own size, without noise; for exports and comparisons."""
        x = np.ascontiguousarray(self.coding.source(image[None].astype(np.float32, copy=False)))
        result: np.ndarray = self.coding.image(self.network(x, None), x)[0]
        return result


class _Generator:
    """A U-Net generator, from (1, C, H, W) in [-1, 1] to (1, C', H, W) in the same, in tiles if need be."""

    def __init__(self, checkpoint: Checkpoint, engine: Engine, tile: int | None) -> None:
        self.shape = shape_of(checkpoint)
        self.in_channels, self.out_channels = self.shape.in_channels, self.shape.out_channels
        self.engine, self.tile = engine, tile
        self.parts = _Parts(checkpoint, engine, self.shape)
        _ = self.parts.part("whole")

    def __call__(self, x: np.ndarray, random: np.random.Generator | None) -> np.ndarray:
        # The masks are drawn here, so that the noise depends on neither the engine nor the device; which device it is,
        # an engine knows once it has heard of a picture.
        height, width = x.shape[-2:]
        masks = self.shape.masks(height, width, random)
        output: np.ndarray = np.tanh(in_tiles(self.parts, x, self.tile or TILE[self.engine.device], masks))
        return output


class _Classifier:
    """A classifier of colours, from lightness (1, 1, H, W) to a and b (1, 2, H, W), all in [-1, 1]; without noise."""

    in_channels, out_channels = 1, 2

    def __init__(self, checkpoint: Checkpoint, engine: Engine) -> None:
        self.run = engine.load(checkpoint, CLASSIFIER)

    def __call__(self, x: np.ndarray, random: np.random.Generator | None) -> np.ndarray:
        output: np.ndarray = self.run(x)
        return output


class _Parts:
    """The generator's parts as core.seamless asks for them, each made ready when it is first needed."""

    def __init__(self, checkpoint: Checkpoint, engine: Engine, shape: Shape) -> None:
        self.checkpoint, self.engine, self.shape = checkpoint, engine, shape
        self.coarse, self.stride = shape.coarse, shape.stride
        self.down_norms, self.up_norms = shape.down_norms, shape.up_norms
        self.ready: dict[str, Runner] = {}

    def part(self, name: str) -> Runner:
        if name not in self.ready:
            self.ready[name] = self.engine.load(self.checkpoint, parts_of(self.shape)[name])
        return self.ready[name]
