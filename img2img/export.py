"""Networks as ONNX files for programs without PyTorch: written, compared with the pipeline, kept only if they agree.

They are written by PyTorch's older exporter, by tracing (`dynamo=False`). The newer one gave the same numbers for a
denoiser and an RGB translator, but took four times as long and needs another package.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

import img2img

from .checkpoints import index, names, read_header, weights_file
from .engines.subject import Subject
from .errors import ExportError
from .extras import need
from .register import exporter

if TYPE_CHECKING:
    import onnx

PACKAGES = ("onnx", "onnxruntime")
OPSET = 18
TOLERANCE = 0.05  # grey levels of 255: a tenth of what rounding to 8 bits changes
SIZES = ((1, 1), (1, 40), (7, 3), (33, 50), (64, 64), (257, 129))  # besides the random ones
RANDOM_SIZES, LARGEST = 6, 300


@dataclass(frozen=True)
class Agreement:
    """How well an ONNX file does what its weights do.

    Args:
        pictures: how many were compared.
        difference: the largest of any value, in grey levels of 255.
    """

    pictures: int
    difference: float


def export(name_or_file: str | Path, file: Path) -> Agreement:
    """Write a denoiser or translator as ONNX, and compare it with PyTorch on pictures of many sizes.

    Args:
        name_or_file: a name of `img2img weights list`, or a weight file.
        file: where to; appears only if the comparison succeeds, and then replaces what was there.

    Raises:
        ExportError: another kind of weights, a missing package, or results that differ by more than TOLERANCE.
        WeightsError: the weights are missing or damaged.
    """
    need("an export", *PACKAGES)
    subject = load_subject(name_or_file)
    temporary = file.with_name(file.name + ".tmp")
    try:
        write(subject, temporary)
        agreement = compare(temporary, subject)
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)
    return agreement


def load_subject(name_or_file: str | Path) -> Subject:
    """What is to be exported, of shipped weights or of a weight file.

    Raises:
        ExportError: they are neither a denoiser's nor a translator's.
        WeightsError: they are missing or damaged.
    """
    shipped = str(name_or_file) in names()
    path = weights_file(str(name_or_file)) if shipped else Path(name_or_file)
    header = read_header(path)
    maker = exporter(str(header.get("network")))
    if maker is None:
        raise ExportError(
            f"weights {name_or_file} hold a {header.get('network')!r} network; "
            "only denoisers and translators can be exported"
        )
    licence = index()[str(name_or_file)]["licence"] if shipped else "that of the weight file"
    facts = {
        "name": str(header.get("name", path.stem)),
        "task": str(header.get("task", "")),
        "weights_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "licence": licence,
        "made_by": f"img2img {img2img.__version__}, torch {torch.__version__}",
    }
    subject: Subject = maker(name_or_file, facts)
    return subject


def write(subject: Subject, file: Path) -> None:
    """Write the graph of a network, for any number of images of any size, with what it says of itself."""
    import onnx

    example = subject.arguments(torch.rand(2, subject.channels, 46, 70), torch.rand(2))
    sizes = {0: "batch", 2: "height", 3: "width"}
    with warnings.catch_warnings():
        # It warns of itself, which is older than another, and of every size that it sees: compare() tries them.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            subject.graph,
            example,
            file,
            dynamo=False,
            opset_version=OPSET,
            input_names=list(subject.inputs),
            output_names=["output"],
            dynamic_axes={"image": sizes, "sigma": {0: "batch"}, "output": sizes},
        )
    model = onnx.load(file)
    describe(model, subject)
    onnx.checker.check_model(model)
    onnx.save(model, file)


def describe(model: onnx.ModelProto, subject: Subject) -> None:
    """Write into an ONNX model what it is, what it takes and what it gives."""
    import onnx

    model.producer_name, model.producer_version = "img2img", img2img.__version__
    model.doc_string = model.graph.doc_string = f"{subject.facts['task']}: {subject.facts['name']}"
    words = subject.inputs | {"output": subject.output}
    for value in (*model.graph.input, *model.graph.output):
        value.doc_string = words[value.name]
    onnx.helper.set_model_props(model, subject.facts | words)


def compare(file: Path, subject: Subject) -> Agreement:
    """Run an ONNX file by onnxruntime and the pipeline by PyTorch on the same pictures.

    Raises:
        ExportError: it is more than TOLERANCE, or a result has another size.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # its errors are raised; printed as well, they would be more than one line
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    pictures, worst = 0, 0.0
    for image, sigma in batches(subject.channels):
        given = (argument.numpy() for argument in subject.arguments(image, sigma))
        (output,) = session.run(None, dict(zip(subject.inputs, given, strict=True)))
        expected = torch.stack([subject.pipeline(*pair) for pair in zip(image, sigma.tolist(), strict=True)])
        difference = grey_levels(torch.from_numpy(output), expected)
        if not difference <= TOLERANCE:  # NaN, too
            height, width = image.shape[-2:]
            raise ExportError(
                f"weights {subject.name}: at {width}x{height} pixels onnxruntime's result differs from PyTorch's by "
                f"{difference:.4g} of 255 grey levels, where {TOLERANCE} are allowed; no file was written"
            )
        pictures, worst = pictures + len(image), max(worst, difference)
    return Agreement(pictures, worst)


def batches(channels: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Pictures (B, channels, H, W) of fixed and random sizes, noise or smooth, and sigma (B,); the same every time."""
    generator = Generator().manual_seed(0)
    draws = torch.rand(RANDOM_SIZES, 2, generator=generator).tolist()
    sizes = [*SIZES, *((math.ceil(LARGEST**h), math.ceil(LARGEST**w)) for h, w in draws)]
    for i, (height, width) in enumerate(sizes):
        cell, images = (1, 8)[i % 2], 2 if i == len(sizes) - 1 else 1
        grid = torch.rand(images, channels, -(-height // cell), -(-width // cell), generator=generator)
        yield F.interpolate(grid, (height, width), mode="bilinear"), torch.rand(images, generator=generator) * 75 / 255


def grey_levels(a: Tensor, b: Tensor) -> float:
    """The largest difference of two batches of images, in grey levels of 255; infinite if their sizes differ."""
    return 255 * (a - b).abs().max().item() if a.shape == b.shape else math.inf
