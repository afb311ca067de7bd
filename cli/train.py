"""`img2img train`."""

from pathlib import Path
from typing import Any

import click

from img2img.register import FIRST_TRAININGS, TRAININGS

from . import options
from .debug import debug

_RECIPES = [f"{training.recipe} for {name}" for name, training in TRAININGS.items()]


class TrainingName(click.Choice):
    """What can be trained; the name of a task stands for its first training."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Take either name."""
        return super().convert(FIRST_TRAININGS.get(value, value), param, ctx)


@click.command()
@click.argument("task", type=TrainingName(tuple(TRAININGS)))
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    required=True,
    help="Folder of training pictures, or of pairs of them.",
)
@click.option(
    "--recipe",
    type=click.Path(path_type=Path),
    metavar="NAME|FILE",
    help=f"A recipe file, or the name of one that is shipped.  [default: {', '.join(_RECIPES)}]",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder of the run.  [default: runs/RECIPE]",
)
@click.option("--resume", is_flag=True, help="Go on from the state in the folder of the run, as if never stopped.")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="Stop after so long; --resume goes on.")
@click.option("--steps", type=click.IntRange(1), help="Train so many steps instead of the recipe's number.")
@click.option(
    "--loss", "--gan", "loss", metavar="NAME", help="Another loss than the recipe's; GANs: vanilla, lsgan, hinge."
)
@click.option(
    "--teacher",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="What is learned from: VGG-19's weights, for descriptor and detail.",
)
@options.device
@click.option(
    "--devices", type=click.IntRange(1), default=1, show_default=True, help="How many GPUs, or CPU processes."
)
@debug
def train(
    task: str,
    data: Path,
    recipe: Path | None,
    out: Path | None,
    resume: bool,
    minutes: float | None,
    steps: int | None,
    device: str,
    devices: int,
    loss: str | None,
    teacher: Path | None,
) -> None:
    """Train the weights of TASK; print the file of the best ones."""
    from img2img import register

    weights = register.train(
        task,
        data,
        recipe,
        out=out,
        resume=resume,
        minutes=minutes,
        steps=steps,
        device=device,
        devices=devices,
        loss=loss,
        teacher=teacher,
    )
    import torch

    # With several devices this command runs once for each.
    if not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0:
        click.echo(weights)
