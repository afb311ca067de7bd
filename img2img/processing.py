"""The unit of work of services and clusters: the bytes of one file in, the bytes of another out."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from . import front
from .errors import InputError
from .keeping import Keeping
from .operations import Operation

TASKS: dict[str, Any] = {
    "denoise": front.Denoiser,
    "texture": front.Texture,
    "translate": front.Translator,
    "compress": front.Compressor,
    "decompress": front.Decompressor,
}


def process(task: str, data: bytes, *, format: str | None = None, **options: Any) -> tuple[bytes, dict[str, Any]]:
    """Do to the bytes of a file what a command does to the file.

    A function of a module, with arguments and results that can be pickled: any pool of processes, queue or cluster
    runs it. Networks are loaded at the first call in a process and kept for the next ones.

    Args:
        task: denoise, texture, translate, compress or decompress.
        data: a whole file: an image; for decompress an `.i2i` file.
        format: of the result: png (the default), jpg, webp, avif or tiff; compress has i2i alone.
        options: model; device, precision, engine, tile; the command's own, as the `operation` of its class in front.py
            names them; max_pixels; quality, metadata (`keep` or `none`), strict and frame as of the commands.

    Returns:
        the result's bytes, and what is known of it: width, height, what the task says, and `lost`: what of the input
        the output does not hold, in words. Further maps of a texture are `beside`: the bytes of PNGs by name.

    Raises:
        Img2ImgError: whatever is wrong with the data, the options or the weights, in one line.

    Example:
        >>> from img2img.images import Picture, write_picture
        >>> import numpy as np
        >>> stream = BytesIO()
        >>> _ = write_picture(Picture(np.zeros((4, 6, 3), np.uint8)), stream, "png")
        >>> process("denoise", stream.getvalue(), sigma=5, format="tiff")[1]["width"]
        6
    """
    if task not in TASKS:
        raise InputError(f"no task {task!r}; there are {', '.join(TASKS)}")
    ours = "i2i" if task == "compress" else "png"
    if task == "compress" and format not in (None, ours):
        raise InputError(f"compress makes i2i files, not {format}")
    model = options.pop("model", None)
    computing, own = front.parted(options)
    keeping = Keeping(**{name: own.pop(name) for name in Keeping._fields if name in own})
    with front.in_our_words():
        operation: Operation[Any, Any] = front.pretrained(
            TASKS[task], model or TASKS[task].default_model(own), computing
        ).operation(**own, keeping=keeping)
        result, facts = operation.apply(operation.read(BytesIO(data)), format or ours)
        stream = BytesIO()
        lost = operation.write(result, stream, format or ours)
        if further := operation.beside(result):
            facts = {**facts, "beside": {name: _png(operation, each) for name, each in further.items()}}
    return stream.getvalue(), {**facts, "lost": list(lost)}


def _png(operation: Operation[Any, Any], result: Any) -> bytes:
    stream = BytesIO()
    operation.write(result, stream, "png")
    return stream.getvalue()
