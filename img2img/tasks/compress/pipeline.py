"""A picture in, the bytes of an `.i2i` file out, and back."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

import numpy as np

from ... import progress
from ...checkpoints import names
from ...choices import CODEC_QUALITY, TUNES
from ...core.box import Box
from ...engines import pick_engine
from ...errors import BitstreamError, UnreachableError, WeightsError
from ...extras import need
from ...images import MAX_PIXELS, Picture
from ...metrics.bitrate import bits_per_pixel
from ...runtime import lock_across_forks
from .bitstream import LEAST_SIDE, Header, Stream, Tile, read_stream, write_stream
from .coder import Decoder, Encoder
from .latents import Group, Latents
from .look import Looks, kind_of
from .lossless import looks_drawn
from .model_file import LoadedCodec, load_codec, tuning_of
from .shape import DETAIL, HYPER_STRIDE, RESTORATION, TUNING_REACH
from .tiles import (
    MARGIN,
    Synthesis,
    analyse,
    latent_boxes,
    needed,
    pixels_of,
    surrounded,
    tile_shape,
    within,
)

KMAC_PER_PIXEL = 11.0  # of either transform
RESTORING_KMAC = 10.1  # and of what restores what is decoded
TILE = 1024  # pixels; 64 more or less would do as well
# Bytes at equal PSNR on two held-out photographs, against effort 1: 200 steps -7.4 %, 400 -8.5 %, 800 -9.5 %.
STEPS = 400
TRIES = 3  # rates at which latents are sought for a number of bytes or a PSNR
LEFT_OVER = 1.0  # per cent of the bytes, or hundredths of a decibel, which another rate is not worth
RATES = 65535  # the highest rate in a file
PREVIEW = 4  # by how much smaller a preview is
# How far from the middle of their bins, in steps, latents lie at most if the picture was decoded from such a file:
# 0.14 to 0.25 on crops of three photographs at qualities 50 to 100, up to 0.29 below where they are smooth; 24 others
# that never were in such a file 0.286 and more at six qualities (0.289 is the chance's).
CENTRED = 0.27


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

    def most_bytes(self, picture: Picture) -> int | None:
        """How large a picture's file may be, if the target says so."""
        if self.bpp is not None:
            return math.floor(self.bpp * picture.width * picture.height / 8)
        return self.max_bytes


class Coded(NamedTuple):
    """A file's bytes, and what is known of it: bytes, bpp, quality, lossless, and psnr if it was computed."""

    data: bytes
    facts: dict[str, Any]


@dataclass(frozen=True)
class View:
    """What of a file to decode.

    Args:
        region: x, y, width and height in pixels of what to decode; only the tiles that it touches are.
        preview: a quarter of the size, rounded up, from the first layers of each tile.
        partial: of a truncated file show what is there: soft where layers are missing, grey where tiles are.
        look: 0, as near to the original as there is, to 1, as a photograph looks: so much of made-up detail is added
            to files of low rates. None: the synthesis alone, as the paper has it. What is stored without loss stays as
            it is.

    Raises:
        ValueError: a region and a preview at once, or a region without pixels; a look beyond 0 ... 1, or of a preview.
    """

    region: tuple[int, int, int, int] | None = None
    preview: bool = False
    partial: bool = False
    look: float | None = 0.0

    def __post_init__(self) -> None:
        if self.look is not None and not 0 <= self.look <= 1:
            raise ValueError("a look is between 0, faithful, and 1, vivid, or None, plain")
        if self.look and self.preview:
            raise ValueError("a preview has no detail that a look could change")
        if self.region is not None and (min(self.region[:2]) < 0 or min(self.region[2:]) < 1):
            raise ValueError("a region is X,Y,WIDTH,HEIGHT in pixels, X and Y from 0")
        if self.region is not None and self.preview:
            raise ValueError("a preview is of the whole picture, a region of its full size")

    def place(self, header: Header) -> tuple[slice, slice]:
        """Rows and columns of a picture.

        Raises:
            BitstreamError: the region reaches beyond it.
        """
        x, y, width, height = self.region or (0, 0, header.width, header.height)
        if x + width > header.width or y + height > header.height:
            region = f"{width}x{height} pixels at {x},{y}"
            raise BitstreamError(f"the region of {region} reaches beyond the picture of {header.width}x{header.height}")
        return slice(y, y + height), slice(x, x + width)


