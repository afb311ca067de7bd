"""A small codec that has learnt nothing but block transforms, as a file of weights: real files come of it at once.

And networks that make detail up, restore what was lost, or tune latents, at random.
"""

from pathlib import Path
from typing import Any

import torch

from img2img.checkpoints import load_checkpoint, save_checkpoint
from img2img.tasks.compress.detail import DetailNetwork, RestorationNetwork
from img2img.tasks.compress.hyperprior import KINDS
from img2img.tasks.compress.loss import CodecWithPrior
from img2img.tasks.compress.model import start_as_klt
from img2img.tasks.compress.tables import make_tables
from img2img.tasks.compress.train import fitted_prior
from img2img.tasks.compress.tuning import TuningNetwork

HYPER = {"slices": [8, 24, 32], "hyper_channels": 8, "features": 16, "hidden": 16}


def write_codec(folder: Path, name: str = "untrained", network: str = "factorized") -> Path:
    """Write NAME.safetensors into a folder; network is `factorized`, `hyperprior` or `chequerboard` (in two passes)."""
    torch.manual_seed(0)
    config: dict[str, Any] = {"widths": [24, 48, 64], "kernels": [5, 3, 3]}
    if network == "chequerboard":
        network, config = "hyperprior", config | {"context": True}
    if network == "hyperprior":
        config |= HYPER
    codec = KINDS[network](**config)
    for layer in getattr(codec, "context", []):
        torch.nn.init.normal_(layer.weight, std=0.05)  # it begins as nothing
    sample = torch.rand(32, 3, 4, 4).mul(0.5).add(0.25)
    sample = torch.nn.functional.interpolate(sample, scale_factor=32, mode="bicubic")
    start_as_klt(codec, sample, strength=0)
    model = CodecWithPrior(codec, fitted_prior(codec, sample))
    tables = {f"tables.{key}": value for key, value in make_tables(model).items()}
    path = folder / f"{name}.safetensors"
    header = {"task": "compress", "name": name, "network": network, "config": config}
    save_checkpoint(path, model.state_dict() | tables, header)
    return path


def write_detail(folder: Path, name: str = "made-up", noisy: bool = True) -> Path:
    """Write NAME.safetensors, a small network that adds strange detail, into a folder."""
    torch.manual_seed(1)
    config: dict[str, Any] = {"widths": [8, 12], "noisy": noisy}
    detail = DetailNetwork(**config)
    for parameter in detail.net.decoder.up[-1].parameters():
        torch.nn.init.normal_(parameter, std=0.05)  # it begins as nothing
    path = folder / f"{name}.safetensors"
    header = {"task": "detail", "name": name, "network": "detail", "config": {"fades": list(detail.fades), **config}}
    save_checkpoint(path, {f"detail.{key}": value for key, value in detail.state_dict().items()}, header)
    return path


def write_restoration(folder: Path, codec: Path, name: str = "restoring") -> Path:
    """Write NAME.safetensors, a small network that restores strangely what a codec decoded, into a folder."""
    torch.manual_seed(2)
    network = RestorationNetwork((8, 12))
    for parameter in network.net.decoder.up[-1].parameters():
        torch.nn.init.normal_(parameter, std=0.05)  # it begins as nothing
    path = folder / f"{name}.safetensors"
    header = {"task": "restoration", "name": name, "network": "restoration", "config": {"widths": [8, 12]}}
    header["codecs"] = {codec.stem: load_checkpoint(codec).sha256}
    save_checkpoint(path, {f"restoration.{key}": value for key, value in network.state_dict().items()}, header)
    return path


def write_tuning(folder: Path, codec: Path, name: str = "tuning") -> Path:
    """Write NAME.safetensors, a small network that tunes a codec's latents strangely, into a folder."""
    torch.manual_seed(3)
    checkpoint = load_checkpoint(codec)
    config = {"latents": checkpoint.header["config"]["widths"][-1], "width": 8}
    network = TuningNetwork(**config)
    torch.nn.init.normal_(network.last.weight, std=0.05)  # it begins as nothing
    path = folder / f"{name}.safetensors"
    header = {"task": "tuning", "name": name, "network": "tuning", "config": config, "codec": checkpoint.sha256}
    save_checkpoint(path, {f"tuning.{key}": value for key, value in network.state_dict().items()}, header)
    return path
