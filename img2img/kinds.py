"""Pictures as a Python program has them: paths, bytes, Pillow images, arrays, tensors; and answers of the same kind."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypedDict

import numpy as np

from .errors import ImageError, InputError, OptionError
from .images import FORMATS, MAX_PIXELS, Frames, Picture, in_8_bits, read_frames, write_frames
from .images.picture import Scale, in_sixteen_bits
from .images.samples import with_alpha
from .stores import is_address
from .whole_file import whole_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL.Image import Image
    from torch import Tensor

Kind = Literal["path", "bytes", "pillow", "numpy", "tensor", "picture"]

BRIGHTEST = 16.0  # of floats that are meant to be within [0, 1]; noise goes beyond, values up to 255 are a mistake


class Written(TypedDict, total=False):
    """How an answer is given.

    Attributes:
        kind: `path`, `bytes`, `pillow`, `numpy`, `tensor` or `picture`; by default what went in.
        output: the file to write; by default one beside the input, called as the command calls it.
        format: of a file or of bytes, one of `choices.FORMATS`, `png` by default; a file's name can say it.
        quality: of it, 1 to 100.
        overwrite: replace a file that exists, which otherwise is an error.
    """

    kind: Kind
    output: str | os.PathLike[str]
    format: str
    quality: int
    overwrite: bool


def check_written(written: Mapping[str, Any], *others: str) -> None:
    """Refuse options that are none, before anything is computed.

    Args:
        written: how an answer is given, and whatever else a call was given.
        others: what the call takes besides.

    Raises:
        OptionError: an unknown one.
    """
    known = Written.__annotations__
    if unknown := written.keys() - known.keys():
        raise OptionError(f"no option {min(unknown)!r} here; there are {', '.join((*others, *known))}")


class Given(NamedTuple):
    """A picture as it was given.

    Attributes:
        kind: which kind.
        frames: what is in it: several for an animation, a document, or a batch of tensors.
        original: the thing itself.
    """

    kind: Kind
    frames: Frames
    original: Any


def given(x: Any, max_pixels: int = MAX_PIXELS) -> Given:
    """Take a picture of any kind; float values are [0, 1].

    Args:
        x: a path (str or Path); the bytes of an image file; a Pillow image; an array (H, W) or (H, W, C), uint8, uint16
            or float; a tensor (C, H, W) or (B, C, H, W), uint8 or float. Two or four channels are grey or RGB and
            alpha, which is kept. Or a Picture.
        max_pixels: files of larger ones are refused.

    Raises:
        InputError: it is nothing of this.
        ImageError: the file is no picture that we read.
    """
    torch = sys.modules.get("torch")  # who has a tensor has imported it
    if isinstance(x, str | os.PathLike):
        refuse_address(x)
        try:
            return Given("path", read_frames(Path(x), max_pixels), x)
        except ImageError as error:  # of an error in a file its name is half
            raise ImageError(f"{os.fspath(x)}: {error}") from error
    if isinstance(x, bytes | bytearray | memoryview):
        return Given("bytes", read_frames(BytesIO(x), max_pixels), x)
    if isinstance(x, Picture):
        return Given("picture", Frames.of(x), x)
    if isinstance(x, np.ndarray):
        return Given("numpy", Frames.of(_of_array(x)), x)
    if torch is not None and isinstance(x, torch.Tensor):
        return Given("tensor", _of_tensor(x), x)
    image = sys.modules.get("PIL.Image")
    if image is not None and isinstance(x, image.Image):
        return Given("pillow", Frames.of(_of_pillow(x)), x)
    raise InputError(
        f"a picture is a path, bytes, a Pillow image, a NumPy array or a PyTorch tensor, not {type(x).__name__}"
    )


def refuse_address(path: str | os.PathLike[str]) -> None:
    """Refuse what would become a folder called `s3:`; the command line knows addresses.

    Raises:
        InputError: it is an address.
    """
    if is_address(os.fspath(path)):
        raise InputError(f"{os.fspath(path)} is an address: give its bytes, or use the command line")


def answer(frames: Frames, to: Given, suffix: str, written: Written) -> Any:
    """Give frames in the kind that was given, or in the one asked for.

    Args:
        frames: the result.
        to: what was given.
        suffix: of the name of a file beside the one given.
        written: how.

    Raises:
        InputError: the kind cannot be given, or the options contradict each other.
        ImageError: the file cannot be written.
    """
    kind = written.get("kind") or ("path" if "output" in written else to.kind)
    if kind == "path":
        return _written(frames, to, suffix, written)
    if "output" in written:
        raise InputError(f"an output file and the kind {kind!r} contradict each other")
    if kind == "bytes":
        stream = BytesIO()
        write_frames(frames, stream, _format(written.get("format", "png")), written.get("quality"))
        return stream.getvalue()
    if "format" in written or "quality" in written:
        raise InputError(f"format and quality are of files and bytes, not of the kind {kind!r}")
    makers: dict[str, Callable[[Frames, Given], Any]] = {
        "pillow": lambda frames, _: to_pillow(frames[0]),
        "numpy": _to_array,
        "tensor": _to_tensor,
        "picture": lambda frames, _: frames[0],
    }
    if kind not in makers:
        raise InputError(f"no kind {kind!r}; there are path, bytes, {', '.join(makers)}")
    return makers[kind](frames, to)


def output_path(to: Given, suffix: str, extension: str, written: Written) -> Path:
    """The file to write: `output`, or the one beside what was given.

    Raises:
        InputError: nothing says where.
    """
    if "output" in written:
        refuse_address(written["output"])
        return Path(written["output"])
    if to.kind != "path":
        raise InputError("where to? A picture that is no file needs an output to be written to")
    source = Path(to.original)
    return source.with_name(source.stem + suffix + extension)


def put(path: Path, data: bytes, to: Given, written: Written) -> Any:
    """Write a whole file or none; return its path in the type of the one given.

    Raises:
        InputError: it exists, or cannot be written.
    """
    try:
        with whole_file(str(path), written.get("overwrite", False)) as file:
            file.write(data)
    except FileExistsError as error:
        raise InputError(f"{path} exists already; overwrite=True replaces it") from error
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from error
    return str(path) if isinstance(to.original, str) else path


def _written(frames: Frames, to: Given, suffix: str, written: Written) -> Any:
    asked = written.get("format")
    path = output_path(to, suffix, f".{asked or 'png'}", written)
    format = _format(asked or FORMATS.get(path.suffix.lower(), path.suffix))
    stream = BytesIO()
    write_frames(frames, stream, format, written.get("quality"))
    return put(path, stream.getvalue(), to, written)


def _format(name: str) -> str:
    if name not in FORMATS.values():
        raise InputError(f"no format {name!r}; there are {', '.join(dict.fromkeys(FORMATS.values()))}")
    return name


# ---- arrays


def _of_array(x: np.ndarray) -> Picture:
    planes = x[..., None] if x.ndim == 2 else x
    if planes.ndim != 3 or planes.shape[2] not in (1, 2, 3, 4) or not planes.size:
        raise InputError(f"an array is (H, W) or (H, W, 1 to 4), not {x.shape}")
    return _picture(planes)


def _picture(planes: np.ndarray) -> Picture:
    """Of (H, W, 1 to 4)."""
    scale = None
    if planes.dtype.kind == "f":
        scale = Scale(0.0, 1.0)
        if not np.isfinite(planes).all():
            raise InputError("the picture holds values that are not numbers, or infinite")
        if planes.max() > BRIGHTEST:
            raise InputError(f"float values are between 0 and 1, but here they reach {planes.max():g}")
    elif planes.dtype not in (np.uint8, np.uint16):
        raise InputError(f"values are uint8, uint16 or float, not {planes.dtype}")
    colours = 1 if planes.shape[2] < 3 else 3
    alpha = np.ascontiguousarray(planes[..., -1]) if planes.shape[2] in (2, 4) else None
    return Picture(np.ascontiguousarray(planes[..., :colours]), alpha, scale=scale)


def _to_array(frames: Frames, to: Given) -> np.ndarray:
    picture = frames[0]
    planes = with_alpha(picture.samples, picture.alpha)
    flat = to.original.ndim == 2 if to.kind == "numpy" else True
    return planes[..., 0] if flat and planes.shape[2] == 1 else planes


# ---- tensors


def _of_tensor(x: Tensor) -> Frames:
    if x.ndim not in (3, 4) or x.shape[-3] not in (1, 2, 3, 4) or not x.numel():
        raise InputError(f"a tensor is (C, H, W) or (B, C, H, W) with 1 to 4 channels, not {tuple(x.shape)}")
    here = x.detach().cpu()
    planes = (here.float() if here.is_floating_point() else here).numpy()
    pictures = [_picture(each.transpose(1, 2, 0)) for each in (planes if x.ndim == 4 else planes[None])]
    return Frames(lambda: iter(pictures), len(pictures), False)


def _to_tensor(frames: Frames, to: Given) -> Tensor:
    import torch

    if to.kind != "tensor":  # the convention of the library: float32 in [0, 1]
        picture = frames[0]
        image = picture.to_array()
        if picture.alpha is not None:
            image = np.concatenate((image, Picture(picture.alpha[..., None], scale=picture.scale).to_array()))
        return torch.from_numpy(image)
    planes = [with_alpha(each.samples, each.alpha).transpose(2, 0, 1) for each in frames]
    tensor = torch.from_numpy(np.stack(planes)).to(to.original.device, to.original.dtype)
    return tensor if to.original.ndim == 4 else tensor[0]


# ---- Pillow


def _of_pillow(image: Image) -> Picture:
    from PIL import ImageOps

    from .images.by_pillow import cmyk_converter, pixels_of

    upright = ImageOps.exif_transpose(image)
    icc, exif = upright.info.get("icc_profile"), upright.info.get("exif")
    if upright.mode.startswith("I;16") or upright.mode == "I":
        samples = np.asarray(upright)
        if samples.min() < 0 or samples.max() > 65535:
            raise InputError("a Pillow image of mode I holds values from 0 to 65535 here")
        planes = samples.astype(np.uint16)[..., None]
    elif upright.mode == "F":
        raise InputError("of a Pillow image of mode F nobody knows which value is white: give an array of [0, 1]")
    elif upright.mode == "CMYK":
        planes, icc = pixels_of(upright, cmyk_converter(icc)), None  # it described the inks
    else:
        planes = pixels_of(_in_colours(upright))
    return replace(_picture(planes), icc=icc, exif=exif)


def _in_colours(image: Image) -> Image:
    """In a mode of grey or RGB, with or without alpha."""
    if image.mode in ("L", "LA", "RGB", "RGBA"):
        return image
    if image.mode == "1":
        return image.convert("L")
    return image.convert("RGBA" if image.mode in ("PA", "La", "RGBa") or "transparency" in image.info else "RGB")


def to_pillow(picture: Picture) -> Image:
    """As a Pillow image with ICC profile and EXIF: 16-bit grey is `I;16`; of colours Pillow has 8 bits alone."""
    from PIL import Image as pillow

    picture = in_sixteen_bits(picture)
    planes = with_alpha(picture.samples, picture.alpha)
    if planes.dtype == np.uint16 and planes.shape[2] > 1:
        planes = in_8_bits(planes)
    image = pillow.fromarray(planes[..., 0] if planes.shape[2] == 1 else planes)
    known: Sequence[tuple[str, bytes | None]] = (("icc_profile", picture.icc), ("exif", picture.exif))
    image.info.update({name: value for name, value in known if value})
    return image
