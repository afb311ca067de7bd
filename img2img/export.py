"""Networks as ONNX files for programs without PyTorch: written, compared with the pipeline, kept only if they agree.

They are written by PyTorch's older exporter, by tracing (`dynamo=False`). The newer one gave the same numbers for a
denoiser and an RGB translator, but took four times as long and needs another package.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

import img2img

from .checkpoints import build, index, load_checkpoint, names, read_header, weights_file
from .engines.torch_engine import TorchEngine
from .errors import ExportError
from .tasks.denoise import BlindDenoiser, Denoiser, DenoisingUNet
from .tasks.translate import Translator, UNetGenerator
from .tasks.translate.coding import Coding, Lab

if TYPE_CHECKING:
    import onnx

PACKAGES = ("onnx", "onnxruntime")
OPSET = 18
TOLERANCE = 0.05  # grey levels of 255: a tenth of what rounding to 8 bits changes
WHOLE = 2**20  # a tile so large that every picture is computed at once
SIZES = ((1, 1), (1, 40), (7, 3), (33, 50), (64, 64), (257, 129))  # besides the random ones
RANDOM_SIZES, LARGEST = 6, 300

IMAGE = "float32 (batch, {channels}, height, width), sRGB values in [0, 1], any height and width from 1 on"
SIGMA = "float32 (batch), standard deviation of the noise in the same units: 25 grey levels are 25 / 255"
GREY = "; a grey picture is given three times"
RESULT = "float32 (batch, {channels}, height, width), sRGB values in [0, 1]"


class TranslatorGraph(nn.Module):
    """A translator from image to image, with the colour coding on both sides and without dropout's noise.

    Shape:
        image: (B, C, H, W) in [0, 1], C as the coding takes it; any H, W >= 1.
        returns: (B, C', H, W) in [0, 1].
    """

    def __init__(self, model: UNetGenerator, coding: Coding) -> None:
        super().__init__()
        self.model, self.coding = model, coding

    def forward(self, image: Tensor) -> Tensor:
        x = self.coding.source(image)
        return self.coding.image(self.model(x), x)


@dataclass(frozen=True)
class Subject:
    """What is exported, and what it must equal.

    Args:
        name: of the weights, or their file.
        graph: the network as it is written: images (B, channels, H, W), and sigma (B,) for a denoiser, to images.
        pipeline: the same by the public class, in fp32 and without tiles: one image (channels, H, W), sigma, to one.
        channels: of the input.
        inputs: what each input is, by its name.
        output: what the output is.
        facts: what the file says of itself besides.
    """

    name: str
    graph: nn.Module
    pipeline: Callable[[Tensor, float], Tensor]
    channels: int
    inputs: dict[str, str]
    output: str
    facts: dict[str, str]

    def arguments(self, image: Tensor, sigma: Tensor) -> tuple[Tensor, ...]:
        """What the graph is given."""
        return (image, sigma)[: len(self.inputs)]


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
    need_packages()
    subject = load_subject(name_or_file)
    temporary = file.with_name(file.name + ".tmp")
    try:
        write(subject, temporary)
        agreement = compare(temporary, subject)
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)
    return agreement


def need_packages() -> None:
    """Raise ExportError if a package is missing that only exports need."""
    missing = [package for package in PACKAGES if find_spec(package) is None]
    if missing:
        raise ExportError(f"an export needs {' and '.join(missing)}: pip install 'img2img-suite[onnx]'")


def load_subject(name_or_file: str | Path) -> Subject:
    """What is to be exported, of shipped weights or of a weight file.

    Raises:
        ExportError: they are neither a denoiser's nor a translator's.
        WeightsError: they are missing or damaged.
    """
    shipped = str(name_or_file) in names()
    path = weights_file(str(name_or_file)) if shipped else Path(name_or_file)
    header = read_header(path)
    makers = {"unet": denoiser, "blind": blind_denoiser, "generator": translator}
    if header.get("network") not in makers:
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
    return makers[header["network"]](name_or_file, facts)


def denoiser(name_or_file: str | Path, facts: dict[str, str]) -> Subject:
    """A denoiser as a Subject; the noise level is given to it, not estimated."""
    checkpoint = load_checkpoint(name_or_file)
    pipeline = Denoiser(checkpoint, TorchEngine("cpu", "fp32"), WHOLE)
    return Subject(
        str(name_or_file),
        build(checkpoint, "unet", DenoisingUNet).eval(),
        lambda image, sigma: torch.from_numpy(pipeline(image.numpy(), sigma)),
        channels=3,
        inputs={"image": IMAGE.format(channels=3) + ", with noise" + GREY, "sigma": SIGMA},
        output=RESULT.format(channels=3) + ", not clamped",
        facts=facts,
    )


class BlindGraph(nn.Module):
    """A blind denoiser that takes away all noise it finds.

    Shape:
        image: (B, 3, H, W) in [0, 1]; any H, W >= 1.
        returns: (B, 3, H, W), not clamped.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Tensor:
        denoised: Tensor = self.model(image, torch.ones(1, 1, 1, 1))
        return denoised


def blind_denoiser(name_or_file: str | Path, facts: dict[str, str]) -> Subject:
    """A denoiser that finds the noise itself, as a Subject."""
    checkpoint = load_checkpoint(name_or_file)
    pipeline = Denoiser(checkpoint, TorchEngine("cpu", "fp32"), WHOLE)
    return Subject(
        str(name_or_file),
        BlindGraph(build(checkpoint, "blind", BlindDenoiser)).eval(),
        lambda image, _: torch.from_numpy(pipeline(image.numpy())),
        channels=3,
        inputs={"image": IMAGE.format(channels=3) + ", with noise" + GREY},
        output=RESULT.format(channels=3) + ", not clamped",
        facts=facts,
    )


def translator(name_or_file: str | Path, facts: dict[str, str]) -> Subject:
    """A translator as a Subject, without noise."""
    checkpoint = load_checkpoint(name_or_file)
    pipeline = Translator(checkpoint, TorchEngine("cpu", "fp32"), WHOLE)
    in_lab = isinstance(pipeline.coding, Lab)
    channels = 3 if in_lab else pipeline.shape.in_channels
    out = pipeline.coding.channels
    return Subject(
        str(name_or_file),
        TranslatorGraph(build(checkpoint, "generator", UNetGenerator), pipeline.coding).eval(),
        lambda image, _: torch.from_numpy(pipeline(image.numpy(), noise=False)),
        channels=channels,
        inputs={"image": IMAGE.format(channels=channels) + (GREY if in_lab else "")},
        output=RESULT.format(channels=out),
        facts=facts | {"noise": "none: the dropout is off, as with --no-noise"},
    )


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
