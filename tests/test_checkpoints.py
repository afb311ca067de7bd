"""Weight files: round trip, the index, and every way in which they can be wrong, each one clear line."""

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from img2img import checkpoints
from img2img.checkpoints import index, load_checkpoint, names, read_header, save_checkpoint, verify
from img2img.errors import WeightsError
from img2img.tasks.denoise import Denoiser, DenoisingUNet

CONFIG = {"widths": [4, 4], "blocks": 1}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    tensors = {f"unet.{k}": v for k, v in DenoisingUNet(3, **CONFIG).state_dict().items()}
    save_checkpoint(path, tensors, {"task": "denoise", "network": "unet", "config": CONFIG})
    return path


def test_round_trip(weights: Path) -> None:
    checkpoint = load_checkpoint(weights)
    assert checkpoint.header["config"] == CONFIG
    assert checkpoint.part("unet").keys() == DenoisingUNet(3, **CONFIG).state_dict().keys()
    assert all(t.dtype == torch.float32 for t in checkpoint.part("unet").values())
    assert not list(weights.parent.glob("*.tmp"))
    plain = weights.with_name("plain")
    plain.touch()
    assert weights.stat().st_mode == plain.stat().st_mode  # whoever may read files here may read weights


def test_the_index_describes_every_shipped_file() -> None:
    folder = checkpoints.weights_file(names()[0]).parents[1]
    shipped = {path.relative_to(folder).as_posix() for path in folder.rglob("*.safetensors")}
    assert {entry["file"] for entry in index().values()} == shipped
    for name in names():
        verify(name)
        header = read_header(checkpoints.weights_file(name))
        assert header["name"] == name
        assert header["config"]
        assert index()[name]["task"]
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 52 * 2**20


def test_cut_off_anywhere_is_one_line(weights: Path) -> None:
    data = weights.read_bytes()
    for length in (0, 4, 8, 100, len(data) // 2, len(data) - 1):
        weights.write_bytes(data[:length])
        with pytest.raises(WeightsError, match=r"tiny.safetensors is damaged") as caught:
            load_checkpoint(weights)
        assert "\n" not in str(caught.value)


def test_a_pickle_is_not_read(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "x.pt")
    with pytest.raises(WeightsError, match="no safetensors"):
        load_checkpoint(tmp_path / "x.pt")


def test_a_foreign_safetensors_file_is_not_taken_for_ours(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(WeightsError, match="not made by img2img"):
        load_checkpoint(tmp_path / "x.safetensors")


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(WeightsError, match="denoise-fast"):
        load_checkpoint("denoise-fastest")


def test_changed_and_missing_shipped_files_are_told_apart(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = {"file": weights.name, "task": "denoise", "sha256": hashlib.sha256(weights.read_bytes()).hexdigest()}
    monkeypatch.setattr(checkpoints, "index", lambda: {"tiny": entry})
    monkeypatch.setattr(checkpoints, "_folder", lambda: tmp_path)
    assert load_checkpoint("tiny").header["config"] == CONFIG
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(WeightsError, match="damaged or changed"):
        load_checkpoint("tiny")
    weights.unlink()
    with pytest.raises(WeightsError, match="is missing"):
        load_checkpoint("tiny")


def test_weights_for_another_model_are_refused(tmp_path: Path) -> None:
    tensors = {f"unet.{k}": v for k, v in DenoisingUNet(3, **CONFIG).state_dict().items()}
    path = tmp_path / "wrong.safetensors"
    for header, message in [
        ({"task": "denoise", "network": "vgg", "config": CONFIG}, "not a 'unet'"),
        ({"task": "denoise", "network": "unet", "config": {"widths": [8, 8], "blocks": 1}}, "do not fit"),
        ({"task": "denoise", "network": "unet"}, "do not fit"),
    ]:
        save_checkpoint(path, tensors, header)
        with pytest.raises(WeightsError, match=message):
            Denoiser.from_pretrained(path, device="cpu")
