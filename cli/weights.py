"""`img2img weights`: what is shipped, whether it is whole, and where it lies."""

from pathlib import Path

import click

from img2img import checkpoints
from img2img.errors import WeightsError

from .debug import debug
from .report import describe, say_error


class ShippedName(click.ParamType):
    """The name of shipped weights."""

    name = "name"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse other names, and list them all."""
        known = checkpoints.names()
        if value not in known:
            self.fail(f"no weights are called {value!r}; there are {', '.join(known)}", param, ctx)
        return value


@click.group()
@debug
def weights() -> None:
    """List, verify or locate the trained weights."""


@weights.command("list")
@debug
def list_() -> None:
    """List the weights: name, task, size, and what they are for."""
    rows = [("NAME", "TASK", "MIB", "ABOUT")]
    for name, entry in checkpoints.index().items():
        path = checkpoints.weights_file(name)
        size = f"{path.stat().st_size / 2**20:.1f}" if path.is_file() else "missing"
        rows.append((name, entry["task"], size, entry.get("about", "")))
    widths = [max(map(len, column)) for column in list(zip(*rows, strict=True))[:3]]
    for name, task, size, about in rows:
        line = f"{name:{widths[0]}}  {task:{widths[1]}}  {size:>{widths[2]}}  {about}"
        click.echo(line.rstrip())


@weights.command()
@click.argument("names", metavar="[NAME]...", nargs=-1, type=ShippedName())
@debug
def verify(names: tuple[str, ...]) -> None:
    """Compare the sha256 of weights, or of all, with the index."""
    damaged = 0
    for name in names or checkpoints.names():
        try:
            checkpoints.verify(name)
        except WeightsError as error:
            say_error(describe(error))
            damaged += 1
        else:
            click.echo(f"{name}: ok")
    if damaged:
        raise click.exceptions.Exit(1)


@weights.command()
@click.argument("name", type=ShippedName())
@debug
def path(name: str) -> None:
    """Print where the file of weights lies."""
    click.echo(checkpoints.weights_file(name))


@weights.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False))
@debug
def graphs(files: tuple[str, ...]) -> None:
    """Make the graphs by which weights of your own run without PyTorch.

    Each FILE.safetensors gets files NAME.NETWORK.onnx beside it, a few kB each, that refer to its tensors. It takes
    PyTorch and the package onnx, and onnxruntime's results are compared with PyTorch's on pictures of many sizes.
    """
    from img2img.checkpoints import graph_file, load_checkpoint
    from img2img.engines.graphs import make_graphs
    from img2img.register import networks_of

    for file in files:
        networks = networks_of(load_checkpoint(file))
        if not networks:
            raise WeightsError(f"{file} holds no network that runs without PyTorch")
        for graph in make_graphs(file, networks):
            click.echo(graph_file(Path(file), graph))