WHOLE = View()


class Decoded(NamedTuple):
    """A picture, and what is known of how it was decoded: see Decompressor.decode."""

    picture: Picture
    facts: dict[str, Any]


class Compressor:
    """Codes pictures with one codec.

    Args:
        model: the codec.
        tile: side in pixels of the tiles that larger pictures are coded in.
        steps: of gradient descent, for effort 2.

    Example:
        >>> compressor = Compressor.from_pretrained("codec-fast", device="cpu")
        >>> coded = compressor.compress(Picture(np.zeros((40, 50, 3), np.uint8)), Target(quality=60))
        >>> Decompressor(device="cpu").decompress(coded.data).samples.shape
        (40, 50, 3)
    """

    def __init__(self, model: LoadedCodec, tile: int = TILE, steps: int = STEPS) -> None:
        self.model, self.tile, self.steps = model, tile, steps
        self.looks = Looks(model.engine)
        _ = model.analysis  # made ready now: if the weights are damaged, that is no fault of a picture

    @classmethod
    def from_pretrained(
        cls,
        name_or_file: str | Path = "codec-fast",
        device: str = "auto",
        precision: str = "auto",
        engine: str = "auto",
        pictures: int = 1,
    ) -> Self:
        """The compressor of shipped weights or of a weight file.

        Args:
            name_or_file: a name of `img2img weights list`, or a file.
            device: auto, cpu, cuda or mps.
            precision: auto (bf16 where PyTorch runs and the processor is fast at it), fp32 or bf16, of the transforms.
            engine: auto (what gives the result soonest), torch or onnx.
            pictures: how many are to come, for engine auto.

        Raises:
            WeightsError: the weights are missing, damaged or not a codec's.
            Img2ImgError: the device or PyTorch is not there.
        """
        runs = pick_engine(engine, device, precision, kmac_per_pixel=KMAC_PER_PIXEL, pictures=pictures)
        return cls(load_codec(name_or_file, runs))

    def compress(self, picture: Picture, target: Target | None = None, effort: int = 1, tune: str = TUNES[0]) -> Coded:
        """Code one picture.

        Args:
            picture: of any size from 1x1; of 16 bits a sample as well, which the codec takes at their full precision.
            target: quality 50 without.
            effort: 0 rounds latents to the nearest, 1 where it pays to the one before (rate-distortion optimised
                quantisation), 2 seeks them by gradients for each picture (annealing.py), which needs PyTorch and takes
                a minute or more.
            tune: by what the picture is to be as good as it can: `psnr`, as the codec was trained, or `ms-ssim`, which
                sees structure as eyes do: latents are moved by a network that learnt to (tuning.py). Or a file of
                weights by `img2img train tuning`.

        Returns:
            the file. Metadata and alpha come back as they are; pixels as the target says, or as they are, too, where
            that takes fewer bytes (drawings and screenshots) or the picture is a strip of less than 8 pixels.

        Raises:
            UnreachableError: the target cannot be reached.
            WeightsError: nobody has learnt to tune this codec, and effort 2 does not seek it.
            Img2ImgError: effort 2 without PyTorch.
        """
        self.ready(effort, tune)
        target = target or Target(quality=CODEC_QUALITY)
        thin = min(picture.width, picture.height) < LEAST_SIDE
        exact = _exact(picture) if thin or looks_drawn(picture.samples) else None
        if exact is not None and (thin or (target.most_bytes(picture) or 0) >= len(exact.data)):
            return _if_small(exact, target, picture)
        self.model.engine.expect(picture.width * picture.height)
        try:
            kind = _Coding if effort < 2 else _Annealed
            coding = kind(self, picture, effort, tune)
            coded = coding.reach(target)
        except UnreachableError:
            if exact is None or target.psnr is None:
                raise
            return exact
        return coded if exact is None or len(coded.data) < len(exact.data) else exact

    def ready(self, effort: int, tune: str) -> None:
        """Load what tunes latents, so that it is not missed first where a picture is.

        Raises:
            WeightsError: it is missing or damaged; or nobody has learnt to tune this codec, and effort 2 does not seek
                it.
        """
        if self.model.tuning(tune) is None and tune != TUNES[0] and effort < 2:
            raise WeightsError(
                f"nothing is here that tunes the codec {self.model.name!r} by {tune}; `img2img train tuning` makes it"
            )


