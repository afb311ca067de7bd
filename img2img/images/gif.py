"""GIF, by Pillow: its frames as they are seen, one laid on the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np

from ..errors import ImageError
from .by_pillow import map_lazily, pixels_of, save_frames
from .container import Decoded, Opened, check_size
from .picture import About, Picture
from .samples import in_8_bits, with_alpha

_COLOURS = 256


def open_file(data: bytes, max_pixels: int) -> Opened:
    """A GIF file; one with more pixels than `max_pixels` is an ImageError before they are decoded."""
    from PIL.GifImagePlugin import GifImageFile

    image = GifImageFile(BytesIO(data))
    check_size(*image.size, max_pixels)
    comment = image.info.get("comment", b"")
    comments = (comment.decode("utf-8", "replace"),) if comment else ()
    loop = image.info.get("loop")
    count, transparent, broken = 0, False, False
    try:
        while True:
            image.seek(count)
            image.load()
            transparent = transparent or _transparent(image)
            count += 1
    except EOFError:
        broken = not data.rstrip(b"\0").endswith(b";")
    except Exception:  # whatever a cut frame makes Pillow raise
        broken = True
    if not count:
        raise ImageError("truncated gif file")
    lost = ("what followed the last whole frame (the file is truncated)",) if broken else ()

    def frames() -> Iterator[Decoded]:
        film = GifImageFile(BytesIO(data))
        for number in range(count):
            film.seek(number)
            film.load()
            seconds = film.info.get("duration", 0) / 1000 if count > 1 else 0.0
            about = About(comments=comments, duration=seconds, lost=() if number else lost)
            yield Decoded(pixels_of(film.convert("RGBA" if transparent else "RGB")), about=about)

    # Without a word of repetition it is shown once; else so many times more.
    return Opened(frames, count, count > 1, 1 if loop is None else loop + 1 if loop else 0)


def _transparent(image: Any) -> bool:
    if image.mode not in ("RGBA", "LA") and "transparency" not in image.info:
        return False
    return bool((np.asarray(image.convert("RGBA").getchannel("A")) < 255).any())


def encode_frames(frames: Sequence[Picture], loop: int, quality: int | None, lost: list[str], stream: BinaryIO) -> None:
    """A GIF file of 256 colours a frame; what is half transparent becomes one or the other."""
    from PIL import GifImagePlugin  # noqa: F401 - registers the encoder

    first = frames[0]
    if first.format != "gif" and _colours(first) > _COLOURS:
        lost.append(f"colours beyond {_COLOURS} a frame")
    if first.alpha is not None and ((first.alpha > 0) & (first.alpha < np.iinfo(first.alpha.dtype).max)).any():
        lost.append("partial transparency")
    comments = "\n".join(first.about.comments).encode("utf-8", "replace")
    options: dict[str, Any] = {"comment": comments} if comments else {}
    if len(frames) > 1:
        options["duration"] = [round(picture.about.duration * 1000) for picture in frames]
        options["disposal"] = 2 if first.alpha is not None else 0
        if loop != 1:
            options["loop"] = max(0, loop - 1)
    save_frames(map_lazily(_pixels, frames), "GIF", None, stream, options)


def _pixels(picture: Picture) -> np.ndarray:
    pixels = in_8_bits(with_alpha(picture.samples, picture.alpha))
    if picture.channels == 1 and picture.alpha is not None:
        pixels = pixels[..., [0, 0, 0, 1]]
    if picture.alpha is not None:
        pixels[..., -1] = np.where(pixels[..., -1] < 128, 0, 255)
    return pixels


def _colours(picture: Picture) -> int:
    """How many colours there are, or 257 if more than 256."""
    flat = in_8_bits(picture.samples).astype(np.uint32)
    codes = flat[..., 0] if picture.channels == 1 else flat[..., 0] << 16 | flat[..., 1] << 8 | flat[..., 2]
    seen = np.zeros(2**24, bool)
    seen[codes.ravel()] = True
    return int(min(_COLOURS + 1, seen.sum()))
