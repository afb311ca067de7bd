"""Engines: graphs compute what PyTorch does, nothing is stored twice, and who runs a network follows from the work."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from img2img.checkpoints import graph_file, index, load_checkpoint, names, save_checkpoint, weights_file
from img2img.engines import AutoEngine, choose, pick_engine
from img2img.engines.graphs import SIZES, compare, make_graphs, sizes
from img2img.engines.network import Network
from img2img.engines.onnx_engine import OnnxEngine
from img2img.errors import ExportError, Img2ImgError, WeightsError
from img2img.register import TASKS, load, networks_of
from img2img.tasks.denoise import Denoiser, DenoisingUNet
from img2img.tasks.denoise.networks import UNET

CONFIG: dict[str, Any] = {"widths": [8, 16], "blocks": [1, 1]}
GRAPHS = [(name, network) for name in names() for network in networks_of(load_checkpoint(name))]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A weight file of a user, without graphs."""
    return write(tmp_path / "own.safetensors", 0)


def write(path: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    tensors = {f"unet.{name}": tensor for name, tensor in DenoisingUNet(**CONFIG).state_dict().items()}
    save_checkpoint(path, tensors, {"task": "denoise", "network": "unet", "config": CONFIG})
    return path


@pytest.mark.parametrize(("name", "network"), GRAPHS, ids=[f"{name}-{network.name}" for name, network in GRAPHS])
def test_a_shipped_graph_computes_what_pytorch_does(name: str, network: Network) -> None:
    assert compare(load_checkpoint(name), network).pictures == 13


def test_graphs_are_compared_at_sizes_of_every_kind() -> None:
    assert len(set(sizes())) == 13
    assert (1, 1) in SIZES
    assert sum(h % 2 and w % 2 for h, w in sizes()) >= 3


def test_every_shipped_network_that_can_has_its_graph_and_no_tensor_twice() -> None:
    assert {name for name, entry in index().items() if "graphs" in entry} == {name for name, _ in GRAPHS}
    for name, network in GRAPHS:
        assert network.name in index()[name]["graphs"]
        assert graph_file(weights_file(name), network.name).stat().st_size < 100_000


def test_users_make_graphs_of_their_own_weights(own: Path) -> None:
    with pytest.raises(WeightsError, match="img2img weights graphs"):
        Denoiser.from_pretrained(own, engine="onnx")
    assert Denoiser.from_pretrained(own).engine.name == "torch"  # needs none
    assert make_graphs(own, [UNET])["unet"].difference < 0.05
    image = np.random.default_rng(0).random((3, 33, 50), dtype=np.float32)
    by_graph, by_torch = (Denoiser.from_pretrained(own, "cpu", "fp32", engine=e)(image, 0.1) for e in ("onnx", "torch"))
    assert np.abs(by_graph - by_torch).max() < 0.05 / 255


def test_a_graph_of_other_weights_is_refused(own: Path) -> None:
    make_graphs(own, [UNET])
    write(own, seed=1)
    with pytest.raises(WeightsError, match="made for other weights"):
        OnnxEngine().load(load_checkpoint(own), UNET)


def test_a_graph_that_computes_something_else_is_not_kept(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoiled(checkpoint: Any) -> torch.nn.Module:
        model = UNET.build(checkpoint)
        model.register_forward_hook(lambda *_: _[2] + 1e-3 * next(wrong))
        return model

    wrong = iter([0.0, 0.0, *[1.0] * 100])  # not while it is traced, which takes two calls
    network = Network("unet", spoiled, UNET.inputs, UNET.examples, UNET.prefix)
    with pytest.raises(ExportError, match="grey levels"):
        make_graphs(own, [network])
    assert [path.name for path in own.parent.iterdir()] == [own.name]


def test_a_damaged_graph_is_one_line(own: Path) -> None:
    make_graphs(own, [UNET])
    graph_file(own, "unet").write_bytes(b"no graph")
    with pytest.raises(WeightsError, match="cannot be used"):
        OnnxEngine().load(load_checkpoint(own), UNET)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (("onnx", "cuda"), "onnx computes on the CPU"),
        (("onnx", "auto", "bf16"), "in fp32"),
        (("tensorflow",), "none of auto, torch, onnx"),
    ],
)
def test_what_cannot_be_is_refused(asked: tuple[str, ...], words: str) -> None:
    with pytest.raises(Img2ImgError, match=words):
        pick_engine(*asked)


def test_auto_takes_pytorch_where_it_saves_more_than_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def chosen(pixels: int, pictures: int = 1) -> str:
        engine = AutoEngine("cpu", "auto", kmac_per_pixel=200, pictures=pictures)
        engine.expect(pixels)
        engine.expect(10**9)  # once decided it stays
        return engine.name

    monkeypatch.setattr(choose, "threads", lambda: 2)
    monkeypatch.setattr(choose, "has_bf16", lambda: True)
    assert [chosen(768 * 512), chosen(24_000_000), chosen(768 * 512, pictures=100)] == ["onnx", "torch", "torch"]
    monkeypatch.setattr(choose, "has_bf16", lambda: False)
    assert chosen(24_000_000) == "onnx"


