"""A run of the loop: what builds the task, a recipe, a folder of data, a folder of the run. Knows no task."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins import MixedPrecision

from ..errors import TrainingError
from ..runtime import keep_big_buffers, pick_device, pick_precision
from .loop import Task, Training
from .recipe import Recipe

Build = Callable[[Recipe, Path, torch.device], Task]


class Autocast(MixedPrecision):
    """bf16 where torch.autocast wants it, and only there.

    Lightning's own rounds what goes into the network to bf16 as well: half a grey level of the lighter half of a
    picture, in the target of the loss, too.
    """

    def convert_input(self, data: Any) -> Any:
        return data


def launched(device: str, precision: str = "auto", devices: int = 1) -> Fabric:
    """Fabric on a device, ready to train in a precision as `pick_precision` takes it."""
    keep_big_buffers()
    target = pick_device(device)
    bf16 = pick_precision(precision, target) == torch.bfloat16
    fabric = Fabric(
        accelerator=target.type,
        devices=devices,
        plugins=[Autocast("bf16-mixed", target.type)] if bf16 else [],
        strategy="ddp" if devices > 1 else "auto",
    )
    fabric.launch()
    if target.type == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")
    return fabric


def finish(build: Callable[[torch.device], Task], plan: Recipe, folder: Path, device: str) -> Path:
    """Train in a folder, from nothing or from what was begun there, to the end; returns the best weights' file.

    Raises:
        TrainingError: what was begun there is of another recipe, or there are no best weights.
    """
    fabric = launched(device, plan.precision)
    torch.manual_seed(plan.seed)
    training = Training(build(fabric.device), plan, folder, fabric)
    if (folder / "state.safetensors").exists():
        training.resume()
    return training.run()


def train(
    build: Build,
    plan: Recipe,
    data: Path,
    folder: Path,
    *,
    resume: bool = False,
    minutes: float | None = None,
    steps: int | None = None,
    device: str = "auto",
    devices: int = 1,
    loss: str | None = None,
    teacher: Path | None = None,
) -> Path:
    """Train by a recipe and return the file of the best weights.

    Args:
        build: makes the task of a recipe, a folder of data and a device.
        plan: the recipe.
        data: folder of training data.
        folder: of the run; made if missing.
        resume: go on from the folder's state.
        minutes: stop after that long; `resume` goes on.
        steps: instead of the recipe's number.
        device: auto, cpu, cuda or mps.
        devices: how many processes (GPUs, or CPU processes over gloo).
        loss: instead of the recipe's.
        teacher: file of the network to learn from, instead of the recipe's.

    Raises:
        TrainingError: recipe, data or folder do not fit.
    """
    plan = replace(
        plan, steps=steps or plan.steps, loss=loss or plan.loss, teacher=str(teacher) if teacher else plan.teacher
    )
    started = (folder / "state.safetensors").exists()
    if started and not resume:
        raise TrainingError(
            "{folder} holds a training already: {0} goes on with it, {1} starts elsewhere",
            "resume",
            "out",
            folder=folder,
        )
    if resume and not started:
        raise TrainingError(f"{folder} holds no training that could be resumed")
    fabric = launched(device, plan.precision, devices)
    torch.manual_seed(plan.seed)
    training = Training(build(plan, data, fabric.device), plan, folder, fabric)
    if resume:
        training.resume()
    return training.run(minutes)
