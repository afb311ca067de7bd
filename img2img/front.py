"""The front door: each task as one function and one class that take a picture of any kind and answer in the same.

`img2img.denoise(x)` is `img2img.Denoiser.from_pretrained()(x)`, with the loaded network kept for the next call. What x
may be, kinds.py says. The classes here speak of pictures; the pipelines in tasks/, which they call, of arrays.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache, partial
from numbers import Integral, Real
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, NamedTuple, Self, TypedDict, TypeVar, Unpack, cast

import numpy as np

from .choices import CODEC_QUALITY, LOOKS, TUNES
from .errors import ImageError, Img2ImgError, InputError, OptionError, WeightsError
from .extras import need
from .images import (
    MAX_PIXELS,
    Frames,
    Picture,
    lost_in,
    read_frames,
    without_metadata,
    write_picture,
)
from .images.picture import in_sixteen_bits
from .keeping import KEEP, Keeping
from .kinds import Given, Written, answer, check_written, given, output_path, put, refuse_address
from .operations import Apply, ForFile, Operation, changed, of_images, refuse

if TYPE_CHECKING:
    from .tasks.compress import Target, View
    from .tasks.denoise.pipeline import FoundNoise
    from .tasks.texture.maker import TextureMaker
    from .tasks.texture.patchwork import Made
    from .tasks.translate.hints import Hints

C = TypeVar("C", bound="_Task")

GREY_LEVELS = 255
COMPRESSED = ".i2i"
COMPUTING = ("device", "precision", "engine", "tile")
MEANS = COMPUTING[:3]  # where there are no tiles, or the file has its own
TARGETS = ("quality", "bpp", "psnr", "max_bytes")  # of a compressed file
LONGEST_HEADER = 100  # bytes
NONE_FOUND = 0.5  # grey levels: what rounding to 8 bits alone may be taken for


@contextmanager
def in_our_words() -> Iterator[None]:
    """Numbers out of range are ValueErrors of the pipelines; who calls the front door needs to know one exception."""
    try:
        yield
    except Img2ImgError:
        raise
    except ValueError as error:
        raise InputError(str(error)) from error


def check_numbers(**values: Any) -> None:
    """Whether what should be numbers are; None is as if not given.

    Raises:
        OptionError: one is none.
    """
    for name, value in values.items():
        if value is not None and (not isinstance(value, Real) or isinstance(value, bool)):
            raise OptionError("{0} is a number, not {value!r}", name, value=value)


class _Task:
    """A task with its network.

    Args:
        pipeline: of tasks/.
    """

    computed: tuple[str, ...] = COMPUTING  # what from_pretrained takes besides the weights
    options: tuple[str, ...] = ()  # of a call, besides how the answer is given

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline

    @classmethod
    def from_pretrained(cls, model: str | Path | None = None, **computing: Any) -> Self:
        """The task by shipped weights or by a weight file.

        Args:
            model: a name of `img2img weights list`, or a file; the task's default without.
            computing: where and how, as the pipeline's `from_pretrained` takes it: device, precision, and for most
                tasks engine and tile.

        Raises:
            Img2ImgError: the weights are missing, damaged or for another task; the device is not there.
        """
        if unknown := computing.keys() - {*cls.computed, "models", "pictures"}:
            raise OptionError(f"no option {min(unknown)!r} here; where and how is said by {', '.join(cls.computed)}")
        if not isinstance(computing.get("tile"), int | None):
            raise OptionError("{0} is a number of pixels, or None, not {value!r}", "tile", value=computing["tile"])
        with in_our_words():
            return cls(cls._load(computing if model is None else {"name_or_file": model, **computing}))

    @classmethod
    def default_model(cls, options: Mapping[str, Any]) -> str | None:
        """The weights for these options of a call, where none are named; None leaves it to the pipeline."""
        return None

    @classmethod
    def check(cls, header: Mapping[str, Any], options: Mapping[str, Any]) -> None:
        """Refuse options that do not go together, before anything is loaded.

        Args:
            header: what the weights say of themselves; empty where none are named.
            options: of `operation`.

        Raises:
            OptionError: they do not.
        """

    @classmethod
    def _load(cls, arguments: dict[str, Any]) -> Any:
        raise NotImplementedError


class _Pictures(_Task):
    """A task that makes pictures of pictures, by a function of images."""

    suffix = ""

    def _answer(self, x: Any, written: Written, for_file: ForFile) -> Any:
        check_written(written, *self.options)
        with in_our_words():
            was = given(x)
            return answer(changed(was.frames, for_file)[0], was, self.suffix, written)


class Denoised(TypedDict, total=False):
    """How a picture is denoised, as `denoise` says."""

    strength: float
    tta: bool
    luma: float
    chroma: float


class DenoisedAndWritten(Denoised, Written, total=False):
    """And how the answer is given."""


class Denoiser(_Pictures):
    """Removes noise.

    Example:
        >>> noisy = np.random.default_rng(0).integers(100, 156, (40, 50, 3), np.uint8)
        >>> clean = Denoiser.from_pretrained("denoise-fast", device="cpu")(noisy, sigma=16)
        >>> clean.shape, clean.dtype, bool(clean.std() < noisy.std() / 2)
        ((40, 50, 3), dtype('uint8'), True)
    """

    suffix = "_denoised"
    options = ("sigma", *Denoised.__annotations__)

    @classmethod
    def _load(cls, arguments: dict[str, Any]) -> Any:
        from .tasks.denoise import Denoiser as Pipeline

        return Pipeline.from_pretrained(**arguments)

    @classmethod
    def default_model(cls, options: Mapping[str, Any]) -> str | None:
        """Who knows the level of white noise is served best by the network that is told it."""
        return None if options.get("sigma", "auto") == "auto" else "denoise-fast"

    @classmethod
    def check(cls, header: Mapping[str, Any], options: Mapping[str, Any]) -> None:
        """Levels are numbers that a network can be told."""
        sigma = options.get("sigma", "auto")
        if sigma == "auto":
            return
        if not isinstance(sigma, int | float | np.number) or not 0 <= sigma <= GREY_LEVELS:
            raise OptionError("{0} is auto or a number of grey levels from 0 to {most}, not {value!r}", "sigma",
                              most=GREY_LEVELS, value=sigma)  # fmt: skip
        if header.get("network") == "blind":
            raise OptionError("{name} finds the noise itself: leave out {0}, or use {1} denoise-fast", "sigma", "model",
                              name=header.get("name", "this network"))  # fmt: skip

    def __call__(
        self, x: Any, *, sigma: float | Literal["auto"] = "auto", **options: Unpack[DenoisedAndWritten]
    ) -> Any:
        """Denoise a picture; see `denoise`."""
        how = {name: options.pop(name) for name in Denoised.__annotations__ if name in options}  # type: ignore[misc]
        return self._answer(x, cast(Written, options), self._for_file(sigma, how))

    def operation(
        self,
        *,
        sigma: float | Literal["auto"] = "auto",
        strength: float = 1.0,
        tta: bool = False,
        luma: float = 1.0,
        chroma: float = 1.0,
        channels: Literal["colours", "all"] = "colours",
        **files: Any,
    ) -> Operation[Frames, Frames]:
        """What is done to files.

        Args:
            sigma: as of `denoise`, as the next four.
            strength: 0 to 2.
            tta: whether flips and turns are denoised, too.
            luma: 0 to 1.
            chroma: 0 to 1.
            channels: `all` denoises further channels, too.
            files: what `operations.of_images` takes.
        """
        if sigma == "auto":
            _ = self.pipeline.estimator  # read now: if it is damaged, that is no fault of a picture
        how = {"strength": strength, "tta": tta, "luma": luma, "chroma": chroma}
        return of_images(self._for_file(sigma, how), further=channels == "all", **files)

    def _for_file(self, sigma: float | Literal["auto"], how: dict[str, Any]) -> ForFile:
        self.check(self.pipeline.checkpoint.header, {"sigma": sigma})
        check_numbers(**{name: value for name, value in how.items() if name != "tta"})

        def find(image: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
            """Each frame by itself: what a blind network finds in it is all that it needs."""
            return self.pipeline(image, **how), facts_of(self.pipeline.find_noise(image))

        def clean(image: np.ndarray, level: float) -> tuple[np.ndarray, dict[str, Any]]:
            return self.pipeline(image, level, **how), {"sigma": round(level * GREY_LEVELS, 2)}

        def for_file(images: Sequence[np.ndarray]) -> Apply:
            """One level for all frames of a file: their camera was one."""
            if self.pipeline.blind and sigma == "auto":
                return find
            level = median(map(self.pipeline.estimate_sigma, images)) if sigma == "auto" else sigma / GREY_LEVELS
            return partial(clean, level=level)

        return for_file


def facts_of(found: FoundNoise) -> dict[str, Any]:
    """What is said of the noise that was found, in grey levels of 255."""

    def levels(value: float) -> float:
        return round(value * GREY_LEVELS, 2)

    facts: dict[str, Any] = {"sigma": levels(found.sigma)}
    facts["channels"] = dict(zip(("red", "green", "blue"), map(levels, found.channels), strict=True))
    facts |= {name: levels(value) for name in ("shadows", "lights") if (value := getattr(found, name)) is not None}
    if facts["sigma"] < NONE_FOUND:
        facts["note"] = "no noise found"
    return facts


class Translator(_Pictures):
    """Turns pictures into what its weights were trained to make of them: colours of grey, photographs of drawings.

    Example:
        >>> grey = np.zeros((40, 50), np.uint8)
        >>> Translator.from_pretrained("colorize", device="cpu")(grey).shape
        (40, 50, 3)
    """

    suffix = "_translated"
    options = ("seed", "noise", "hint", "hints")

    @classmethod
    def _load(cls, arguments: dict[str, Any]) -> Any:
        from .tasks.translate import Translator as Pipeline

        if "name_or_file" not in arguments:
            raise InputError("name the weights to translate with: img2img weights list shows them")
        pipeline = Pipeline.from_pretrained(**arguments)
        if (made := pipeline.coding.channels) not in (1, 3):
            name = arguments["name_or_file"]
            raise WeightsError(f"weights {name} make {made} channels, and a picture has 1 or 3")
        return pipeline

    @classmethod
    def check(cls, header: Mapping[str, Any], options: Mapping[str, Any]) -> None:
        """Hints are for networks that give colours to a lightness, and say something."""
        hints = options.get("hint", ()), options.get("hints")
        if not _hinted(header.get("space") == "lab", *hints):
            return
        try:
            hints_of(*hints)
        except Img2ImgError as error:
            raise OptionError(str(error)) from error

    def __call__(
        self,
        x: Any,
        *,
        seed: int = 0,
        noise: bool = True,
        hint: Sequence[Any] = (),
        hints: Any = None,
        **written: Unpack[Written],
    ) -> Any:
        """Translate a picture; see `translate`."""
        check_written(written, *self.options)
        with in_our_words():
            was = given(x)
            frames = changed(self._drawn(was.frames), self._for_file(seed, noise, hint, hints))[0]
            return answer(frames, was, self.suffix, written)

    def operation(
        self,
        *,
        seed: int = 0,
        noise: bool = True,
        hint: Sequence[Any] = (),
        hints: Any = None,
        **files: Any,
    ) -> Operation[Frames, Frames]:
        """What is done to files; the first four as of `translate`, files as `operations.of_images` takes them."""
        whole = of_images(self._for_file(seed, noise, hint, hints), **files)
        return replace(whole, read=lambda file: self._drawn(whole.read(file)))

    def _drawn(self, frames: Frames) -> Frames:
        """The drawings that a model of drawings takes: on white, where they are on a transparent ground."""
        return frames.map(_on_white) if self.pipeline.takes_drawings else frames

    def _for_file(self, seed: int, noise: bool, hint: Sequence[Any], hints: Any) -> ForFile:
        from .tasks.translate.drawings import unlike_drawings

        check_numbers(seed=seed)
        _hinted(self.pipeline.takes_hints, hint, hints)
        known = hints_of(hint, hints)

        def turn(image: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
            facts: dict[str, Any] = {"seed": seed if noise else None}
            if self.pipeline.takes_drawings and (note := unlike_drawings(image)):
                facts["note"] = note
            return self.pipeline(image, seed, noise, known), facts

        return lambda _: turn


def _hinted(taken: bool, points: Sequence[Any], picture: Any) -> bool:
    """Whether there are hints.

    Raises:
        OptionError: there are, for a network that takes none.
    """
    if not points and picture is None:
        return False
    if not taken:
        raise OptionError("{0} and {1} are for models that colour grey pictures, such as colorize", "hint", "hints")
    return True


def _on_white(picture: Picture) -> Picture:
    """A picture without alpha; what was transparent is white."""
    if picture.alpha is None:
        return picture
    white = replace(picture, alpha=None)
    opacity = _opacity(picture)
    if opacity is None or (opacity == 1).all():
        return white
    return white.with_array(1 - opacity * (1 - picture.to_array())).and_lost(["transparency (the ground is white)"])


def _opacity(picture: Picture) -> np.ndarray | None:
    """Alpha, (H, W) in [0, 1]."""
    alpha = picture.alpha
    if alpha is None:
        return None
    most = 1.0 if np.issubdtype(alpha.dtype, np.floating) else np.iinfo(alpha.dtype).max
    opacity: np.ndarray = (alpha / np.float32(most)).astype(np.float32)
    return opacity


def hints_of(points: Sequence[Any], picture: Any) -> Hints:
    """Hints for a translator, of points and a picture as of `translate`.

    Raises:
        Img2ImgError: they are none.
    """
    from .tasks.translate.hints import Hints, Point

    each = (points,) if isinstance(points, str) else points
    return Hints([Point.of(point) for point in each], *_marks(picture))


def _marks(x: Any) -> tuple[np.ndarray, np.ndarray] | tuple[()]:
    """The colours of a picture of hints, and where it says any; nothing without one.

    Raises:
        InputError: it says none.
    """
    if x is None:
        return ()
    from .tasks.translate.hints import told_by

    picture = given(x).frames[0]
    colours = np.broadcast_to(picture.to_array(), (3, picture.height, picture.width))
    told = told_by(colours, _opacity(picture))
    if not told.any():
        raise InputError("the picture of hints says no colour: all of it is grey or transparent")
    return colours, told


class Bytes(NamedTuple):
    """A file's bytes, and what it does not hold of its picture."""

    data: bytes
    lost: Sequence[str]