@pytest.mark.parametrize("name", ["denoise-photo", "denoise-fast", "edges", "colorize", "codec-fast"])
def test_no_pipeline_decides_before_it_hears_of_a_picture(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks an engine for its device when it is built would always get the one with the shorter start."""
    heard: list[int] = []
    monkeypatch.setattr(AutoEngine, "expect", lambda self, pixels: heard.append(pixels))
    (of_weights,) = (task for task in TASKS if index()[name]["task"] in task.kinds)
    load(of_weights.pipeline).from_pretrained(name)
    assert heard == []


def test_without_pytorch_auto_is_onnx_and_torch_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "has_torch", lambda: False)
    assert pick_engine().name == "onnx"
    for asked in (("torch",), ("auto", "cuda"), ("auto", "auto", "bf16")):
        with pytest.raises(Img2ImgError, match=r"needs PyTorch: pip install 'img2img-suite\[torch\]'"):
            pick_engine(*asked)


# The command line as it is where PyTorch is not installed: importing it raises ImportError.
WITHOUT_TORCH = (
    "import sys; sys.modules['torch'] = None; from importlib.metadata import entry_points;"
    "entry_points(group='console_scripts', name='img2img')['img2img'].load()()"
)


def without_torch(*args: str, threads: int = 2) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT_TORCH, *args]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_commands_work_without_pytorch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from img2img.images import Picture, read_picture, write_picture

    monkeypatch.chdir(tmp_path)
    rows, columns = np.mgrid[:70, :90]
    waves = 128 + 60 * np.sin(rows / 7) + 40 * np.cos(columns / 9)
    noisy = np.random.default_rng(0).normal(waves[..., None], 20, (70, 90, 3)).clip(0, 255).astype(np.uint8)
    write_picture(Picture(noisy), Path("a.png"), "png")
    for threads in (1, 2):
        done = without_torch("denoise", "a.png", "-o", f"{threads}.png", "--json", threads=threads)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["sigma"] == pytest.approx(20, rel=0.25)
    assert Path("1.png").read_bytes() == Path("2.png").read_bytes()
    clean = read_picture(Path("1.png")).samples
    assert np.abs(clean - waves[..., None]).mean() < np.abs(noisy - waves[..., None]).mean() / 3
    expected = Denoiser.from_pretrained(device="cpu", precision="fp32", engine="torch")
    assert np.abs(Picture(noisy).with_array(expected(Picture(noisy).to_array())).samples.astype(int) - clean).max() <= 1


def test_every_other_task_works_without_pytorch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from img2img.images import Picture, read_picture, write_picture
    from img2img.tasks.compress import Decompressor
    from img2img.tasks.translate import Translator

    monkeypatch.chdir(tmp_path)
    rows, columns, channels = np.mgrid[:90, :130, :3]
    waves = 128 + 60 * np.sin(rows / 15 + channels) * np.cos(columns / 20)
    picture = Picture(np.random.default_rng(0).normal(waves, 4).clip(0, 255).astype(np.uint8))
    write_picture(picture, Path("a.png"), "png")
    for command in (
        ["compress", "a.png", "-o", "a.i2i", "--model", "codec-best"],
        ["decompress", "a.i2i", "-o", "b.png"],
        ["translate", "a.png", "-o", "c.png", "--model", "edges", "--seed", "3", "--tile", "64"],
    ):
        done = without_torch(*command)
        assert done.returncode == 0, done.stderr
    reader = Decompressor(device="cpu", engine="torch")
    translator = Translator.from_pretrained("edges", "cpu", "fp32", engine="torch")
    expected = {
        "b.png": reader.decompress(Path("a.i2i").read_bytes()).samples,
        "c.png": picture.with_array(translator(picture.to_array(), seed=3)).samples,
    }
    for name, samples in expected.items():
        difference = np.abs(read_picture(Path(name)).samples.astype(int) - samples)
        assert difference.max() <= 1
        assert (difference > 0).mean() < 0.01


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_runs_graphs_too() -> None:
    """It has none of the threads that a session waits for."""
    code = (
        "import os, sys; import numpy as np; from img2img.tasks.denoise import Denoiser\n"
        "denoise = Denoiser.from_pretrained('denoise-fast', engine='onnx')\n"
        "x = np.random.default_rng(0).random((3, 64, 64))\n"
        "before = denoise(x, 0.1)\n"
        "child = os.fork()\n"
        "if not child: os._exit(0 if np.array_equal(denoise(x, 0.1), before) else 1)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    environment = os.environ | {"OMP_NUM_THREADS": "2"}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, env=environment)


def test_who_asks_for_pytorch_where_it_is_not_hears_how_to_get_it(tmp_path: Path) -> None:
    from img2img.images import Picture, write_picture

    picture = tmp_path / "a.png"
    write_picture(Picture(np.zeros((4, 4, 3), np.uint8)), picture, "png")
    done = without_torch("denoise", str(picture), "--engine", "torch")
    assert done.returncode != 0
    assert done.stderr.strip().endswith("needs PyTorch: pip install 'img2img-suite[torch]'")
    assert len(done.stderr.splitlines()) == 1


def test_threads_are_those_asked_for_or_allowed_and_wait_asleep(monkeypatch: pytest.MonkeyPatch) -> None:
    from img2img import runtime

    for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    cores = runtime.threads()
    monkeypatch.setattr(runtime, "_allowed", lambda: 1)
    assert runtime.threads() == 1 <= cores
    runtime.share_the_machine()
    assert (os.environ["OMP_NUM_THREADS"], os.environ["OMP_WAIT_POLICY"]) == ("1", "PASSIVE")
    runtime.share_the_machine(3)
    assert runtime.threads() == 3
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    runtime.share_the_machine()
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
