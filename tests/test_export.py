"""ONNX files of denoisers and translators: what onnxruntime computes from them is what the pipelines compute."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from command_line import run
from skimage import data as photographs
from torch import Generator, Tensor

from img2img import export as exporting
from img2img.checkpoints import index, save_checkpoint
from img2img.core.padding import _pad_unknown_size, pad_to_multiple
from img2img.errors import ExportError
from img2img.export import TOLERANCE, compare, grey_levels, load_subject, write
from img2img.tasks.denoise import Denoiser
from img2img.tasks.translate import Translator, UNetGenerator

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def write_model(path: Path, space: str = "rgb", seed: int = 0, gain: float = 1.0, **config: Any) -> str:
    """A weight file as training makes it, of a network that has learnt nothing; `gain` makes its output larger."""
    torch.manual_seed(seed)
    config = {"width": 4, "depth": 5} | config
    network = UNetGenerator(**config)
    for parameter in network.net.decoder.up[-1].parameters():
        parameter.data *= gain
    tensors = {f"generator.{name}": tensor for name, tensor in network.state_dict().items()}
    save_checkpoint(path, tensors, {"task": "translate", "network": "generator", "config": config, "space": space})
    return str(path)


def by_onnxruntime(file: Path, **given: Tensor) -> Tensor:
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (output,) = session.run(None, {name: value.numpy() for name, value in given.items()})
    return torch.from_numpy(output)


@pytest.fixture(scope="module")
def denoiser_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("onnx") / "denoise.onnx"
    result = run("export", "denoise-fast", "--onnx", str(file), "--json")
    assert result.exit_code == 0, result.stderr
    facts = json.loads(result.stdout)
    assert (facts["output"], facts["tolerance"]) == (str(file), TOLERANCE)
    assert 0 < facts["difference"] < TOLERANCE
    assert [path.name for path in file.parent.iterdir()] == ["denoise.onnx"]
    return file


@pytest.mark.parametrize("multiple", [2, 16, 64])
def test_the_padding_of_a_graph_is_the_padding(multiple: int) -> None:
    for height in (1, 2, 9, 16, 33, 40, 64):
        for width in (1, 15, 16, 33):
            x = torch.rand(2, 3, height, width, generator=Generator().manual_seed(0))
            assert torch.equal(_pad_unknown_size(x, multiple), pad_to_multiple(x, multiple))


def test_the_shipped_denoiser_denoises_alike(denoiser_file: Path) -> None:
    clean = torch.from_numpy(photographs.chelsea()[100:181, 100:227].copy()).permute(2, 0, 1)[None].float() / 255
    noisy = clean + 25 / 255 * torch.randn(clean.shape, generator=Generator().manual_seed(0))
    result = by_onnxruntime(denoiser_file, image=noisy, sigma=torch.tensor([25 / 255]))
    denoiser = Denoiser.from_pretrained("denoise-fast", device="cpu", precision="fp32")
    assert grey_levels(result, torch.from_numpy(denoiser(noisy[0].numpy(), 25 / 255)[None])) < TOLERANCE
    assert F.mse_loss(result, clean) < 0.2 * F.mse_loss(noisy, clean)


def test_each_picture_of_a_batch_has_its_own_sigma(denoiser_file: Path) -> None:
    noisy, sigma = torch.rand(3, 3, 17, 20, generator=Generator().manual_seed(0)), torch.tensor([0.0, 0.1, 0.3])
    together = by_onnxruntime(denoiser_file, image=noisy, sigma=sigma)
    alone = [by_onnxruntime(denoiser_file, image=noisy[i : i + 1], sigma=sigma[i : i + 1]) for i in range(3)]
    assert grey_levels(together, torch.cat(alone)) < TOLERANCE


def test_a_file_says_what_it_is(denoiser_file: Path) -> None:
    session = onnxruntime.InferenceSession(str(denoiser_file), providers=["CPUExecutionProvider"])
    facts = session.get_modelmeta().custom_metadata_map
    assert facts["weights_sha256"] == index()["denoise-fast"]["sha256"]
    assert facts["licence"] == index()["denoise-fast"]["licence"]
    assert (facts["name"], facts["task"]) == ("denoise-fast", "denoise")
    assert "[0, 1]" in facts["image"]
    assert "25 / 255" in facts["sigma"]
    sizes = ["batch", 3, "height", "width"]
    assert {given.name: given.shape for given in session.get_inputs()} == {"image": sizes, "sigma": ["batch"]}
    assert {given.name: given.shape for given in session.get_outputs()} == {"output": sizes}
    described = onnx.load(denoiser_file).graph
    assert {value.name: value.doc_string for value in described.input} == {k: facts[k] for k in ("image", "sigma")}


@pytest.mark.parametrize(
    ("space", "config"),
    [
        ("rgb", {"in_channels": 1, "up": "resize"}),
        ("rgb", {"in_channels": 2, "out_channels": 5, "up": "shuffle", "norm": "batch", "skip": "none"}),
        ("lab", {"in_channels": 1, "out_channels": 2, "depth": 4}),
    ],
)
def test_translators_translate_alike(space: str, config: dict[str, Any], tmp_path: Path) -> None:
    model, file = write_model(tmp_path / "model", space, **config), tmp_path / "translate.onnx"
    result = run("export", model, "--onnx", str(file))
    assert (result.exit_code, result.stdout) == (0, f"{file}\n"), result.stderr
    assert f"(allowed: {TOLERANCE})" in result.stderr
    channels = 3 if space == "lab" else config["in_channels"]
    image = torch.rand(1, channels, 45, 101, generator=Generator().manual_seed(1))
    translator = Translator.from_pretrained(model, "cpu", "fp32")
    expected = torch.from_numpy(translator.at_its_size(image[0].numpy()))
    if space == "rgb":
        np.testing.assert_array_equal(expected, translator(image[0].numpy(), noise=False))
    assert grey_levels(by_onnxruntime(file, image=image), expected[None]) < TOLERANCE


@pytest.mark.parametrize(("gain", "share"), [(0.0, (0.0, 0.0)), (6.0, (0.2, 1.0))])
def test_colours_beyond_srgb_are_brought_back_in_the_graph(
    gain: float, share: tuple[float, float], tmp_path: Path
) -> None:
    """Whether the bisection of `into_gamut` has nothing or much to do."""
    model = write_model(tmp_path / "model", "lab", gain=gain, in_channels=1, out_channels=2)
    assert run("export", model, "--onnx", str(tmp_path / "lab.onnx")).exit_code == 0
    result = by_onnxruntime(tmp_path / "lab.onnx", image=torch.rand(1, 3, 30, 30, generator=Generator().manual_seed(0)))
    assert 0 <= result.min() <= result.max() <= 1
    at_the_border = ((result < 1e-5) | (result > 1 - 1e-5)).any(1).float().mean()
    assert share[0] <= at_the_border <= share[1]


def test_a_file_of_other_weights_is_detected(tmp_path: Path) -> None:
    one, other = (load_subject(write_model(tmp_path / str(seed), seed=seed)) for seed in (0, 1))
    write(one, tmp_path / "one.onnx")
    assert compare(tmp_path / "one.onnx", one).difference < TOLERANCE
    with pytest.raises(ExportError, match="differs from PyTorch's by"):
        compare(tmp_path / "one.onnx", other)


@pytest.mark.parametrize("spoil", [0.001, np.nan])
def test_a_spoiled_graph_is_an_error_and_no_file(spoil: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_spoiled(subject: Any, file: Path) -> None:
        write(subject, file)
        model = onnx.load(file)
        weight = max(model.graph.initializer, key=lambda tensor: np.prod(tensor.dims))
        weight.CopyFrom(
            onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight) + np.float32(spoil), weight.name)
        )
        onnx.save(model, file)

    monkeypatch.setattr(exporting, "write", write_spoiled)
    model, file = write_model(tmp_path / "model"), tmp_path / "translate.onnx"
    result = run("export", model, "--onnx", str(file))
    assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (1, "", 1)
    assert "differs from PyTorch's" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    file.write_bytes(b"from before")
    assert run("export", model, "--onnx", str(file), "--overwrite").exit_code == 1
    assert file.read_bytes() == b"from before"


def test_other_weights_are_refused_in_one_line(tmp_path: Path) -> None:
    for name in ("codec-fast", "codec-best", "vgg-slim"):
        result = run("export", name, "--onnx", str(tmp_path / "x.onnx"))
        assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (1, "", 1)
        assert "only denoisers and translators can be exported" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_named_with_what_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    result = run("export", "denoise-fast", "--onnx", str(tmp_path / "x.onnx"))
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
    assert "needs onnxruntime: pip install 'img2img-suite[onnx]'" in result.stderr


def test_wrong_use_is_one_line_and_code_2(tmp_path: Path) -> None:
    there = tmp_path / "there.onnx"
    there.touch()
    for model, file, words in (
        ("denoise-slow", tmp_path / "x.onnx", "neither a file nor the name"),
        ("denoise-fast", tmp_path / "no/x.onnx", "there is no folder"),
        ("denoise-fast", there, "use --overwrite"),
    ):
        result = run("export", model, "--onnx", str(file))
        assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (2, "", 1)
        assert words in result.stderr
    assert run("export", "denoise-fast").exit_code == 2
