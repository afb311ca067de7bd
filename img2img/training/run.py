"""`img2img train`: a recipe, a folder of data, and the loop."""

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins import MixedPrecision

from ..errors import TrainingError
from ..runtime import keep_big_buffers, pick_device, pick_precision
from .loop import Task, Training
from .recipe import Recipe, read_recipe

DEFAULT_RECIPES = {
    "denoise": "denoise-fast",
    "codec": "codec-fast",
    "translate": "pairs",
    "texture": "texture-decoder",
    "descriptor": "vgg-slim",
}
# Of img2img.tasks: called as the command that uses the weights.
FOLDERS = {
    "denoise": "denoise",
    "codec": "compress",
    "translate": "translate",
    "texture": "texture",
    "descriptor": "texture",
}
SCRIPTS = {"texture": "train_decoder"}  # in a task's folder; `train` in all others


class Autocast(MixedPrecision):
    """bf16 where torch.autocast wants it, and only there.

    Lightning's own rounds what goes into the network to bf16 as well: half a grey level of the lighter half of a
    picture, in the target of the loss, too.
    """

    def convert_input(self, data: Any) -> Any:
        return data


def find_recipe(task: str, recipe: Path | None) -> Recipe:
    """A recipe by file, by the name of one of ours, or the task's default.

    Raises:
        TrainingError: no such recipe, or it is for another task.
    """
    if task not in DEFAULT_RECIPES:
        raise TrainingError(f"no task {task!r} to train; there are: {', '.join(DEFAULT_RECIPES)}")
    name = str(recipe) if recipe else DEFAULT_RECIPES[task]
    ours = Path(str(files(f"img2img.tasks.{FOLDERS[task]}"))) / "recipes" / f"{name}.toml"
    read = read_recipe(ours if ours.is_file() else Path(name))
    if read.task != task:
        raise TrainingError(f"recipe {name} is for {read.task!r}, not for {task!r}")
    return read


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
    task: str,
    data: Path,
    recipe: Path | None = None,
    out: Path | None = None,
    resume: bool = False,
    minutes: float | None = None,
    steps: int | None = None,
    device: str = "auto",
    devices: int = 1,
    loss: str | None = None,
    teacher: Path | None = None,
) -> Path:
    """Train a task's weights and return the file of the best ones.

    Args:
        task: which.
        data: folder of training data.
        recipe: file, or name of a shipped recipe; the task's default without.
        out: folder of the run; `runs/<the recipe file's name>` without.
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
    plan = find_recipe(task, recipe)
    if steps:
        plan = replace(plan, steps=steps)
    if loss:
        plan = replace(plan, loss=loss)
    if teacher:
        plan = replace(plan, teacher=str(teacher))
    folder = out or Path("runs") / Path(recipe or plan.name).stem
    started = (folder / "state.safetensors").exists()
    if started and not resume:
        raise TrainingError(f"{folder} holds a training already: --resume goes on with it, --out starts elsewhere")
    if resume and not started:
        raise TrainingError(f"{folder} holds no training that could be resumed")
    fabric = launched(device, plan.precision, devices)
    torch.manual_seed(plan.seed)
    build = import_module(f"img2img.tasks.{FOLDERS[task]}.{SCRIPTS.get(task, 'train')}").build
    training = Training(build(plan, data, fabric.device), plan, folder, fabric)
    if resume:
        training.resume()
    return training.run(minutes)