def _exact(picture: Picture) -> Coded:
    """The file of a picture that is stored losslessly."""
    stream = Stream(
        width=picture.width,
        height=picture.height,
        channels=picture.channels,
        bits=picture.bits,
        icc=picture.icc,
        exif=picture.exif,
        alpha=picture.alpha,
        samples=picture.samples,
    )
    return _coded(picture, write_stream(stream), quality=None, lossless=True)


def _coded(picture: Picture, data: bytes, **facts: Any) -> Coded:
    bpp = bits_per_pixel(len(data), picture.width, picture.height)
    return Coded(data, {"bytes": len(data), "bpp": round(bpp, 4), **facts})


def _if_small(coded: Coded, target: Target, picture: Picture) -> Coded:
    limit = target.most_bytes(picture)
    if limit is not None and len(coded.data) > limit:
        raise _too_few(target, picture, len(coded.data), "a picture so thin takes")
    return coded


def _too_few(target: Target, picture: Picture, size: int, why: str) -> UnreachableError:
    """In what the target was given in."""
    if target.bpp is None:
        return UnreachableError(f"{target.max_bytes} bytes are too few: {why} {size}")
    needed = bits_per_pixel(size, picture.width, picture.height)
    return UnreachableError(f"{target.bpp:g} bits per pixel are too few: {why} {needed:.3g} ({size} bytes)")


class Found(NamedTuple):
    """The rate that reaches a target, the file at it, and its picture's PSNR if that was asked for."""

    rate: int
    data: bytes
    psnr: float | None = None


