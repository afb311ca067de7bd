"""The unit of work of services and clusters: the bytes of one file in, the bytes of another out."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from . import front
from .checkpoints import digest, header_of, index, names
from .choices import TUNES
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


Items = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Unit:
    """What is done to each of many files, by names and values alone: it can be pickled, and loads nothing.

    Attributes:
        task: one of TASKS.
        model: name or file of the weights; None for the task's default.
        computing: what `from_pretrained` takes: device, precision, engine, tile; results do not depend on it, but for
            what engines differ in.
        options: what the task's `operation` takes.
    """

    task: str
    model: str | None
    computing: Items
    options: Items

    @classmethod
    def of(cls, task: str, model: Any, computing: dict[str, Any], **options: Any) -> Unit:
        """Of dictionaries.

        Raises:
            InputError: there is no such task, or the options do not go together.
            WeightsError: the weights do not say what they are.
        """
        if task not in TASKS:
            raise InputError(f"no task {task!r}; there are {', '.join(TASKS)}")
        name = model or TASKS[task].default_model(options)
        with front.in_our_words():
            TASKS[task].check({} if name is None else header_of(name), options)
        return cls(task, name, tuple(sorted(computing.items())), tuple(sorted(options.items())))

    def operation(self, pictures: int | None = None) -> Operation[Any, Any]:
        """What is done to a file. The network is loaded, or taken from an earlier call in this process.

        Args:
            pictures: how many are to come, for engine auto; None for one.

        Raises:
            Img2ImgError: weights or options make no sense.
        """
        computing = dict(self.computing) | ({} if pictures is None else {"pictures": pictures})
        with front.in_our_words():
            made: Operation[Any, Any] = front.pretrained(TASKS[self.task], self.model, computing).operation(
                **dict(self.options)
            )
        return made

    def weights(self) -> str:
        """The weights that decide the results, by name and the beginning of their sha256; empty where files name them.

        Raises:
            WeightsError: there are none of that name.
        """
        if self.task == "decompress":
            return ""
        name = self.model or next(iter(names("descriptor" if self.task == "texture" else self.task)), None)
        used = [] if name is None else [name]
        if self.task == "denoise" and dict(self.options).get("sigma") == "auto" and name != names("denoise")[0]:
            used.append(names("denoise")[0])
        if self.task == "compress" and name is not None:
            from .tasks.compress.model_file import tuning_named

            tuning = tuning_named(_sha256(name), str(dict(self.options).get("tune", TUNES[0])))
            used += [] if tuning is None else [tuning]
        return " ".join(f"{name}:{_sha256(name)[:12]}" for name in used)

    def fingerprint(self) -> str:
        """Eight hexadecimal digits of the task and its options: the same for the same, in any process."""
        text = json.dumps([self.task, *self.options], default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:8]


def _sha256(name: str) -> str:
    known = index().get(name)
    return str(known["sha256"]) if known else digest(Path(name))


def process(task: str, data: bytes, *, format: str | None = None, **options: Any) -> tuple[bytes, dict[str, Any]]:
    """Do to the bytes of a file what a command does to the file.

    A function of a module, with arguments and results that can be pickled: any pool of processes, queue or cluster
    runs it. Networks are loaded at the first call in a process and kept for the next ones.

    Args:
        task: denoise, texture, translate, compress or decompress.
        data: a whole file: an image; for decompress an `.i2i` file.
        format: of the result, one of `choices.FORMATS`, png by default; compress has i2i alone.
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
    ours = "i2i" if task == "compress" else "png"
    if task == "compress" and format not in (None, ours):
        raise InputError(f"compress makes i2i files, not {format}")
    model = options.pop("model", None)
    computing, own = front.parted(options)
    keeping = Keeping(**{name: own.pop(name) for name in Keeping._fields if name in own})
    operation = Unit.of(task, model, computing, **own, keeping=keeping).operation()
    with front.in_our_words():
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
