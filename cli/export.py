"""`img2img export`."""

import json
from pathlib import Path

import click

from .debug import debug
from .report import say_note


@click.command()
@click.argument("model", metavar="NAME|FILE")
@click.option("--onnx", "file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), required=True)
@click.option("--overwrite", is_flag=True, help="Replace a file that exists (otherwise an error).")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead of the path.")
@debug
def export(model: str, file: Path, overwrite: bool, as_json: bool) -> None:
    """Write a denoiser or translator as an ONNX file, for programs without PyTorch.

    It takes float32 pictures in [0, 1] of any size, a denoiser sigma as well, and gives pictures; padding and colour
    coding are inside, and what goes in and comes out is described in the file. Before it appears, onnxruntime's results
    on pictures of many sizes are compared with PyTorch's. A translator's noise is left out.
    """
    from img2img.checkpoints import names

    if model not in names() and not Path(model).is_file():
        raise click.UsageError(f"{model}: neither a file nor the name of shipped weights ({', '.join(names())})")
    if not file.parent.is_dir():
        raise click.UsageError(f"there is no folder {str(file.parent)!r}")
    if file.exists() and not overwrite:
        raise click.UsageError(f"{file} exists already; use --overwrite")

    from img2img.export import TOLERANCE
    from img2img.export import export as export_onnx

    done = export_onnx(model, file)
    if as_json:
        facts = {"output": str(file), "pictures": done.pictures, "difference": done.difference, "tolerance": TOLERANCE}
        click.echo(json.dumps(facts))
        return
    click.echo(file)
    say_note(
        f"onnxruntime and PyTorch differ on {done.pictures} pictures by at most {done.difference:.2g} of 255 grey "
        f"levels (allowed: {TOLERANCE})"
    )