class _Coding:
    """One picture on its way into a file: transformed once, quantised as often as a target asks for."""

    def __init__(self, compressor: Compressor, picture: Picture, effort: int, tune: str = TUNES[0]) -> None:
        self.model, self.looks = compressor.model, compressor.looks
        self.picture, self.effort = picture, effort
        self.tune, self.tuning = tune, self.model.tuning(tune)
        self.again: dict[int, bool] = {}  # by rate: whether the picture was decoded from a file of it
        self.tile = tile_shape(picture.width, picture.height, compressor.tile)
        self.boxes = latent_boxes(picture.width, picture.height, self.tile, self.model.stride)
        self.latents: list[list[np.ndarray]] | None = None

    def reach(self, target: Target) -> Coded:
        rate, data, psnr = self.found(target)
        facts = {} if psnr is None else {"psnr": round(psnr, 3)}
        return _coded(self.picture, data, quality=quality(rate), lossless=False, **facts)

    def found(self, target: Target) -> Found:
        """What reaches a target.

        Raises:
            UnreachableError: nothing does.
        """
        if target.quality is not None:
            rate = round((target.quality - 1) / 99 * RATES)
            return Found(rate, self.at(rate))
        if self.latents is None:
            self.latents = [[self._analyse(box) for box in row] for row in self.boxes]
        if target.psnr is not None:
            return self._of_psnr(target.psnr)
        return self._of_bytes(target)

    def at(self, rate: int) -> bytes:
        """The file at a rate of 0 ... RATES."""
        total, tiles = sum(map(len, self.boxes)), []
        for row in self._quantised(rate):
            for latents in row:
                tiles.append(self._tile(latents))
                self._tell(len(tiles), total)
        return write_stream(self._stream(rate, tiles))

    def _tell(self, done: int, total: int) -> None:
        progress.report(done, total)

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
            layers=len(model.coding.slices),
            tiles=tuple(tiles),
        )

    def _analyse(self, box: Box) -> np.ndarray:
        return analyse(self.model, self.picture, self._wide(box))

    def _wide(self, box: Box) -> Box:
        """A tile with the latents around it on which depends what its own are tuned to."""
        return box if self.tuning is None else self._surrounded(box, TUNING_REACH)

    def _surrounded(self, box: Box, margin: int) -> Box:
        return surrounded(box, margin, self.picture.width, self.picture.height, self.model.stride)

    def _synthesis(self, rate: int) -> Synthesis:
        """What a reader of the file sees, faithfully."""
        return Synthesis(self.model, self.looks.of(self.model, rate / RATES))

    def _quantised(self, rate: int) -> Iterator[list[Latents]]:
        for i, row in enumerate(self.boxes):
            latents = self.latents[i] if self.latents else (self._analyse(box) for box in row)
            yield [self._choose(y, box, rate) for y, box in zip(latents, row, strict=True)]

    def _choose(self, y: np.ndarray, box: Box, rate: int) -> Latents:
        """Quantised latents, from y of `_wide`; nearly those that a picture was decoded from, if it was, at this rate.

        Analysis is not quite the inverse of synthesis and restoration. What is decoded and analysed anew is off by a
        tenth of a step, more where a latent is large, always nearer to 0: over ten rounds the picture would fade. So
        that is undone, and then the nearest is right: what would cost fewer bits was chosen the first time. And what
        was tuned then is not tuned again.
        """
        choose, own = self.model.coding.choose, within(box, self._wide(box)).of(y)
        if self.tuning is not None and not self._was_decoded(rate, own, box):
            return choose(self._tuned(y, box, rate), rate, self.effort)
        latents = choose(own, rate, self.effort)
        if not self.effort or not latents.off_centre(own, self.model.coding.steps(rate)[0]) < CENTRED:
            return latents
        return choose(own - self._fading(latents, box, rate), rate, 0)

    def _tuned(self, y: np.ndarray, box: Box, rate: int) -> np.ndarray:
        assert self.tuning is not None
        moved: np.ndarray = self.tuning(y[None], np.full((1, 1, 1, 1), rate / RATES, np.float32))[0]
        return within(box, self._wide(box)).of(moved)

    def _was_decoded(self, rate: int, y: np.ndarray, box: Box) -> bool:
        """Whether the picture was decoded from a file of this rate, judged by its middle tile; y is of any tile."""
        if rate not in self.again:
            row = self.boxes[len(self.boxes) // 2]
            middle = row[len(row) // 2]
            coding, y = self.model.coding, y if box == middle else analyse(self.model, self.picture, middle)
            first = coding.choose(y, rate, 1, layers=1)  # costs a third of all
            self.again[rate] = first.off_centre(y, coding.steps(rate)[0], coding.slices[0]) < CENTRED
        return self.again[rate]

    def _fading(self, latents: Latents, box: Box, rate: int) -> np.ndarray:
        """How far latents (M, h, w) are from the middle of their bins once a tile is decoded and analysed anew.

        0 beside other tiles: what is decoded there depends on these.
        """
        synthesis, (step, _) = self._synthesis(rate), self.model.coding.steps(rate)
        stride, picture, reach = self.model.stride, self.picture, MARGIN + synthesis.margin
        sides = [(box.top, box.bottom, picture.height), (box.left, box.right, picture.width)]
        height, width = (min(end * stride, side) - begin * stride for begin, end, side in sides)
        alone = Picture(np.empty((height, width, picture.channels), picture.samples.dtype))
        whole = Box(0, box.height, 0, box.width)
        for place, samples in decoded(synthesis, [latents.y_hat], [[whole]], alone):
            alone.samples[place] = samples
        rows, columns = (
            slice(reach if begin else 0, end - begin - (reach if end * stride < side else 0))
            for begin, end, side in sides
        )
        off = np.zeros_like(latents.y_hat)
        middle = latents.expected + latents.symbols * step
        off[:, rows, columns] = (analyse(self.model, alone, whole) - middle)[:, rows, columns]
        return off

    def _tile(self, latents: Latents) -> Tile:
        encoder = Encoder(self.model.coding.chooser.tables)
        for number, layer in enumerate(latents.layers):
            if number:
                encoder.next_layer()
            for group in layer:
                encoder.push(group.symbols, group.rows)
        return Tile(encoder.finish_layers(), check(latents.groups))

    def _of_bytes(self, target: Target) -> Found:
        """The highest rate whose file is at most so large. Its size is estimated from the tables, then made sure of."""
        limit = target.most_bytes(self.picture) or 0
        nothing = Tile((b"",) * len(self.model.coding.slices), 0)
        fixed = len(write_stream(self._stream(0, [nothing] * sum(map(len, self.boxes)))))

        def fits(rate: int) -> bool:
            costs = self.model.coding.chooser.bits
            bits = sum(float(costs(*g).sum()) for row in self._quantised(rate) for tile in row for g in tile.groups)
            return fixed + bits / 8 <= limit

        rate = highest(fits)
        while len(data := self.at(rate)) > limit:
            if not rate:
                raise _too_few(target, self.picture, len(data), "the lowest quality takes")
            rate = max(0, rate - RATES // 400)
        return Found(rate, data)

    def _of_psnr(self, wanted: float) -> Found:
        """The lowest rate whose picture is at least so good."""
        if (best := self.psnr(RATES)) < wanted:
            raise UnreachableError(f"{wanted:g} dB cannot be reached: the highest quality gives {best:.2f} dB")
        rate = RATES - highest(lambda rate: self.psnr(RATES - rate) >= wanted)
        return Found(rate, self.at(rate), self.psnr(rate))

    def psnr(self, rate: int) -> float:
        """Of the decoded picture."""
        picture = self.picture
        bands = (np.concatenate([latents.y_hat for latents in row], 2) for row in self._quantised(rate))
        squares = 0.0
        for place, samples in decoded(self._synthesis(rate), bands, self.boxes, picture):
            original = picture.samples[place]
            squares += float(np.square(original.astype(np.float64) - samples).sum())
        mse = squares / picture.samples.size
        return 20 * math.log10(2**picture.bits - 1) - 10 * math.log10(mse) if mse else math.inf


class _Annealed(_Coding):
    """One picture whose latents are sought by gradients, once it is known at which rate."""

    def __init__(self, compressor: Compressor, picture: Picture, effort: int, tune: str) -> None:
        need("effort 2", "torch")
        super().__init__(compressor, picture, effort, tune)
        self.steps, self.plain = compressor.steps, _Coding(compressor, picture, 1, tune)
        self.sought: tuple[int, list[list[Latents]]] | None = None  # of the last rate

    def found(self, target: Target) -> Found:
        """As without, and better; for bytes or a PSNR at up to TRIES rates, each nearer to where nothing is left over.

        What is found without the search reaches the target, too, and is kept where nothing better does.
        """
        if target.quality is not None:
            return super().found(target)
        without = plain = kept = self.plain.found(target)
        for _ in range(TRIES):
            sought = Found(plain.rate, self.at(plain.rate), None if target.psnr is None else self.psnr(plain.rate))
            left = self._left(sought, target)
            if left >= 0 and self._better(sought, kept, target, kept is without):
                kept = sought
            if 0 <= left < LEFT_OVER:
                break
            try:
                following = self.plain.found(self._nearer(target, plain, sought))
            except UnreachableError:
                break
            if following.rate == plain.rate:
                break
            plain = following
        return kept

    def _better(self, found: Found, kept: Found, target: Target, first: bool) -> bool:
        """Of two that reach a target: with fewer bytes for a PSNR; of as many bytes as may be, what was sought."""
        if target.psnr is not None:
            return len(found.data) < len(kept.data)
        return first or self._left(found, target) < self._left(kept, target)

    def _left(self, found: Found, target: Target) -> float:
        """Per cent of the bytes, or hundredths of a decibel, that a target leaves over; below 0 where it is missed."""
        if target.psnr is not None:
            return 100 * ((found.psnr or 0) - target.psnr)
        limit = target.most_bytes(self.picture) or 0
        return 100 * (limit - len(found.data)) / max(1, limit)

    def _nearer(self, target: Target, plain: Found, sought: Found) -> Target:
        """What to ask for without the search, so that with it a target is reached by a little."""
        if target.psnr is not None:
            return Target(psnr=max(1.0, target.psnr + (plain.psnr or 0) - (sought.psnr or 0) + 0.003))
        limit = (target.most_bytes(self.picture) or 0) * len(plain.data) / len(sought.data)
        return Target(max_bytes=max(1, int(0.997 * limit)))

    def _quantised(self, rate: int) -> Iterator[list[Latents]]:
        if self.sought is None or self.sought[0] != rate:
            numbers = count()
            self.sought = rate, [[self._seek(box, rate, next(numbers)) for box in row] for row in self.boxes]
        return iter(self.sought[1])

    def _seek(self, box: Box, rate: int, number: int) -> Latents:
        if self.tuning is not None:
            y = self._analyse(box)
            if self._was_decoded(rate, within(box, self._wide(box)).of(y), box):
                return self.plain._choose(y, box, rate)  # nothing is made stronger again
        from .annealing import annealed

        total = self.steps * sum(map(len, self.boxes))
        wide = self._with_hyper(box)
        stride, picture, model = self.model.stride, self.picture, self.model
        sides = ((picture.height, wide.top, wide.bottom), (picture.width, wide.left, wide.right))
        shown = [min(side, end * stride) - begin * stride for side, begin, end in sides]
        y, z = annealed(
            model.checkpoint,
            pixels_of(picture, wide, stride),
            (shown[0], shown[1]),
            rate / RATES,
            self.steps,
            "psnr" if self.tune == TUNES[0] else "ms-ssim",
            self.looks.restores(model),
            tuning_of(model.checkpoint, self.tune),
            model.engine.device,
            lambda step: progress.report(number * self.steps + step, total),
        )
        inside = within(box, wide)
        hyper = Box(*(-(-side // HYPER_STRIDE) for side in inside))
        return model.coding.choose(inside.of(y), rate, 0, None if z is None else hyper.of(z))

    def _with_hyper(self, box: Box) -> Box:
        """A tile with the latents around it that its pixels depend on, where hyper-latents lie as in the tile."""
        return box if box.top % HYPER_STRIDE or box.left % HYPER_STRIDE else self._surrounded(box, HYPER_STRIDE)

    def _tell(self, done: int, total: int) -> None:
        """Coding takes no time beside the search."""


_loading = lock_across_forks()  # so that many threads load a model once


class Decompressor:
    """Decodes files, whatever codec they name, as long as its weights are here.

    Args:
        device: auto, cpu, cuda or mps.
        precision: auto (fp32: bf16 moves pixels by up to three grey levels), fp32 or bf16, of the synthesis.
        models: further weights that files may need: names or files. Shipped ones are found without. Those of a network
            that makes detail up, or restores what was lost, take the place of the shipped ones.
        engine: auto (what gives the result soonest), torch or onnx.
        pictures: how many are to come, for engine auto.

    Raises:
        WeightsError: one of the models is missing or damaged.
        Img2ImgError: the device is not there.
    """

    def __init__(
        self,
        device: str = "auto",
        precision: str = "auto",
        models: Sequence[str | Path] = (),
        engine: str = "auto",
        pictures: int = 1,
    ) -> None:
        precision = "fp32" if precision == "auto" else precision
        cost = KMAC_PER_PIXEL + RESTORING_KMAC
        self.engine = pick_engine(engine, device, precision, kmac_per_pixel=cost, pictures=pictures)
        behind = [name for name in models if kind_of(name) in (DETAIL, RESTORATION)]
        codecs = (load_codec(name, self.engine) for name in models if name not in behind)
        self._loaded = {model.hash: model for model in codecs}
        self._looks = Looks(self.engine, behind)

    def decompress(self, data: bytes, max_pixels: int = MAX_PIXELS, view: View = WHOLE) -> Picture:
        """The picture in a file, of the size, bits, alpha and metadata that it had.

        Args:
            data: a whole `.i2i` file.
            max_pixels: larger pictures are refused before anything is decoded.
            view: what of it to decode.

        Raises:
            BitstreamError: the file is damaged, of another version, too large, or its model is not here; or the region
                is not in the picture.
        """
        return self.decode(data, max_pixels, view).picture

    def decode(self, data: bytes, max_pixels: int = MAX_PIXELS, view: View = WHOLE) -> Decoded:
        """What `decompress` gives, with facts: bytes and tiles that a truncated file lacks, tiles that were decoded."""
        stream = read_stream(data, max_pixels, view.partial)
        place = view.place(stream)
        facts: dict[str, Any] = {}
        if stream.missing:
            facts |= {"missing_bytes": stream.missing, "incomplete_tiles": stream.incomplete}
        alpha = stream.alpha if stream.alpha is None else _seen(stream.alpha[..., None], place, view)[..., 0]
        if stream.samples is not None:
            samples = _seen(stream.samples, place, view)
        else:
            samples = self._samples(stream, place, view, facts)
        return Decoded(Picture(samples, alpha, stream.exif, stream.icc, format="png"), facts)

    def _samples(self, stream: Stream, place: tuple[slice, slice], view: View, facts: dict[str, Any]) -> np.ndarray:
        """Of a place in the picture; of all of it at a quarter of its size for a preview."""
        self.engine.expect(stream.width * stream.height)
        model = self._model(stream)
        if any(side % model.stride for side in stream.tile):
            raise BitstreamError(f"damaged .i2i file: its tiles do not suit the codec {model.name!r}")
        slices = model.coding.slices
        if stream.layers not in (1, len(slices)):
            raise BitstreamError(f"damaged .i2i file: {stream.layers} layers do not suit the codec {model.name!r}")
        layers = preview_layers(slices) if view.preview else len(slices)
        boxes = latent_boxes(stream.width, stream.height, stream.tile, model.stride)
        tiles = dict(zip((box for row in boxes for box in row), stream.tiles, strict=True))
        area = _latents_of(place, model.stride)
        with _loading:
            look = self._looks.of(model, stream.rate / RATES, None if view.preview else view.look)
        synthesis = Synthesis(model, look)
        chosen = needed(boxes, area, synthesis.margin)
        facts["tiles"] = sum(map(len, chosen))
        bands = (
            np.concatenate([_decode_tile(tiles[box], model, box, stream, layers) for box in row], 2) for row in chosen
        )
        reduce = PREVIEW if view.preview else 1
        height, width = (-(-(part.stop - part.start) // reduce) for part in place)
        samples = np.empty((height, width, stream.channels), np.dtype(f"u{stream.bits // 8}"))
        for where, pixels in decoded(synthesis, bands, chosen, stream, place, reduce):
            samples[where] = pixels
            progress.report(where[0].stop, height)
        return samples

    def _model(self, header: Header) -> LoadedCodec:
        with _loading:
            if header.model_hash not in self._loaded and header.model in names("compress"):
                shipped = load_codec(header.model, self.engine)
                self._loaded[shipped.hash] = shipped
        model = self._loaded.get(header.model_hash)
        if model is not None:
            return model
        others = [other.hash.hex() for other in self._loaded.values() if other.name == header.model]
        if others:
            have = f"another version than is here: {header.model_hash.hex()}, not {', '.join(others)}"
            name = repr(header.model)
            raise BitstreamError(
                "the file needs the codec {name} in {have} ({0} takes its weights)", "model", name=name, have=have
            )
        raise BitstreamError(
            f"the file needs the codec {header.model!r} ({header.model_hash.hex()}), which is not here"
        )


def _decode_tile(tile: Tile, model: LoadedCodec, box: Box, stream: Stream, layers: int) -> np.ndarray:
    """The latents of a tile, from its first layers or what there is of them.

    Raises:
        BitstreamError: the symbols are not those that were coded.
    """
    slices = model.coding.slices
    there = len(tile.layers) if stream.layers > 1 else len(tile.layers) * len(slices)
    decoder = Decoder(tile.payload, model.coding.chooser.tables)
    latents = model.coding.decode(decoder, box.height, box.width, stream.rate, min(layers, there))
    if min(layers, there) == len(slices):
        decoder.finish()
        if check(latents.groups) != tile.check:
            raise BitstreamError("a tile decodes to other symbols than were coded")
    return latents.y_hat


def preview_layers(slices: Sequence[int]) -> int:
    """How many layers a preview is made of: those that hold a quarter of the channels."""
    return next(count for count in range(1, len(slices) + 1) if PREVIEW * sum(slices[:count]) >= sum(slices))


def _seen(samples: np.ndarray, place: tuple[slice, slice], view: View) -> np.ndarray:
    """What a view shows of samples (H, W, C) that are there already."""
    return smaller(samples) if view.preview else np.ascontiguousarray(samples[place])


def smaller(samples: np.ndarray) -> np.ndarray:
    """Samples (H, W, C) at a quarter of their size, rounded up: means of squares of PREVIEW pixels."""
    height, width, channels = samples.shape
    edges = [(0, -side % PREVIEW) for side in (height, width)]
    blocks = np.pad(samples, (*edges, (0, 0)), mode="edge").reshape(
        -(-height // PREVIEW), PREVIEW, -(-width // PREVIEW), PREVIEW, channels
    )
    return np.rint(blocks.mean((1, 3), dtype=np.float32)).astype(samples.dtype)


def _latents_of(place: tuple[slice, slice], stride: int) -> Box:
    """The latents whose squares of pixels cover a place."""
    rows, columns = place
    return Box(rows.start // stride, -(-rows.stop // stride), columns.start // stride, -(-columns.stop // stride))


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
    synthesis: Synthesis,
    bands: Iterable[np.ndarray],
    boxes: list[list[Box]],
    format: _Format,
    place: tuple[slice, slice] | None = None,
    reduce: int = 1,
) -> Iterator[tuple[tuple[slice, slice], np.ndarray]]:
    """Samples (h, w, C) of each tile, as integers, and where in the result they belong.

    Args:
        synthesis: of the codec.
        bands: y_hat of each row of `boxes`.
        boxes: tiles, all that the place needs.
        format: of the picture.
        place: what of the picture to make; all without.
        reduce: by how much smaller the result is.
    """
    size = synthesis.codec.stride // reduce
    rows, columns = place or (slice(0, format.height), slice(0, format.width))
    top, bottom, left, right = (side // reduce for side in (rows.start, rows.stop, columns.start, columns.stop))
    bottom, right = -(-rows.stop // reduce), -(-columns.stop // reduce)
    area = _latents_of((rows, columns), synthesis.codec.stride)
    for box, x_hat in synthesis(bands, boxes, area, reduce):
        first, begin = box.top * size, box.left * size
        part = Box(first, box.bottom * size, begin, box.right * size).common(Box(top, bottom, left, right))
        assert part is not None  # a box holds a pixel of the place at least
        pixels = x_hat[:, part.top - first : part.bottom - first, part.left - begin : part.right - begin]
        if format.channels == 1:
            pixels = pixels.mean(0, keepdims=True)
        levels = np.rint(pixels.clip(0, 1) * np.float32(2**format.bits - 1)).transpose(1, 2, 0)
        where = slice(part.top - top, part.bottom - top), slice(part.left - left, part.right - left)
        yield where, levels.astype(np.dtype(f"u{format.bits // 8}"))


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
