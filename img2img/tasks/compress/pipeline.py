"""A picture in, the bytes of an `.i2i` file out, and back."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
import torch
from torch import Tensor

from ...checkpoints import names
from ...errors import BitstreamError, Img2ImgError
from ...images import MAX_PIXELS, Picture
from ...metrics.bitrate import bits_per_pixel
from ...runtime import keep_big_buffers, pick_device, pick_precision
from .bitstream import Header, Stream, Tile, may_have, read_stream, write_stream
from .coder import Decoder, Encoder
from .latents import Group, Latents
from .model_file import LoadedCodec, load_codec
from .tiles import Box, Transforms, latent_boxes

TILE = 1024  # pixels; 64 more or less would do as well
RATES = 65535  # the highest rate in a file


@dataclass(frozen=True)
class Target:
    """What a file shall reach: exactly one of these.

    Args:
        quality: 1 to 100, a place on the geometric scale of lambda.
        bpp: at most this many bits per pixel, of the whole file.
        psnr: at least this many decibels, of the decoded picture.
        max_bytes: at most this many bytes.

    Raises:
        ValueError: none or several, or a number out of range.
    """

    quality: float | None = None
    bpp: float | None = None
    psnr: float | None = None
    max_bytes: int | None = None

    def __post_init__(self) -> None:
        given = [value for value in vars(self).values() if value is not None]
        if len(given) != 1:
            raise ValueError("a target is exactly one of quality, bpp, psnr and max_bytes")
        if not 0 < given[0] < math.inf or (self.quality is not None and not 1 <= self.quality <= 100):
            raise ValueError("quality is between 1 and 100, bpp, psnr and max_bytes more than 0")


class Coded(NamedTuple):
    """A file's bytes, and what is known of it: bytes, bpp, quality, and psnr if it was computed."""

    data: bytes
    facts: dict[str, Any]


class Compressor:
    """Codes pictures with one codec.

    Example:
        >>> compressor = Compressor.from_pretrained("codec-fast", device="cpu")
        >>> coded = compressor.compress(Picture(np.zeros((40, 50, 3), np.uint8)), Target(quality=60))
        >>> Decompressor(device="cpu").decompress(coded.data).samples.shape
        (40, 50, 3)
    """

    def __init__(self, model: LoadedCodec, dtype: torch.dtype, tile: int = TILE) -> None:
        keep_big_buffers()
        self.model, self.tile = model, tile
        self.transforms = Transforms(model.codec, dtype)

    @classmethod
    def from_pretrained(
        cls, name_or_file: str | Path = "codec-fast", device: str = "auto", precision: str = "auto"
    ) -> Self:
        """The compressor of shipped weights or of a weight file.

        Args:
            name_or_file: a name of `img2img weights list`, or a file.
            device: auto, cpu, cuda or mps.
            precision: auto (bf16 where the processor is fast at it), fp32 or bf16, of the transforms.

        Raises:
            WeightsError: the weights are missing, damaged or not a codec's.
            Img2ImgError: the device is not there.
        """
        where = pick_device(device)
        return cls(load_codec(name_or_file, where), pick_precision(precision, where))

    @torch.inference_mode()
    def compress(self, picture: Picture, target: Target | None = None, effort: int = 1) -> Coded:
        """Code one picture.

        Args:
            picture: of any size from 1x1; of 16 bits a sample as well, which the codec takes at their full precision.
            target: quality 50 without.
            effort: 0 rounds latents to the nearest, 1 where it pays to the one before (rate-distortion optimised
                quantisation).

        Returns:
            the file. Metadata and alpha come back as they are; pixels as the target says.

        Raises:
            Img2ImgError: the target cannot be reached, or the picture is a strip of more tiles than a file may have.
        """
        if not may_have(picture.width, picture.height, self.tile):
            raise Img2ImgError(f"{picture.width}x{picture.height} pixels, a strip so long and thin, make no .i2i file")
        return _Coding(self, picture, effort).reach(target or Target(quality=50))