class Unread(NamedTuple):
    """A file that waits for decoding, and the bytes that its picture will take."""

    data: bytes
    size: int


class Shown(NamedTuple):
    """A picture, and how many bytes of its file were missing."""

    picture: Picture
    missing: int


class Compressor(_Task):
    """Makes the bytes of `.i2i` files of pictures.

    Example:
        >>> data = Compressor.from_pretrained(device="cpu")(np.zeros((40, 50, 3), np.uint8), quality=60)
        >>> Decompressor.from_pretrained(device="cpu")(data, kind="numpy").shape
        (40, 50, 3)
    """

    computed = MEANS
    options = (*TARGETS, "effort", "tune", "output", "overwrite")

    @classmethod
    def _load(cls, arguments: dict[str, Any]) -> Any:
        from .tasks.compress import Compressor as Pipeline

        return Pipeline.from_pretrained(**arguments)

    @classmethod
    def check(cls, header: Mapping[str, Any], options: Mapping[str, Any]) -> None:
        """There is one target."""
        target_of(**{name: options.get(name) for name in TARGETS})
        _check_coding(options.get("effort", 1), options.get("tune", TUNES[0]))

    def __call__(
        self,
        x: Any,
        *,
        quality: float | None = None,
        bpp: float | None = None,
        psnr: float | None = None,
        max_bytes: int | None = None,
        effort: int = 1,
        tune: str = TUNES[0],
        output: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
    ) -> Any:
        """Compress a picture; see `compress`."""
        with in_our_words():
            was = given(x)
            _check_coding(effort, tune)
            data = self.picture(_only(was.frames), target_of(quality, bpp, psnr, max_bytes), effort, tune)[0]
            written: Written = (
                {"overwrite": overwrite} if output is None else {"overwrite": overwrite, "output": output}
            )
            if was.kind != "path" and output is None:
                return data
            return put(output_path(was, "", COMPRESSED, written), data, was, written)

    def picture(
        self, picture: Picture, target: Target, effort: int = 1, tune: str = TUNES[0]
    ) -> tuple[bytes, dict[str, Any]]:
        """The file's bytes, and what is to be said of it."""
        coded = self.pipeline.compress(picture, target, effort, tune)
        return coded.data, {"width": picture.width, "height": picture.height, "bits": picture.bits, **coded.facts}

    def operation(
        self,
        *,
        quality: float | None = None,
        bpp: float | None = None,
        psnr: float | None = None,
        max_bytes: int | None = None,
        effort: int = 1,
        tune: str = TUNES[0],
        max_pixels: int = MAX_PIXELS,
        keeping: Keeping = KEEP,
    ) -> Operation[Picture, Bytes]:
        """What is done to files; up to tune as of `compress`, the rest as `operations.of_images` takes it."""
        goal = target_of(quality, bpp, psnr, max_bytes)
        _check_coding(effort, tune)
        self.pipeline.ready(effort, tune)

        def apply(picture: Picture, _format: str) -> tuple[Bytes, dict[str, Any]]:
            if keeping.metadata == "none":
                picture = without_metadata(picture)
            lost = [*picture.about.lost, *lost_in(picture, "i2i")]
            if keeping.strict:
                refuse(lost)
            data, facts = self.picture(picture, goal, effort, tune)
            return Bytes(data, lost), facts

        def write(coded: Bytes, file: BinaryIO, _format: str) -> Sequence[str]:
            file.write(coded.data)
            return coded.lost

        def read(file: BinaryIO) -> Picture:
            return _only(read_frames(file, max_pixels, frame=keeping.frame))

        return Operation(read, apply, write, lambda picture: picture.nbytes)


