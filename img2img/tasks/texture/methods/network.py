"""Texture Networks: a generator trained for one sample, kept in a file, and used as often and as large as wanted.

How it is trained stands in train_network.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from ....checkpoints import Checkpoint, build, load_checkpoint, save_checkpoint
from ....errors import WeightsError
from ....runtime import exactly, keep_big_buffers, pick_device, pick_precision, placed, require_memory
from ..colour import coloured, luminance, match_colours
from ..generator import TextureGenerator, grow
from ..job import Colour, TextureJob
from ..kept import NETWORK
from ..pyramid import Size, resample

TILE = {"cpu": 256, "mps": 512, "cuda": 1024}  # multiples of every network's stride


class TextureNetwork:
    """A trained generator with what belongs to its texture: makes pictures of any size, in tiles.

    Args:
        generator: without norms and with `valid` padding (`folded`).
        palette: pixels of the sample, (C, 1, N); of three channels for a grey generator whose textures get colours.
        device: where to compute.
        dtype: of the convolutions.
        facts: what its file says beside: descriptor, loss, score and so on.
        icc: the sample's colour profile.
        tile: side of the tiles in which textures are computed, a multiple of the generator's stride; of TILE without.

    Example:
        >>> from img2img.tasks.texture.generator import TextureGenerator
        >>> net = TextureGenerator(widths=(8, 8), norm="none", padding_mode="valid").eval()
        >>> TextureNetwork(net, torch.rand(3, 1, 9), torch.device("cpu"))((33, 50)).shape
        torch.Size([3, 33, 50])
    """

    def __init__(
        self,
        generator: TextureGenerator,
        palette: Tensor,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        facts: dict[str, Any] | None = None,
        icc: bytes | None = None,
        tile: int | None = None,
    ) -> None:
        keep_big_buffers()
        self.generator = placed(generator, device, dtype)
        self.generator.image.float()
        self.palette = palette.half().float()  # as in the file
        self.device, self.dtype, self.facts, self.icc = device, dtype, facts or {}, icc
        self.tile = tile or TILE[device.type]

    @classmethod
    def load(cls, file: str | Path, device: str = "auto", precision: str = "auto") -> Self:
        """A network that `save` has written.

        Raises:
            WeightsError: the file is missing, damaged or holds something else.
            Img2ImgError: the device is not there.
        """
        where = pick_device(device)
        checkpoint = load_checkpoint(file)
        generator = build(checkpoint, NETWORK, for_tiles)
        palette, icc = _colours(checkpoint, generator, file)
        return cls(generator, palette, where, pick_precision(precision, where), _facts(checkpoint), icc)

    def save(self, file: str | Path) -> None:
        """Write it, whole or not at all; about half a megabyte.

        Raises:
            WeightsError: the file cannot be written.
        """
        tensors = {f"{NETWORK}.{name}": tensor for name, tensor in self.generator.state_dict().items()}
        tensors["palette"] = self.palette
        if self.icc:
            tensors["icc"] = torch.frombuffer(bytearray(self.icc), dtype=torch.uint8)
        header = {"task": "texture", "network": NETWORK, "config": self.generator.config, "range": [0, 1]}
        try:
            save_checkpoint(Path(file), tensors, {**self.facts, **header})
        except OSError as error:
            raise WeightsError(f"the network cannot be written to {file}: {error.strerror or error}") from error

    def __call__(self, size: Size, *, tileable: bool = False, seed: int = 0, colour: Colour = "keep") -> Tensor:
        """Make one texture.

        Args:
            size: height and width, any.
            tileable: whether it has to fit itself at its borders. A torus' sides are multiples of the generator's
                stride; to another size it is resampled, while a texture that need not tile is cut out.
            seed: the same gives the same texture, another one another.
            colour: as for `Texture`. Textures of a network that was trained on luminance are coloured in any case.

        Returns:
            (C, *size) float32 on the CPU.

        Raises:
            ValueError: no such size or colour.
            ImageError: there is not enough memory for a texture of that size.
        """
        TextureJob(size, "network", tileable, seed, colour=colour)  # or it raises what is wrong
        stride = self.generator.stride
        torus = (-(-size[0] // stride) * stride, -(-size[1] // stride) * stride)
        resampled = tileable and torus != tuple(size)
        # float32, three channels at most; matching colours sorts them.
        needed = 12 * torus[0] * torus[1] * (1 + resampled + (6 if colour == "match" else 1))
        require_memory(needed, torch.device("cpu"), f"a texture of {size[1]}x{size[0]} pixels")
        with exactly(self.device):
            canvas = grow(self.generator, torus, seed, self.tile, self.device, self.dtype)
        texture = (resample(canvas, size, circular=True) if resampled else canvas[..., : size[0], : size[1]])[0]
        if colour == "luminance" or len(texture) < len(self.palette):
            texture = coloured(luminance(texture), self.palette)
        return match_colours(texture, self.palette) if colour == "match" else texture


def for_tiles(**config: Any) -> TextureGenerator:
    """A generator as it is used: without norms and without padding.

    Raises:
        ValueError: it has norms.
    """
    if config.get("norm") != "none":
        raise ValueError("a network in use has no norms")
    return TextureGenerator(**config, padding_mode="valid")


def _colours(checkpoint: Checkpoint, generator: TextureGenerator, file: str | Path) -> tuple[Tensor, bytes | None]:
    """The palette and the colour profile that a file holds."""
    palette, icc = checkpoint.tensors.get("palette"), checkpoint.tensors.get("icc")
    fits = palette is not None and palette.ndim == 3 and len(palette) in (generator.channels, 3) and palette.numel()
    if palette is None or not fits or (icc is not None and icc.dtype != torch.uint8):
        raise WeightsError(f"weights {file} do not fit the model that their header describes")
    return palette, None if icc is None else icc.numpy().tobytes()


def _facts(checkpoint: Checkpoint) -> dict[str, Any]:
    built = ("task", "network", "config", "range")
    return {key: value for key, value in checkpoint.header.items() if key not in built}