class _Coding:
    """One picture on its way into a file: transformed once, quantised as often as a target asks for."""

    def __init__(self, compressor: Compressor, picture: Picture, effort: int) -> None:
        self.model, self.transforms, self.tile = compressor.model, compressor.transforms, compressor.tile
        self.picture, self.effort = picture, effort
        self.boxes = latent_boxes(picture.width, picture.height, self.tile, self.model.codec.stride)
        self.latents: list[list[Tensor]] | None = None

    def reach(self, target: Target) -> Coded:
        if target.quality is not None:
            rate = round((target.quality - 1) / 99 * RATES)
            return self._coded(rate, self.at(rate))
        self.latents = [[self._analyse(box) for box in row] for row in self.boxes]
        if target.psnr is not None:
            return self._reach_psnr(target.psnr)
        pixels = self.picture.width * self.picture.height
        return self._reach_bytes(target.max_bytes or math.floor((target.bpp or 0) * pixels / 8))

    def at(self, rate: int) -> bytes:
        """The file at a rate of 0 ... RATES."""
        tiles = [self._tile(latents) for row in self._quantised(rate) for latents in row]
        return write_stream(self._stream(rate, tiles))

    def _stream(self, rate: int, tiles: Sequence[Tile]) -> Stream:
        picture, model = self.picture, self.model
        return Stream(
            model=model.name,
            model_hash=model.hash,
            width=picture.width,
            height=picture.height,
            channels=picture.channels,
            bits=picture.bits,
            rate=rate,
            tile=self.tile,
            icc=picture.icc,
            exif=picture.exif,
            alpha=picture.alpha,
            tiles=tuple(tiles),
        )

    def _analyse(self, box: Box) -> Tensor:
        return self.transforms.analyse(self.picture, box)

    def _quantised(self, rate: int) -> Iterator[list[Latents]]:
        for i, row in enumerate(self.boxes):
            latents = self.latents[i] if self.latents else (self._analyse(box) for box in row)
            yield [self.model.coding.choose(y, rate, self.effort) for y in latents]

    def _tile(self, latents: Latents) -> Tile:
        encoder = Encoder(self.model.coding.chooser.tables)
        for group in latents.groups:
            encoder.push(group.symbols, group.rows)
        return Tile(encoder.finish(), check(latents.groups))

    def _coded(self, rate: int, data: bytes, **facts: Any) -> Coded:
        bpp = bits_per_pixel(len(data), self.picture.width, self.picture.height)
        return Coded(data, {"bytes": len(data), "bpp": round(bpp, 4), "quality": quality(rate), **facts})

    def _reach_bytes(self, limit: int) -> Coded:
        """The highest rate whose file is at most so large. Its size is estimated from the tables, then made sure of."""
        fixed = len(write_stream(self._stream(0, [Tile(b"", 0)] * sum(map(len, self.boxes)))))

        def fits(rate: int) -> bool:
            costs = self.model.coding.chooser.bits
            bits = sum(float(costs(*g).sum()) for row in self._quantised(rate) for tile in row for g in tile.groups)
            return fixed + bits / 8 <= limit

        rate = highest(fits)
        while len(data := self.at(rate)) > limit:
            if not rate:
                raise Img2ImgError(f"{limit} bytes are too few: the lowest quality takes {len(data)}")
            rate = max(0, rate - RATES // 400)
        return self._coded(rate, data)

    def _reach_psnr(self, wanted: float) -> Coded:
        """The lowest rate whose picture is at least so good."""
        if (best := self.psnr(RATES)) < wanted:
            raise Img2ImgError(f"{wanted:g} dB cannot be reached: the highest quality gives {best:.2f} dB")
        rate = RATES - highest(lambda rate: self.psnr(RATES - rate) >= wanted)
        return self._coded(rate, self.at(rate), psnr=round(self.psnr(rate), 3))

    def psnr(self, rate: int) -> float:
        """Of the decoded picture."""
        picture = self.picture
        bands = (torch.cat([latents.y_hat for latents in row], 2) for row in self._quantised(rate))
        squares = 0.0
        for area, samples in decoded(self.transforms, bands, self.boxes, picture):
            original = picture.samples[area]
            squares += float(np.square(original.astype(np.float64) - samples).sum())
        mse = squares / picture.samples.size
        return 20 * math.log10(2**picture.bits - 1) - 10 * math.log10(mse) if mse else math.inf


class Decompressor:
    """Decodes files, whatever codec they name, as long as its weights are here.

    Args:
        device: auto, cpu, cuda or mps.
        precision: auto, fp32 or bf16, of the synthesis.
        models: further weights that files may need: names or files. Shipped ones are found without.

    Raises:
        WeightsError: one of the models is missing or damaged.
        Img2ImgError: the device is not there.
    """

    def __init__(self, device: str = "auto", precision: str = "auto", models: Sequence[str | Path] = ()) -> None:
        keep_big_buffers()
        self.device = pick_device(device)
        self.dtype = pick_precision(precision, self.device)
        self._loaded = {model.hash: model for model in (load_codec(name, self.device) for name in models)}

    @torch.inference_mode()
    def decompress(self, data: bytes, max_pixels: int = MAX_PIXELS) -> Picture:
        """The picture in a file, of the size, bits, alpha and metadata that it had.

        Args:
            data: a whole `.i2i` file.
            max_pixels: larger pictures are refused before anything is decoded.

        Raises:
            BitstreamError: the file is damaged, of another version, too large, or its model is not here.
        """
        stream = read_stream(data, max_pixels)
        model = self._model(stream)
        if stream.tile % model.codec.stride:
            raise BitstreamError(
                f"damaged .i2i file: tiles of {stream.tile} pixels do not suit the codec {model.name!r}"
            )
        boxes = latent_boxes(stream.width, stream.height, stream.tile, model.codec.stride)
        samples = np.empty((stream.height, stream.width, stream.channels), np.dtype(f"u{stream.bits // 8}"))
        for area, pixels in decoded(Transforms(model.codec, self.dtype), _bands(stream, model, boxes), boxes, stream):
            samples[area] = pixels
        return Picture(samples, stream.alpha, stream.exif, stream.icc, format="png")

    def _model(self, header: Header) -> LoadedCodec:
        if header.model_hash not in self._loaded and header.model in names("compress"):
            shipped = load_codec(header.model, self.device)
            self._loaded[shipped.hash] = shipped
        model = self._loaded.get(header.model_hash)
        if model is not None:
            return model
        others = [other.hash.hex() for other in self._loaded.values() if other.name == header.model]
        if others:
            have = f"another version than is here: {header.model_hash.hex()}, not {', '.join(others)}"
            raise BitstreamError(f"the file needs the codec {header.model!r} in {have} (--model takes its weights)")
        raise BitstreamError(
            f"the file needs the codec {header.model!r} ({header.model_hash.hex()}), which is not here"
        )


def _bands(stream: Stream, model: LoadedCodec, boxes: list[list[Box]]) -> Iterator[Tensor]:
    """The latents of each row of tiles.

    Raises:
        BitstreamError: the symbols are not those that were coded.
    """
    tiles = iter(stream.tiles)
    for row in boxes:
        yield torch.cat([_decode_tile(next(tiles), model, box, stream.rate) for box in row], 2)


def _decode_tile(tile: Tile, model: LoadedCodec, box: Box, rate: int) -> Tensor:
    decoder = Decoder(tile.payload, model.coding.chooser.tables)
    latents = model.coding.decode(decoder, box.height, box.width, rate)
    decoder.finish()
    if check(latents.groups) != tile.check:
        raise BitstreamError("a tile decodes to other symbols than were coded")
    return latents.y_hat


def check(groups: Sequence[Group]) -> int:
    """CRC-32 of a tile's symbols."""
    crc = 0
    for group in groups:
        crc = zlib.crc32(group.symbols.astype("<i4").tobytes(), crc)
    return crc


class _Format(Protocol):
    """What a picture and a file's header both say."""

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def channels(self) -> int: ...
    @property
    def bits(self) -> int: ...


def decoded(
    transforms: Transforms, bands: Iterable[Tensor], boxes: list[list[Box]], format: _Format
) -> Iterator[tuple[tuple[slice, slice], np.ndarray]]:
    """Samples (h, w, C) of each tile, as integers, and where in the picture they belong."""
    stride = transforms.codec.stride
    for row, tiles in zip(boxes, transforms.synthesise(bands, boxes[0]), strict=True):
        for box, x_hat in zip(row, tiles, strict=True):
            top, left = box.top * stride, box.left * stride
            height, width = min(box.height * stride, format.height - top), min(box.width * stride, format.width - left)
            pixels = x_hat[:, :height, :width]
            if format.channels == 1:
                pixels = pixels.mean(0, keepdim=True)
            levels = pixels.clamp(0, 1).mul(2**format.bits - 1).round().permute(1, 2, 0).numpy()
            area = slice(top, top + height), slice(left, left + width)
            yield area, levels.astype(np.dtype(f"u{format.bits // 8}"))


def highest(holds: Callable[[int], bool]) -> int:
    """The highest rate for which `holds`, by halving; 0 if there is none. It holds up to some rate, then no more."""
    low, high = 0, RATES + 1
    while high - low > RATES // 2000:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def quality(rate: int) -> float:
    """A file's rate as the quality that `Target` takes, to two digits."""
    return round(1 + 99 * rate / RATES, 2)