def _check_coding(effort: int, tune: str) -> None:
    """Whether the way of coding that is asked for makes sense, and can be gone here.

    Raises:
        OptionError: it makes none.
        Img2ImgError: a package is missing.
    """
    if effort not in (0, 1, 2):
        raise OptionError("{0} is 0, 1 or 2, not {value!r}", "effort", value=effort)
    if tune not in TUNES and not Path(tune).is_file():
        words = ", ".join(TUNES)
        raise OptionError("{0} is {words} or a file of weights, not {value!r}", "tune", words=words, value=tune)
    if effort > 1:
        need("effort 2", "torch", *(["pytorch_msssim"] if tune != TUNES[0] else []))


def _only(frames: Frames) -> Picture:
    """The picture to compress.

    Raises:
        ImageError: there are several.
    """
    if len(frames) > 1:
        raise ImageError(
            f"it has {len(frames)} frames or pages, an .i2i file holds one picture: choose one by {{0}}", "frame"
        )
    picture: Picture = frames[0]
    if picture.scale is None:
        return picture
    lost = (*picture.about.lost, f"{picture.samples.dtype} samples (rounded to 16 bits)")
    return in_sixteen_bits(replace(picture, about=replace(picture.about, lost=lost)))


class Decompressor(_Task):
    """Makes pictures of `.i2i` files."""

    computed = MEANS
    options = ("region", "preview", "partial", "look", "max_pixels")

    @classmethod
    def from_pretrained(cls, model: str | Path | None = None, **computing: Any) -> Self:
        """What decodes all files whose weights are shipped.

        Args:
            model: further weights: a name, or a file.
            computing: as of the others.

        Raises:
            Img2ImgError: as of the others.
        """
        return super().from_pretrained(model, **computing)

    @classmethod
    def _load(cls, arguments: dict[str, Any]) -> Any:
        from .tasks.compress import Decompressor as Pipeline

        name, more = arguments.pop("name_or_file", None), arguments.pop("models", ())
        return Pipeline(**arguments, models=more if name is None else (name, *more))

    def __call__(
        self,
        x: Any,
        *,
        region: tuple[int, int, int, int] | None = None,
        preview: bool = False,
        partial: bool = False,
        look: str | float = "faithful",
        max_pixels: int = MAX_PIXELS,
        **written: Unpack[Written],
    ) -> Any:
        """Decompress a file; see `decompress`."""
        check_written(written, *self.options)
        with in_our_words():
            if isinstance(x, str | os.PathLike):
                kind: Literal["path", "bytes"] = "path"
                refuse_address(x)
                try:
                    data = Path(x).read_bytes()
                except OSError as error:
                    raise InputError(f"{os.fspath(x)} cannot be read: {error.strerror or error}") from error
            elif isinstance(x, bytes | bytearray | memoryview):
                kind, data = "bytes", bytes(x)
            else:
                raise InputError(f"a compressed picture is a path or bytes, not {type(x).__name__}")
            frames = Frames.of(self.pipeline.decode(data, max_pixels, _view(region, preview, partial, look)).picture)
            return answer(frames, Given(kind, frames, x), "", written)

    @classmethod
    def check(cls, header: Mapping[str, Any], options: Mapping[str, Any]) -> None:
        """There is one view."""
        _view(**{name: options[name] for name in cls.options[:4] if name in options})

    def operation(
        self,
        *,
        region: tuple[int, int, int, int] | None = None,
        preview: bool = False,
        partial: bool = False,
        look: str | float = "faithful",
        quality: int | None = None,
        max_pixels: int = MAX_PIXELS,
        keeping: Keeping = KEEP,
    ) -> Operation[Unread, Shown]:
        """What is done to files: the first four as of `decompress`, the rest as `operations.of_images` takes it."""
        view = _view(region, preview, partial, look)

        def apply(unread: Unread, _format: str) -> tuple[Shown, dict[str, Any]]:
            picture, facts = self.pipeline.decode(unread.data, max_pixels, view)
            facts = {"width": picture.width, "height": picture.height, "bits": picture.bits, **facts}
            return Shown(picture, facts.get("missing_bytes", 0)), facts

        def write(shown: Shown, file: BinaryIO, format: str) -> Sequence[str]:
            lost = [f"the last {shown.missing} bytes, which the truncated file lacks"] if shown.missing else []
            if keeping.strict:
                refuse(lost)
            kept = write_picture(shown.picture, file, format, quality, metadata=keeping.metadata, strict=keeping.strict)
            return [*lost, *kept]

        return Operation(_read_compressed, apply, write, lambda unread: unread.size)


def _view(
    region: tuple[int, int, int, int] | None = None,
    preview: bool = False,
    partial: bool = False,
    look: str | float = "faithful",
) -> View:
    from .tasks.compress import View

    if region and preview:
        raise OptionError("{0} and {1} contradict each other: give one of them", "region", "preview")
    if region is not None and not _four_whole_numbers(region):
        raise OptionError("{0} is four whole numbers: left, top, width and height; not {value!r}", "region",
                          value=region)  # fmt: skip
    known = look in LOOKS if isinstance(look, str) else isinstance(look, Real) and 0 <= look <= 1
    if not known:
        words = ", ".join(LOOKS)
        raise OptionError("{0} is {words}, or a number from 0 to 1, not {value!r}", "look", words=words, value=look)
    share = LOOKS[look] if isinstance(look, str) else float(look)
    if share and preview:
        raise OptionError("{0} and {1} contradict each other: a preview has no detail", "look", "preview")
    return View(region, preview, partial, share)


def _four_whole_numbers(region: Any) -> bool:
    return isinstance(region, Sequence) and len(region) == 4 and all(isinstance(side, Integral) for side in region)


def _read_compressed(file: BinaryIO) -> Unread:
    from .tasks.compress.bitstream import read_header

    head = file.read(LONGEST_HEADER)
    header = read_header(head)  # before the rest is read: it may be a video of many gigabytes
    return Unread(head + file.read(), header.width * header.height * header.channels * header.bits // 8)


class Texture(_Task):
    """Makes more of a texture.

    Example:
        >>> sample = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
        >>> Texture.from_pretrained()(sample, size=(40, 56), method="patches").shape
        (40, 56, 3)
    """

    def __init__(self, pipeline: Any = None, arguments: dict[str, Any] | None = None) -> None:
        super().__init__(pipeline)
        self._arguments = arguments or {}

    @classmethod
    def from_pretrained(cls, model: str | Path | None = None, **computing: Any) -> Self:
        """What makes textures; its descriptor is loaded when a method needs it.

        Args:
            model: the descriptor: vgg-slim, random, vgg19 or a file.
            computing: as of the others.
        """
        return cls(None, ({} if model is None else {"descriptor": str(model)}) | computing)

    def __call__(self, x: Any = None, size: Any = None, **options: Any) -> Any:
        """Make a texture; see `texture`."""
        from .tasks.texture.files import Answers

        keys = Written.__annotations__.keys()
        written: Written = {key: options.pop(key) for key in keys & options.keys()}  # type: ignore[assignment]
        count = options.pop("count", 1)
        if not isinstance(count, int) or count < 1:
            raise OptionError("{0} is a whole number from 1, not {value!r}", "count", value=count)
        size = (size, size) if isinstance(size, int) else size
        if size is not None and not (
            isinstance(size, Sequence) and len(size) == 2 and all(isinstance(side, Integral) for side in size)
        ):
            raise OptionError("{0} is height and width, or one number for both, not {value!r}", "size", value=size)
        with in_our_words():
            was = [given(each) for each in (x if isinstance(x, list | tuple) else [] if x is None else [x])]
            if len(was) > 1:
                options.setdefault("mix", (1.0,) * len(was))
            maker = self.maker(
                options | {"size": size, "count": count}, len(was), overwrite=written.get("overwrite", False)
            )
            to = was[0] if was else Given("numpy", Frames.of(Picture(np.zeros((1, 1, 3), np.uint8))), np.zeros((1, 1)))
            samples = [each.frames[0] for each in was]
            sources = [str(each.original) if each.kind == "path" else "sample" for each in was]
            if not was and "net" not in options:
                raise InputError("a texture needs a sample, or a trained network (net)")
            made = Answers(to, f"_{maker.job.mode}", count, written)
            made.check(maker.maps)
            answers = [made.answer(maker(samples, sources, maker.job.seed + copy)[0], copy) for copy in range(count)]
            return answers if count > 1 else answers[0]

    def maker(
        self,
        options: Mapping[str, Any],
        samples: int = 1,
        *,
        max_pixels: int = MAX_PIXELS,
        overwrite: bool = False,
        measured: bool = False,
    ) -> TextureMaker:
        """What makes the textures that options ask for, with the masks and maps that it needs.

        Args:
            options: of `texture`, by name; None and False are as if they were not given.
            samples: how many samples each texture has.
            max_pixels: larger pictures are refused.
            overwrite: whether the file of `save` may be replaced.
            measured: whether the textures will be compared with their samples.

        Raises:
            Img2ImgError: the options contradict each other, or what they name cannot be read.
        """
        from .tasks.texture.kept import check_save
        from .tasks.texture.maker import Means, TextureMaker
        from .tasks.texture.wanted import OPTIONS, wanted

        asked = asked_of({**self._arguments, **options})
        if unknown := asked.keys() - {*OPTIONS, *MEANS}:
            raise InputError(f"no option {min(unknown)!r} of textures; there are {', '.join(OPTIONS)}")
        job = wanted(asked, samples, measured)
        if job.mode == "texture" and job.size[0] * job.size[1] > max_pixels:
            wide = f"{job.size[1]}x{job.size[0]}"
            raise OptionError(
                "{0} {wide}: that is more than {1} {most}", "size", "max_pixels", wide=wide, most=max_pixels
            )
        if "save" in asked:
            check_save(asked["save"], overwrite)
        means = {name: asked[name] for name in ("descriptor", "net", "recipe", *MEANS) if name in asked}
        mask = asked.get("fill", asked.get("mask"))
        return TextureMaker(
            job,
            Means(weights=asked.get("descriptor_weights"), **means),
            mask=None if mask is None else given(mask, max_pixels).frames[0],
            maps={name: given(x, max_pixels).frames[0] for name, x in dict(asked.get("maps", ())).items()},
            max_pixels=max_pixels,
            save=asked.get("save"),
        )

    def operation(
        self,
        *,
        quality: int | None = None,
        max_pixels: int = MAX_PIXELS,
        keeping: Keeping = KEEP,
        samples: Sequence[bytes] = (),
        **options: Any,
    ) -> Operation[Picture, Made]:
        """What is done to files.

        Args:
            quality: as `operations.of_images` takes it, like the next two.
            max_pixels: likewise.
            keeping: likewise.
            samples: further files of a mixture.
            options: as of `texture`, but for count.
        """
        from .tasks.texture.files import TextureFiles

        maker = self.maker(options, 1 + len(samples), max_pixels=max_pixels)
        further = [given(each, max_pixels).frames[0] for each in samples]

        def apply(sample: Picture, _format: str) -> tuple[Made, dict[str, Any]]:
            return maker([sample, *further], ["sample"] * (1 + len(further)), maker.job.seed)

        files = TextureFiles(quality, max_pixels, keeping)
        return Operation(files.read, apply, files.write, lambda picture: picture.nbytes, files.beside)


def asked_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Of options those that were given; None, False and empty tuples are as if they were not."""

    def given_so(value: Any) -> bool:
        return not (value is None or value is False or (isinstance(value, tuple) and not value))

    return {name: value for name, value in options.items() if given_so(value)}


def target_of(quality: float | None, bpp: float | None, psnr: float | None, max_bytes: int | None) -> Target:
    """What a compressed file shall reach: one of these, or without any quality 50.

    Raises:
        InputError: several, or a number out of range.
    """
    from .tasks.compress import Target

    asked = {"quality": quality, "bpp": bpp, "psnr": psnr, "max_bytes": max_bytes}
    check_numbers(**asked)
    given_ones = {name: value for name, value in asked.items() if value is not None}
    chosen: dict[str, Any] = given_ones or {"quality": CODEC_QUALITY}
    if len(chosen) > 1:
        raise OptionError("{0} and {1} contradict each other: give one of them", *list(chosen)[:2])
    with in_our_words():
        return Target(**chosen)


# ---- functions


def pretrained(kind: type[C], model: str | os.PathLike[str] | None, computing: dict[str, Any]) -> C:
    """As `from_pretrained`; the latest few are kept."""
    name = None if model is None else os.fspath(model)
    kept: C = _loaded(cast(Any, kind), name, _state_of(name), tuple(sorted(computing.items())))
    return kept


def _state_of(name: str | None) -> tuple[int, int] | None:
    """Of a weight file when it was written and its size: one that a training has replaced is loaded anew."""
    try:
        found = None if name is None else Path(name).stat()
    except OSError:
        return None  # a name of shipped weights, or a file that is missing
    return None if found is None else (found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=8)
def _loaded(
    kind: Any, model: str | None, _state: tuple[int, int] | None, computing: tuple[tuple[str, Any], ...]
) -> Any:
    return kind.from_pretrained(model, **dict(computing))


def parted(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What `from_pretrained` takes, and what the call takes."""
    computing: dict[str, Any] = {name: options.pop(name) for name in COMPUTING if name in options}
    return computing, options


def denoise(x: Any, *, model: str | os.PathLike[str] | None = None, **options: Any) -> Any:
    """Remove the noise of a picture.

    Args:
        x: a path; the bytes of an image file; a Pillow image; a NumPy array (H, W) or (H, W, C) of uint8, uint16 or
            float in [0, 1]; a tensor (C, H, W) or (B, C, H, W) of uint8 or float. Two or four channels are grey or RGB
            and alpha, which is kept.
        model: name or file of the weights.
        options: sigma, the standard deviation of white noise in grey levels of 255, or `auto`: whatever noise there is;
            strength, 0 to 2; luma and chroma, 0 to 1, for lightness and colours apart; tta; where
            and how it is computed (device, precision, engine, tile); how the answer is given (`kinds.Written`).

    Returns:
        what was given, denoised: an array for an array, of the same shape and type. For a path the path of a new file
        beside it, photo_denoised.png for photo.jpg; for bytes those of a PNG.

    Raises:
        Img2ImgError: whatever is wrong with the picture, the options or the weights, in one line.

    Example:
        >>> import img2img
        >>> img2img.denoise(np.full((8, 8), 0.5, np.float32), sigma=10).shape
        (8, 8)
    """
    computing, own = parted(options)
    return pretrained(Denoiser, model or Denoiser.default_model(own), computing)(x, **own)


def translate(x: Any, *, model: str | os.PathLike[str], **options: Any) -> Any:
    """Turn a picture into what a model was trained to make of it.

    Args:
        x: as of `denoise`.
        model: name or file of the weights: colorize, facades, edges.
        options: seed of the noise, and noise, whether there is any; for colorize hint, points of known colour, each
            (x, y, colour) or "X,Y,COLOUR", a colour being #rrggbb or a name of CSS, and hints, a picture (as x) with
            strokes of colour that is grey or transparent where it says nothing; the rest as of `denoise`.

    Returns:
        as `denoise`; grey arrays (H, W) that get colours become (H, W, 3).

    Raises:
        Img2ImgError: as `denoise`.
    """
    computing, own = parted(options)
    return pretrained(Translator, model, computing)(x, **own)


def compress(x: Any, *, model: str | os.PathLike[str] | None = None, **options: Any) -> Any:
    """Compress a picture.

    Args:
        x: as of `denoise`, one picture; float values are taken in 16 bits.
        model: name or file of the weights.
        options: one of quality (1 to 100, 50 without), bpp, psnr and max_bytes; effort (0, 1, or 2, which takes minutes
            and needs PyTorch); tune (psnr, ms-ssim, or a file of weights); output and overwrite; device, precision,
            engine.

    Returns:
        the bytes of an `.i2i` file. For a path the path of a new file beside it, photo.i2i for photo.jpg.

    Raises:
        Img2ImgError: as `denoise`; or the target cannot be reached.
    """
    computing, own = parted(options)
    if unknown := own.keys() - {*Compressor.options}:
        raise OptionError(f"no option {min(unknown)!r} here; there are {', '.join(Compressor.options)}")
    return pretrained(Compressor, model, computing)(x, **own)


def decompress(x: Any, *, model: str | os.PathLike[str] | None = None, **options: Any) -> Any:
    """Make a picture of an `.i2i` file.

    Args:
        x: a path, or bytes.
        model: weights that the file needs and that are not shipped.
        options: region, the part to decode: left, top, width and height in pixels; preview, a quarter of the width and
            height; partial, whether a truncated file is shown as far as it goes; look, `faithful` (as near to the
            original as there is), `vivid` (with made-up detail where a small file has lost it), a number between, 0
            to 1, or `plain` (the codec's synthesis alone); max_pixels; device, precision, engine;
            how the answer is given (`kinds.Written`): kind="numpy" gives an array, kind="pillow" a Pillow image.

    Returns:
        for a path the path of a new file beside it, photo.png for photo.i2i; for bytes those of a PNG.

    Raises:
        Img2ImgError: as `denoise`; BitstreamError for a file that is damaged or of another version.
    """
    computing, own = parted(options)
    return pretrained(Decompressor, model, computing)(x, **own)


def texture(x: Any = None, size: Any = None, *, model: str | os.PathLike[str] | None = None, **options: Any) -> Any:
    """Make more of a texture.

    Args:
        x: the sample, as of `denoise`; a list of several makes one texture of all; with net there may be none.
        size: height and width, or one number for both; 512x512 without.
        model: the descriptor that sees the sample: vgg-slim, random, vgg19 (of descriptor_weights) or a file.
        options: method, `optimize`, `patches` (in a second, without PyTorch) or `network`; seed; count, for a list of
            so many; scale, a number or `auto`; tileable, or tile_axis (x, y, both); mask, a picture that is white where
            the sample may be used; colour, `keep`, `match` or `luminance`; mix, the shares of several samples.
            Of optimize start, `patches` or `noise`, and steps. Of network train_steps, recipe, save (its file); or net,
            such a file. Of both loss: gram, shifted, swd. Of patches rotate, mirror and maps, further maps of the
            sample by name, which make the answer a pair: the texture, and its maps by name.
            Instead of a new texture: seamless, true; fill, a mask whose white is filled; extend, pixels on all sides,
            or left, top, right, bottom. device, precision, engine; how the answer is given (`kinds.Written`).

    Returns:
        as `denoise`, without alpha.

    Raises:
        Img2ImgError: as `denoise`; OptionError for options that do not go together.
    """
    computing, own = parted(options)
    return pretrained(Texture, model, computing)(x, size, **own)
